"""The client on a real server, with states written by the real runtime."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import pytest
from celery import Celery
from lamps import (
    Lamp,
    Post,
    counter,
    equally_warm,
    expire_lease,
    forget_slot,
    make_due,
    plant,
    seen,
    set_control,
    sight,
)
from waiting import until

from supervision import Supervisor
from supervision.client import ChildDescription, ChildView, Client, SupervisorDescription, SupervisorView
from supervision.errors import Conflict, InvalidDeclaration, NotFound, StoreUnavailable
from supervision.ports import free_ports
from supervision.runtime import Runtime
from supervision.server import EmbeddedStore
from supervision.store.outbox import Entry
from supervision.store.store import Store

RED, GREEN = "plant/lamp-0", "plant/lamp-1"


@pytest.fixture
def client(server: EmbeddedStore, namespace: str) -> Iterator[Client]:
    with Client(server.url, namespace=namespace) as found:
        yield found


@pytest.fixture
def runtime(store: Store, post: Post) -> Runtime:
    """Two lamps that are warm alike, declared, not yet ticked."""
    supervisor = plant(checks=[equally_warm], stale_after=600)
    found = Runtime(store, post, {supervisor.path: supervisor})
    found.declare()
    return found


def child(client: Client, path: str = RED) -> ChildView:
    found = client.get(path)
    assert isinstance(found, ChildView)
    return found


def supervisor(client: Client) -> SupervisorView:
    (found,) = client.tree()
    return found


def ticked(runtime: Runtime) -> None:
    """One tick in a slot of its own."""
    forget_slot(runtime.store, runtime.supervisors["plant"])
    expire_lease(runtime.store)
    assert runtime.tick("plant") in {"done", "again"}  # again, when the circuit has moved


def lit(runtime: Runtime) -> None:
    """Seen to be on, and ticked until the record says so."""
    seen(runtime.store, runtime.supervisors["plant"], sight("lamp-0"), sight("lamp-1"))
    ticked(runtime)
    ticked(runtime)


def acts(post: Post) -> list[Entry]:
    return [entry for entry in post.taken if entry.kind == "act"]


# --- reading


def test_nothing_declared_is_an_empty_tree(client: Client) -> None:
    assert client.tree() == []
    assert list(client.events()) == []
    assert client.latest_events(10) == []


@pytest.mark.usefixtures("runtime")
def test_what_is_declared_is_there_before_its_first_tick(client: Client) -> None:
    found = supervisor(client)
    assert (found.path, found.circuit, found.attempts, found.max_attempts) == ("plant", "closed", 0, 5)
    assert (found.last_tick_at, found.last_tick_age_ms) == (None, None)
    assert [c.path for c in found.children] == [RED, GREEN]
    assert {(c.kind, c.state, c.phase, c.observed_at, c.observed_age_ms) for c in found.children} == {
        ("lamp", None, None, None, None)
    }


def test_a_tree_shows_what_ticks_and_looks_have_written(client: Client, runtime: Runtime) -> None:
    lit(runtime)
    found = supervisor(client)
    lamp = found.children[0]
    assert (lamp.state, lamp.phase, lamp.reason, lamp.action) == ("lit", "running", "it is on", None)
    assert lamp.observed_at is not None
    assert lamp.observed_age_ms == found.at - lamp.observed_at >= 0
    assert found.last_tick_at is not None
    assert found.last_tick_age_ms == found.at - found.last_tick_at >= 0
    assert found.epoch > 0


def test_an_open_circuit_says_why_and_when_it_goes_on(client: Client, runtime: Runtime, post: Post) -> None:
    lit(runtime)
    seen(runtime.store, runtime.supervisors["plant"], sight("lamp-0", heat=9), sight("lamp-1"))
    ticked(runtime)
    found = supervisor(client)
    assert (found.circuit, found.check, found.child, found.reason) == (
        "open",
        "equally_warm",
        "lamp-0",
        "one is warmer",
    )
    assert found.incident != ""
    assert found.opened_at > 0
    ticked(runtime)
    assert supervisor(client).attempts == 1
    probe = child(client).action
    assert probe is not None
    assert (probe.name, probe.state, probe.id) == ("restart_child", "queued", acts(post)[0].subject)


def test_a_failed_look_is_told_beside_the_last_good_one(client: Client, runtime: Runtime) -> None:
    lit(runtime)
    before = child(client).observed_at
    seen(
        runtime.store,
        runtime.supervisors["plant"],
        msgspec.structs.replace(sight("lamp-0"), error="OSError: gone: away"),
    )
    found = child(client)
    assert (found.observation_error, found.observed_at) == ("OSError: gone: away", before)
    assert child(client, GREEN).observation_error == ""


def test_a_quarantined_child_says_so(client: Client, runtime: Runtime) -> None:
    lit(runtime)
    key = runtime.store.keys.of("plant", "records")
    record = msgspec.json.decode(runtime.store.client.hget(key, "lamp-0"))  # type: ignore[arg-type]  # sync client
    runtime.store.client.hset(
        key, "lamp-0", msgspec.json.encode({**record, "quarantined_until": client.now() + 60_000, "not_before": 7})
    )
    assert (child(client).quarantined, child(client).not_before) == (True, 7)
    assert (child(client).state, child(client).phase) == ("lit", "degraded"), "its state is the last one known"
    assert supervisor(client).health == "degraded"
    assert child(client, GREEN).quarantined is False


def test_an_epoch_from_before_the_clock_was_set_back_does_not_hide_that_ticks_stopped(
    client: Client, runtime: Runtime
) -> None:
    now = client.now()
    set_control(runtime.store, epoch=now + 3_600_000, slot=(now - 50_000) // 1000)
    age = supervisor(client).last_tick_age_ms
    assert age is not None
    assert age >= 49_000


@pytest.mark.usefixtures("runtime")
def test_get_finds_supervisors_and_children_and_lists_what_there_is_otherwise(client: Client) -> None:
    assert isinstance(client.get("plant"), SupervisorView)
    assert child(client).path == RED
    with pytest.raises(NotFound, match=r"did you mean .*plant/lamp-0.*there is plant, plant/lamp-0, plant/lamp-1"):
        client.get("plant/lamp-7")
    for path in ("", "/", "plant/", "lamp-0", "plant/lamp-0/", "*"):
        with pytest.raises(NotFound, match="no supervisor or child"):
            client.get(path)


def test_a_supervisor_below_another_one_is_listed_once(client: Client, store: Store) -> None:
    for each in Supervisor("hall", [Supervisor("top", [Lamp("a")])]).tree():
        store.registry.declare(each)
    with pytest.raises(NotFound) as refusal:
        client.get("hall/*")
    assert str(refusal.value).count("hall/top,") == 1


def test_a_long_list_of_what_there_is_is_cut(client: Client, store: Store) -> None:
    store.registry.declare(plant(50))
    with pytest.raises(NotFound, match=r"and 41 more$"):
        client.get("moon")


def test_describe_gives_three_documents_the_last_action_and_the_events_of_the_subject(
    client: Client, runtime: Runtime
) -> None:
    lit(runtime)
    client.restart(RED, by="ann", reason="it flickers")
    runtime.sweep_outbox()
    asked = client.action(child(client).action.id)  # type: ignore[union-attr]  # it was asked for above
    assert runtime.run_action(asked.id) == "succeeded"
    found = client.describe(RED)
    assert isinstance(found, ChildDescription)
    assert (found.child.path, found.child.kind, found.desired, found.desired_revision) == (RED, "lamp", {}, 0)
    assert found.observed == {"on": True, "heat": 0}
    assert found.last_action is not None
    assert (found.last_action.id, found.last_action.outcome) == (asked.id, "succeeded")
    assert {event.subject for event in found.events} == {RED}
    assert [(e.before, e.after) for e in found.events][-3:] == [
        ("", "queued"),
        ("queued", "running"),
        ("running", "succeeded"),
    ]
    assert found.events[-1].actor == "ann"


def test_a_desired_document_that_was_set_comes_before_the_declared_one(client: Client, runtime: Runtime) -> None:
    runtime.store.client.hset(runtime.store.keys.of("plant", "desired"), "lamp-0", '{"revision":3,"document":{"a":1}}')
    found = client.describe(RED)
    assert isinstance(found, ChildDescription)
    assert (found.desired, found.desired_revision) == ({"a": 1}, 3)


def test_a_description_of_a_supervisor_has_the_events_of_what_is_below_it(client: Client, runtime: Runtime) -> None:
    lit(runtime)
    found = client.describe("plant", events=3)
    assert isinstance(found, SupervisorDescription)
    assert len(found.events) == 3
    assert {event.subject for event in found.events} <= {"plant", RED, GREEN}


def test_views_are_frozen_and_become_json_by_themselves(client: Client, runtime: Runtime) -> None:
    lit(runtime)
    found = supervisor(client)
    with pytest.raises(AttributeError):
        found.circuit = "open"  # type: ignore[misc]  # this is the mistake
    assert msgspec.json.decode(msgspec.json.encode(found), type=SupervisorView) == found


# --- events


def test_events_are_read_whole_from_any_point_on(client: Client, runtime: Runtime) -> None:
    with runtime.store.client.pipeline() as pipeline:
        fields = {"kind": "state", "before": "", "after": "x", "reason": "r", "attempt": 0, "actor": "t", "epoch": 0}
        for i in range(1_200):  # more than two pages
            pipeline.xadd(runtime.store.keys.events, {**fields, "at": 5, "subject": f"s/{i % 2}"}, id=f"{1000 + i}-0")  # type: ignore[dict-item]  # numbers are fields too
        pipeline.execute()
    everything = list(client.events())
    assert len(everything) == 1_200
    assert len(list(client.events(subject="s/1"))) == 600
    assert list(client.events(subject="s")) == everything
    assert [e.id for e in client.events(since="2197-0")] == ["2198-0", "2199-0"]
    assert [e.id for e in client.events(since=2198)] == ["2198-0", "2199-0"]
    assert [e.id for e in client.latest_events(2, subject="s/0")] == ["2196-0", "2198-0"]
    assert len(client.latest_events(700, subject="s/0")) == 600
    assert list(client.events(subject="s/")) == list(client.events(subject="s/10")) == []


@pytest.mark.parametrize("since", ["yesterday", "-", "1-", -1])
def test_a_since_that_is_no_point_is_refused(client: Client, since: str | int) -> None:
    with pytest.raises(InvalidDeclaration, match="needs an event's id"):
        list(client.events(since=since))


def test_following_gets_what_happens_later_and_waits_in_the_server(client: Client, runtime: Runtime) -> None:
    lit(runtime)
    got: list[str] = []

    def follow() -> None:
        for event in client.events(since=client.last_event_id(), subject=RED, follow=True):
            got.append(event.after)
            if event.after == "succeeded":
                return

    with reading(follow) as waiting:
        until(lambda: blocked(runtime.store), what="a blocked reader")
        # A question that waits in the server is counted when it is answered: as long as nothing happens, none is.
        before, since = questions(runtime.store), client.now()
        until(lambda: client.now() > since + 300)
        assert questions(runtime.store) - before <= 1
        action = client.restart(RED, by="ann", reason="r")
        assert runtime.run_action(action.id) == "succeeded"
        waiting.join(30)
    assert got == ["queued", "running", "succeeded"]


def blocked(store: Store) -> bool:
    return int(store.client.info("clients")["blocked_clients"]) > 0  # type: ignore[index]  # sync client


def questions(store: Store) -> int:
    stats = store.client.info("commandstats")
    return int(stats.get("cmdstat_xread", {}).get("calls", 0))  # type: ignore[union-attr]  # sync client


@contextmanager
def reading(work: Callable[[], None]) -> Iterator[threading.Thread]:
    """``work`` on a thread that is given up on, not waited for, when the test fails."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield thread
    assert not thread.is_alive(), "it still follows"


