"""One child, one tick: moves, chains of moves, faults and the pauses between actions."""

import math
from asyncio import CancelledError
from collections.abc import Callable
from itertools import pairwise
from signal import SIGQUIT, SIGTERM
from typing import Any

import msgspec
import pytest
from celery.exceptions import WorkerShutdown, WorkerTerminate
from simulated import Part, Plant, Seen, running

from supervision.actions import action
from supervision.backoff import Backoff
from supervision.child import Child, state
from supervision.derive import QUARANTINE_WINDOW_MS, quarantined
from supervision.model import ChildRecord, Do, Go, LastAction, Phase, Stay, Try

STEADY = Backoff(base=1, cap=60, jitter=0)


def scripted(**rules: Callable[[Any], object]) -> Child:
    """A child whose states answer what the ``rules`` of their names do; the first one is the initial one."""
    body: dict[str, Any] = {"Observed": Seen, "observe": lambda _self: Seen()}
    for number, (name, rule) in enumerate(rules.items()):
        body[name] = _state(name, rule, initial=number == 0)
    body["mend"] = action(_named("mend", lambda _self, _run: None))
    body["paint"] = action(_named("paint", lambda _self, _run: None))
    kind: type[Child] = type("Scripted", (Child,), body)
    return kind("thing")


def _named(name: str, code: Callable[..., object]) -> Callable[..., object]:
    code.__name__ = name
    return code


def _state(name: str, rule: Callable[[Any], object], *, initial: bool) -> Callable[..., object]:
    phase = Phase(name) if name in set(Phase) else Phase.RUNNING
    return state(phase, initial=initial)(_named(name, lambda _self, seen: rule(seen)))


def ticked(**rules: Callable[[Any], object]) -> Plant:
    """A plant with one scripted child, after its first two ticks: born and derived once."""
    plant = Plant(scripted(**rules))
    plant.seconds(2)
    return plant


def only(plant: Plant) -> ChildRecord:
    return plant.records["thing"]


# being born


def test_a_child_is_born_in_its_initial_state_and_derived_from_the_next_tick_on() -> None:
    plant = Plant(scripted(starting=lambda _: Do("mend", "broken")))
    plant.second()
    assert only(plant) == ChildRecord("starting", Phase.STARTING, "declared", plant.now)
    assert [(event.kind, event.subject, event.after) for event in plant.events] == [
        ("state", "plant/thing", "starting")
    ]
    assert plant.given == []
    plant.tick()
    assert [given.wish.action for given in plant.given] == ["mend"]


def test_a_child_is_born_before_it_was_ever_seen() -> None:
    plant = Plant(scripted(starting=lambda _: Do("mend", "broken")))
    plant.tick()
    plant.pass_time()
    plant.tick()
    assert only(plant).state == "starting"
    assert plant.given == []


# moves


def test_staying_writes_its_reason_once() -> None:
    plant = ticked(stopped=lambda _: Stay("resting"))
    assert only(plant).reason == "resting"
    assert plant.second().updates == ()


def test_states_are_followed_until_one_rests() -> None:
    plant = Plant(
        scripted(
            stopped=lambda _: Go("starting", "wanted"),
            starting=lambda _: Go("running", "it is up"),
            running=lambda seen: Stay(f"since {seen.at - seen.since}"),
        )
    )
    plant.second()
    plant.second()
    assert only(plant) == ChildRecord("running", Phase.RUNNING, "since 0", plant.now)
    told = [(event.before, event.after, event.reason) for event in plant.events[1:]]
    assert told == [("stopped", "starting", "wanted"), ("starting", "running", "it is up")]


def test_a_chain_may_end_in_an_action() -> None:
    plant = ticked(running=lambda _: Go("degraded", "hot"), degraded=lambda _: Do("mend", "hot", {"to": [1, "cool"]}))
    (given,) = plant.given
    assert only(plant).state == "degraded"
    assert (given.wish.action, given.wish.reason, given.wish.params) == ("mend", "hot", {"to": [1, "cool"]})
    assert (given.wish.timeout_ms, given.wish.retries, given.wish.incident) == (30_000, 3, "")
    assert given.wish.id == f"plant~thing~{plant.epoch}"


