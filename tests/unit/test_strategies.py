"""Strategies: who is restarted together, in which order, and what becomes of a restart that cannot go on."""

from typing import Any

import pytest
from msgspec.structs import replace
from simulated import Engine, Part, Plant, Seen, running

from supervision.backoff import Backoff
from supervision.checks import Fail, Ok, check, fail, ok
from supervision.child import Child
from supervision.circuit import PROBE_LEASE_MS, SLOW_PROBE_MS, State
from supervision.model import Unseen
from supervision.orders import Orders, Pause
from supervision.strategy import Errand, Strategy, errands, group

FAR = 10**15

CLOSED, OPEN, VERIFYING, ESCALATED = State

ALL, REST, ONE = Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE, Strategy.ONE_FOR_ONE


@check("b", restart="b", trip_after=1)
def wired(b: Any) -> Ok | Fail:
    return ok() if b.observed.connected else fail("no connection")


def engines(strategy: str = ALL, **options: Any) -> Plant:
    """Three engines, a, b and c, of which b is checked."""
    made = running(*(Engine(name) for name in "abc"), checks=(wired,), strategy=strategy, **options)
    assert made.given == []
    return made


def unplugged(strategy: str = ALL, **options: Any) -> Plant:
    """The same, with the first action of the restart of b out."""
    plant = engines(strategy, **options)
    plant.disconnect("b")
    plant.seconds(2)
    assert plant.circuit.state is VERIFYING
    return plant


def live(plant: Plant, seconds: int, outcome: str = "succeeded") -> None:
    for _ in range(seconds):
        for child in list(plant.in_flight):
            plant.end(child, outcome)
        plant.second()


@pytest.mark.parametrize(
    ("strategy", "failed", "restarted"),
    [
        (ONE, "b", ("b",)),
        (ALL, "a", ("a", "b", "c")),
        (ALL, "c", ("a", "b", "c")),
        (REST, "a", ("a", "b", "c")),
        (REST, "b", ("b", "c")),
        (REST, "c", ("c",)),
    ],
)
def test_who_is_restarted_together(strategy: Strategy, failed: str, restarted: tuple[str, ...]) -> None:
    assert group(strategy, failed, ("a", "b", "c")) == restarted


class Bare(Part):
    """Offers nothing that restarts it."""

    start = None  # type: ignore[assignment] # what its base offers is taken away
    restart = None  # type: ignore[assignment] # as above


@pytest.mark.parametrize(
    ("children", "expected"),
    [
        ((), ()),
        ((Bare("a"),), ()),
        ((Engine("a"),), (("a", "restart_child"),)),
        ((Engine("a"), Engine("b")), (("b", "stop"), ("a", "stop"), ("a", "start"), ("b", "start"))),
        ((Engine("a"), Part("p")), (("a", "stop"), ("a", "start"), ("p", "restart_child"))),
        ((Part("p"), Engine("a")), (("a", "stop"), ("p", "restart_child"), ("a", "start"))),
        ((Part("p"), Part("q")), (("p", "restart_child"), ("q", "restart_child"))),
        ((Bare("x"), Part("p")), (("p", "restart_child"),)),
        ((Bare("x"), Bare("y")), ()),
    ],
)
def test_stops_in_reverse_then_starts_in_order(
    children: tuple[Child, ...], expected: tuple[tuple[str, str], ...]
) -> None:
    assert errands(children) == tuple(Errand(*each) for each in expected)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (ONE, [("b", "restart_child")]),
        (REST, [("c", "stop"), ("b", "stop"), ("b", "start"), ("c", "start")]),
        (ALL, [(n, "stop") for n in "cba"] + [(n, "start") for n in "abc"]),
    ],
)
def test_a_restart_is_one_action_after_the_other_and_closes_the_circuit(
    strategy: str, expected: list[tuple[str, str]]
) -> None:
    plant = unplugged(strategy)
    plant.heal()
    for _ in range(30):
        assert len(plant.in_flight) <= 1
        live(plant, 1)
    assert plant.acts() == expected
    assert plant.moves()[-1] == (VERIFYING, CLOSED)
    assert {record.state for record in plant.records.values()} == {"running"}


def test_the_next_action_is_sent_only_when_the_one_before_it_has_succeeded() -> None:
    plant = unplugged()
    plant.seconds(20)
    assert plant.acts() == [("c", "stop")]


@pytest.mark.parametrize(("failing", "started"), [(0, "c"), (1, "bc"), (2, "abc"), (3, "bc"), (4, "c"), (5, "")])
def test_a_step_that_fails_is_a_failed_attempt_and_who_was_stopped_is_started(failing: int, started: str) -> None:
    plant = unplugged(restart=Backoff(30, 60, 0))
    live_until(plant, failing)
    plant.end(next(iter(plant.in_flight)), "failed", "jammed")
    plant.second()
    assert plant.circuit.state is OPEN
    assert plant.circuit.errands == ()
    assert "jammed" in plant.circuit.reason
    sent = len(plant.given)
    live(plant, 12)
    assert plant.acts()[sent:] == [(name, "start") for name in started]  # a stop that failed may have done its work
    assert plant.circuit.attempt == 1
    jammed = {"abc"[failing - 3]} if failing > 2 else set()
    assert {name for name, real in plant.truth.items() if not real.alive} == jammed