def test_following_survives_a_restart_of_the_store(make_store: Callable[..., EmbeddedStore]) -> None:
    server = make_store()
    with Client(server.url) as client:
        runtime = Runtime(Store(server.url), Post(), {"plant": plant(stale_after=600)})
        runtime.declare()
        got: list[str] = []

        def follow() -> None:
            for event in client.events(subject=RED, follow=True):
                got.append(event.after)
                if event.after == "queued":
                    return

        with reading(follow) as waiting:
            until(lambda: blocked(runtime.store), what="a blocked reader")
            server.stop()
            server.start()
            client.restart(RED, by="ann", reason="r")
            waiting.join(60)
        assert got == ["queued"]
        runtime.store.close()


# --- asking for a restart


def test_a_restart_is_reserved_and_sent_by_the_workers_sweep(client: Client, runtime: Runtime, post: Post) -> None:
    lit(runtime)
    asked = client.restart(RED, by="ann", reason="it flickers")
    assert (asked.state, asked.name, asked.actor, asked.reason) == ("queued", "restart_child", "ann", "it flickers")
    assert (asked.timeout_ms, asked.retries) == (5_000, 3)
    assert acts(post) == []
    assert client.has_action_in_progress(RED) is True
    assert client.has_action_in_progress(GREEN) is False
    until(lambda: (runtime.sweep_outbox(), acts(post))[1], what="the sweep to send it")
    assert [(entry.kind, entry.subject) for entry in acts(post)] == [("act", asked.id)]
    assert runtime.run_action(asked.id) == "succeeded"
    assert client.has_action_in_progress(RED) is False
    assert client.action(asked.id).state == "succeeded"


