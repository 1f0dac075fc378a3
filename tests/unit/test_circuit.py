"""The circuit, driven through `decide` on a simulated plant; the plant refuses moves that are not in the table."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from simulated import SECOND_MS, Engine, Part, Plant, Seen, connected, running

from supervision.backoff import Backoff
from supervision.checks import Fail, Unknown, Verdict, check, fail, ok, unknown
from supervision.circuit import (
    MIN_STABLE_MS,
    SLOW_PROBE_MS,
    TRANSITIONS,
    Circuit,
    Evaluation,
    Rules,
    State,
    Streak,
    stable_ms,
    suppressed,
)
from supervision.evaluate import evaluated
from supervision.model import LastAction, Phase
from supervision.orders import Forced, Orders
from supervision.supervisor import Supervisor

CLOSED, OPEN, VERIFYING, ESCALATED = State

STEADY = Backoff(base=1, cap=60, jitter=0)


def opened(**options: Any) -> Plant:
    """A plant whose circuit has just opened, because the flow lost its connection."""
    plant = running(**options)
    plant.disconnect()
    plant.seconds(2)
    assert plant.circuit.state is OPEN
    return plant


def verifying(**options: Any) -> Plant:
    """The same, with the first probe out."""
    plant = opened(**options)
    plant.second()
    assert plant.circuit.state is VERIFYING
    return plant


def escalated(**options: Any) -> Plant:
    """A plant whose restarts have all failed."""
    plant = opened(restart=STEADY, **options)
    fail_all_probes(plant)
    assert plant.circuit.state is ESCALATED
    return plant


def fail_all_probes(plant: Plant, *, most: int = 200) -> None:
    """Let every probe end at once, without effect, until the circuit escalates."""
    for _ in range(most):
        if "flow" in plant.in_flight:
            plant.end("flow")
        plant.second()
        if plant.circuit.state is ESCALATED:
            return


def healed(plant: Plant) -> Plant:
    """The plant after the probe has ended and two good looks."""
    plant.heal()
    if "flow" in plant.in_flight:
        plant.end("flow")
    plant.seconds(2)
    assert plant.circuit.state is CLOSED
    return plant


def end_all(plant: Plant) -> None:
    """Every action of a restart ends well, one after the other."""
    plant.second()
    while plant.in_flight:
        for child in list(plant.in_flight):
            plant.end(child)
        plant.second()
        plant.second()


def test_every_move_of_the_table_is_made() -> None:
    plant = healed(opened(restart=STEADY))  # open, recovered by itself
    plant.disconnect()
    plant.seconds(3)
    healed(plant)  # verifying, healed
    plant.disconnect()
    plant.seconds(2)
    fail_all_probes(plant)  # verifying to open, and open to escalated
    plant.orders = Orders(restart="plant~1")
    plant.tick()  # escalated to verifying, by the parent
    plant.orders = Orders(forced=Forced("ann", "to look at it", "r1"))
    plant.tick()  # verifying to open, by a person
    plant.orders = Orders(reset=plant.circuit.incident)
    plant.tick()
    plant.orders = Orders(restart="plant~2")
    plant.heal()
    plant.tick()  # closed to verifying, by the parent
    end_all(plant)
    assert plant.circuit.state is CLOSED
    plant.disconnect()
    plant.seconds(2)
    fail_all_probes(plant)
    plant.orders = Orders(forced=Forced("ann", "to look at it", "r2"))
    plant.tick()  # escalated to open, by a person
    plant.orders = Orders(reset=plant.circuit.incident)
    plant.heal()
    plant.seconds(3)
    plant.disconnect()
    plant.seconds(2)
    fail_all_probes(plant)
    healed(plant)  # escalated, recovered
    table = {(before, after) for before, moves in TRANSITIONS.items() for after in moves}
    assert set(plant.moves()) == table


def test_every_state_has_its_moves_and_no_state_leads_to_itself() -> None:
    assert set(TRANSITIONS) == set(State)
    assert all(state not in moves for state, moves in TRANSITIONS.items())


# closed -> open


@pytest.mark.parametrize("trip_after", [1, 2, 3, 5])
def test_it_opens_after_as_many_failures_in_a_row(trip_after: int) -> None:
    patient = check("broker", "flow", restart="flow", trip_after=trip_after)(connected.rule)
    plant = running(checks=(patient,))
    plant.disconnect()
    plant.seconds(trip_after - 1)
    assert plant.circuit.state is CLOSED
    plant.second()
    assert plant.circuit.state is OPEN
    assert plant.circuit.child == "flow"
    assert plant.circuit.check == "connected"
    assert plant.circuit.reason == "no connection"
    assert plant.circuit.incident == f"plant@{plant.epoch}"
    assert plant.circuit.opened_at == plant.now


def test_one_good_look_between_starts_the_count_again() -> None:
    plant = running()
    for _ in range(5):
        plant.disconnect()
        plant.second()
        plant.heal()
        plant.second()
    assert plant.moves() == []


def test_the_same_look_counts_once_however_often_it_is_judged() -> None:
    plant = running()
    plant.disconnect()
    plant.pass_time()
    plant.look()
    for _ in range(5):
        plant.pass_time(0.1)
        plant.tick()
    assert plant.circuit.state is CLOSED


def test_a_judgement_is_as_new_as_the_oldest_look_it_read() -> None:
    plant = running()
    plant.disconnect()
    for _ in range(5):
        plant.pass_time()
        plant.look("flow")
        plant.tick()
    assert plant.circuit.streaks["connected"].fails == 1
    assert plant.circuit.state is CLOSED
    plant.look("broker")
    plant.tick()
    assert plant.circuit.state is OPEN


def test_unknown_neither_opens_nor_interrupts() -> None:
    plant = running()
    plant.disconnect()
    plant.second()
    plant.pass_time(11)  # nothing is fresh
    plant.tick()
    assert plant.circuit.state is CLOSED
    plant.look()
    plant.tick()
    assert plant.circuit.state is OPEN


def test_a_check_knows_nothing_of_a_child_in_quarantine_or_unreadable() -> None:
    """Its state is the one it was in then: a check that goes by it would restart its siblings in vain."""
    plant = running()
    flow = plant.supervisor.children["flow"]
    assert isinstance(flow, Part)
    flow.raises = ZeroDivisionError
    plant.seconds(3)
    plant.disconnect()
    plant.seconds(60)
    assert (plant.circuit.state, plant.given) == (CLOSED, [])
    verdict = evaluated(connected, plant.view(), plant.now).verdict
    assert verdict == Unknown("in quarantine or unreadable: flow")
    flow.raises = None
    plant.seconds(300)
    assert plant.circuit.state is not CLOSED, "the quarantine is over"

    view = running().view()
    other = msgspec.structs.replace(view.children["flow"], unreadable="was written by other code")
    view = msgspec.structs.replace(view, children={**view.children, "flow": other})
    assert evaluated(connected, view, view.now).verdict == Unknown("in quarantine or unreadable: flow")


def test_nothing_opens_while_the_collectors_are_gone() -> None:
    plant = running()
    plant.disconnect()
    for _ in range(60):
        plant.pass_time()
        plant.tick()
    assert plant.moves() == []
    assert plant.given == []


def test_a_calm_circuit_is_not_written() -> None:
    plant = running()
    assert [plant.second().circuit for _ in range(5)] == [None] * 5


# open -> verifying


def test_the_first_probe_goes_out_at_the_next_tick() -> None:
    plant = opened()
    plan = plant.tick()
    (probe,) = plant.probes()
    assert plant.circuit.state is VERIFYING
    assert plan.updates[0].reservation == probe.wish
    assert (probe.wish.child, probe.wish.action, probe.wish.retries) == ("flow", "restart_child", 0)
    assert probe.wish.incident == plant.circuit.incident
    assert probe.wish.reason == "no connection"
    assert plant.circuit.probe == probe.wish.id


def test_delays_between_probes_grow_and_are_counted_from_the_failure() -> None:
    plant = opened(restart=Backoff(2, 10, jitter=0), max_attempts=6)
    fail_all_probes(plant)
    at = [probe.at for probe in plant.probes()]
    # A second for the probe, one until its effect was seen, and the delay.
    assert [later - earlier for earlier, later in pairwise(at)] == [3000, 5000, 9000, 11_000, 11_000]


def test_a_probe_waits_for_the_action_in_flight_on_its_child() -> None:
    plant = running()
    plant.truth["flow"] = Seen(alive=False, connected=False)
    plant.second()
    assert plant.given[-1].wish.action == "start"
    plant.seconds(5)
    assert plant.circuit.state is OPEN
    assert plant.probes() == []
    plant.end("flow", "failed")
    plant.tick()
    assert plant.probes() == [], "not looked at since"
    plant.second()
    assert len(plant.probes()) == 1


def test_nothing_is_restarted_on_a_failure_that_cannot_be_seen_now() -> None:
    plant = opened()
    plant.pass_time(11)
    plant.tick()
    assert (plant.circuit.state, plant.probes()) == (OPEN, [])


def test_nothing_is_restarted_between_two_good_looks() -> None:
    plant = opened()
    plant.heal()
    plant.second()
    assert (plant.circuit.state, plant.probes()) == (OPEN, [])
    plant.second()
    assert plant.circuit.state is CLOSED


def test_a_check_may_name_another_child_to_restart() -> None:
    blame = check("broker", "flow", restart="flow")(guilty)
    plant = running(checks=(blame,))
    plant.disconnect()
    plant.seconds(3)
    assert [probe.wish.child for probe in plant.probes()] == ["broker"]


def guilty(_broker: Any, flow: Any) -> Verdict:
    return ok() if flow.observed.connected else fail("no connection", restart="broker")


# verifying


def test_two_good_looks_after_the_end_close_it() -> None:
    plant = verifying()
    plant.heal()
    plant.seconds(5)
    assert plant.circuit.state is VERIFYING, "the probe is still running"
    plant.end("flow")
    plant.tick()
    plant.second()
    assert plant.circuit.state is VERIFYING, "one good look"
    plant.tick()
    assert plant.circuit.state is VERIFYING, "the same look again"
    plant.second()
    assert plant.circuit.state is CLOSED
    assert plant.circuit.reason == "restart of flow healed it"
    assert plant.circuit.closed_at == plant.now


def test_a_good_look_that_comes_with_the_news_of_the_end_counts() -> None:
    plant = verifying()
    plant.heal()
    plant.end("flow")
    plant.second()
    plant.second()
    assert plant.circuit.state is CLOSED


def test_a_look_that_began_before_the_end_says_nothing() -> None:
    plant = verifying()
    plant.end("flow")
    plant.look(at=plant.now)
    plant.tick()
    plant.look(at=plant.now - 500)
    plant.tick()
    assert plant.circuit.state is VERIFYING


def test_a_good_look_that_began_before_the_end_does_not_help_to_close_it() -> None:
    plant = verifying()
    plant.heal()
    plant.pass_time()
    plant.end("flow")
    plant.tick()
    plant.look(at=plant.now - 500)
    plant.tick()
    plant.second()
    assert plant.circuit.state is VERIFYING, "one good look"
    plant.second()
    assert plant.circuit.state is CLOSED


def test_another_check_that_has_no_news_yet_does_not_break_the_tick() -> None:
    plant = running(checks=(connected, sane))
    plant.disconnect()
    plant.seconds(3)
    plant.end("flow")
    plant.tick()
    assert plant.circuit.state is VERIFYING


@check("broker", restart="broker")
def sane(broker: Any) -> Verdict:
    return ok() if broker.observed.connected else fail("broker confused")


def test_a_fresh_failure_opens_it_again() -> None:
    plant = verifying(restart=STEADY)
    plant.end("flow")
    plant.second()
    assert plant.circuit.state is OPEN
    assert plant.circuit.reason == "connected fails after the restart: no connection"
    assert plant.circuit.next_attempt_at == plant.now + 1000


def test_a_restart_that_failed_opens_it_again() -> None:
    plant = verifying(restart=STEADY)
    plant.end("flow", "failed", error="ActionFailed: stuck")
    plant.tick()
    assert plant.circuit.state is OPEN
    assert plant.circuit.reason == "restart of flow failed: ActionFailed: stuck"


def test_after_a_restart_that_failed_the_child_is_looked_at_before_the_next() -> None:
    plant = verifying(restart=Backoff(0.001, 0.001, jitter=0))
    plant.end("flow", "failed")
    for _ in range(5):
        plant.pass_time(0.5)
        plant.tick()
    assert len(plant.probes()) == 1
    plant.second()
    assert len(plant.probes()) == 2


def test_a_probe_that_vanished_is_a_failed_attempt() -> None:
    plant = verifying()
    del plant.in_flight["flow"]
    plant.second()
    assert plant.circuit.state is OPEN
    assert "store lost writes" in plant.circuit.reason


def test_a_later_action_of_a_person_speaks_for_the_child() -> None:
    plant = verifying()
    plant.end("flow")
    plant.last["flow"] = LastAction("by-hand", "restart", "succeeded", plant.now + 5)
    plant.pass_time()
    plant.heal()
    plant.seconds(2)
    assert plant.circuit.state is CLOSED


def test_an_end_after_the_tick_began_is_news_for_the_next_one() -> None:
    plant = verifying()
    plant.end("flow")
    plant.last["flow"] = LastAction(plant.circuit.probe, "restart_child", "succeeded", plant.now + 5)
    plant.tick()
    assert plant.circuit.probe_ended == 0
    plant.second()
    assert plant.circuit.probe_ended == plant.now - 1000 + 5


# more than one check


def test_another_check_that_fails_meanwhile_gets_its_own_restart() -> None:
    plant = running(checks=(connected, sane), restart=STEADY)
    plant.disconnect()
    plant.seconds(3)
    plant.heal()
    plant.disconnect("broker")
    plant.end("flow")
    plant.seconds(4)
    assert [probe.wish.child for probe in plant.probes()] == ["flow", "broker"]
    assert (plant.circuit.check, plant.circuit.attempt) == ("sane", 2)
    plant.heal()
    plant.end("broker")
    plant.seconds(2)
    assert plant.circuit.state is CLOSED


def test_the_first_check_keeps_its_turn_while_it_fails() -> None:
    plant = running(checks=(connected, sane), restart=STEADY)
    plant.disconnect("flow")
    plant.disconnect("broker")
    plant.seconds(3)
    plant.end("flow")
    plant.seconds(3)
    assert [probe.wish.child for probe in plant.probes()] == ["flow", "flow"]


def test_it_does_not_close_while_another_check_is_tripped() -> None:
    plant = running(checks=(connected, sane))
    plant.disconnect()
    plant.seconds(2)
    plant.heal()
    plant.disconnect("broker")
    plant.seconds(2)
    assert plant.circuit.state is not CLOSED


def test_an_open_circuit_suppresses_those_that_its_failing_checks_affect() -> None:
    narrow = check("flow", restart="flow", affects=("flow",), name="narrow")(lambda flow: connected.rule(None, flow))
    plant = running(Part("broker"), Part("flow"), Part("other"), checks=(narrow, sane))
    plant.disconnect()
    plant.truth["other"] = Seen(alive=False)
    plant.truth["broker"] = plant.truth["other"]
    plant.seconds(3)
    assert plant.circuit.check == "narrow"
    assert {given.wish.child for given in plant.given if not given.wish.incident} == {"other", "broker"}
    streaks = {"sane": Streak(fails=2)}
    both = Circuit(state=OPEN, check="narrow", streaks=streaks)
    failing = [Evaluation(narrow, Fail("no")), Evaluation(sane, Fail("no"))]
    assert suppressed(both, failing, plant.truth) == {"broker", "flow", "other"}
    assert suppressed(both, [failing[0], Evaluation(sane, Unknown("who knows"))], plant.truth) == {"flow"}
    assert suppressed(Circuit(check="narrow"), failing, plant.truth) == set()


def test_a_check_may_go_by_phases_for_they_follow_what_is_seen_while_the_circuit_is_open() -> None:
    """A check over a phase that stood still would keep open the circuit that it has opened."""
    runs = check("flow", restart="flow", name="runs")(
        lambda flow: ok() if flow.phase is Phase.RUNNING else fail(f"the flow is {flow.phase}")
    )
    plant = running(Engine("broker"), Engine("flow"), checks=(runs,))
    plant.truth["flow"] = Seen(alive=False)
    for _ in range(2):
        plant.second()
        plant.end("flow", "failed", "no start")
    plant.seconds(2)
    assert (plant.records["flow"].phase, plant.circuit.state) == (Phase.STOPPED, VERIFYING)
    plant.end("flow")
    plant.seconds(4)
    assert (plant.records["flow"].phase, plant.circuit.state) == (Phase.RUNNING, CLOSED)
    assert plant.acts() == [("flow", "start"), ("flow", "start"), ("flow", "restart_child")]


def test_faults_of_a_held_child_count_from_when_it_is_let_go() -> None:
    """In quarantine it would keep its check unknown, and open the circuit that holds it."""
    plant = verifying()
    broker = plant.supervisor.children["broker"]
    assert isinstance(broker, Part)
    broker.raises = ZeroDivisionError
    plant.seconds(5)
    assert plant.records["broker"].faults == ()
    plant.heal()
    plant.end("flow")
    plant.seconds(2)
    assert plant.circuit.state is CLOSED
    plant.second()
    assert len(plant.records["broker"].faults) == plant.kinds().count("fault") == 2


def test_who_was_merely_not_looked_at_yet_since_a_pause_still_holds_its_siblings() -> None:
    """Ticks and looks had stopped, and the broker is seen again before the flow."""
    plant = verifying()
    plant.truth["broker"] = Seen(alive=False)
    plant.look()
    plant.pass_time(30)
    plant.resumed = plant.now
    plant.look("broker")
    plant.tick()
    assert plant.acts() == [("flow", "restart_child")]
    for _ in range(9):
        plant.pass_time()
        plant.look("broker")
        plant.tick()
    assert plant.acts() == [("flow", "restart_child")]
    plant.pass_time()
    plant.look("broker")
    plant.tick()
    assert plant.acts() == [("flow", "restart_child"), ("broker", "start")], "it is missed by now; nobody waits for it"


@pytest.mark.parametrize("dying", ["broker", "flow"])
def test_a_child_that_dies_while_its_circuit_is_open_is_started_again_and_the_circuit_closes(dying: str) -> None:
    knowing = check("broker", "flow", restart="flow", name="knowing")(
        lambda broker, flow: (
            connected.rule(broker, flow)
            if broker.observed.alive and flow.observed.alive
            else unknown("its own state starts it again")
        )
    )
    plant = running(Part("broker"), Part("flow"), checks=(knowing,))
    plant.disconnect()
    plant.seconds(3)
    assert plant.circuit.state is not CLOSED
    plant.truth[dying] = Seen(alive=False, connected=False)
    for _ in range(10):
        plant.second()
        for child in list(plant.in_flight):
            plant.truth[child] = Seen()
            plant.end(child)
    assert plant.circuit.state is CLOSED


def test_all_children_rest_while_a_check_without_limits_fails() -> None:
    plant = running(Part("broker"), Part("flow"), Part("other"))
    plant.disconnect()
    plant.seconds(2)
    plant.truth["other"] = Seen(alive=False)
    plant.seconds(5)
    assert {given.wish.child for given in plant.given} == {"flow"}
    healed(plant)
    plant.truth["other"] = Seen(alive=False)
    plant.second()
    assert plant.given[-1].wish.child == "other"


# recovery, calm and flapping


def test_it_closes_by_itself_when_two_good_looks_come() -> None:
    plant = opened(restart=Backoff(60, 60))
    plant.heal()
    plant.seconds(2)
    assert plant.circuit.state is CLOSED
    assert plant.circuit.reason == "recovered by itself"
    assert plant.probes() == []


def test_good_looks_from_before_the_opening_do_not_close_it() -> None:
    flicker = check("broker", "flow", restart="flow", trip_after=1)(connected.rule)
    plant = running(checks=(flicker,))
    for _ in range(3):
        plant.heal()
        plant.second()
        plant.disconnect()
        plant.pass_time()
        plant.look()
        plant.tick()
    plant.heal()
    plant.second()
    assert plant.circuit.state is not CLOSED


def test_opening_again_soon_continues_the_incident_and_its_attempts() -> None:
    plant = healed(verifying(restart=STEADY))
    first = plant.circuit
    plant.disconnect()
    plant.seconds(2)
    assert (plant.circuit.state, plant.circuit.incident) == (OPEN, first.incident)
    assert plant.circuit.opened_at == first.opened_at
    assert plant.circuit.attempt == 1
    assert plant.circuit.next_attempt_at == plant.now + 1000


def test_flapping_escalates_instead_of_looping() -> None:
    plant = running(restart=STEADY)
    for _ in range(6):  # each restart helps, for a moment
        plant.disconnect()
        plant.seconds(20)
        healed(plant)
    assert len(plant.probes()) == 5
    assert State.ESCALATED in plant.states
    assert {probe.wish.incident for probe in plant.probes()} == {plant.circuit.incident}


def test_a_minute_of_calm_ends_the_incident_and_returns_the_attempts() -> None:
    plant = healed(verifying())
    plant.seconds(59)
    assert plant.circuit.attempt == 1
    plant.seconds(1)
    assert plant.circuit == Circuit(restarts=plant.circuit.restarts)
    assert plant.kinds().count("incident_ended") == 1
    plant.disconnect()
    plant.seconds(2)
    assert plant.circuit.attempt == 0
    assert plant.circuit.opened_at == plant.now


def test_calm_is_at_least_twice_the_last_delay() -> None:
    rules = verifying(restart=Backoff(100, 1000, jitter=0)).supervisor
    assert rules.restart.longest_ms(1) == 100_000
    around = Circuit(attempt=1)
    assert stable_ms(around, _rules(rules)) == 200_000
    assert stable_ms(Circuit(), _rules(rules)) == MIN_STABLE_MS


def _rules(supervisor: Supervisor) -> Rules:
    return Rules(supervisor.restart, supervisor.max_attempts, supervisor.window_ms)


def test_a_failure_below_the_threshold_starts_the_calm_again() -> None:
    plant = healed(verifying())
    plant.seconds(50)
    plant.disconnect()
    plant.second()
    plant.heal()
    plant.seconds(59)
    assert plant.circuit.incident != ""
    plant.seconds(2)
    assert plant.circuit.incident == ""


def test_silence_is_no_calm() -> None:
    plant = healed(verifying())
    plant.pass_time(3600)
    plant.tick()
    assert plant.circuit.incident != ""
    plant.second()
    assert plant.circuit.incident == ""


# escalation


def test_after_the_last_attempt_it_escalates_once() -> None:
    plant = opened(restart=STEADY)
    begin = plant.now
    fail_all_probes(plant)
    assert plant.circuit.state is ESCALATED
    assert len(plant.probes()) == 5
    assert [event.attempt for event in plant.events if event.after == "verifying"] == [1, 2, 3, 4, 5]
    assert plant.now - begin < 60 * SECOND_MS
    plant.seconds(60)
    assert [event.after for event in plant.events].count("escalated") == 1
    assert "5 restarts did not help: connected fails after" in plant.events[-1].reason


@pytest.mark.parametrize(("most", "warned_at", "text"), [(5, 4, "1"), (3, 2, "1"), (2, 1, "1"), (1, 1, "0")])
def test_one_warning_comes_when_one_attempt_remains(most: int, warned_at: int, text: str) -> None:
    plant = escalated(max_attempts=most)
    (warning,) = [event for event in plant.events if event.kind == "escalation_near"]
    assert warning.attempt == warned_at
    assert warning.reason == f"attempts_remaining: {text}"
    assert len(plant.probes()) == most


def test_restarts_of_earlier_incidents_count_while_they_are_in_the_window() -> None:
    plant = running(restart=STEADY, max_attempts=3, window=300)
    for _ in range(3):
        plant.disconnect()
        plant.seconds(3)
        healed(plant)
        plant.seconds(62)
        assert plant.circuit.incident == ""
    warnings = [event.reason for event in plant.events if event.kind == "escalation_near"]
    assert warnings == ["attempts_remaining: 1", "attempts_remaining: 0"], "one per incident"
    plant.disconnect()
    plant.seconds(3)
    assert plant.circuit.state is ESCALATED
    assert "3 restarts did not help" in plant.events[-1].reason
    assert len(plant.probes()) == 3


def test_restarts_leave_the_window_with_time_and_nothing_else() -> None:
    plant = running(restart=STEADY, max_attempts=3, window=100)
    for _ in range(6):
        plant.disconnect()
        plant.seconds(3)
        healed(plant)
        plant.seconds(62)
    assert ESCALATED not in plant.states
    assert len(plant.probes()) == 6


def test_an_escalated_circuit_still_tries_every_five_minutes() -> None:
    plant = escalated()
    at = plant.now
    for _ in range(11 * 60):
        plant.second()
        if "flow" in plant.in_flight:
            plant.end("flow", "failed")
    slow = plant.probes()[5:]
    assert [probe.at - at for probe in slow] == [SLOW_PROBE_MS, 2 * SLOW_PROBE_MS]
    assert plant.kinds().count("slow_probe") == 2
    assert plant.circuit.state is ESCALATED


def test_a_slow_probe_waits_while_one_is_out() -> None:
    plant = escalated()
    plant.seconds(20 * 60)
    assert len(plant.probes()) == 6


def test_a_slow_probe_waits_for_one_that_is_out_on_another_child() -> None:
    plant = escalated(checks=(connected, sane))
    plant.seconds(SLOW_PROBE_MS // SECOND_MS + 1)
    plant.heal()
    plant.disconnect("broker")
    plant.seconds(2 * SLOW_PROBE_MS // SECOND_MS)
    assert [probe.wish.child for probe in plant.probes()[5:]] == ["flow"]
    plant.end("flow")
    plant.second()
    assert [probe.wish.child for probe in plant.probes()[5:]] == ["flow", "broker"]


def test_a_circuit_that_opens_again_waits_for_the_probe_that_is_still_out() -> None:
    plant = escalated(checks=(connected, sane), max_attempts=2, window=60)
    plant.seconds(SLOW_PROBE_MS // SECOND_MS + 1)
    assert len(plant.probes()) == 3
    plant.heal()
    plant.seconds(200)
    assert plant.circuit.incident != "", "the incident goes on as long as its probe is out"
    plant.disconnect("broker")
    plant.seconds(30)
    assert len(plant.probes()) == 3


def test_an_escalated_circuit_closes_when_it_recovers() -> None:
    plant = healed(escalated())
    assert plant.circuit.reason == "recovered"
    plant.disconnect()
    plant.seconds(4)
    assert plant.circuit.state is ESCALATED
    assert len(plant.probes()) == 5, "the incident has no attempts left"


# declarations that change, and clocks


def test_a_check_that_is_no_longer_declared_lets_go() -> None:
    for make in (opened, verifying, escalated):
        plant = make()
        plant.supervisor.checks = (sane,)
        plant.second()
        assert (plant.circuit.state, plant.circuit.reason) == (CLOSED, "check no longer declared")
        if "flow" in plant.in_flight:
            plant.end("flow")
        plant.seconds(3700)
        assert plant.circuit.incident == ""


def test_a_child_that_is_no_longer_declared_is_a_failed_attempt() -> None:
    plant = running(Part("broker"), Part("flow"), Part("other"), checks=(check("other", restart="flow")(alone),))
    plant.disconnect("other")
    plant.seconds(3)
    assert plant.circuit.state is VERIFYING
    changed = Plant(Part("broker"), Part("other"), checks=(check("other", restart="broker")(alone),))
    changed.now, changed.epoch, changed.seq = plant.now, plant.epoch, plant.seq
    changed.circuit, changed.records, changed.states = plant.circuit, plant.records, [VERIFYING]
    changed.disconnect("other")
    changed.second()
    assert "child 'flow' is no longer declared" in changed.circuit.reason
    changed.seconds(3)
    assert [probe.wish.child for probe in changed.probes()] == ["broker"]


def alone(other: Any) -> Verdict:
    return ok() if other.observed.connected else fail("alone")


def test_a_probe_is_not_given_to_a_child_that_was_never_ticked() -> None:
    plant = opened()
    del plant.records["flow"]
    watch = check("broker", restart="flow", name="connected")(lambda _broker: fail("still"))
    plant.supervisor.checks = (watch,)
    plant.second()
    assert (plant.circuit.state, plant.probes()) == (OPEN, [])
    plant.second()
    assert len(plant.probes()) == 1


BACK = [5, 60, 3600, 10**7]


@pytest.mark.parametrize("back", BACK)
@pytest.mark.parametrize("make", [opened, verifying, escalated])
def test_a_clock_set_back_does_not_keep_it_from_closing(make: Any, back: float) -> None:
    plant = make()
    if "flow" in plant.in_flight:
        plant.end("flow")
    plant.pass_time(-back)
    plant.heal()
    plant.seconds(13)
    assert plant.circuit.state is CLOSED
    plant.seconds(3700)
    assert plant.circuit.incident == ""


@pytest.mark.parametrize("back", BACK)
def test_a_clock_set_back_after_closing_does_not_keep_the_incident_open(back: float) -> None:
    plant = healed(verifying())
    plant.pass_time(-back)
    plant.seconds(12)
    plant.seconds(62)
    assert plant.circuit.incident == ""


@pytest.mark.parametrize("back", BACK)
def test_a_clock_set_back_delays_the_next_attempt_by_no_more_than_the_longest_delay(back: float) -> None:
    plant = verifying(restart=Backoff(30, 60, jitter=0))
    plant.end("flow", "failed")
    plant.second()
    plant.pass_time(-back)
    plant.seconds(12 + SLOW_PROBE_MS // SECOND_MS)
    assert len(plant.probes()) >= 2


def test_a_clock_set_forward_restarts_nothing_that_is_well() -> None:
    plant = running()
    plant.pass_time(10**6)
    plant.tick()
    plant.seconds(5)
    assert plant.given == []
    assert plant.moves() == []


def test_a_probe_out_while_the_clock_is_set_back_is_still_the_only_one() -> None:
    plant = verifying()
    plant.pass_time(-3600)
    plant.seconds(30)
    assert (plant.circuit.state, len(plant.probes())) == (VERIFYING, 1)


# what a check may answer


NO_TEXT: Any = None
NONSENSE = [
    None,
    True,
    "fail",
    (ok(), fail("both")),
    fail(""),
    Fail(NO_TEXT),
    unknown("no idea"),
    Unknown(NO_TEXT),
    pytest.param(object(), id="an object"),
]


@pytest.mark.parametrize("answer", NONSENSE, ids=repr)
def test_nonsense_is_the_same_as_not_knowing(answer: Any) -> None:
    plant = running(checks=(check("flow", restart="flow", name="odd")(lambda _flow: answer),))
    plant.seconds(10)
    assert plant.moves() == []


@pytest.mark.parametrize("restart", ["motor", 5, ["flow"], pytest.param(object(), id="an object")], ids=repr)
def test_a_failure_that_names_no_child_to_restart_is_the_same_as_not_knowing(restart: Any) -> None:
    plant = running(checks=(check("flow", restart="flow", name="odd")(lambda _flow: fail("bad", restart=restart)),))
    plant.seconds(10)
    assert plant.moves() == []


class Mute(Exception):
    def __str__(self) -> str:
        raise AttributeError("no message")


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyError(1), RecursionError(), Mute(), SystemExit("x"), GeneratorExit()], ids=type
)
def test_a_check_that_raises_is_the_same_as_not_knowing(error: BaseException) -> None:
    def rule(_flow: object) -> Any:
        raise error

    plant = running(checks=(check("flow", restart="flow", name="odd")(rule), connected))
    plant.disconnect()
    plant.seconds(3)
    assert plant.circuit.check == "connected"


def test_a_reason_of_any_size_and_sort_can_be_stored() -> None:
    odd = check("flow", restart="flow", name="odd")(lambda _flow: fail("\udcff" + "x" * 10**6))
    plant = running(checks=(odd,))
    plant.seconds(3)
    assert plant.probes() != []
    assert len(plant.circuit.reason) <= 2000
