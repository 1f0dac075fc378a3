"""Orders on a real server: each script whole and repeatable, one winner per revision, and ticks that go by them."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from lamps import (
    Lamp,
    Post,
    ask,
    claimed,
    control,
    equally_warm,
    everything,
    expire_lease,
    forget_slot,
    plant,
    record_of,
    reserved,
    seen,
    set_control,
    sight,
    started,
)

from supervision import Supervisor
from supervision.client import ChildDescription, Client, SupervisorDescription, SupervisorView
from supervision.decide import decide
from supervision.documents import MAX_DOCUMENT_BYTES
from supervision.errors import Conflict, InvalidDeclaration, InvalidDocument, NotFound
from supervision.order_terms import LONGEST_PAUSE_S
from supervision.orders import Mode, Orders
from supervision.runtime import Runtime
from supervision.server import EmbeddedStore
from supervision.store.history import Past
from supervision.store.orders import Asked, orders_in
from supervision.store.store import Store
from supervision.view import Claim, View

RED, GREEN = "plant/lamp-0", "plant/lamp-1"
WHO: dict[str, Any] = {"by": "ann", "reason": "rewiring"}


@pytest.fixture
def client(server: EmbeddedStore, namespace: str) -> Iterator[Client]:
    with Client(server.url, namespace=namespace) as found:
        yield found


@pytest.fixture
def runtime(store: Store, post: Post) -> Runtime:
    supervisor = plant(checks=[equally_warm], stale_after=600)
    found = Runtime(store, post, {supervisor.path: supervisor})
    found.declare()
    return found


def ticked(runtime: Runtime) -> None:
    forget_slot(runtime.store, runtime.supervisors["plant"])
    expire_lease(runtime.store)
    assert runtime.tick("plant") in {"done", "again"}


def looked(runtime: Runtime, *, on: bool = True, heat: int = 0) -> None:
    seen(runtime.store, runtime.supervisors["plant"], sight("lamp-0", on=on, heat=heat), sight("lamp-1"))


def opened(runtime: Runtime) -> str:
    """The id of an incident that has just begun."""
    looked(runtime)
    ticked(runtime)
    ticked(runtime)
    looked(runtime, heat=9)
    ticked(runtime)
    circuit = loaded(runtime.store).circuit
    assert circuit.state == "open"
    return circuit.incident


def loaded(store: Store, supervisor: Supervisor | None = None) -> View:
    """What a tick would see; a claim that is none is enough for looking."""
    return store.ticks.load(supervisor or plant(stale_after=600), Claim(0, 0, 0))


def told(store: Store, kind: str) -> list[Past]:
    return [past for past in store.history.since(most=100_000) if past.kind == kind]


def supervisor(client: Client) -> SupervisorView:
    (found,) = client.tree()
    return found


def described(client: Client, path: str = RED) -> ChildDescription:
    found = client.describe(path)
    assert isinstance(found, ChildDescription)
    return found


def acts(post: Post) -> list[str]:
    return [entry.subject for entry in post.taken if entry.kind == "act"]


# --- every order


@pytest.mark.parametrize(
    ("give", "before", "after"),
    [
        (lambda c: c.set_mode("plant", "observe", **WHO), "act", "observe"),
        (lambda c: c.pause(RED, for_s=60, request_id="r", **WHO), "", "paused"),
        (lambda c: c.pause("plant", for_s=60, request_id="r", **WHO), "", "paused"),
        (lambda c: c.silence("plant", for_s=60, request_id="r", **WHO), "", "silenced"),
        (lambda c: c.force_open("plant", request_id="r", **WHO), "closed", "force-open"),
    ],
)
def test_an_order_given_twice_is_one_order_one_event_and_one_wake(
    client: Client, runtime: Runtime, give: Callable[[Client], object], before: str, after: str
) -> None:
    first = give(client)
    stored, version = everything(runtime.store), control(runtime.store)[b"dirty"]
    assert give(client) == first
    assert everything(runtime.store) == stored
    assert version == b"1"
    (event,) = told(runtime.store, "order")
    assert (event.before, event.after, event.actor) == (before, after, "ann")
    assert event.reason.startswith("rewiring")
    (wake,) = runtime.store.outbox.unpublished(0)
    assert (wake.kind, wake.subject) == ("tick", "plant")


def test_an_order_that_says_what_stands_anyway_is_none(client: Client, runtime: Runtime) -> None:
    before = everything(runtime.store)
    client.set_mode("plant", "act", **WHO)
    assert client.resume(RED, **WHO) is False
    assert client.end_silence("plant", **WHO) is False
    assert client.enable(RED, **WHO) is False
    assert client.enable("plant", **WHO) is False
    assert everything(runtime.store) == before


@pytest.mark.usefixtures("runtime")
def test_twenty_who_order_at_once_leave_one_order_and_a_history_that_leads_to_it(
    store: Store, server: EmbeddedStore, namespace: str
) -> None:
    def give(number: int) -> None:
        with Client(server.url, namespace=namespace) as mine:
            mine.set_mode("plant", ("observe", "off")[number % 2], by=f"p{number}", reason="r")

    at_once(give)
    events = told(store, "order")
    assert [event.before for event in events] == ["act", *(event.after for event in events[:-1])]
    assert loaded(store).orders.mode == events[-1].after


def at_once(work: Callable[[int], None], people: int = 20) -> None:
    begin = threading.Barrier(people)

    def person(number: int) -> None:
        begin.wait(30)
        work(number)

    threads = [threading.Thread(target=person, args=(number,)) for number in range(people)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.usefixtures("runtime")
def test_who_and_why_are_one_line_each(client: Client, store: Store) -> None:
    before = everything(store)
    for who in ({"by": "", "reason": "r"}, {"by": "ann", "reason": "two\nlines"}):
        for give in (
            lambda who: client.set_mode("plant", "off", **who),
            lambda who: client.pause(RED, for_s=5, **who),
            lambda who: client.resume(RED, **who),
            lambda who: client.silence("plant", for_s=5, **who),
            lambda who: client.end_silence("plant", **who),
            lambda who: client.enable(RED, **who),
            lambda who: client.disable(RED, **who),
            lambda who: client.force_open("plant", **who),
            lambda who: client.reset("plant", incident="i", **who),
            lambda who: client.set_desired(RED, {}, **who),
        ):
            with pytest.raises(InvalidDeclaration, match="needs one line"):
                give(who)
    assert everything(store) == before


@pytest.mark.usefixtures("runtime")
def test_an_order_for_nobody_or_for_the_wrong_one_is_not_found(client: Client, store: Store) -> None:
    before = everything(store)
    with pytest.raises(NotFound, match="did you mean"):
        client.pause("plant/lamp-7", for_s=5, **WHO)
    with pytest.raises(NotFound, match="is a child, and a mode is for its supervisor, plant"):
        client.set_mode(RED, "off", **WHO)
    with pytest.raises(NotFound, match="is a child, and a reset is for its supervisor, plant"):
        client.reset(RED, incident="i", **WHO)
    with pytest.raises(NotFound, match="is a child, and a silence is for its supervisor, plant"):
        client.silence(RED, for_s=5, **WHO)
    with pytest.raises(NotFound, match="is a child, and a silence is for its supervisor, plant"):
        client.end_silence(RED, **WHO)
    with pytest.raises(NotFound, match="is a child, and an open circuit is for its supervisor, plant"):
        client.force_open(RED, **WHO)
    with pytest.raises(NotFound, match="did you mean"):
        client.disable("plant/lamp-7", **WHO)
    with pytest.raises(NotFound, match="no child 'plant'"):
        client.set_desired("plant", {}, **WHO)
    with pytest.raises(InvalidDeclaration, match="act, observe, off"):
        client.set_mode("plant", "asleep", **WHO)
    assert everything(store) == before


# --- modes


def test_in_observe_what_would_be_given_is_told_and_nothing_is_sent(
    client: Client, runtime: Runtime, post: Post
) -> None:
    client.set_mode("plant", "observe", **WHO)
    looked(runtime, on=False)
    for _ in range(4):
        ticked(runtime)
    assert [(past.subject, past.after) for past in told(runtime.store, "would")] == [(RED, "switch_on")]
    assert acts(post) == []
    assert supervisor(client).mode == "observe"
    asked = client.restart(RED, by="ann", reason="by hand, all the same")
    assert runtime.run_action(asked.id) == "succeeded"


def test_off_is_off_until_it_is_act(client: Client, runtime: Runtime, post: Post) -> None:
    looked(runtime, on=False)
    ticked(runtime)
    client.set_mode("plant", "off", **WHO)
    ticked(runtime)
    assert acts(post) == []
    client.set_mode("plant", "act", **WHO)
    ticked(runtime)
    assert len(acts(post)) == 1


def test_a_mode_that_this_version_does_not_know_stops_it() -> None:
    assert orders_in({b"mode": b"only on sundays"}).mode is Mode.OFF
    assert orders_in({}) == Orders()


# --- pauses


def test_a_pause_shows_until_when_and_is_over_by_itself_or_by_resume(client: Client, runtime: Runtime) -> None:
    until = client.pause(RED, for_s=60, **WHO)
    lamps = supervisor(client).children
    assert [lamp.paused_until for lamp in lamps] == [until, 0]
    assert 50_000 < until - client.now() <= 60_000
    later = client.pause("plant", until=until + 5_000, **WHO)
    found = supervisor(client)
    assert (found.paused_until, [lamp.paused_until for lamp in found.children]) == (later, [later, later])
    assert client.resume("plant", **WHO) is True
    assert [lamp.paused_until for lamp in supervisor(client).children] == [until, 0]
    assert client.resume(RED, **WHO) is True
    assert supervisor(client).children[0].paused_until == 0
    assert [(e.before, e.after) for e in told(runtime.store, "order")][-2:] == [("paused", ""), ("paused", "")]
    assert ask(runtime.store).exists(runtime.store.keys.of("plant", "orders")) == 0


def test_a_paused_child_is_not_switched_on(client: Client, runtime: Runtime, post: Post) -> None:
    client.pause(RED, for_s=60, **WHO)
    looked(runtime, on=False)
    ticked(runtime)
    ticked(runtime)
    assert acts(post) == []
    client.resume(RED, **WHO)
    ticked(runtime)
    assert len(acts(post)) == 1


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize(
    "end",
    [
        {},
        {"until": 1, "for_s": 1},
        {"until": 1},
        {"until": "tomorrow"},
        {"for_s": 0},
        {"for_s": -1},
        {"for_s": float("nan")},
        {"for_s": LONGEST_PAUSE_S + 60},
    ],
)
def test_a_pause_and_a_silence_need_an_end_ahead_and_not_too_far(
    client: Client, store: Store, end: dict[str, Any]
) -> None:
    before = everything(store)
    with pytest.raises(InvalidDeclaration, match=r"until=|for_s="):
        client.pause(RED, **end, **WHO)
    with pytest.raises(InvalidDeclaration, match=r"until=|for_s="):
        client.silence("plant", **end, **WHO)
    assert everything(store) == before


# --- silences


def test_a_silence_shows_until_when_and_is_over_by_itself_or_by_its_end(client: Client, runtime: Runtime) -> None:
    until = client.silence("plant", for_s=60, **WHO)
    assert supervisor(client).silenced_until == until
    assert loaded(runtime.store).orders.silenced(until - 1)
    assert not loaded(runtime.store).orders.silenced(until)
    later = client.silence("plant", until=until + 5_000, **WHO)
    assert supervisor(client).silenced_until == later
    assert client.end_silence("plant", **WHO) is True
    assert supervisor(client).silenced_until == 0
    assert [(e.before, e.after) for e in told(runtime.store, "order")] == [
        ("", "silenced"),
        ("silenced", "silenced"),
        ("silenced", ""),
    ]
    assert ask(runtime.store).exists(runtime.store.keys.of("plant", "orders")) == 0


def test_a_silence_that_is_over_is_not_shown(client: Client, runtime: Runtime) -> None:
    client.silence("plant", for_s=60, **WHO)
    past_end = '{"until":1,"by":"ann","reason":"r","request":"q"}'
    ask(runtime.store).hset(runtime.store.keys.of("plant", "orders"), "silence", past_end)
    assert supervisor(client).silenced_until == 0


# --- switches


def test_a_child_is_disabled_by_itself_or_with_all_others(client: Client, runtime: Runtime) -> None:
    assert client.disable(RED, **WHO) is True
    assert client.disable(RED, **WHO) is False
    assert [lamp.enabled for lamp in supervisor(client).children] == [False, True]
    assert client.disable("plant", **WHO) is True
    found = supervisor(client)
    assert (found.enabled, [lamp.enabled for lamp in found.children]) == (False, [False, False])
    assert client.enable(RED, **WHO) is True
    assert [lamp.enabled for lamp in supervisor(client).children] == [False, False]
    assert client.enable("plant", **WHO) is True
    assert [lamp.enabled for lamp in supervisor(client).children] == [True, True]
    assert loaded(runtime.store).orders.switched == {"": True, "lamp-0": True}
    assert [(e.subject, e.before, e.after, e.actor) for e in told(runtime.store, "order")] == [
        (RED, "enabled", "disabled", "ann"),
        ("plant", "enabled", "disabled", "ann"),
        (RED, "disabled", "enabled", "ann"),
        ("plant", "disabled", "enabled", "ann"),
    ]


# --- forced open, and a parent's restart


def test_forced_open_says_by_whom_and_not_again_after_it_was_heard(client: Client, runtime: Runtime) -> None:
    client.force_open("plant", request_id="r", **WHO)
    forced = loaded(runtime.store).orders.forced
    assert forced is not None
    assert (forced.by, forced.reason, forced.request) == ("ann", "rewiring", "r")
    assert supervisor(client).forced_by == "ann"
    heard(runtime, "force-open")
    before = everything(runtime.store)
    client.force_open("plant", request_id="r", **WHO)
    assert everything(runtime.store) == before
    client.force_open("plant", request_id="another", **WHO)
    assert loaded(runtime.store).orders.forced is not None


def heard(runtime: Runtime, field: str) -> None:
    """As a tick takes off what it has heard."""
    ask(runtime.store).hdel(runtime.store.keys.of("plant", "orders"), field)


def test_a_parents_restart_is_ordered_once_per_action_also_after_it_was_heard(runtime: Runtime) -> None:
    orders = runtime.store.orders
    (wake,) = orders.restart_all("plant", "site~plant@1", "site", "it is stuck")
    assert (wake.kind, wake.subject) == ("tick", "plant")
    assert loaded(runtime.store).orders.restart == "site~plant@1"
    before = everything(runtime.store)
    assert orders.restart_all("plant", "site~plant@1", "site", "it is stuck") == ()
    assert everything(runtime.store) == before
    heard(runtime, "restart")
    before = everything(runtime.store)
    assert orders.restart_all("plant", "site~plant@1", "site", "it is stuck") == ()
    assert everything(runtime.store) == before
    orders.restart_all("plant", "site~plant@2", "site", "again")
    assert loaded(runtime.store).orders.restart == "site~plant@2"
    assert [(e.subject, e.before, e.after, e.actor, e.reason) for e in told(runtime.store, "order")] == [
        ("plant", "", "restart", "site", "it is stuck"),
        ("plant", "", "restart", "site", "again"),
    ]


def test_a_run_that_was_given_up_orders_nothing_when_it_wakes_up(runtime: Runtime) -> None:
    store = runtime.store
    for action in ("first", "second"):
        reserved(store, action)
        run = started(store, action)
        store.orders.restart_all("plant", action, "site", "it is stuck", fence=run.fence)
        heard(runtime, "restart")
        store.actions.finish(run, outcome="failed", retry=False)
    late = record_of(store, "first")
    before = everything(store)
    assert store.orders.restart_all("plant", "first", "site", "it is stuck", fence=late.fence) == ()
    assert everything(store) == before


# --- resets


def test_a_reset_closes_its_incident_and_no_other_one(client: Client, runtime: Runtime) -> None:
    incident = opened(runtime)
    with pytest.raises(Conflict, match=rf"plant@1 is over; now it is {incident}"):
        client.reset("plant", incident="plant@1", **WHO)
    assert told(runtime.store, "order") == []
    client.reset("plant", incident=incident, **WHO)
    client.reset("plant", incident=incident, **WHO)
    (order,) = told(runtime.store, "order")
    assert (order.before, order.after, order.actor) == ("open", "reset", "ann")
    ticked(runtime)
    assert (supervisor(client).circuit, supervisor(client).incident) == ("closed", "")
    assert ask(runtime.store).exists(runtime.store.keys.of("plant", "orders")) == 0
    assert ask(runtime.store).hgetall(runtime.store.keys.incidents) == {}
    with pytest.raises(Conflict, match=rf"{incident} is over; the circuit is closed"):
        client.reset("plant", incident=incident, **WHO)


def test_of_a_reset_and_a_circuit_forced_open_the_last_one_wins(client: Client, runtime: Runtime) -> None:
    incident = opened(runtime)
    client.force_open("plant", **WHO)
    client.reset("plant", incident=incident, **WHO)
    client.force_open("plant", **WHO)
    client.reset("plant", incident=incident, **WHO)  # not the same as the first one, though it says the same
    ticked(runtime)
    assert loaded(runtime.store).circuit.state == "closed"
    incident = opened(runtime)
    client.reset("plant", incident=incident, **WHO)
    client.force_open("plant", **WHO)
    ticked(runtime)
    assert loaded(runtime.store).circuit.forced == "ann"


@pytest.mark.usefixtures("runtime")
def test_where_no_circuit_ever_was_nothing_can_be_reset(client: Client) -> None:
    with pytest.raises(Conflict, match="the circuit is closed"):
        client.reset("plant", incident="plant@1", **WHO)


def test_an_incident_whose_circuit_has_closed_can_be_ended_before_it_was_calm(client: Client, runtime: Runtime) -> None:
    set_control(runtime.store, circuit='{"state":"closed","incident":"plant@1"}')
    client.reset("plant", incident="plant@1", **WHO)
    ticked(runtime)
    assert (supervisor(client).circuit, supervisor(client).incident) == ("closed", "")


def test_a_tick_takes_off_only_the_reset_that_it_has_heard(client: Client, runtime: Runtime) -> None:
    incident = opened(runtime)
    client.reset("plant", incident=incident, **WHO)
    store, declared = runtime.store, runtime.supervisors["plant"]
    forget_slot(store, declared)
    expire_lease(store)
    claim = claimed(store, declared)
    view = store.ticks.load(declared, claim)
    ask(store).hset(store.keys.of("plant", "orders"), "reset", "plant@later")
    assert store.ticks.commit(view, decide(view, claim.now), claim).outcome in {"done", "again"}
    assert loaded(store).orders.reset == "plant@later"


# --- desired documents


@pytest.mark.usefixtures("runtime")
def test_of_two_writers_from_one_revision_one_wins(client: Client, store: Store) -> None:
    assert client.set_desired(RED, {"b": 1}, revision=0, **WHO) == 1
    with pytest.raises(Conflict, match="is at revision 1, not 0; read it and decide again"):
        client.set_desired(RED, {"b": 1}, revision=0, **WHO)
    assert client.set_desired(RED, {"b": 2}, revision=1, by="bob", reason="r") == 2
    assert client.set_desired(RED, {"b": 3}, **WHO) == 3
    assert (described(client).desired, described(client).desired_revision) == ({"b": 3}, 3)
    assert [(e.subject, e.before, e.after, e.actor) for e in told(store, "desired")] == [
        (RED, "0", "1", "ann"),
        (RED, "1", "2", "bob"),
        (RED, "2", "3", "ann"),
    ]


def test_a_supervisor_has_a_document_of_its_own(client: Client, runtime: Runtime) -> None:
    key = runtime.store.keys.supervisors
    declared = msgspec.json.decode(ask(runtime.store).hget(key, "plant"))
    ask(runtime.store).hset(key, "plant", msgspec.json.encode({**declared, "dynamic": True, "desired": {"lamps": 2}}))
    found = client.describe("plant")
    assert isinstance(found, SupervisorDescription)
    assert (found.desired, found.desired_revision) == ({"lamps": 2}, 0)
    assert client.set_desired("plant", {"lamps": 3}, revision=0, **WHO) == 1
    with pytest.raises(Conflict, match="plant: the desired document is at revision 1, not 0"):
        client.set_desired("plant", {"lamps": 4}, revision=0, **WHO)
    found = client.describe("plant")
    assert isinstance(found, SupervisorDescription)
    assert (found.desired, found.desired_revision) == ({"lamps": 3}, 1)
    (event,) = told(runtime.store, "desired")
    assert (event.subject, event.before, event.after) == ("plant", "0", "1")
    assert [(wake.kind, wake.subject) for wake in runtime.store.outbox.unpublished(0)] == [("tick", "plant")]


@pytest.mark.usefixtures("runtime")
def test_of_twenty_writers_from_one_revision_one_wins_each_time(
    client: Client, server: EmbeddedStore, namespace: str
) -> None:
    won: list[int] = []

    def write(number: int) -> None:
        with Client(server.url, namespace=namespace) as mine:
            for revision in range(5):
                try:
                    mine.set_desired(RED, {"writer": number}, revision=revision, **WHO)
                    won.append(revision)
                except Conflict:
                    continue

    at_once(write)
    assert sorted(won) == list(range(described(client).desired_revision))
    assert len(won) >= 1


def test_the_same_request_again_sets_it_once(client: Client, runtime: Runtime) -> None:
    assert client.set_desired(RED, {"b": 1}, revision=0, request_id="r", **WHO) == 1
    before = everything(runtime.store)
    assert client.set_desired(RED, {"b": 1}, revision=0, request_id="r", **WHO) == 1
    assert everything(runtime.store) == before
    assert [(wake.kind, wake.subject) for wake in runtime.store.outbox.unpublished(0)] == [("tick", "plant")]
    for bad in ("a b", 'a"', "a/b"):
        with pytest.raises(InvalidDeclaration, match="request_id"):
            client.set_desired(RED, {}, request_id=bad, **WHO)


@pytest.mark.usefixtures("runtime")
def test_a_document_is_stored_as_it_was_written(client: Client) -> None:
    document = {"none": [], "empty": {}, "large": 2**53 + 1, "third": 0.1, "text": 'ä"\\\n', "nothing": None}
    client.set_desired(RED, document, **WHO)
    assert described(client).desired == document


@dataclass(frozen=True)
class Wanted:
    brightness: int = 5


@pytest.mark.usefixtures("runtime")
def test_what_is_no_document_is_refused_before_anything_is_written(client: Client, store: Store) -> None:
    before = everything(store)
    for wrong in (None, 3, "text", [1], Wanted, {"a": float("nan")}, {"a": "x" * MAX_DOCUMENT_BYTES}, {1: 2}):
        with pytest.raises(InvalidDocument, match="plant/lamp-0: desired"):
            client.set_desired(RED, wrong, **WHO)
    assert everything(store) == before
    client.set_desired(RED, Wanted(3), **WHO)
    assert described(client).desired == {"brightness": 3}


class Bright(Lamp):
    Desired = Wanted


def set_unseen(store: Store, text: str, child: str = "lamp-0") -> int:
    """A document as it stands there when it was set before this version of the code was declared."""
    return store.orders.desire("plant", child, text, expected=None, asked=Asked("ann", "rewiring", f"{child}-unseen"))[
        1
    ]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"brigthness": 3}, "plant/lamp-0: desired: has no field 'brigthness'; it has brightness"),
        ({"brightness": "no"}, "field 'brightness' is a text; it needs a whole number"),
        ({"brightness": None}, "field 'brightness' is null"),
        ({"brightness": True}, "field 'brightness' is true or false"),
    ],
)
def test_a_document_that_does_not_fit_its_declaration_is_refused_at_once(
    document: dict[str, Any], why: str, store: Store, post: Post, server: EmbeddedStore
) -> None:
    declared = Supervisor("plant", [Bright("lamp-0", desired=Wanted()), Lamp("lamp-1")], stale_after=600)
    Runtime(store, post, {"plant": declared}).declare()
    with closing(Client(server.url, namespace=store.keys.namespace)) as client:
        client.set_desired(RED, {"brightness": 3}, **WHO)
        before = everything(store)
        with pytest.raises(InvalidDocument, match=re.escape(why)):
            client.set_desired(RED, document, **WHO)
        assert everything(store) == before
        client.set_desired(RED, {}, **WHO)  # what has a default may be left out
        client.set_desired(GREEN, document, **WHO)  # a plain mapping has no fields


def test_a_field_that_the_code_does_not_have_is_a_misfit(store: Store, post: Post) -> None:
    declared = Supervisor("plant", [Bright("lamp-0", desired=Wanted()), Lamp("lamp-1")], stale_after=600)
    Runtime(store, post, {"plant": declared}).declare()
    set_unseen(store, '{"brigthness": 3}')
    set_unseen(store, '{"brigthness": 3}', "lamp-1")
    seen = loaded(store, declared).children
    assert seen["lamp-0"].misfit == "plant/lamp-0: desired: has no field 'brigthness'; it has brightness"
    assert (seen["lamp-1"].misfit, seen["lamp-1"].desired) == ("", {"brigthness": 3})


def test_a_document_that_does_not_fit_is_told_once_and_harms_nothing(
    store: Store, post: Post, server: EmbeddedStore
) -> None:
    declared = Supervisor("plant", [Bright("lamp-0", desired=Wanted()), Bright("lamp-1")], stale_after=600)
    runtime = Runtime(store, post, {"plant": declared})
    runtime.declare()
    looked(runtime)
    ticked(runtime)
    with closing(Client(server.url, namespace=store.keys.namespace)) as client:
        revision = set_unseen(store, '{"brightness": "very"}')
        assert loaded(store, declared).children["lamp-0"].desired == Wanted(5)
        looked(runtime, on=False)
        for _ in range(3):
            ticked(runtime)
        events = [event for event in told(store, "desired") if event.after == "refused"]
        assert [(event.subject, event.before, event.actor) for event in events] == [(RED, str(revision), "tick")]
        assert "brightness" in events[0].reason
        assert described(client).desired_refused is True
        assert described(client, GREEN).desired_refused is False
        assert len(acts(post)) == 1
        client.set_desired(RED, {"brightness": 7}, revision=revision, **WHO)
        assert described(client).desired_refused is False
        ticked(runtime)
        assert loaded(store, declared).children["lamp-0"].desired == Wanted(7)
        assert msgspec.json.decode(ask(store).hget(store.keys.of("plant", "records"), "lamp-0")).get("refused", 0) == 0
