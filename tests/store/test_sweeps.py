"""Sweeps as people see them: a look at what one would handle changes nothing, an order makes it run."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from celery import Celery
from lamps import Post, ask, everything, make_due, now, record_of, reserved, seen, set_control, sight
from waiting import until

from supervision.client import Client
from supervision.coordination.liveness import Patience
from supervision.coordination.waits import Node, Terms
from supervision.engine.publish import SWEEP, CeleryPublisher
from supervision.errors import InvalidDeclaration, NotFound
from supervision.runtime import SWEEPS, Runtime
from supervision.server import EmbeddedStore
from supervision.store import sweeps
from supervision.store.history import KEEP_MS
from supervision.store.outbox import KINDS, Entry
from supervision.store.store import Store

WHO: dict[str, Any] = {"by": "ann", "reason": "tidying up"}


@pytest.fixture
def client(server: EmbeddedStore, namespace: str) -> Iterator[Client]:
    with Client(server.url, namespace=namespace) as found:
        yield found


def swept(client: Client, name: str) -> list[str]:
    return [item.id for item in client.sweepable(name).items]


def test_people_know_the_sweeps_that_there_are(client: Client) -> None:
    assert set(sweeps.SWEEPS) == set(SWEEPS)
    for call in (client.sweepable, lambda name: client.sweep(name, **WHO)):
        with pytest.raises(NotFound, match="no sweep 'floor'; there are due: actions"):
            call("floor")


def test_due_lists_the_actions_that_the_sweep_will_look_at(
    client: Client, runtime: Runtime, store: Store, post: Post
) -> None:
    reserved(store)
    reserved(store, "b", "lamp-1")
    assert swept(client, "due") == []
    make_due(store)
    before = everything(store)
    found = client.sweepable("due")
    assert [(item.id, item.since, item.what) for item in found.items] == [("a", 1, "switch_on of plant/lamp-0: queued")]
    assert (found.removes, found.more) == (False, False)
    assert everything(store) == before
    assert runtime.sweep_due() == 1
    assert [entry.subject for entry in post.taken] == ["a"]
    assert swept(client, "due") == []


def test_outbox_lists_the_messages_that_the_sweep_will_send(
    client: Client, runtime: Runtime, store: Store, post: Post
) -> None:
    entry = reserved(store)
    assert swept(client, "outbox") == []  # its writer is sending it
    ask(store).zadd(store.keys.outbox, {entry.id: now(store) - 5_000})
    before = everything(store)
    (item,) = client.sweepable("outbox").items
    assert (item.id, item.what) == (entry.id, "act a")
    assert everything(store) == before
    assert runtime.sweep_outbox() == 1
    assert post.taken == [entry]
    assert swept(client, "outbox") == []


def recorded(store: Store, *ages_ms: int) -> list[str]:
    """Records of the history that are that old; answers their ids."""
    at = now(store)
    fields = {"kind": "state", "subject": "plant/lamp-0", "before": "", "after": "lit", "reason": "r", "actor": "tick"}
    return [
        ask(store)
        .xadd(store.keys.events, {"at": at - age, "attempt": 0, "epoch": 1, **fields}, id=f"{at - age}-0")
        .decode()
        for age in ages_ms
    ]


@pytest.mark.parametrize(
    ("of", "began_ms_ago", "removed"),
    [
        *((of, *case) for of in ("plant", "plant/lamp-0") for case in ((0, 2), (KEEP_MS + 30_000, 1), (60_000, 2))),
        ("plant/lamp-1", KEEP_MS + 30_000, 2),
    ],
)
def test_history_lists_the_records_that_the_sweep_will_remove(  # noqa: PLR0913, PLR0917 # fixtures, and a case
    client: Client, runtime: Runtime, store: Store, of: str, began_ms_ago: int, removed: int
) -> None:
    runtime.declare()
    ids = recorded(store, KEEP_MS + 60_000, KEEP_MS + 10_000, KEEP_MS - 60_000)
    if began_ms_ago:
        ask(store).hset(store.keys.incidents, of, now(store) - began_ms_ago)
    ask(store).hset(store.keys.incidents, mapping={"nobody-declares-it": 1, "nobody/declares-it": 1})
    before = everything(store)
    found = client.sweepable("history")
    assert [item.id for item in found.items] == ids[:removed]
    assert found.items[0].what == "state plant/lamp-0"
    assert found.removes is True
    assert everything(store) == before
    assert runtime.sweep_history() == removed
    assert [past.id for past in store.history.since()] == ids[removed:]


def test_wakes_lists_the_supervisors_that_the_sweep_will_wake(
    client: Client, runtime: Runtime, store: Store, post: Post
) -> None:
    runtime.declare()
    assert swept(client, "wakes") == []
    seen(store, runtime.supervisors["plant"], sight("lamp-0"))
    assert swept(client, "wakes") == []  # its own wake-up is on its way
    for quiet_ms, expected in ((5_000, ["plant"]), (0, [])):
        set_control(store, woken=now(store) - quiet_ms)
        before = everything(store)
        found = client.sweepable("wakes").items
        assert [item.id for item in found] == expected
        assert everything(store) == before
        assert runtime.sweep_wakes() == len(expected)
    assert [entry.subject for entry in post.taken] == ["plant"]


def test_a_long_list_says_that_there_is_more(client: Client, store: Store) -> None:
    ask(store).zadd(store.keys.due, {f"action-{number}": 1 for number in range(sweeps.MOST_LISTED)})
    assert client.sweepable("due").more is False
    ask(store).zadd(store.keys.due, {"one-more": 2})
    found = client.sweepable("due")
    assert (len(found.items), found.more, found.items[0].what) == (sweeps.MOST_LISTED, True, "gone")


def test_a_client_runs_those_that_need_no_worker(client: Client) -> None:
    run = {name: client.sweep_here(name) for name in SWEEPS}
    assert {name for name, handled in run.items() if handled is None} == {
        "due",
        "wakes",
        "gathers",
        "hooks",
        "forgotten",
        "outbox",
    }
    assert {handled for handled in run.values() if handled is not None} == {0}
    with pytest.raises(NotFound, match="no sweep 'floor'; there are due: actions"):
        client.sweep_here("floor")


def test_a_death_is_found_without_any_worker(client: Client, store: Store) -> None:
    store.coordinators.register("bob", kind="process", process="p", host="h")
    store.waits.enter("w", Terms(Node(signal="s", expects="bob"), timeout=600), mail='{"options":{}}')
    until(lambda: client.sweep_here("liveness", patience=Patience(0.05, 0.1, 0.15, 0.2)))
    assert store.open_waits.get("w").how == "died"


def test_while_workers_judge_who_is_alive_nobody_else_does_by_other_times(client: Client, store: Store) -> None:
    store.coordinators.register("bob", kind="process", process="p", host="h")
    store.actions.overdue()  # as a worker does each second
    before = everything(store)
    assert client.sweep_here("liveness", patience=Patience(0.05, 0.1, 0.15, 0.2)) == 0
    assert everything(store) == before


def test_it_is_known_when_workers_swept_last(client: Client, runtime: Runtime) -> None:
    assert client.swept_ago() is None
    runtime.sweep_due()
    found = client.swept_ago()
    assert found is not None
    assert 0 <= found < 60_000


def test_an_ordered_sweep_is_one_message_and_one_event(client: Client, store: Store) -> None:
    client.sweep("due", request_id="r", **WHO)
    before = everything(store)
    client.sweep("due", request_id="r", **WHO)
    assert everything(store) == before
    assert store.outbox.unpublished(-1_000) == (Entry("sweep:due:r", "sweep", "due"),)
    (event,) = store.history.since()
    assert (event.kind, event.subject, event.after, event.actor) == ("order", "sweep:due", "ordered", "ann")
    assert event.reason == "tidying up"
    store.outbox.published(store.outbox.unpublished(-1_000))
    client.sweep("due", request_id="r", **WHO)
    assert store.outbox.unpublished(-1_000) == (), "given again after it was sent"
    for bad in ({"by": "", "reason": "r"}, {"by": "b", "reason": "r", "request_id": "a b"}):
        with pytest.raises(InvalidDeclaration):
            client.sweep("due", **bad)
    client.sweep("due", **WHO)
    assert len(store.outbox.unpublished(-1_000)) == 1


def test_its_message_is_the_sweeps_task_with_its_name() -> None:
    with (
        Celery(broker="memory://") as app,
        app.connection() as connection,
        closing(connection.SimpleQueue("supervision.sweeps")) as queue,
    ):
        queue.clear()  # of other tests, in the memory of this process
        CeleryPublisher(app).send(Entry("sweep:due:r", KINDS.sweep, "due"))
        message = queue.get(timeout=10)
        assert (message.headers["task"], message.payload[0]) == (SWEEP, ["due"])


def test_a_started_action_without_an_end_is_due(client: Client, store: Store) -> None:
    reserved(store)
    store.actions.start("a")
    make_due(store)
    (item,) = client.sweepable("due").items
    assert item.what == f"switch_on of plant/lamp-0: {record_of(store).state}" == "switch_on of plant/lamp-0: running"
