"""Orders that move a circuit, alone and together, the room for actions, and what becomes of a probe."""

import pytest
from msgspec.structs import replace
from simulated import Engine, Part, Plant, Seen, connected, running

from supervision.backoff import Backoff
from supervision.circuit import State
from supervision.decide import Plan, decide
from supervision.orders import Forced, Mode, Orders, Pause, Silence
from supervision.room import QUEUE_FULL, Room, fitted

FAR = 10**15
FORCED = Forced("ann", "to look at it", "r1")

CLOSED, OPEN, VERIFYING, ESCALATED = State


def at(state: State) -> Plant:
    """A plant of a broker and a flow whose circuit is there; nothing has healed what opened it."""
    plant = running(max_attempts=1, restart=Backoff(1, 1, 0))
    if state is not CLOSED:
        plant.disconnect()
    for _ in range(20):
        if plant.circuit.state is state:
            return plant
        if state is ESCALATED:
            for child in list(plant.in_flight):
                plant.end(child)
        plant.second()
    raise AssertionError(plant.circuit)


def told(plan: Plan, kind: str) -> list[tuple[str, str]]:
    return [(event.before, event.after) for event in plan.events if event.kind == kind]


# forced open


@pytest.mark.parametrize("state", State)
def test_forced_it_is_open_whatever_it_was(state: State) -> None:
    plant = at(state)
    incident = plant.circuit.incident
    plant.orders = Orders(forced=FORCED)
    plan = plant.tick()
    assert plant.circuit.state is OPEN
    assert plant.circuit.reason == "forced open by ann: to look at it"
    assert plant.circuit.incident == (incident or f"plant@{plant.epoch}")
    assert told(plan, "circuit") == ([] if state is OPEN else [(state.value, "open")])
    assert plant.orders.forced is None


@pytest.mark.parametrize("healthy", [True, False])
def test_nothing_closes_it_and_nothing_is_derived_or_restarted_until_it_is_reset(*, healthy: bool) -> None:
    plant = at(CLOSED)
    plant.orders = Orders(forced=FORCED)
    plant.tick()
    if not healthy:
        plant.disconnect()
        plant.truth["broker"] = Seen(alive=False)
    plant.seconds(400)
    assert plant.circuit.state is OPEN
    assert plant.given == []
    assert plant.kinds().count("escalation") == 0
    plant.orders = Orders(reset=plant.circuit.incident)
    plant.heal()
    plant.seconds(3)
    assert (plant.circuit.state, plant.circuit.incident) == (CLOSED, "")


def test_a_restart_that_is_out_goes_on_to_its_end_and_what_would_follow_does_not() -> None:
    plant = running(Engine("broker"), Engine("flow"), strategy="one_for_all")
    plant.disconnect()
    plant.seconds(3)
    assert plant.acts() == [("flow", "stop")]
    plant.orders = Orders(forced=FORCED)
    plant.second()
    plant.end("flow")
    plant.seconds(10)
    assert plant.acts() == [("flow", "stop")]
    assert plant.circuit.errands == ()


def test_an_order_from_above_does_not_close_what_people_have_opened() -> None:
    plant = at(CLOSED)
    plant.orders = Orders(forced=FORCED)
    plant.tick()
    plant.orders = Orders(restart="x")
    plant.seconds(5)
    assert plant.orders.restart == ""
    assert (plant.circuit.state, plant.given) == (OPEN, [])


def test_who_is_switched_off_is_brought_to_rest_below_a_forced_one() -> None:
    plant = running(Engine("broker"), Engine("flow"))
    plant.orders = Orders(forced=FORCED)
    plant.tick()
    plant.orders = Orders(switched={"flow": False})
    plant.second()
    assert plant.acts() == [("flow", "stop")]


# several at once


@pytest.mark.parametrize("state", [OPEN, VERIFYING, ESCALATED])
def test_a_reset_and_a_forced_opening_at_once_are_a_new_incident(state: State) -> None:
    plant = at(state)
    old = plant.circuit.incident
    plant.orders = Orders(reset=old, forced=FORCED)
    plan = plant.tick()
    assert told(plan, "circuit") == [(state.value, "closed"), ("closed", "open")]
    assert [event.reason for event in plan.events if event.kind == "incident_ended"] == [f"{old} reset by a person"]
    assert plant.circuit.incident == f"plant@{plant.epoch}" != old
    assert set(plan.taken_off) == {"reset", "force-open"}


