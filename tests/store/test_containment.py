"""One thing that cannot be read, written by another version of the code or broken, is told and stops nothing else."""

import msgspec
import pytest
from celery import Celery
from lamps import Post, ask, make_due, plant, record_of, reserved, seen, sight, wish
from structlog.testing import capture_logs

from supervision.engine.publish import CeleryPublisher
from supervision.runtime import Runtime
from supervision.store import outbox
from supervision.store.outbox import KINDS, Entry
from supervision.store.store import Store
from supervision.store.sweeps import Sweeps

UNREADABLE = {
    "no JSON": "?",
    "no entry": '{"id":1}',
    "a kind of later": '["x","wave","plant",0,0]',
    "a field of another type": '["x","tick","plant","soon",0]',
    "no text at all": "\udcff",
}


def waiting(store: Store, entry_id: str, text: str) -> None:
    """An entry that was written long ago, by whomever."""
    ask(store).zadd(store.keys.outbox, {entry_id: 1})
    ask(store).hset(store.keys.entries, entry_id, text.encode(errors="surrogateescape"))


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE)
def test_an_entry_that_cannot_be_read_is_told_and_left_and_stops_no_other(
    runtime: Runtime, store: Store, post: Post, text: str
) -> None:
    waiting(store, "odd", text)
    waiting(store, "tick:plant:1", '["tick:plant:1","tick","plant",0]')
    for _ in range(2):
        with capture_logs() as told:
            runtime.sweep_outbox()
        assert [line["entry"] for line in told if line["event"] == "entry_unreadable"] == ["odd"]
    assert [entry.id for entry in post.taken] == ["tick:plant:1"]
    assert ask(store).hkeys(store.keys.entries) == ask(store).zrange(store.keys.outbox, 0, -1) == [b"odd"]


def test_an_entry_without_its_message_stops_no_other(runtime: Runtime, store: Store) -> None:
    ask(store).zadd(store.keys.outbox, {"gone": 1})
    waiting(store, "tick:plant:1", '["tick:plant:1","tick","plant",0]')
    assert runtime.sweep_outbox() == 1


