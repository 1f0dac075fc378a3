"""A queue that is full is an answer: who finds no room stays as it is, says so once, and is asked again."""

import pytest
from simulated import Part, Plant, Seen, running

from supervision.decide import Plan
from supervision.model import Update
from supervision.room import Fitted, Room, fitted


def wanting(count: int) -> Plant:
    """A plant of parts that all want to be started."""
    plant = running(*(Part(f"part-{i}") for i in range(count)), checks=())
    for name in plant.truth:
        plant.truth[name] = Seen(alive=False)
    plant.pass_time()
    plant.look()
    return plant


def fitted_into(plant: Plant, room: Room) -> Fitted:
    return fitted(plant.decided().updates, plant.view().children, room)


def given(updates: tuple[Update, ...]) -> list[str]:
    return [update.child for update in updates if update.reservation]


@pytest.mark.parametrize(("in_flight", "most", "room"), [(0, 5, 3), (8, 10, 2), (10, 10, 0), (12, 10, 0)])
def test_as_many_are_given_as_there_is_room_for(in_flight: int, most: int, room: int) -> None:
    plant = wanting(3)
    found = fitted_into(plant, Room(in_flight, most))
    assert given(found.updates) == [f"part-{i}" for i in range(room)]
    assert found.refused == 3 - room


def test_who_finds_no_room_stays_as_it_is_and_says_why_once() -> None:
    plant = wanting(1)
    before = plant.records["part-0"]
    (update,) = fitted_into(plant, Room(9, 9)).updates
    assert update.record.reason == "queue full, 9 actions in flight; it wants start: dead"
    assert (update.record.state, update.record.tries, update.reservation) == (before.state, before.tries, None)
    assert [(event.kind, event.subject, event.after) for event in update.events] == [
        ("queue_full", "plant/part-0", "start")
    ]
    plant.records["part-0"] = update.record
    assert fitted_into(plant, Room(9, 9)) == ((), 1), "it is said already, and refused again"
    (other,) = fitted_into(plant, Room(8, 8)).updates
    assert other.events == (), "it has waited all the time"


def test_who_waited_gets_its_action_when_there_is_room() -> None:
    plant = wanting(1)
    plant.records["part-0"] = fitted_into(plant, Room(9, 9)).updates[0].record
    (update,) = fitted_into(plant, Room(8, 9)).updates
    assert update.reservation is not None
    assert update.record.reason == "dead"


def test_what_needs_no_action_needs_no_room() -> None:
    plant = running(Part("part"), checks=())
    plant.truth["part"] = Seen(alive=False)
    plant.second()
    plant.end("part")
    plant.heal()
    plant.pass_time()
    plant.look()
    plan = plant.decided()
    assert plan.updates != ()
    assert fitted(plan.updates, plant.view().children, Room(9, 9)) == (plan.updates, 0)


def probing() -> tuple[Plant, Plan]:
    """A plant whose next tick sends a restart probe."""
    plant = running()
    plant.disconnect()
    for _ in range(9):
        plant.pass_time()
        plant.look()
        plan = plant.decided()
        if given(plan.updates):
            return plant, plan
        plant.tick()
    raise AssertionError("no probe")


def test_a_restart_probe_always_finds_room() -> None:
    plant, plan = probing()
    found = fitted(plan.updates, plant.view().children, Room(9, 9))
    assert given(found.updates) == ["flow"]
    assert found.refused == 0


def test_a_child_that_leaves_always_finds_room() -> None:
    plant = wanting(2)
    found = fitted(plant.decided().updates, plant.view().children, Room(9, 9), leaving={"part-1"})
    assert (given(found.updates), found.refused) == (["part-1"], 1)