def test_each_state_sees_the_snapshot_of_its_own_moment() -> None:
    seen: list[Any] = []

    def note(snapshot: Any) -> Stay:
        seen.append(snapshot)
        return Stay("noted")

    plant = ticked(stopped=lambda _: Go("running", "go"), running=note)
    snapshot = seen[0]
    assert (snapshot.state, snapshot.since, snapshot.at) == ("running", plant.now, plant.now)
    assert snapshot.identity.path == "plant/thing"
    assert snapshot.observed == Seen()
    assert snapshot.desired == {}
    assert snapshot.last_action is None


def test_the_end_of_the_last_action_stands_in_the_snapshot() -> None:
    ends: list[Any] = []

    def mend(snapshot: Any) -> Do | Stay:
        ends.append(snapshot.last_action)
        return Do("mend", "broken") if snapshot.last_action is None else Stay("tried")

    plant = ticked(stopped=mend)
    plant.end("thing", "failed", error="ActionFailed: no")
    plant.seconds(2)
    assert (ends[-1].name, ends[-1].outcome, ends[-1].error) == ("mend", "failed", "ActionFailed: no")


WRONG_MOVES: dict[str, tuple[object, str]] = {
    "a state and an action": ((Go("running", "up"), Do("mend", "and mend")), "exactly one of Stay"),
    "nothing": (None, "returned None"),
    "a name": ("running", "returned 'running'"),
    "a class": (Stay, "exactly one of"),
    "no reason": (Stay(""), "with a reason"),
    "a reason that is no text": (Stay(5), "with a reason"),  # type: ignore[arg-type]  # the point
    "a state that is not declared": (Go("flying", "up"), "no state 'flying'; declared are stopped"),
    "a state that is no name": (Go(["stopped"], "up"), "TypeError"),  # type: ignore[arg-type]  # the point
    "itself": (Go("stopped", "again"), "went in a circle in one tick: stopped -> stopped"),
    "an action that is not declared": (Do("fly", "up"), "no action 'fly'; declared are noop, mend, paint"),
    "an action that is no name": (Do({}, "up"), "TypeError"),  # type: ignore[arg-type]  # the point
    "params with NaN": (Do("mend", "x", {"to": math.nan}), "params of 'mend'"),
    "params that are no mapping": (Do("mend", "x", 5), "TypeError"),  # type: ignore[arg-type]  # the point
    "params of 10 MB": (Do("mend", "x", {"to": "x" * 10**7}), "10,000,009 bytes as JSON"),
    "params with a set": (Do("mend", "x", {"to": {1}}), "would be read back"),
    "a huge thing": ("x" * 10**7, "exactly one of"),
}


@pytest.mark.parametrize(("answer", "why"), WRONG_MOVES.values(), ids=WRONG_MOVES.keys())
def test_a_wrong_move_is_a_fault_that_changes_nothing_else(answer: object, why: str) -> None:
    plant = ticked(stopped=lambda _: answer)
    assert (only(plant).state, only(plant).tries) == ("stopped", {})
    assert why in only(plant).reason
    assert len(only(plant).reason) <= 2000
    assert plant.events[-1].kind == "fault"
    assert "Traceback" in plant.events[-1].reason
    assert why in plant.events[-1].reason
    assert plant.given == []


def test_a_circle_is_shown_and_leaves_the_child_where_it_was() -> None:
    plant = ticked(stopped=lambda _: Go("running", "up"), running=lambda _: Go("stopped", "down"))
    assert "went in a circle in one tick: stopped -> running -> stopped" in only(plant).reason
    assert only(plant).state == "stopped"
    assert [event.kind for event in plant.events] == ["state", "fault"]


