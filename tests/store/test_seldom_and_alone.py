"""Looks that are not everybody's every second: at children with an interval of their own, and at one child alone."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from lamps import Lamp, LampSeen, Post, ask, control, everything, forget_slot, now, past, plant, seen, sight
from waiting import until

from supervision.child import Child
from supervision.errors import NotFound
from supervision.looking import divided
from supervision.model import ChildRecord
from supervision.runtime import Runtime
from supervision.store.observations import Look, Sight
from supervision.store.store import Store
from supervision.supervisor import Supervisor

DAY_S = 86_400
DAY_MS = DAY_S * 1000


class Seldom(Lamp):
    interval = float(DAY_S)


class Reported(Lamp):
    reported = True


class Counting(Lamp):
    looks = 0

    def observe(self) -> LampSeen:
        self.looks += 1
        return LampSeen(on=True)


def house(*children: Child) -> Supervisor:
    return Supervisor("plant", children or [Seldom("seldom"), Lamp("often")])


def periodic(store: Store, supervisor: Supervisor) -> Look:
    """The next periodic look, as if the next slot had come."""
    ask(store).hdel(store.keys.of(supervisor.path, "control"), "look_slot")
    look = store.observations.look(supervisor, supervisor.children.values(), periodic=True)
    assert look is not None
    return look


def set_mark(store: Store, child: str, mark: str, what: str = "seen") -> None:
    ask(store).hset(store.keys.of("plant", what), child, mark)


# --- an interval of one's own


def test_a_child_with_a_longer_interval_is_looked_at_once_in_each(store: Store, connect: Callable[[], Store]) -> None:
    supervisor = house()
    look = periodic(store, supervisor)
    assert look.not_now == set(), "never seen yet"
    seen(store, supervisor, sight("seldom"), sight("often"), look=look)
    for process in (store, connect()):
        assert periodic(process, supervisor).not_now == {"seldom"}
    yesterday = now(store) - DAY_MS
    set_mark(store, "seldom", f"{yesterday}:{yesterday}")
    assert periodic(connect(), supervisor).not_now == set()


def test_after_a_pause_a_child_is_looked_at_before_its_interval_is_over(store: Store) -> None:
    """Else nothing would be decided about it for what is left of a day: what was seen before a pause counts no more."""
    supervisor = house()
    seen(store, supervisor, sight("seldom"), sight("often"), look=periodic(store, supervisor))
    ask(store).hset(store.keys.of("plant", "control"), "resumed", now(store) + 1)
    until(lambda: periodic(store, supervisor).not_now == set())
    seen(store, supervisor, sight("seldom"), look=periodic(store, supervisor))
    assert periodic(store, supervisor).not_now == {"seldom"}, "once it was looked at, its interval holds again"


def test_a_child_that_was_seen_later_than_now_is_looked_at(store: Store) -> None:
    """Its observation is not fresh, and would not be before a clock that was set back has come so far."""
    supervisor = house()
    seen(store, supervisor, sight("seldom"), look=periodic(store, supervisor))
    later = (now(store) // DAY_MS + 1) * DAY_MS - 1
    set_mark(store, "seldom", f"{later}:{later}")
    assert periodic(store, supervisor).not_now == set()


def test_a_failed_look_is_not_repeated_before_the_next_interval_either(store: Store) -> None:
    supervisor = house()
    seen(store, supervisor, Sight("seldom", error="no route"), look=periodic(store, supervisor))
    assert periodic(store, supervisor).not_now == {"seldom"}
    set_mark(store, "seldom", f"{now(store) - DAY_MS}:no route: 3:4", "errors")
    assert periodic(store, supervisor).not_now == set()


def test_a_look_from_before_the_clock_was_set_back_keeps_nobody_from_looking(store: Store) -> None:
    supervisor = house()
    tomorrow = now(store) + DAY_MS
    set_mark(store, "seldom", f"{tomorrow}:{tomorrow}")
    assert periodic(store, supervisor).not_now == set()


def test_a_look_at_one_child_is_made_whatever_its_interval(store: Store) -> None:
    supervisor = house()
    seen(store, supervisor, sight("seldom"), look=periodic(store, supervisor))
    assert store.observations.look(supervisor, supervisor.children.values(), periodic=False) is not None


def test_looks_write_nothing_about_children_whose_turn_it_is_not(store: Store) -> None:
    supervisor = house()
    seen(store, supervisor, sight("seldom"), sight("often"), look=periodic(store, supervisor))
    before = everything(store)
    periodic(store, supervisor)
    after = everything(store)
    own = store.keys.of("plant", "control")
    assert {k: v for k, v in after.items() if k != own} == {k: v for k, v in before.items() if k != own}
    assert len(control(store)) == 2 + len([k for k in control(store) if not k.startswith(b"look_")])


def test_the_runtime_looks_at_those_whose_turn_it_is(store: Store, post: Post) -> None:
    class SeldomCounting(Counting):
        interval = float(DAY_S)

    seldom, often = SeldomCounting("seldom"), Counting("often")
    runtime = Runtime(store, post, {"plant": house(seldom, often, Reported("reported"))})
    counts = []
    for _ in range(3):
        ask(store).hdel(store.keys.of("plant", "control"), "look_slot")
        counts.append(runtime.collect("plant"))
    assert counts == [2, 1, 1], "never at what others report"
    assert (seldom.looks, often.looks) == (1, 3)


# --- who kills the process that looks


class Watching(Lamp):
    """Notes at each look at it who is said to be under way, and who was seen."""

    def __init__(self, name: str, store: Store) -> None:
        super().__init__(name)
        self.store = store
        self.found: list[tuple[set[bytes], set[bytes]]] = []

    def observe(self) -> LampSeen:
        slow, stored = (self.store.keys.of("plant", what) for what in ("slow", "seen"))
        self.found.append((set(ask(self.store).hkeys(slow)), set(ask(self.store).hkeys(stored))))
        return LampSeen(on=True)


def test_after_a_collector_died_at_once_each_child_is_named_before_it_is_looked_at(store: Store, post: Post) -> None:
    """Whoever dies next leaves the name of the child it died of, and the looks after that go without it."""
    watching = [Watching(f"lamp-{i}", store) for i in range(3)]
    runtime = Runtime(store, post, {"plant": house(*watching)})
    periodic(store, runtime.supervisors["plant"])  # of a process that says nothing more
    collected(runtime)
    assert [lamp.found[0][0] for lamp in watching] == [{b"lamp-0"}, {b"lamp-1"}, {b"lamp-2"}]
    collected(runtime)
    assert [lamp.found[1][0] for lamp in watching] == [set(), set(), set()], "all is well again"


def test_a_child_in_whose_look_a_collector_died_is_looked_at_last_until_it_is_seen(store: Store, post: Post) -> None:
    watching = [Watching(f"lamp-{i}", store) for i in range(3)]
    runtime = Runtime(store, post, {"plant": house(*watching)})
    set_mark(store, "lamp-0", str(now(store) - 1), "slow")
    for _ in range(2):
        collected(runtime)
    assert watching[0].found[0] == ({b"lamp-0"}, {b"lamp-1", b"lamp-2"})
    assert watching[0].found[1][0] == set()


def collected(runtime: Runtime) -> None:
    ask(runtime.store).hdel(runtime.store.keys.of("plant", "control"), "look_slot")
    runtime.collect("plant")


@pytest.mark.parametrize(
    ("many", "sizes"), [(0, []), (1, [1]), (8, [1] * 8), (9, [2] * 4 + [1]), (100, [13] * 7 + [9])]
)
def test_a_crowd_of_which_one_may_kill_is_divided(many: int, sizes: list[int]) -> None:
    children = list(house(*(Lamp(f"lamp-{i}") for i in range(many))).children.values()) if many else []
    assert [len(part) for part in divided(children)] == sizes


# --- alone


def test_one_child_is_looked_at_alone_by_one_at_a_time(store: Store, connect: Callable[[], Store]) -> None:
    supervisor = plant()
    first = store.observations.look_alone(supervisor, "lamp-0")
    assert first is not None
    assert connect().observations.look_alone(supervisor, "lamp-0") is None
    assert connect().observations.look_alone(supervisor, "lamp-1") is not None
    assert not periodic(store, supervisor).not_now & {"lamp-0", "lamp-1"}, "everybody is looked at all the same"
    seen(store, supervisor, sight("lamp-0"), look=first)
    assert connect().observations.look_alone(supervisor, "lamp-0") is not None


@pytest.mark.parametrize("shift", [-1, 3_600_000])
def test_a_look_alone_whose_process_died_is_made_again(store: Store, shift: int) -> None:
    store.observations.look_alone(plant(), "lamp-0")
    set_mark(store, "/lamp-0", str(now(store) + shift), "slow")
    assert store.observations.look_alone(plant(), "lamp-0") is not None


def test_a_look_alone_is_stored_as_every_other_is(store: Store, post: Post) -> None:
    runtime = Runtime(store, post, {"plant": plant()})
    assert runtime.look_alone("plant/lamp-1") is True
    assert set(ask(store).hkeys(store.keys.of("plant", "observed"))) == {b"lamp-1"}
    assert [entry.kind for entry in post.taken] == ["tick"], "what changed wakes a tick"
    assert runtime.look_s("plant/lamp-1") == 2.2


@pytest.mark.parametrize("path", ["plant/nobody", "nowhere/lamp-0", "lamp-0"])
def test_a_child_that_is_not_declared_is_not_looked_at(store: Store, post: Post, path: str) -> None:
    with pytest.raises(NotFound, match=r"nobody|no supervisor"):
        Runtime(store, post, {"plant": plant()}).look_alone(path)


# --- the whole ladder, on a real server; waiting is done by rewriting times


def unseen(store: Store) -> Any:
    record = msgspec.json.decode(ask(store).hget(store.keys.of("plant", "records"), "lamp-0"), type=ChildRecord)
    return record.unseen


def ticked(runtime: Runtime) -> list[tuple[str, str]]:
    """One tick; the messages that it sent."""
    assert isinstance(runtime.store, Store)
    post = runtime._publisher
    assert isinstance(post, Post)
    post.taken.clear()
    forget_slot(runtime.store, runtime.supervisors["plant"])
    assert runtime.tick("plant") in {"done", "again"}
    return [(entry.kind, entry.subject) for entry in post.taken if entry.kind != "tick"]


def seconds_pass(store: Store, seconds: int) -> None:
    """As if lamp-0 had been seen, and looked at alone, so many seconds earlier."""
    marks, records = store.keys.of("plant", "seen"), store.keys.of("plant", "records")
    sequence, at = ask(store).hget(marks, "lamp-0").split(b":")
    set_mark(store, "lamp-0", f"{int(sequence)}:{int(at) - 1000 * seconds}")
    record = msgspec.json.decode(ask(store).hget(records, "lamp-0"), type=ChildRecord)
    if record.unseen:
        shifted = msgspec.structs.replace(record.unseen, looked_at=record.unseen.looked_at - 1000 * seconds)
        record = msgspec.structs.replace(record, unseen=shifted)
        ask(store).hset(records, "lamp-0", msgspec.json.encode(record))


def test_a_silent_child_climbs_the_ladder_and_comes_down_again(store: Store, post: Post) -> None:
    runtime = Runtime(store, post, {"plant": plant(3)})
    runtime.declare()
    runtime.collect("plant")
    assert ticked(runtime) == []
    sent = []
    for seconds in (21, 3, 3, 5, 7, 100):
        seconds_pass(store, seconds)
        sent.append(ticked(runtime))
    look = [("look", "plant/lamp-0")]
    assert sent == [look, [], look, [], look, []]
    incident = unseen(store).incident
    assert past(store, "unobservable") == [("plant/lamp-0", "", incident)]
    assert ask(store).hkeys(store.keys.incidents) == [b"plant/lamp-0"]
    runtime.sweep_history()
    assert ask(store).hkeys(store.keys.incidents) == [b"plant/lamp-0"], "its records are kept while it is open"
    runtime.look_alone("plant/lamp-0")
    ticked(runtime)
    assert past(store, "observable") == [("plant/lamp-0", incident, "")]
    assert (unseen(store), ask(store).hkeys(store.keys.incidents)) == (None, [])


# --- what a look may not do


class Other(msgspec.Struct, frozen=True):
    on: bool = True


class Mistaken(Lamp):
    """Returns the document of another kind of child, which even looks the same as JSON."""

    def observe(self) -> Any:
        return Other()


def test_another_childs_document_is_that_childs_failed_look(store: Store, post: Post) -> None:
    runtime = Runtime(store, post, {"plant": house(Mistaken("mistaken"), Lamp("lamp"))})
    runtime.collect("plant")
    errors = ask(store).hgetall(store.keys.of("plant", "errors"))
    assert list(errors) == [b"mistaken"]
    assert b"plant/mistaken: observed: it is a Other, not LampSeen" in errors[b"mistaken"]
    assert ask(store).hkeys(store.keys.of("plant", "observed")) == [b"lamp"]
    ticked(runtime)
    ticked(runtime)
    records = ask(store).hgetall(store.keys.of("plant", "records"))
    assert {name: msgspec.json.decode(each)["state"] for name, each in records.items()} == {
        b"mistaken": "off",
        b"lamp": "lit",
    }