@pytest.mark.usefixtures("runtime")
def test_a_restart_while_an_action_is_in_flight_is_refused_and_changes_nothing(client: Client) -> None:
    first = client.restart(RED, by="ann", reason="r")
    before = client.last_event_id()
    with pytest.raises(Conflict, match=rf"restart_child {first.id} \(queued, for ann\) is in flight"):
        client.restart(RED, by="bob", reason="r")
    assert client.last_event_id() == before
    assert client.restart(GREEN, by="bob", reason="r").actor == "bob"


def test_the_same_request_again_starts_nothing_new(client: Client, runtime: Runtime) -> None:
    first = client.restart(RED, by="ann", reason="r", request_id="ticket-7")
    assert client.restart(RED, by="ann", reason="r", request_id="ticket-7") == first
    assert runtime.run_action(first.id) == "succeeded"
    again = client.restart(RED, by="ann", reason="r", request_id="ticket-7")
    assert (again.id, again.state) == (first.id, "succeeded")
    assert counter(runtime.store, "supervisor_actions_enqueued_total") == 1
    assert client.restart(RED, by="ann", reason="r", request_id="ticket-8").id != first.id


@pytest.mark.usefixtures("runtime")
def test_who_asks_and_why_must_be_said_in_a_line(client: Client) -> None:
    for by, reason in (("", "r"), ("ann", " "), ("ann", "two\nlines"), ("a" * 1001, "r"), ("ann\x1b[31m", "r")):
        with pytest.raises(InvalidDeclaration, match="needs one line"):
            client.restart(RED, by=by, reason=reason)
    with pytest.raises(InvalidDeclaration, match="request_id"):
        client.restart(RED, by="ann", reason="r", request_id="a b")
    assert client.has_action_in_progress(RED) is False