def test_a_state_that_is_gone_from_the_code_begins_again() -> None:
    plant = Plant(scripted(stopped=lambda _: Stay("here")))
    plant.records["thing"] = ChildRecord("flying", Phase.RUNNING, "of old", 1)
    plant.second()
    assert only(plant) == ChildRecord("stopped", Phase.STOPPED, "here", plant.now)
    assert plant.events[-1].reason == "state 'flying' is no longer declared"


def test_the_phase_is_the_one_that_the_code_declares_today() -> None:
    plant = ticked(degraded=lambda _: Stay("here"))
    plant.records["thing"] = msgspec.structs.replace(only(plant), phase=Phase.RUNNING)
    plant.second()
    assert only(plant).phase is Phase.DEGRADED


def test_reasons_of_any_size_and_sort_can_be_stored() -> None:
    plant = ticked(stopped=lambda _: Go("running", "\udcff"), running=lambda _: Stay("x" * 10**6))
    assert only(plant).state == "running"
    assert len(only(plant).reason) <= 2000
    plant.second()


# who is not derived


def test_nobody_is_derived_on_a_look_that_is_too_old_or_from_the_future() -> None:
    plant = ticked(stopped=lambda seen: Stay("on") if seen.observed.alive else Do("mend", "off"))
    plant.truth["thing"] = Seen(alive=False)
    plant.look(at=plant.now - 10_000)
    plant.tick()
    plant.look(at=plant.now + 1)
    plant.tick()
    assert plant.given == []
    plant.look(at=plant.now - 9_999)
    plant.tick()
    assert len(plant.given) == 1


def test_nobody_is_derived_until_looked_at_since_the_last_action() -> None:
    plant = ticked(stopped=lambda _: Do("mend", "off"))
    plant.pass_time()
    plant.look()
    plant.end("thing")
    for _ in range(5):
        plant.pass_time()
        plant.tick()
    assert len(plant.given) == 1
    plant.second()
    assert len(plant.given) == 2


def test_one_action_at_a_time_whatever_its_name() -> None:
    plant = ticked(stopped=lambda seen: Do("mend" if seen.observed.alive else "paint", "off"))
    plant.truth["thing"] = Seen(alive=False)
    plant.seconds(20)
    assert [given.wish.action for given in plant.given] == ["mend"]
    plant.end("thing")
    plant.second()
    assert [given.wish.action for given in plant.given] == ["mend", "paint"]


@pytest.mark.parametrize("back", [5, 60, 3600, 10**7])
def test_a_clock_set_back_leaves_a_child_alone_for_the_longest_pause_at_most(back: float) -> None:
    plant = ticked(stopped=lambda _: Do("mend", "off"))
    plant.supervisor.restart = Backoff(1, cap=30)
    plant.end("thing")
    plant.pass_time(-back)
    plant.seconds(12 + 30)
    assert len(plant.given) >= 2


# faults


def test_the_third_exception_quarantines_that_child_alone() -> None:
    plant = running(Part("broker"), Part("flow"))
    flow = plant.supervisor.children["flow"]
    assert isinstance(flow, Part)
    flow.raises = ZeroDivisionError
    plant.seconds(3)
    assert plant.kinds() == ["fault", "fault", "fault", "quarantined"]
    assert plant.events[-1].subject == "plant/flow"
    assert "3 exceptions within 5 min: ZeroDivisionError: bug" in plant.events[-1].reason
    assert quarantined(plant.records["flow"], plant.now)
    plant.events.clear()
    plant.truth["broker"] = Seen(alive=False)
    plant.seconds(200)
    assert plant.kinds() == ["state"]
    assert [given.wish.child for given in plant.given] == ["broker"]


def test_after_the_quarantine_the_child_gets_another_chance() -> None:
    plant = ticked(stopped=lambda _: 1 / 0)
    plant.seconds(2)
    until = only(plant).quarantined_until
    assert until == plant.now + QUARANTINE_WINDOW_MS
    plant.seconds(300)
    assert plant.kinds().count("fault") == 4
    assert only(plant).reason == "ZeroDivisionError: division by zero"


