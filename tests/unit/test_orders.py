"""What people order, and what a tick then does: modes, pauses, resets, desired documents that do not fit."""

from typing import Any

import msgspec
import pytest
from simulated import Part, Plant, Seen, connected, running

from supervision.checks import Fail, Ok, check, fail, ok
from supervision.circuit import Circuit, State
from supervision.decide import Plan, decide
from supervision.model import Event
from supervision.orders import WHOLE, Mode, Orders, Pause
from supervision.view import View

FAR = 10**15


def paused(*children: str, until: int = FAR) -> Orders:
    return Orders(pauses={child: Pause(until, "ann", "rewiring") for child in children})


def would(plant: Plant) -> list[tuple[str, str]]:
    return [(event.subject, event.after) for event in plant.events if event.kind == "would"]


def opened() -> Plant:
    """A plant whose circuit is open, of which nothing was restarted yet."""
    plant = running()
    plant.disconnect()
    plant.seconds(2)
    assert plant.circuit.state is State.OPEN
    return plant


def escalated() -> Plant:
    plant = running(max_attempts=1)
    plant.disconnect()
    for _ in range(10):
        plant.second()
        if "flow" in plant.in_flight:
            plant.end("flow")
    assert plant.circuit.state is State.ESCALATED
    return plant


# --- modes


@pytest.mark.parametrize("truth", [Seen(alive=False), Seen(connected=False)])
def test_off_decides_nothing_whatever_is_seen(truth: Seen) -> None:
    plant = running()
    plant.orders = Orders(mode=Mode.OFF, reset="plant@1")
    plant.truth["flow"] = truth
    for _ in range(5):
        assert plant.second() == Plan(None, (), ())


def test_off_does_not_even_declare_a_child() -> None:
    plant = Plant(Part("flow"))
    plant.orders = Orders(mode=Mode.OFF)
    assert plant.second().updates == ()


def test_back_from_off_it_goes_on() -> None:
    plant = running(checks=())
    plant.orders = Orders(mode=Mode.OFF)
    plant.truth["flow"] = Seen(alive=False)
    plant.seconds(3)
    plant.orders = Orders()
    assert [update.reservation is not None for update in plant.second().updates] == [True]


def test_observe_tells_what_it_would_do_and_does_nothing() -> None:
    plant = running(checks=())
    plant.orders = Orders(mode=Mode.OBSERVE)
    plant.truth["flow"] = Seen(alive=False)
    plant.second()
    assert plant.given == []
    assert would(plant) == [("plant/flow", "start")]
    assert next(event.reason for event in plant.events if event.kind == "would") == "dead"
    assert plant.records["flow"].state == "stopped"


def test_what_would_be_done_is_told_as_rarely_as_it_would_be_tried() -> None:
    plant = running(checks=())
    plant.orders = Orders(mode=Mode.OBSERVE)
    plant.truth["flow"] = Seen(alive=False)
    plant.seconds(600)
    assert 10 <= len(would(plant)) <= 20
    assert plant.given == []


def test_observe_says_once_that_a_circuit_would_restart_and_sends_no_probe() -> None:
    plant = running()
    plant.orders = Orders(mode=Mode.OBSERVE)
    plant.disconnect()
    plant.seconds(600)
    assert plant.given == []
    assert would(plant) == [("plant/flow", "restart_child")]
    assert (plant.circuit.state, plant.circuit.attempt) == (State.OPEN, 0)
    plant.heal()
    plant.seconds(5)
    assert plant.circuit.state is State.CLOSED


def test_an_incident_that_was_observed_is_acted_on_when_the_mode_is_act_again() -> None:
    plant = opened()
    plant.orders = Orders(mode=Mode.OBSERVE)
    plant.seconds(5)
    assert plant.probes() == []
    plant.orders = Orders()
    plant.second()
    assert [given.wish.child for given in plant.probes()] == ["flow"]


def test_an_action_that_was_in_flight_when_the_mode_changed_is_heard() -> None:
    plant = opened()
    plant.second()
    assert set(plant.in_flight) == {"flow"}
    plant.orders = Orders(mode=Mode.OBSERVE)
    plant.pass_time()
    plant.heal()
    plant.end("flow")
    plant.seconds(4)
    assert plant.circuit.state is State.CLOSED


