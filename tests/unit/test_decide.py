"""The whole decision: what is written, in which order, and whom one child's trouble does not touch."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated import Part, Plant, Seen, connected, running

from supervision.checks import check, ok
from supervision.circuit import State
from supervision.decide import Plan, decide
from supervision.evaluate import ORDERS
from supervision.model import Update
from supervision.orders import Mode, Orders

seens = st.builds(Seen, alive=st.booleans(), connected=st.booleans())


def test_an_unchanged_plant_is_an_empty_plan() -> None:
    plant = running()
    for _ in range(5):
        assert plant.second() == Plan(None, (), ())


def test_a_plan_that_was_applied_is_not_made_again() -> None:
    plant = running(checks=())
    plant.truth["flow"] = Seen(alive=False)
    assert [update.child for update in plant.second().updates] == ["flow"]
    assert plant.tick() == Plan(None, (), ())


def test_a_new_supervisor_only_declares_its_children() -> None:
    plant = Plant(Part("broker"), Part("flow"), checks=(connected,))
    plan = plant.tick()
    assert [(update.child, update.reservation) for update in plan.updates] == [("broker", None), ("flow", None)]
    assert plan.circuit is None


def test_the_probe_stands_before_all_other_updates() -> None:
    children = [Part(f"part-{number}") for number in range(5)]
    narrow = check("broker", "flow", restart="flow", affects=("broker", "flow"))(connected.rule)
    plant = running(*children, Part("broker"), Part("flow"), checks=(narrow,))
    plant.disconnect()
    plant.seconds(2)
    plant.truth |= {child.name: Seen(alive=False) for child in children}
    plan = plant.second()
    assert len(plan.updates) == 6
    assert plan.updates[0].child == "flow"
    assert plan.updates[0].reservation is not None
    assert plan.updates[0].reservation.incident == plant.circuit.incident


def test_a_probe_counts_as_a_try_of_its_own() -> None:
    plant = running()
    plant.disconnect()
    plant.seconds(3)
    assert set(plant.records["flow"].tries) == {"restart_child"}


@given(st.lists(seens, min_size=4, max_size=4), st.integers(0, 3))
def test_siblings_are_decided_as_if_a_raising_child_did_not_raise(truth: list[Seen], raising: int) -> None:
    plans = []
    for error in (None, ValueError):
        plant = Plant(*(Part(f"part-{number}") for number in range(4)))
        plant.seconds(2)
        plant.truth = {f"part-{number}": seen for number, seen in enumerate(truth)}
        broken = plant.supervisor.children[f"part-{raising}"]
        assert isinstance(broken, Part)
        broken.raises = error
        plans.append(others(plant.second(), but=broken.name))
    assert plans[0] == plans[1]


def others(plan: Plan, *, but: str) -> tuple[Update, ...]:
    return tuple(update for update in plan.updates if update.child != but)


@given(st.lists(st.tuples(seens, seens, st.integers(0, 12)), max_size=15))
def test_every_view_leads_to_rest_and_is_decided_the_same_twice(story: list[tuple[Seen, Seen, int]]) -> None:
    plant = Plant(Part("broker"), Part("flow"), checks=(connected,))
    for broker, flow, seconds in story:
        plant.truth = {"broker": broker, "flow": flow}
        plant.pass_time(seconds)
        plant.look()
        plant.settle()
        for child in list(plant.in_flight)[seconds % 2 :]:
            plant.end(child)


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_a_plan_holds_nothing_for_unchanged_children(size: int) -> None:
    plant = Plant(*(Part(f"part-{number}") for number in range(size)))
    plant.seconds(3)
    assert decide(plant.view(), plant.now) == Plan(None, (), ())
    for number in range(size)[:3]:
        plant.truth[f"part-{number}"] = Seen(alive=False)
    assert len(plant.second().updates) == min(size, 3)


def test_a_check_over_a_child_that_is_not_fresh_is_not_asked() -> None:
    plant = running()
    plant.disconnect()
    plant.look("flow")
    plant.pass_time(9)
    plant.look("flow")
    plant.pass_time(2)
    plant.tick()
    assert plant.circuit.streaks == {}


def test_documents_of_a_plan_can_be_stored() -> None:
    plant = running()
    plant.disconnect()
    plan = plant.second()
    assert msgspec.json.decode(msgspec.json.encode(plan.circuit), type=type(plan.circuit)) == plan.circuit


def test_a_check_that_is_wrong_itself_is_told_once_per_stretch() -> None:
    answers: list[Any] = [ok()]
    odd = check("broker", "flow", restart="flow", name="odd")(lambda _broker, _flow: answers[0])
    plant = running(Part("broker"), Part("flow"), checks=(odd,))
    answers[0] = True
    plant.seconds(5)
    answers[0] = ok()
    plant.seconds(2)
    answers[0] = 1
    plant.seconds(5)
    told = [event.reason for event in plant.events if event.kind == "check_broken"]
    assert [reason.split(";")[0] for reason in told] == ["odd returned True", "odd returned 1"]
    assert plant.circuit.state is State.CLOSED


def test_a_broken_check_that_cannot_be_asked_stays_broken_without_another_word() -> None:
    answers: list[Any] = [ok()]
    odd = check("broker", "flow", restart="flow", name="odd")(lambda _broker, _flow: answers[0])
    plant = running(Part("broker"), Part("flow"), checks=(odd,))
    answers[0] = None
    plant.seconds(2)
    for _ in range(15):
        plant.pass_time()
        plant.tick()
    plant.seconds(3)
    assert [event.kind for event in plant.events].count("check_broken") == 1


def test_orders_that_cannot_be_read_are_told_once_and_nothing_is_decided_while_they_are() -> None:
    plant = running()
    plant.orders = Orders(mode=Mode.OFF, unreadable="a pause is no mapping")
    plant.disconnect()
    plant.seconds(5)
    assert [(event.kind, event.reason) for event in plant.events] == [("check_broken", "a pause is no mapping")]
    assert (plant.circuit.broken, plant.circuit.state, plant.given) == ((ORDERS,), State.CLOSED, [])
    plant.orders = Orders()
    plant.seconds(3)
    assert plant.circuit.broken == ()
    assert plant.circuit.state is not State.CLOSED
    plant.orders = Orders(mode=Mode.OFF, unreadable="a pause is no mapping")
    plant.tick()
    assert plant.kinds().count("check_broken") == 2


def test_orders_that_cannot_be_read_leave_what_else_is_broken_as_it_was() -> None:
    odd = check("broker", "flow", restart="flow", name="odd")(lambda _broker, _flow: None)
    plant = running(Part("broker"), Part("flow"), checks=(odd,))
    plant.second()
    plant.orders = Orders(mode=Mode.OFF, unreadable="a pause is no mapping")
    plant.second()
    assert plant.circuit.broken == ("odd", ORDERS)


def test_a_check_whose_restart_is_switched_off_does_not_know() -> None:
    plant = running()
    plant.orders = Orders(switched={"flow": False})
    plant.disconnect()
    plant.seconds(20)
    assert (plant.circuit.state, plant.probes()) == (State.CLOSED, [])