def test_faults_that_are_far_apart_are_forgotten() -> None:
    plant = ticked(stopped=lambda _: 1 / 0)
    for _ in range(5):
        plant.pass_time(150)
        plant.second()
    assert "quarantined" not in plant.kinds()


def test_a_quarantine_does_not_outlast_a_clock_that_was_set_back() -> None:
    plant = ticked(stopped=lambda _: 1 / 0)
    plant.seconds(2)
    plant.pass_time(-(10**6))
    plant.second()
    assert plant.kinds()[-1] == "fault"


def test_a_quarantine_from_before_a_clock_was_set_back_does_not_begin_again_as_its_end_comes_near() -> None:
    plant = running(Part("flow"), checks=())
    flow = plant.supervisor.children["flow"]
    assert isinstance(flow, Part)
    flow.raises = ZeroDivisionError
    plant.seconds(3)
    assert quarantined(plant.records["flow"], plant.now)
    flow.raises = None
    plant.pass_time(-(10**6))
    plant.second()
    plant.pass_time(10**6)
    assert not quarantined(plant.records["flow"], plant.now)


class Mute(Exception):
    def __str__(self) -> str:
        raise AttributeError("no message")

    __repr__ = __str__


@pytest.mark.parametrize(
    "error",
    [Mute, RecursionError, MemoryError, StopIteration, lambda: OSError("\udcff")],
    ids=["mute", "recursion", "memory", "stop", "surrogate"],
)
def test_an_exception_of_any_sort_is_contained(error: Callable[[], Exception]) -> None:
    def rule(_seen: object) -> object:
        raise error()

    plant = ticked(stopped=rule)
    plant.seconds(2)
    assert plant.kinds()[-1] == "quarantined"


class Own(BaseException):
    """What some libraries end their own threads with."""


@pytest.mark.parametrize(
    "error", [SystemExit("no"), KeyboardInterrupt(), CancelledError(), GeneratorExit(), Own()], ids=repr
)
def test_what_is_no_exception_is_contained_as_well(error: BaseException) -> None:
    def rule(_seen: object) -> object:
        raise type(error)(*error.args)

    plant = ticked(stopped=rule)
    plant.seconds(2)
    assert plant.kinds()[-1] == "quarantined"


@pytest.mark.parametrize(
    "order", [SystemExit(SIGTERM - 256), SystemExit(SIGQUIT - 256), WorkerTerminate(1), WorkerShutdown(0)], ids=repr
)
def test_an_order_to_end_is_nobodys_fault(order: BaseException) -> None:
    def rule(_seen: object) -> object:
        raise order

    with pytest.raises(SystemExit) as ended:
        ticked(stopped=rule)
    assert ended.value is order


def test_a_fault_tells_where_it_was_raised() -> None:
    def rule(_seen: object) -> object:
        raise ValueError("x" * 5000 + "the end")

    plant = ticked(stopped=rule)
    assert len(plant.events[-1].reason) <= 2000
    assert plant.events[-1].reason.rstrip().endswith("the end")
    assert "rule" in ticked(stopped=lambda _: 1 / 0).events[-1].reason


# pauses between actions


def give_and_end(plant: Plant, seconds: int, outcome: str = "failed") -> list[int]:
    """Live for so long, every action ending a moment after it was given; answers the pauses between them in s."""
    for _ in range(seconds):
        for child in list(plant.in_flight):
            plant.end(child, outcome)
        plant.second()
    at = [given.at for given in plant.given]
    return [round((later - earlier) / 1000) for earlier, later in pairwise(at)]