@pytest.mark.parametrize("state", [OPEN, VERIFYING, ESCALATED])
def test_a_reset_and_a_restart_from_above_at_once(state: State) -> None:
    plant = at(state)
    plant.orders = Orders(reset=plant.circuit.incident, restart="x")
    plan = plant.tick()
    assert told(plan, "circuit") == [(state.value, "closed"), ("closed", "verifying")]
    assert set(plan.taken_off) == {"reset", "restart"}
    assert plant.circuit.restarts == ()


def test_a_forced_opening_beats_a_restart_from_above() -> None:
    plant = at(CLOSED)
    plant.orders = Orders(forced=FORCED, restart="x")
    plan = plant.tick()
    assert (plant.circuit.state, plant.circuit.forced) == (OPEN, "ann")
    assert told(plan, "circuit") == [("closed", "open")]
    assert plant.orders == Orders()


def test_all_three_at_once() -> None:
    plant = at(ESCALATED)
    plant.orders = Orders(reset=plant.circuit.incident, forced=FORCED, restart="x")
    plan = plant.tick()
    assert told(plan, "circuit") == [("escalated", "closed"), ("closed", "open")]
    assert plant.orders == Orders()
    assert plant.circuit.attempt == 0


def test_a_late_reset_does_not_keep_another_order_from_being_heard() -> None:
    plant = at(OPEN)
    plant.orders = Orders(reset="plant@1", restart="x")
    plan = plant.tick()
    assert "plant@1 was over before its reset" in [event.reason for event in plan.events]
    assert plant.circuit.state is VERIFYING


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.OFF])
def test_in_off_no_order_takes_effect_and_in_observe_all_but_the_restart_do(mode: Mode) -> None:
    plant = at(CLOSED)
    plant.orders = Orders(mode=mode, forced=FORCED, restart="x")
    plant.tick()
    if mode is Mode.OFF:
        assert plant.orders == Orders(mode=mode, forced=FORCED), "a parent's restart is for now or never"
        assert plant.circuit.state is CLOSED
    else:
        assert plant.orders == Orders(mode=mode)
        assert plant.circuit.forced == "ann"


# an order from above


@pytest.mark.parametrize("state", State)
def test_an_order_from_above_begins_a_restart_of_all_within_the_incident(state: State) -> None:
    plant = at(state)
    incident, window = plant.circuit.incident, plant.circuit.restarts
    plant.orders = Orders(restart="x")
    plant.tick()
    assert plant.circuit.state is VERIFYING
    assert plant.circuit.incident == (incident or f"plant@{plant.epoch}")
    assert plant.circuit.restarts == window  # what a parent orders does not clear the window
    assert plant.circuit.attempt == 0
    plant.heal()
    for _ in range(20):
        assert len(plant.in_flight) <= 1
        for child in list(plant.in_flight):
            plant.end(child)
        plant.second()
    assert plant.circuit.state is CLOSED
    assert [each.wish.child for each in plant.given][-2:] == ["broker", "flow"]


def test_after_an_order_from_above_that_did_not_help_it_escalates_again_within_the_incident() -> None:
    plant = at(ESCALATED)
    incident = plant.circuit.incident
    plant.orders = Orders(restart="x")
    for _ in range(40):
        plant.second()
        for child in list(plant.in_flight):
            plant.end(child)
    assert (plant.circuit.state, plant.circuit.incident) == (ESCALATED, incident)
    assert plant.kinds().count("escalation") == 1
    assert plant.kinds().count("escalation_near") == 1


def test_people_are_warned_once_per_incident_whatever_the_parent_orders() -> None:
    plant = running(max_attempts=2, restart=Backoff(1, 1, 0), window=1)
    plant.disconnect()
    for second in range(90):
        if second == 40:
            assert plant.circuit.state is ESCALATED
            plant.orders = Orders(restart="x")
        for child in list(plant.in_flight):
            plant.end(child)
        plant.second()
    assert plant.circuit.attempt == 2
    assert plant.moves().count((OPEN, ESCALATED)) == 2
    assert plant.kinds().count("escalation_near") == 1


def test_who_never_ran_is_not_restarted_from_above() -> None:
    plant = running(Engine("a"), Engine("b"), checks=())
    plant.orders = Orders(switched={"b": False})
    for _ in range(5):
        for child in list(plant.in_flight):
            plant.end(child)
        plant.second()
    plant.given.clear()
    plant.orders = replace(plant.orders, restart="x")
    for _ in range(10):
        plant.second()
        for child in list(plant.in_flight):
            plant.end(child)
    assert plant.acts() == [("a", "restart_child")]