def live_until(plant: Plant, ended: int) -> None:
    """Until so many actions of the restart have ended well and the next one is out."""
    while len(plant.given) <= ended:
        live(plant, 1)


def test_group_members_that_are_stopped_are_not_started_before_their_turn() -> None:
    alone = check("b", restart="b", trip_after=1, affects=("b",), name="alone")(wired.rule)
    plant = running(*(Engine(name) for name in "abc"), checks=(alone,), strategy=ALL)
    plant.disconnect("b")
    plant.seconds(2)
    live_until(plant, 1)  # c is stopped, b is about to be
    assert not plant.truth["c"].alive
    plant.seconds(10)
    assert plant.acts() == [("c", "stop"), ("b", "stop")]
    assert plant.records["c"].state == "stopped"  # its state follows, and starts nothing: it is not its turn


def test_who_cannot_be_started_waits_for_the_next_attempt_and_keeps_no_other_from_it() -> None:
    plant = unplugged(restart=Backoff(30, 30, 0))
    live_until(plant, 2)
    plant.end("a", "failed")
    plant.seconds(2)
    assert plant.acts()[-1] == ("a", "start")
    plant.end("a", "failed")  # one try, and the others have their turn
    live(plant, 5)
    assert plant.acts()[4:] == [("b", "start"), ("c", "start")]
    assert plant.circuit.stopped == ("a",)


def test_who_is_paused_is_started_when_the_pause_is_over() -> None:
    plant = unplugged(restart=Backoff(60, 60, 0))
    live_until(plant, 1)
    plant.orders = Orders(pauses={"c": Pause(FAR, "ann", "rewiring")})
    plant.end("b", "failed")
    live(plant, 5)
    assert plant.acts()[2:] == [("b", "start")]
    plant.orders = Orders()
    live(plant, 2)
    assert plant.acts()[3:] == [("c", "start")]


def test_who_is_switched_off_meanwhile_is_not_started() -> None:
    plant = unplugged(restart=Backoff(60, 60, 0))
    live_until(plant, 1)
    plant.orders = Orders(switched={"c": False})
    plant.end("b", "failed")
    live(plant, 5)
    assert plant.acts()[2:] == [("b", "start")]


def test_who_could_not_be_started_counts_as_meant_to_run_in_the_next_attempt() -> None:
    """Also when its own rules, which a check that knows nothing lets go on, have found it stopped."""
    plant = unplugged(restart=Backoff(30, 30, 0))
    live_until(plant, 1)
    plant.end("b", "failed")
    plant.seconds(1)
    plant.records["c"] = replace(plant.records["c"], state="stopped", phase="stopped")
    plant.orders = Orders(pauses={"c": Pause(FAR, "ann", "rewiring")})
    live(plant, 3)
    plant.orders = Orders()
    plant.in_flight["a"] = plant.given[0].wish  # nothing else is sent until the next attempt is due
    plant.seconds(2)
    sent = len(plant.given)
    plant.pass_time(30)
    plant.in_flight.clear()
    live(plant, 12)
    assert ("c", "stop") in plant.acts()[sent:]
    assert plant.circuit.attempt == 2


def test_who_was_stopped_comes_back_by_its_own_rules_after_a_restart_that_failed() -> None:
    alone = check("b", restart="b", trip_after=1, affects=("b",), name="alone")(wired.rule)
    plant = running(*(Engine(name) for name in "abc"), checks=(alone,), strategy=ALL, restart=Backoff(60, 60, 0))
    plant.disconnect("b")
    plant.seconds(2)
    live_until(plant, 1)
    plant.end("b", "failed")
    live(plant, 5)
    assert plant.acts() == [("c", "stop"), ("b", "stop"), ("c", "start"), ("b", "start")]  # its own rules were faster
    assert plant.records["c"].state == "running"


def test_the_next_attempt_restarts_all_of_them_again() -> None:
    plant = unplugged()
    live_until(plant, 3)
    plant.end("a", "failed")
    plant.seconds(2)
    live_until(plant, 4)
    assert plant.circuit.attempt == 2
    assert plant.acts()[4] == ("c", "stop")