def test_an_action_is_given_at_once_and_then_after_growing_pauses() -> None:
    plant = Plant(scripted(stopped=lambda _: Do("mend", "off")), restart=STEADY)
    assert give_and_end(plant, 220) == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_permanently_failing_action_is_never_a_hot_loop() -> None:
    plant = Plant(scripted(stopped=lambda _: Do("mend", "off")), restart=Backoff(0.001, 60, jitter=1))
    give_and_end(plant, 3600)
    assert len(plant.given) <= 3600 / 10, "with half of each pause taken off on average"
    steady = Plant(scripted(stopped=lambda _: Do("mend", "off")), restart=STEADY)
    give_and_end(steady, 3600)
    assert len(steady.given) <= math.log2(60) + 1 + 3600 / 60


def test_success_is_no_reason_to_hurry_when_it_did_not_help() -> None:
    plant = Plant(scripted(stopped=lambda _: Do("mend", "off")), restart=STEADY)
    assert give_and_end(plant, 60, "succeeded") == [1, 2, 4, 8, 16]


def test_a_pause_begins_when_the_action_ended() -> None:
    plant = ticked(stopped=lambda _: Do("mend", "off"))
    plant.supervisor.restart = Backoff(10, 60, jitter=0)
    plant.seconds(100)
    plant.end("thing", "failed")
    plant.seconds(9)
    assert len(plant.given) == 1
    assert only(plant).not_before == plant.now + 1000
    assert only(plant).reason == "off"
    plant.second()
    assert len(plant.given) == 2
    assert only(plant).not_before == 0


def test_waiting_for_the_pause_to_end_writes_once() -> None:
    plant = ticked(stopped=lambda _: Do("mend", "off"))
    plant.supervisor.restart = Backoff(30, 60, jitter=0)
    plant.end("thing", "failed")
    written = [len(plant.second().updates) for _ in range(20)]
    assert written == [1] + [0] * 19


def test_each_action_has_pauses_of_its_own() -> None:
    plant = Plant(scripted(stopped=lambda seen: Do("paint" if seen.last_action else "mend", "off")), restart=STEADY)
    plant.seconds(2)
    plant.end("thing")
    plant.second()
    assert [given.wish.action for given in plant.given] == ["mend", "paint"]
    assert only(plant).tries == {"mend": Try(1, plant.now - 1000), "paint": Try(1, plant.now)}


def test_a_minute_of_health_makes_earlier_tries_forgotten() -> None:
    plant = running(Part("broker"), Part("flow"), restart=STEADY)
    for pause in (30, 30, 70):
        plant.truth["flow"] = Seen(alive=False)
        plant.second()
        plant.end("flow")
        plant.heal()
        plant.seconds(pause)
    plant.truth["flow"] = Seen(alive=False)
    assert plant.records["flow"].tries["start"].count == 3
    plant.second()
    assert plant.records["flow"].tries["start"] == Try(1, plant.now)


def test_a_short_recovery_does_not_shorten_the_pause() -> None:
    plant = running(Part("broker"), Part("flow"), restart=Backoff(40, 60, jitter=0))
    plant.truth["flow"] = Seen(alive=False)
    plant.second()
    plant.end("flow")
    plant.heal()
    plant.seconds(5)
    plant.truth["flow"] = Seen(alive=False)
    plant.seconds(30)
    assert len(plant.given) == 1
    plant.seconds(10)
    assert len(plant.given) == 2


def test_a_clock_set_back_does_not_stretch_a_pause_beyond_the_longest() -> None:
    plant = ticked(stopped=lambda _: Do("mend", "off"))
    plant.end("thing", "failed")
    plant.second()
    plant.pass_time(-(10**6))
    plant.seconds(15)
    assert len(plant.given) >= 2


def test_no_pause_is_counted_from_another_actions_end() -> None:
    plant = ticked(stopped=lambda _: Do("mend", "off"))
    plant.supervisor.restart = Backoff(10, 60, jitter=0)
    plant.end("thing", "failed")
    plant.pass_time(8)
    plant.last["thing"] = LastAction("x", "restart_child", "failed", plant.now)
    plant.seconds(2)
    assert len(plant.given) == 2