# --- pauses


@pytest.mark.parametrize(
    ("orders", "acted"),
    [
        (paused("flow"), {"broker"}),
        (paused("broker"), {"flow"}),
        (paused(WHOLE), set()),
        (paused("flow", until=1), {"broker", "flow"}),
        (Orders(), {"broker", "flow"}),
    ],
)
def test_a_paused_child_is_left_alone_and_its_siblings_are_not(orders: Orders, acted: set[str]) -> None:
    plant = running(checks=())
    plant.orders = orders
    plant.truth = {name: Seen(alive=False) for name in plant.truth}
    plant.seconds(3)
    assert {given.wish.child for given in plant.given} == acted


def test_a_pause_ends_at_its_moment() -> None:
    plant = running(checks=())
    plant.orders = paused("flow", until=plant.now + 3_000)
    plant.truth["flow"] = Seen(alive=False)
    plant.seconds(2)
    assert plant.given == []
    plant.second()
    assert [given.wish.child for given in plant.given] == ["flow"]


@pytest.mark.parametrize("whom", ["flow", WHOLE])
def test_a_circuit_goes_on_over_a_paused_child_and_restarts_it_only_afterwards(whom: str) -> None:
    plant = running()
    plant.orders = paused(whom)
    plant.disconnect()
    plant.seconds(60)
    assert plant.circuit.state is State.OPEN
    assert plant.given == []
    plant.orders = Orders()
    plant.second()
    assert [given.wish.child for given in plant.probes()] == ["flow"]


def test_a_circuit_closes_by_itself_in_a_pause() -> None:
    plant = opened()
    plant.orders = paused(WHOLE)
    plant.heal()
    plant.seconds(5)
    assert plant.circuit.state is State.CLOSED


def test_a_pause_of_another_child_does_not_hinder_the_probe() -> None:
    plant = opened()
    plant.orders = paused("broker")
    plant.second()
    assert [given.wish.child for given in plant.probes()] == ["flow"]


def test_the_longer_pause_counts() -> None:
    orders = Orders(pauses={"flow": Pause(50, "a", "r"), WHOLE: Pause(70, "a", "r"), "broker": Pause(90, "a", "r")})
    table = {
        ("flow", 10): 70,
        ("broker", 10): 90,
        ("pump", 10): 70,
        (WHOLE, 10): 70,
        ("flow", 70): 0,
        ("broker", 70): 90,
    }
    assert {(child, now): orders.paused_until(child, now) for child, now in table} == table


# --- resets


def test_a_reset_closes_the_circuit_with_all_attempts_unused() -> None:
    plant = escalated()
    incident = plant.circuit.incident
    plant.orders = Orders(reset=incident)
    plan = plant.second()
    assert plan.taken_off == {"reset": incident}
    assert plan.circuit is not None
    assert (plan.circuit.state, plan.circuit.incident, plan.circuit.attempt) == (State.CLOSED, "", 0)
    assert (plan.circuit.restarts, plan.circuit.warned, plan.circuit.streaks) == ((), False, {})
    assert plan.events == (
        Event("circuit", "plant", "reset by a person", "escalated", "closed"),
        Event("incident_ended", "plant", f"{incident} reset by a person"),
    )
    assert plant.orders.reset == ""


def test_what_was_seen_before_a_reset_does_not_open_the_circuit_again() -> None:
    once = check("broker", "flow", restart="flow", trip_after=1)(connected.rule)
    plant = running(checks=(once,))
    plant.disconnect()
    plant.second()
    plant.orders = Orders(reset=plant.circuit.incident)
    plant.pass_time()
    plant.settle()
    assert plant.circuit.state is State.CLOSED


def test_a_check_that_still_fails_after_a_reset_is_a_new_incident_with_all_attempts() -> None:
    plant = escalated()
    before, restarts = plant.circuit.incident, len(plant.probes())
    plant.orders = Orders(reset=before)
    plant.seconds(5)
    assert plant.circuit.incident not in {"", before}
    assert len(plant.probes()) == restarts + 1