@pytest.mark.parametrize(
    ("child", "orders", "started"),
    [("b", Orders(pauses={"b": Pause(FAR, "ann", "rewiring")}), "c"), ("a", Orders(switched={"a": False}), "b")],
)
def test_a_step_whose_child_cannot_take_it_within_the_lease_is_a_failed_attempt(
    child: str, orders: Orders, started: str
) -> None:
    plant = unplugged(restart=Backoff(60, 60, 0))
    if child == "a":
        live_until(plant, 1)
    sent = plant.acts()
    plant.orders = orders
    plant.end(sent[-1][0])
    plant.seconds(PROBE_LEASE_MS // 1000)
    assert plant.circuit.state is VERIFYING
    plant.seconds(2)
    assert plant.circuit.state is OPEN
    assert plant.circuit.reason == f"{child} could not take 'stop' for 30 s"
    assert [(each.wish.child, each.wish.action) for each in plant.probes()] == [*sent, (started, "start")]


def test_a_step_waits_for_the_action_that_a_person_has_given() -> None:
    plant = unplugged()
    plant.end("c")
    plant.in_flight["b"] = plant.given[0].wish
    plant.seconds(10)
    assert plant.acts() == [("c", "stop")]
    plant.in_flight.pop("b")
    plant.second()
    assert plant.acts()[-1] == ("b", "stop")


def test_an_action_that_is_gone_from_the_code_is_a_failed_attempt() -> None:
    plant = unplugged(restart=Backoff(60, 60, 0))
    plant.circuit = replace(plant.circuit, errands=(Errand("b", "no_such_action"),))
    plant.end("c")
    plant.seconds(3)
    assert plant.circuit.state is OPEN
    assert plant.acts() == [("c", "stop"), ("c", "start")]


@pytest.mark.parametrize("why", ["paused", "unobservable", "disabled"])
def test_who_cannot_be_restarted_does_not_keep_the_others_from_it(why: str) -> None:
    plant = engines()
    if why == "paused":
        plant.orders = Orders(pauses={"c": Pause(FAR, "ann", "rewiring")})
    elif why == "disabled":
        plant.orders = Orders(switched={"c": False})
    else:
        plant.records["c"] = replace(plant.records["c"], unseen=Unseen(plant.now, incident="plant/c@1"))
        del plant.observations["c"]
    plant.disconnect("b")
    for _ in range(30):
        for child in list(plant.in_flight):
            plant.end(child)
        plant.pass_time()
        plant.look("a", "b")
        plant.tick()
        if why != "unobservable":
            plant.look("c")
    group = [each for each in plant.probes() if each.wish.child != "c"]
    assert [(each.wish.child, each.wish.action) for each in group[:4]] == [
        ("b", "stop"),
        ("a", "stop"),
        ("a", "start"),
        ("b", "start"),
    ]
    assert [each.wish.child for each in plant.probes() if each.wish.child == "c"] == []


def test_who_rests_is_not_started_with_the_others() -> None:
    plant = engines()
    plant.truth["a"] = Seen(alive=False)
    plant.orders = Orders(switched={"a": False})
    plant.seconds(3)
    plant.disconnect("b")
    live(plant, 20)
    assert "a" not in {given.wish.child for given in plant.given}


# escalated


def escalated(**options: Any) -> Plant:
    plant = unplugged(max_attempts=1, **options)
    live_until(plant, 1)
    plant.end("b", "failed")
    live(plant, 6)
    assert plant.circuit.state is ESCALATED
    plant.given.clear()
    return plant


def test_the_slow_probe_restarts_all_of_them_too() -> None:
    plant = escalated()
    plant.pass_time(SLOW_PROBE_MS / 1000)
    plant.heal()
    plant.disconnect("b")
    live(plant, 30)
    assert plant.acts() == [(n, "stop") for n in "cba"] + [(n, "start") for n in "abc"]
    assert plant.circuit.state is ESCALATED
    plant.heal()
    plant.seconds(3)
    assert plant.circuit.state is CLOSED


def test_a_slow_probe_that_fails_is_given_up_until_the_next_one() -> None:
    plant = escalated()
    plant.pass_time(SLOW_PROBE_MS / 1000)
    plant.heal()
    plant.disconnect("b")
    plant.second()
    live_until(plant, 1)
    assert plant.circuit.errands != ()
    plant.end("b", "failed")
    plant.second()
    assert plant.circuit.state is ESCALATED
    assert plant.circuit.errands == ()  # nobody waits for a turn that does not come
    live(plant, 20)
    assert plant.acts() == [("c", "stop"), ("b", "stop"), ("b", "start"), ("c", "start")]
    assert plant.truth["c"].alive


def test_an_escalation_leaves_nobody_stopped() -> None:
    plant = unplugged(max_attempts=1)
    live_until(plant, 1)
    plant.end("b", "failed")
    live(plant, 5)
    assert plant.circuit.state is ESCALATED
    assert plant.acts() == [("c", "stop"), ("b", "stop"), ("b", "start"), ("c", "start")]
    assert plant.circuit.stopped == ()


def test_a_slow_probe_that_cannot_go_on_is_given_up_after_the_lease() -> None:
    plant = escalated()
    plant.pass_time(SLOW_PROBE_MS / 1000)
    plant.heal()
    plant.disconnect("b")
    plant.second()
    plant.orders = Orders(pauses={"b": Pause(FAR, "ann", "rewiring")})
    plant.end("c")
    plant.seconds(PROBE_LEASE_MS // 1000 + 2)
    assert plant.circuit.state is ESCALATED
    assert plant.circuit.errands == ()


def test_a_child_that_people_have_switched_off_is_not_restarted_by_a_check_over_others() -> None:
    over = check("b", restart="a", trip_after=1, name="over")(wired.rule)
    plant = running(Engine("a"), Engine("b"), checks=(over,))
    plant.orders = Orders(switched={"a": False})
    live(plant, 5)
    plant.disconnect("b")
    live(plant, 5)
    assert plant.probes() == []