# calls


def test_a_call_waits_for_the_end_of_a_silence_and_comes_once() -> None:
    plant = at(CLOSED)
    plant.orders = Orders(silence=Silence(plant.now + 30_000, "ann", "known"))
    plant.disconnect()
    for _ in range(25):
        for child in list(plant.in_flight):
            plant.end(child)
        plant.second()
    assert (plant.circuit.state, plant.circuit.called) == (ESCALATED, False)
    plant.seconds(20)
    assert plant.kinds().count("escalation") == 1
    assert plant.circuit.called


def test_nobody_is_called_in_observe() -> None:
    plant = at(ESCALATED)
    plant.circuit = replace(plant.circuit, called=False)
    plant.events.clear()
    plant.orders = Orders(mode=Mode.OBSERVE)
    plant.seconds(5)
    assert plant.kinds().count("escalation") == 0
    plant.orders = Orders()
    plant.seconds(5)
    assert plant.kinds().count("escalation") == 1


# the queue is full


def full(plant: Plant, room: int) -> Plan:
    view = replace(plant.view(), in_flight=100, most_actions=100 + room)
    return decide(view, plant.now)


def dead(plant: Plant) -> None:
    plant.truth = {name: Seen(alive=False) for name in plant.truth}
    plant.pass_time()
    plant.look()


@pytest.mark.parametrize("room", [0, 1, 2, 3])
def test_as_many_actions_are_given_as_there_is_room_for(room: int) -> None:
    plant = running(Part("a"), Part("b"), Part("c"), checks=())
    dead(plant)
    plan = full(plant, room)
    given = [update.child for update in plan.updates if update.reservation]
    assert given == ["a", "b", "c"][:room]
    assert plan.refused == 3 - room
    waiting = [update for update in plan.updates if not update.reservation]
    assert all(update.record.reason.startswith(QUEUE_FULL) for update in waiting)
    assert all(update.record.tries == {} for update in waiting)


def test_a_restart_of_the_circuit_and_one_that_leaves_find_room() -> None:
    plant = running(checks=(connected,))
    plant.disconnect()
    plant.seconds(2)
    plant.pass_time()
    plant.look()
    plan = full(plant, 0)
    assert [update.reservation is not None for update in plan.updates] == [True]
    leaving = Plant(dynamic=lambda d: [Engine(name) for name in d["names"]], desired={"names": ["a"]})
    leaving.seconds(4)
    leaving.want(names=[])
    leaving.pass_time()
    leaving.look()
    assert [update.reservation is not None for update in full(leaving, 0).updates] == [True]


def test_a_pause_of_the_failed_child_holds_its_restart_back_and_nothing_else() -> None:
    plant = at(OPEN)
    plant.orders = Orders(pauses={"flow": Pause(FAR, "ann", "rewiring")})
    plant.seconds(5)
    assert plant.given == []
    plant.orders = Orders()
    plant.second()
    assert plant.acts() == [("flow", "restart_child")]


def test_the_same_orders_give_the_same_plan_twice() -> None:
    plant = at(ESCALATED)
    plant.orders = Orders(reset=plant.circuit.incident, forced=FORCED, restart="x")
    assert plant.decided() == plant.decided()


def test_an_action_of_one_that_was_never_born_finds_no_room_and_leaves_no_word() -> None:
    plant = at(OPEN)
    update = plant.second().updates[0]
    assert update.reservation
    wish = replace(update.reservation, incident="")
    unborn = replace(plant.view().children["flow"], record=None)
    assert fitted([replace(update, reservation=wish)], {"flow": unborn}, Room(1, 1)) == ((), 1)


def test_children_that_other_code_has_written_are_told_once_and_left_alone() -> None:
    plant = running(Engine("a"), Engine("b"), checks=())
    plant.truth = {name: Seen(alive=False) for name in plant.truth}
    plant.pass_time()
    plant.look()
    view = plant.view()
    odd = {**view.children, "a": replace(view.children["a"], unreadable="a field is missing")}
    plan = decide(replace(view, children=odd), plant.now)
    assert [update.child for update in plan.updates] == ["b"]
    assert [event.reason for event in plan.events if event.kind == "check_broken"] == [
        "1 children were written by other code and are left alone (a): a field is missing"
    ]
    assert plan.circuit is not None
    assert decide(replace(view, children=odd, circuit=plan.circuit), plant.now).events == ()