def test_a_reset_during_a_probe_sends_no_second_one_beside_it() -> None:
    to_restart = ["flow"]

    def rule(_broker: Any, flow: Any) -> Ok | Fail:
        return ok() if flow.observed.connected else fail("no connection", restart=to_restart[0])

    plant = running(checks=(check("broker", "flow", restart="flow")(rule),))
    plant.disconnect()
    plant.seconds(3)
    assert set(plant.in_flight) == {"flow"}
    plant.orders = Orders(reset=plant.circuit.incident)
    to_restart[0] = "broker"
    plant.seconds(8)
    assert plant.circuit.state is State.OPEN
    assert [given.wish.child for given in plant.probes()] == ["flow"]
    plant.end("flow")
    plant.seconds(3)
    assert [given.wish.child for given in plant.probes()] == ["flow", "broker"]


@pytest.mark.parametrize("circuit", ["open", "closed"])
def test_a_reset_of_another_incident_changes_nothing_and_is_told(circuit: str) -> None:
    plant = opened() if circuit == "open" else running()
    plant.orders = paused("flow")
    plant.orders = msgspec.structs.replace(plant.orders, reset="plant@1")
    before = plant.circuit
    plan = plant.second()
    assert plan.taken_off == {"reset": "plant@1"}
    assert plan.events == (Event("order", "plant", "plant@1 was over before its reset", "reset", ""),)
    assert (plant.circuit.state, plant.circuit.incident) == (before.state, before.incident)
    assert plant.orders.reset == ""
    assert plant.second().events == ()


def test_a_reset_ends_the_calm_after_which_an_incident_would_be_over() -> None:
    plant = opened()
    incident = plant.circuit.incident
    plant.heal()
    plant.seconds(3)
    assert (plant.circuit.state, plant.circuit.incident) == (State.CLOSED, incident)
    plant.orders = Orders(reset=incident)
    assert [event.kind for event in plant.second().events] == ["incident_ended"]
    assert plant.circuit.incident == ""


def test_a_reset_is_heard_in_observe() -> None:
    plant = opened()
    plant.orders = Orders(mode=Mode.OBSERVE, reset=plant.circuit.incident)
    plant.second()
    assert plant.circuit.state is State.CLOSED


# --- desired documents that do not fit


def misfitting(plant: Plant, revision: int, misfit: str) -> View:
    view = plant.view()
    flow = msgspec.structs.replace(view.children["flow"], revision=revision, misfit=misfit)
    return msgspec.structs.replace(view, children={**view.children, "flow": flow})


def decided(plant: Plant, revision: int, misfit: str) -> list[Event]:
    """The events of one tick whose plan is written."""
    plan = decide(misfitting(plant, revision, misfit), plant.now)
    for update in plan.updates:
        plant.records[update.child] = update.record
    return [event for update in plan.updates for event in update.events]


@pytest.mark.parametrize("orders", [Orders(), paused("flow")])
def test_a_desired_document_that_does_not_fit_is_told_once_per_revision(orders: Orders) -> None:
    plant = running()
    plant.orders = orders
    told = [Event("desired", "plant/flow", "no field 'speed'", "3", "refused")]
    assert decided(plant, 3, "no field 'speed'") == told
    assert plant.records["flow"].refused == 3
    assert decided(plant, 3, "no field 'speed'") == []
    assert [event.before for event in decided(plant, 4, "no field 'speed'")] == ["4"]
    assert decided(plant, 5, "") == []
    assert plant.records["flow"].refused == 0


def test_a_child_whose_desired_document_does_not_fit_is_healed_all_the_same() -> None:
    plant = running(checks=())
    plant.pass_time()
    plant.truth["flow"] = Seen(alive=False)
    plant.look()
    (update,) = decide(misfitting(plant, 3, "no field 'speed'"), plant.now).updates
    assert update.reservation is not None
    assert update.record.refused == 3
    assert [event.kind for event in update.events] == ["state", "desired"]


def test_orders_are_empty_by_default() -> None:
    plant = Plant(Part("flow"))
    assert View(plant.supervisor, 1, 1, Circuit(), {}).orders == Orders(Mode.ACT, {}, "")