@pytest.mark.usefixtures("runtime")
def test_only_children_that_are_there_are_restarted(client: Client) -> None:
    for path in ("plant", "plant/lamp-7", "lamp-0"):
        with pytest.raises(NotFound, match="plant/lamp-0"):
            client.restart(path, by="ann", reason="r")
    with pytest.raises(NotFound, match="no action 'nope'"):
        client.action("nope")


def test_waiting_for_an_action_ends_with_it_or_with_the_time(client: Client, runtime: Runtime) -> None:
    asked = client.restart(RED, by="ann", reason="r")
    assert client.wait_for_action(asked.id, 0.05).state == "queued"
    runner = threading.Timer(0.2, runtime.run_action, [asked.id])
    runner.start()
    assert client.wait_for_action(asked.id, 60).state == "succeeded"
    runner.join()
    assert client.wait_for_action(asked.id, 60).state == "succeeded"


# --- facts


def test_facts_say_what_the_server_is_and_what_waits_in_it(client: Client, runtime: Runtime) -> None:
    lit(runtime)
    facts = client.facts()
    assert (facts.server.aof_enabled, facts.server.maxmemory_policy) == (True, "noeviction")
    assert facts.server.scripts == {}
    assert facts.server.version[0].isdigit()
    assert abs(facts.clock_skew_ms) < 5_000
    assert (facts.server.overdue, facts.server.overdue_ms) == (0, 0)
    asked = client.restart(RED, by="ann", reason="r")
    make_due(runtime.store, asked.id)
    later = client.facts().server
    assert (later.outbox, later.overdue) == (facts.server.outbox + 1, 1)
    assert later.overdue_ms > 0
    assert [s.path for s in facts.supervisors] == ["plant"]