def test_more_of_them_than_a_sweep_takes_are_in_nobodys_way(
    runtime: Runtime, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MOST_PER_SWEEP", 3)
    for i in range(7):
        waiting(store, f"odd-{i}", "?")
    waiting(store, "tick:plant:1", '["tick:plant:1","tick","plant",0]')
    ask(store).zadd(store.keys.outbox, {"tick:plant:1": 2})
    assert runtime.sweep_outbox() == 1
    assert runtime.sweep_outbox() == 0


def test_an_entry_of_the_version_before_this_one_is_sent(runtime: Runtime, store: Store, post: Post) -> None:
    waiting(store, "act:a:1", '["act:a:1","act","a",5000]')
    runtime.sweep_outbox()
    assert post.taken == [Entry("act:a:1", "act", "a", 5_000, 0)]


def test_an_entry_of_the_version_after_this_one_is_sent(runtime: Runtime, store: Store, post: Post) -> None:
    waiting(store, "act:a:1", '["act:a:1","act","a",5000,0,"urgent"]')
    runtime.sweep_outbox()
    assert post.taken == [Entry("act:a:1", "act", "a", 5_000, 0)]


def test_a_record_that_cannot_be_read_is_told_and_left_and_stops_no_other(runtime: Runtime, store: Store) -> None:
    for action, child in (("a", "lamp-0"), ("b", "lamp-1"), ("c", "lamp-2"), ("d", "lamp-3")):
        store.actions.reserve("plant", "ann", wish(child, action))
        make_due(store, action)
    ask(store).hset(store.keys.action("a"), "attempt", "once")
    ask(store).hset(store.keys.action("b"), "error", b"\xff")
    ask(store).delete(store.keys.action("c"))
    ask(store).set(store.keys.action("c"), "no hash at all")
    for action in ("a", "b", "c"):
        ask(store).zadd(store.keys.due, {action: 0})
    for handled in (1, 0):
        with capture_logs() as told:
            assert runtime.sweep_due() == handled
        assert [line["action"] for line in told if line["event"] == "action_unreadable"] == ["a", "b", "c"]
    assert record_of(store, "d").sent == 2
    assert ask(store).zrange(store.keys.due, 0, 2) == [b"a", b"b", b"c"]


def test_more_records_of_that_kind_than_a_sweep_takes_are_in_nobodys_way(
    runtime: Runtime, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervision.store.actions.MOST_PER_SWEEP", 3)
    for i in range(7):
        ask(store).zadd(store.keys.due, {f"odd-{i}": 0})
        ask(store).hset(store.keys.action(f"odd-{i}"), "state", "by a later version")
    reserved(store)
    make_due(store)
    assert runtime.sweep_due() == 1
    assert record_of(store).sent == 2


def test_an_action_whose_handling_fails_stops_no_other(
    runtime: Runtime, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it would be when its child's code raises, for instance in how long it wants to wait."""
    for action, child in (("a", "lamp-0"), ("b", "lamp-1")):
        store.actions.reserve("plant", "ann", wish(child, action))
        ask(store).zadd(store.keys.due, {action: ord(action)})
    requeue = store.actions.requeue

    def partly(action_id: str, look_again_ms: int) -> tuple[Entry, ...]:
        if action_id == "a":
            raise ZeroDivisionError
        return requeue(action_id, look_again_ms)

    monkeypatch.setattr(store.actions, "requeue", partly)
    with capture_logs() as told:
        assert runtime.sweep_due() == 2
    assert [line["action"] for line in told if line["event"] == "action_not_looked_after"] == ["a"]
    assert record_of(store, "b").sent == 2


def test_a_supervisor_that_cannot_be_read_stops_no_other_from_being_woken(store: Store, post: Post) -> None:
    names = ["annex", "plant", "yard"]
    runtime = Runtime(store, post, {name: plant(name=name) for name in names})
    ask(store).set(store.keys.of("annex", "control"), "no hash at all")
    for name in names[1:]:
        ask(store).hset(store.keys.of(name, "control"), mapping={"dirty": 3, "clean": 2, "claimed": 1})
    ask(store).hset(store.keys.of("plant", "control"), mapping={"dirty": "many", "rewoken": "??", "woken": "late"})
    with capture_logs() as told:
        assert runtime.sweep_wakes() == 1
    assert [entry.subject for entry in post.taken] == ["yard"]
    assert [line["entry"] for line in told if line["event"] == "entry_unreadable"] == ["annex"]


@pytest.fixture
def app() -> Celery:
    """An app on kombu's own in-memory broker, with our routes left out: everything goes to one queue."""
    made = Celery(broker="memory://", set_as_current=False)
    made.conf.task_default_queue = "containment"
    return made


def sent(app: Celery) -> list[dict[str, object]]:
    """The headers of what lies in the queue."""
    found = []
    with app.connection_for_read() as connection, connection.SimpleQueue("containment") as queue:
        while len(queue):
            message = queue.get(block=False)
            message.ack()
            found.append(dict(message.headers))
    return found


def test_an_entry_that_cannot_be_sent_is_left_and_the_others_are_sent(app: Celery) -> None:
    odd, later, good = Entry("a", "act", "x", timeout_ms="long"), Entry("b", "wave", "y"), Entry("c", "tick", "plant")  # type: ignore[arg-type]  # what cannot be
    with capture_logs() as told:
        assert CeleryPublisher(app).publish([odd, later, good]) == [good]
    assert [line["entry"] for line in told if line["event"] == "entry_refused"] == ["a", "b"]
    assert [headers["task"] for headers in sent(app)] == ["supervision.tick"]


def test_a_delay_is_a_countdown_and_none_is_none(app: Celery) -> None:
    entries = [Entry("a", "tick", "plant", 0, 40), Entry("b", "tick", "plant")]
    assert CeleryPublisher(app).publish(entries) == entries
    assert [bool(headers["eta"]) for headers in sent(app)] == [True, False]


def test_every_kind_of_entry_has_a_message(app: Celery) -> None:
    more_than_a_name = {KINDS.hook: '["user.hook", {"id": "1-0"}]', KINDS.task: '["user.task", [], {}, {}]'}
    entries = [Entry(kind, kind, more_than_a_name.get(kind, "plant")) for kind in KINDS]
    assert CeleryPublisher(app).publish(entries) == entries


def test_a_script_and_the_code_agree_on_what_an_entry_is(store: Store) -> None:
    (entry,) = seen(store, plant(), sight("lamp-0"))
    stored = ask(store).hget(store.keys.entries, entry.id)
    assert msgspec.json.decode(stored) == list(msgspec.structs.astuple(entry))


def test_a_due_time_of_something_that_is_no_name_is_told_and_stops_no_other(runtime: Runtime, store: Store) -> None:
    reserved(store, "a")
    make_due(store, "a")
    ask(store).zadd(store.keys.due, {b"\xff": 1})
    with capture_logs() as told:
        assert runtime.sweep_due() == 1
    assert [line["action"] for line in told if line["event"] == "action_unreadable"] == ["\\xff"]
    assert record_of(store, "a").sent == 2


def test_junk_among_the_incidents_stops_no_clean_up(runtime: Runtime, store: Store) -> None:
    runtime.declare()
    ask(store).hset(store.keys.incidents, "plant", "junk")
    assert runtime.sweep_history() == 0
    assert Sweeps(store.scripts, store.keys, store.actions).look("history").items == ()
