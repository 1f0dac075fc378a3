"""The freshness ladder, and the suspicion when many fall silent together: tables first, then what must hold always."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated import BEGIN_MS, Part, Seen

from supervision.child import Child
from supervision.circuit import Circuit
from supervision.errors import InvalidDeclaration
from supervision.freshness import (
    LONG_SILENCE_MS,
    PAUSES_MS,
    ROOM,
    Rung,
    Suspicion,
    climb,
    fresh,
    limits,
    suspected,
    suspicion,
)
from supervision.model import ChildRecord, Event, Observation, Phase, Unseen
from supervision.supervisor import Supervisor
from supervision.view import ChildView, View

STALE_MS, DEAD_MS, TIMEOUT_MS = 10_000, 20_000, 2_200
LOOKS_AT = (20_000, 24_200, 30_400)
"""When the three looks alone are made, in milliseconds of silence: each has its time, and then the pause."""

GIVEN_UP_AT = 38_600


class Reported(Part):
    reported = True


class Slow(Part):
    interval = 61.0


class Sky:
    """Children, seen or not, and what the ladder has written about them."""

    def __init__(self, *children: Child, **options: Any) -> None:
        self.supervisor = Supervisor("plant", children or [Part("part-0")], **options)
        self.now = BEGIN_MS
        self.resumed = self.epoch = self.suspected = 0
        self.records = {n: ChildRecord("running", Phase.RUNNING, "", BEGIN_MS) for n in self.supervisor.children}
        self.seen = {name: Observation(Seen(), BEGIN_MS, 1) for name in self.supervisor.children}
        self.looks: list[tuple[int, str]] = []
        self.events: list[Event] = []

    def view(self) -> View:
        children = {
            name: ChildView(child, self.records.get(name), observation=self.seen.get(name))
            for name, child in self.supervisor.children.items()
        }
        view = View(self.supervisor, self.now, self.epoch, Circuit(), children)
        return msgspec.structs.replace(view, resumed=self.resumed)

    def at(self, ms: int, *, see: Iterable[str] = ()) -> dict[str, Rung]:
        """One tick that many milliseconds after the beginning, with a look at those named just before."""
        self.now = BEGIN_MS + ms
        self.epoch += 1
        for name in see:
            self.seen[name] = Observation(Seen(), self.now, self.epoch)
        rungs = climb(self.view(), self.now)
        for name, rung in rungs.items():
            self.records[name] = msgspec.structs.replace(self.records[name], unseen=rung.unseen)
            self.events += rung.events
            self.looks += [(ms, name)] if rung.look else []
        self.suspected, told = suspected(self.suspected, suspicion(self.view(), self.now), "plant", self.now)
        self.events += told
        return rungs

    def every_second(self, begin: int, end: int, *, see: Sequence[str] = ()) -> None:
        for ms in range(begin, end, 1_000):
            self.at(ms, see=see)

    def unseen(self, name: str = "part-0") -> Unseen | None:
        return self.records[name].unseen

    def unobservable(self) -> set[str]:
        return {name for name, record in self.records.items() if record.unseen and record.unseen.incident}

    def alone(self) -> set[str]:
        """Who is being looked at alone."""
        return {n for n, r in self.records.items() if r.unseen and r.unseen.looks and not r.unseen.incident}

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


def parts(count: int) -> list[Part]:
    return [Part(f"part-{number}") for number in range(count)]


# --- the ladder of one child


@pytest.mark.parametrize(
    ("age", "resumed", "is_fresh"),
    [
        (0, 0, True),
        (STALE_MS - 1, 0, True),
        (STALE_MS, 0, False),
        (-1, 0, False),  # from the future: a clock was set back
        (5_000, BEGIN_MS - 5_001, True),
        (5_000, BEGIN_MS - 5_000, True),
        (5_000, BEGIN_MS - 4_999, False),  # seen before ticks went on
        (5_000, BEGIN_MS + 1, True),  # resumed in the future: from before the clock was set back
    ],
)
def test_what_is_fresh(age: int, resumed: int, is_fresh: bool) -> None:  # noqa: FBT001 # a column of the table
    seen = ChildView(Part("part-0"), observation=Observation(Seen(), BEGIN_MS - age, 1))
    assert fresh(seen, STALE_MS, BEGIN_MS, resumed) is is_fresh
    assert not fresh(ChildView(Part("part-0")), STALE_MS, BEGIN_MS, resumed), "what was never seen"


def test_nothing_is_written_about_a_child_that_is_fresh_or_only_stale() -> None:
    sky = Sky()
    for ms in (0, 9_999, 10_000, 19_999):
        assert sky.at(ms) == {}
    assert sky.events == []


def test_the_ladder_step_by_step() -> None:
    sky = Sky()
    for number, ms in enumerate(LOOKS_AT):
        assert sky.at(ms - 1) == {}
        rung = sky.at(ms)["part-0"]
        assert rung.look
        assert rung.unseen == Unseen(BEGIN_MS, number + 1, BEGIN_MS + ms)
        assert [(e.kind, e.subject, e.attempt) for e in rung.events] == [("looked_alone", "plant/part-0", number + 1)]
        assert sky.at(ms) == {}, "once"
    assert sky.at(GIVEN_UP_AT - 1) == {}
    rung = sky.at(GIVEN_UP_AT)["part-0"]
    assert not rung.look
    assert rung.unseen and rung.unseen.incident == f"plant/part-0@{sky.epoch}"  # noqa: PT018 # for mypy
    assert [(e.kind, e.after) for e in rung.events] == [("unobservable", rung.unseen.incident)]
    assert "not seen for 38.6 s, nor by 3 looks" in rung.events[0].reason
    for ms in (GIVEN_UP_AT + 1, 10**9):
        assert sky.at(ms) == {}, "told once, and nothing more is tried"


@pytest.mark.parametrize("ms", [20_000, 25_000, 31_000])
def test_a_child_seen_while_it_is_looked_at_alone_begins_anew(ms: int) -> None:
    sky = Sky()
    sky.every_second(0, ms + 1)
    looks = len(sky.looks)
    assert sky.at(ms + 500, see=["part-0"]) == {"part-0": Rung(None)}
    sky.every_second(ms + 1_000, ms + 20_000)
    assert len(sky.looks) == looks
    sky.every_second(ms + 20_000, ms + 70_000)
    assert len(sky.looks) == looks + 3
    assert sky.kinds()[-1] == "unobservable"


def test_an_unobservable_child_that_is_seen_again_is_told_with_its_incident() -> None:
    sky = Sky()
    sky.every_second(0, 60_000)
    unseen = sky.unseen()
    assert unseen is not None
    rung = sky.at(60_000, see=["part-0"])["part-0"]
    assert rung == Rung(None, (Event("observable", "plant/part-0", "seen again after 60.0 s", before=unseen.incident),))


def test_a_child_that_was_never_seen_is_missed_since_it_was_declared() -> None:
    sky = Sky()
    sky.seen.clear()
    sky.every_second(0, 60_000)
    assert [ms for ms, _ in sky.looks] == [20_000, 25_000, 32_000]  # the first second in which each is due
    assert sky.unobservable() == {"part-0"}


def test_a_child_that_is_not_born_yet_is_not_missed() -> None:
    sky = Sky()
    sky.records.clear()
    sky.seen.clear()
    assert sky.at(10**9) == {}
    assert suspicion(sky.view(), sky.now) is None


def test_a_reported_child_is_never_looked_at_alone() -> None:
    sky = Sky(Reported("part-0"))
    sky.every_second(0, 20_000)
    assert sky.events == []
    sky.at(20_000)
    assert (sky.kinds(), sky.looks) == (["unobservable"], [])


def test_a_longer_interval_makes_the_limits_longer_by_the_difference() -> None:
    supervisor = Supervisor("plant", [Part("often"), Slow("seldom")])
    often, seldom = (limits(child, supervisor) for child in supervisor.children.values())
    assert (often.stale_ms, often.dead_ms) == (STALE_MS, DEAD_MS)
    assert (seldom.stale_ms, seldom.dead_ms) == (STALE_MS + 60_000, DEAD_MS + 60_000)


class Often(Part):
    interval = 0.5


def test_a_shorter_interval_changes_nothing() -> None:
    supervisor = Supervisor("plant", [Often("often")])
    assert limits(supervisor.child("often"), supervisor).stale_ms == STALE_MS


@pytest.mark.parametrize("interval", [0, -1, 86_401, float("nan"), float("inf"), True, "5", 10**400])
def test_an_interval_that_cannot_be_is_refused(interval: Any) -> None:
    with pytest.raises(InvalidDeclaration, match=r"Odd\(odd\): interval=.* from 0.001 to 86400 .*interval=5"):
        type("Odd", (Part,), {"interval": interval})("odd")


def test_the_order_of_the_rungs_is_validated() -> None:
    with pytest.raises(InvalidDeclaration, match=r"dead_after=10.0 s must be longer than stale_after, 10.0 s.*=20"):
        Supervisor("plant", [], dead_after=10)
    with pytest.raises(InvalidDeclaration, match=r"stale_after=3.2 s must be longer than interval \+ observe_timeout"):
        Supervisor("plant", [], stale_after=3.2)


# --- the clock, and pauses


def test_after_a_pause_of_the_ticks_silence_is_counted_from_its_end() -> None:
    sky = Sky()
    sky.resumed = BEGIN_MS + 3_600_000
    for ms in (3_600_000, 3_619_999):
        assert sky.at(ms) == {}
    assert sky.suspected == 0
    assert sky.at(3_620_000)["part-0"].look


def test_a_pause_ends_no_incident_of_a_child_and_begins_none() -> None:
    sky = Sky()
    sky.every_second(0, 60_000)
    unseen = sky.unseen()
    sky.resumed = BEGIN_MS + 70_000
    sky.every_second(70_000, 150_000)
    assert sky.unseen() == unseen
    assert sky.kinds().count("unobservable") == 1


def test_a_clock_that_is_set_back_makes_silence_begin_now() -> None:
    sky = Sky()
    hour = 3_600_000
    assert sky.at(-hour) == {"part-0": Rung(Unseen(BEGIN_MS - hour))}
    assert sky.at(-hour + 19_999) == {}
    sky.every_second(-hour + 20_000, -hour + 60_000)
    assert len(sky.looks) == 3
    assert sky.unobservable() == {"part-0"}


def test_a_clock_that_is_set_back_on_the_ladder_does_not_stop_it() -> None:
    sky = Sky()
    sky.every_second(0, 25_000)
    sky.every_second(-3_600_000, -3_500_000)
    assert sky.unobservable() == {"part-0"}
    assert len(sky.looks) == 3


def test_a_child_seen_after_the_clock_was_set_back_is_as_any_other() -> None:
    sky = Sky()
    sky.at(-3_600_000)
    assert sky.at(-3_599_000, see=["part-0"]) == {"part-0": Rung(None)}
    assert sky.at(-3_598_000) == {}


# --- many children


def test_only_some_children_are_looked_at_alone_at_a_time_and_all_get_their_turn() -> None:
    sky = Sky(*parts(10))
    for ms in range(0, 200_000, 1_000):
        sky.at(ms)
        assert len(sky.alone()) <= ROOM
    assert sky.unobservable() == set(sky.records)
    assert sorted(name for _, name in sky.looks) == sorted([*sky.records] * len(PAUSES_MS))


def test_whoever_is_seen_leaves_room_for_the_next_one_at_once() -> None:
    sky = Sky(*parts(5))
    sky.at(1_000, see=["part-0"])
    sky.at(20_000)
    assert sky.alone() == {"part-1", "part-2", "part-3", "part-4"}
    sky.at(22_000)
    assert "part-0" not in sky.alone(), "no room"
    sky.at(23_000, see=["part-4"])
    assert sky.alone() == {"part-0", "part-1", "part-2", "part-3"}


def test_a_reported_child_needs_no_room() -> None:
    sky = Sky(*parts(4), Reported("reported"))
    sky.at(20_000)
    assert len(sky.alone()) == ROOM
    assert sky.unobservable() == {"reported"}


def test_a_silent_child_alone_is_no_reason_to_suspect_the_store() -> None:
    for count in (1, 2, 3):
        sky = Sky(*parts(count))
        sky.every_second(0, 100_000, see=[f"part-{i}" for i in range(1, count)])
        assert "store_suspected" not in sky.kinds()


@pytest.mark.parametrize(("silent", "count", "is_suspected"), [(2, 2, 1), (2, 3, 1), (2, 4, 0), (3, 5, 1), (3, 6, 0)])
def test_more_than_half_falling_silent_together_is_suspicious(silent: int, count: int, is_suspected: int) -> None:
    sky = Sky(*parts(count))
    others = [f"part-{i}" for i in range(silent, count)]
    sky.at(9_999, see=others)
    assert suspicion(sky.view(), sky.now) is None
    sky.at(10_000, see=others)
    expected = Suspicion(tuple(f"part-{i}" for i in range(silent)), count) if is_suspected else None
    assert suspicion(sky.view(), sky.now) == expected


def test_children_that_fell_silent_one_after_the_other_are_not_suspicious() -> None:
    sky = Sky(*parts(3))
    sky.at(4_000, see=["part-1"])
    sky.at(14_000, see=["part-2"])
    sky.at(24_000 - 1)
    assert suspicion(sky.view(), sky.now), "part-0 and part-1, within 10 s"
    sky = Sky(*parts(3))
    sky.at(10_000, see=["part-1"])
    sky.at(20_000, see=["part-2"])
    sky.at(31_000)
    assert suspicion(sky.view(), sky.now) is None


def test_those_who_are_silent_for_long_are_not_asked_about() -> None:
    sky = Sky(*parts(11))
    late = STALE_MS + LONG_SILENCE_MS
    sky.now = BEGIN_MS + late
    for name in ("part-0", "part-1"):
        sky.seen[name] = Observation(Seen(), sky.now - STALE_MS, 2)
    sky.seen["part-2"] = Observation(Seen(), sky.now, 2)
    assert suspicion(sky.view(), sky.now) == Suspicion(("part-0", "part-1"), 3)


def test_a_stretch_of_suspicion_is_told_once_at_each_end() -> None:
    sky = Sky(*parts(3))
    sky.every_second(0, 15_000, see=["part-2"])
    assert sky.suspected == BEGIN_MS + 10_000
    sky.at(15_000, see=["part-1", "part-2"])
    assert sky.suspected == 0
    assert [(e.kind, e.subject, e.reason) for e in sky.events] == [
        ("store_suspected", "plant", "2 of 3 children fell silent together: part-0, part-1"),
        ("store_trusted", "plant", "after 5.0 s"),
    ]


def test_a_crowd_is_named_in_short() -> None:
    sky = Sky(*parts(30))
    sky.at(10_000)
    assert sky.events[0].reason.endswith("part-16, part-17, ...")


def test_those_who_stay_silent_leave_the_count_and_the_others_go_on() -> None:
    sky = Sky(*parts(4))
    sky.every_second(0, 120_000, see=["part-3"])
    assert sky.unobservable() == {"part-0", "part-1", "part-2"}
    assert sky.suspected == 0
    assert [kind for kind in sky.kinds() if kind.startswith("store")] == ["store_suspected", "store_trusted"]


def test_a_crowd_too_large_for_the_ladder_does_not_freeze_the_others_for_good() -> None:
    sky = Sky(*parts(1_000))
    sky.every_second(0, STALE_MS + LONG_SILENCE_MS, see=["part-999"])
    assert sky.suspected
    sky.at(STALE_MS + LONG_SILENCE_MS, see=["part-999"])
    assert not sky.suspected


# --- what must hold always

stories = st.lists(
    st.tuples(st.sampled_from([100, 1_000, 4_000, 11_000, 40_000, -3_600_000]), st.sets(st.integers(0, 5))),
    max_size=80,
)


@given(stories)
def test_the_ladder_keeps_its_promises_whatever_is_seen_when(story: list[tuple[int, set[int]]]) -> None:
    sky, ms = Sky(*parts(6)), 0
    for passed, numbers in story:
        ms += passed
        names = {f"part-{number}" for number in numbers}
        rungs = sky.at(ms, see=names)
        assert len(sky.alone()) <= ROOM
        assert not names & (sky.alone() | sky.unobservable()), "who is seen is on no rung"
        assert climb(sky.view(), sky.now) == {}, "the same moment again changes nothing"
        for name, rung in rungs.items():
            assert not rung.look or 1 <= (sky.unseen(name) or Unseen(0)).looks <= len(PAUSES_MS)
        found = suspicion(sky.view(), sky.now)
        assert bool(found) == bool(sky.suspected)
        assert not found or not set(found.silent) & (names | sky.unobservable())
    opened = [event.after for event in sky.events if event.kind == "unobservable"]
    closed = [event.before for event in sky.events if event.kind == "observable"]
    assert len(set(opened)) == len(opened), "every incident has an id of its own"
    still = [u.incident for name in sky.unobservable() if (u := sky.unseen(name))]
    assert sorted(opened) == sorted([*closed, *still]), "every incident is open or was closed once"


@given(stories)
def test_every_silence_ends_on_the_last_rung_and_every_suspicion_ends(story: list[tuple[int, set[int]]]) -> None:
    sky, ms = Sky(*parts(6)), 0
    for passed, numbers in story:
        ms += passed
        sky.at(ms, see={f"part-{number}" for number in numbers})
    sky.every_second(ms + 1_000, ms + 120_000, see=["part-0"])
    assert sky.unobservable() == {f"part-{number}" for number in range(1, 6)}
    assert sky.suspected == 0