# --- where it is, and what it costs to have it


def test_a_store_that_is_not_there_is_unavailable() -> None:
    port = next(iter(free_ports()))
    with Client(f"redis://127.0.0.1:{port}/0") as client, pytest.raises(StoreUnavailable):
        client.tree()


@pytest.mark.parametrize("url", ["http://h", "redis://:s3cret/pass@h:6379", "redis://h:s3cret", "nothing"])
def test_an_address_that_cannot_be_read_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(InvalidDeclaration, match="address cannot be read") as refusal:
        Client(url)
    assert "s3cret" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_the_client_is_public_and_loads_redis_only_when_asked_for() -> None:
    program = """
import sys, supervision
assert "redis" not in sys.modules
from supervision import Client
assert "redis" in sys.modules
assert not {"celery", "kombu", "tasks"} & set(sys.modules)
assert Client is supervision.Client
assert "Client" in supervision.__all__
try:
    supervision.nothing
except AttributeError as error:
    assert "nothing" in str(error)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("said_by", ["environment", "app", "arguments"])
def test_a_client_looks_where_the_workers_write(
    said_by: str, server: EmbeddedStore, namespace: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment wins over the app, and what is given wins over both."""
    app = Celery("elsewhere", set_as_current=False)
    here, nowhere = (server.url, namespace), (f"redis://127.0.0.1:{next(free_ports())}/0", "nobodys")
    url, name = here if said_by == "app" else nowhere
    app.conf.update(supervision_store_url=url, supervision_namespace=name, broker_url="memory://")
    if said_by != "app":
        url, name = here if said_by == "environment" else nowhere
        monkeypatch.setenv("SUPERVISION_STORE_URL", url)
        monkeypatch.setenv("SUPERVISION_NAMESPACE", name)
    given = {"url": server.url, "namespace": namespace} if said_by == "arguments" else {}
    monkeypatch.setenv("SUPERVISION_BROKER_URL", "memory://")
    with app, Client(app=app, **given) as client:
        client.send("built", 1)
    assert store.signals.payload("built") == 1


def test_a_client_without_arguments_takes_the_namespace_from_the_environment(
    server: EmbeddedStore, namespace: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPERVISION_STORE_URL", server.url)
    monkeypatch.setenv("SUPERVISION_NAMESPACE", namespace)
    with Client() as client:
        client.send("built", 1)
    assert store.signals.payload("built") == 1
