"""One pump under each condition of the guide's table of orders, and what becomes of it: asked of the real `decide`.

A row is a condition; each question below is a column. Nothing here knows what the table says.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec.structs import replace

from supervision.actions import Run, action
from supervision.checks import Fail, Seen, check, fail
from supervision.child import RESTART_CHILD, Child, state
from supervision.circuit import Circuit, State, Streak
from supervision.decide import Plan, decide
from supervision.model import ChildRecord, Do, Move, Observation, Phase, Snapshot, Unseen, Update
from supervision.orders import Mode, Orders, Pause, Silence
from supervision.supervisor import Supervisor
from supervision.view import ChildView, Member, Roster, View

NOW = 1_700_000_000_000
LATER = NOW + 1_000_000
EPOCH = 7
WANTED = "wanted"
"""What the pump's record says once its state was asked."""


class Wanted(msgspec.Struct, frozen=True):
    on: bool = True


class Pump(Child):
    """Always wants an action: to start, or to stop when it should rest."""

    Desired = Wanted

    def observe(self) -> dict[str, int]:
        return {}

    def rest(self, desired: Wanted) -> Wanted:
        return replace(desired, on=False)

    @state(Phase.RUNNING, initial=True)
    def running(self, seen: Snapshot) -> Move:
        return Do("start", WANTED) if seen.desired.on else Do("stop", "not wanted")

    @action
    def start(self, run: Run) -> None: ...

    @action
    def stop(self, run: Run) -> None: ...

    @action
    def restart(self, run: Run) -> None: ...


_CALM, _NOTHING_ORDERED = Circuit(), Orders()


@dataclass(frozen=True)
class Condition:
    """What holds: changes of the pump's view, of its record, of the circuit and of the orders; and silent siblings."""

    view: Mapping[str, Any] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)
    circuit: Circuit = _CALM
    orders: Orders = _NOTHING_ORDERED
    silent: int = 0


def _seen_before(ms: int) -> Mapping[str, Any]:
    return {"observation": Observation({}, NOW - ms, EPOCH)}


_OPEN = Circuit(
    state=State.OPEN,
    incident="plant@1",
    check="it_pumps",
    child="pump",
    reason="dry",
    opened_at=NOW - 5_000,
    streaks={"it_pumps": Streak(fails=2, mark=1)},
)
_PAUSE = Pause(LATER, "ann", "repair")

CONDITIONS: Mapping[str, Condition] = {
    "nothing special": Condition(),
    "an action in flight": Condition(view={"in_flight": "an-action"}),
    "circuit open": Condition(circuit=_OPEN),
    "forced open": Condition(circuit=replace(_OPEN, check="", child="", streaks={}, forced="ann")),
    "silenced": Condition(orders=Orders(silence=Silence(LATER, "ann", "known"))),
    "paused": Condition(orders=Orders(pauses={"pump": _PAUSE})),
    "disabled": Condition(orders=Orders(switched={"pump": False})),
    "quarantined": Condition(record={"quarantined_until": NOW + 60_000}),
    "stale": Condition(view=_seen_before(15_000)),
    "unobservable": Condition(
        view=_seen_before(60_000), record={"unseen": Unseen(NOW - 60_000, 3, NOW - 9_000, "plant/pump@2")}
    ),
    "store suspected": Condition(silent=3),
    "mode `observe`": Condition(orders=Orders(mode=Mode.OBSERVE)),
    "mode `off`": Condition(orders=Orders(mode=Mode.OFF)),
}
"""By the names that the guide gives them."""

ORDERED: Mapping[str, Callable[[Any, dict[str, str]], object]] = {
    "forced open": lambda client, why: client.force_open("plant", **why),
    "silenced": lambda client, why: client.silence("plant", for_s=60, **why),
    "paused": lambda client, why: client.pause("plant/pump", for_s=60, **why),
    "disabled": lambda client, why: client.disable("plant/pump", **why),
    "mode `observe`": lambda client, why: client.set_mode("plant", "observe", **why),
    "mode `off`": lambda client, why: client.set_mode("plant", "off", **why),
}
"""How people bring a condition about."""


def record(condition: Condition) -> ChildRecord:
    """The pump's record."""
    return ChildRecord("running", Phase.RUNNING, "declared", NOW - 100_000, **condition.record)


def plan(condition: Condition) -> Plan:
    """The condition as a tick would have written it, for a real store."""
    return Plan(condition.circuit, (Update("pump", record(condition)),))


def derived(condition: Condition) -> str:
    """Whether its states are asked, and what for."""
    plant = Supervisor("plant", [Pump("pump"), *_siblings(condition)], checks=[_failing([])])
    view = _view(plant, condition)
    if condition.circuit.state is State.OPEN:  # between two restarts
        view = replace(view, circuit=replace(condition.circuit, attempt=1, next_attempt_at=NOW + 1_000))
    if wish := _wish(view):
        return {"start": "yes", "stop": "to rest", "would start": "told"}[wish]
    asked = [
        update for update in decide(view, NOW).updates if update.child == "pump" and update.record.reason == WANTED
    ]
    return "no action" if asked else "no"


def checked(condition: Condition) -> str:
    """Whether a check that reads it is asked; `no` where no check is."""
    asked: list[str] = []
    plant = Supervisor("plant", [Pump("pump"), *_siblings(condition)], checks=[_failing(asked)])
    unasked = "no" if condition.orders.mode is Mode.OFF else "unknown"
    decide(_view(plant, condition), NOW)
    return "yes" if asked else unasked


def restarted(condition: Condition) -> str:
    """Whether a circuit whose check goes on failing restarts it."""
    plant = Supervisor("plant", [Pump("pump"), *_siblings(condition)], checks=[_failing([])])
    view = _view(plant, condition)
    for _ in range(4):
        made = decide(view, NOW)
        if any(update.reservation and update.reservation.incident for update in made.updates):
            return "yes"
        if any((event.kind, event.after) == ("would", RESTART_CHILD) for event in made.events):
            return "told"
        view = replace(view, circuit=made.circuit or view.circuit, children=_looked_at_again(view.children))
    return "no"


def stopped_when_it_leaves(condition: Condition) -> str:
    """Whether it is brought to rest when nobody wants it any more."""
    return {"stop": "yes", "would stop": "told", "": "no"}[_wish(_left(condition, leaving_for_ms=1_000))]


def removed(condition: Condition, *, leaving_for_ms: int) -> bool:
    """Whether it is removed although it never came to rest."""
    changes = decide(_left(condition, leaving_for_ms=leaving_for_ms), NOW).members.members
    return "pump" in changes and changes["pump"] is None


def _left(condition: Condition, *, leaving_for_ms: int) -> View:
    """The view of a supervisor whose pump leaves since then."""
    plant = Supervisor("plant", _siblings(condition), dynamic=lambda _: [Pump("pump")], checks=[_failing([])])
    view = _view(plant, condition)
    leaving = {**view.children, "pump": replace(view.children["pump"], leaving=True)}
    roster = Roster("some", "{}", {}, "", {"pump": Member("some", NOW - leaving_for_ms)})
    return replace(view, children=leaving, roster=roster)


def _failing(asked: list[str]) -> Any:
    @check("pump", restart="pump", trip_after=2)
    def it_pumps(pump: Seen) -> Fail:
        asked.append(pump.name)
        return fail("dry")

    return it_pumps


def _siblings(condition: Condition) -> list[Pump]:
    return [Pump(f"silent-{number}") for number in range(condition.silent)]


def _view(plant: Supervisor, condition: Condition) -> View:
    pump = plant.children.get("pump") or plant.adopted([Pump("pump")])["pump"]
    known = {"record": record(condition), "desired": Wanted(), **_seen_before(500), **condition.view}
    silent = {**known, **_seen_before(15_000), "record": ChildRecord("running", Phase.RUNNING, "wanted", NOW - 100_000)}
    children = {name: ChildView(child, **silent) for name, child in plant.children.items() if name != "pump"}
    return View(plant, NOW, EPOCH, condition.circuit, {"pump": ChildView(pump, **known), **children}, condition.orders)


def _wish(view: View) -> str:
    """The action that the tick gives the pump, or tells that it would."""
    for update in decide(view, NOW).updates:
        if update.child != "pump":
            continue
        if update.reservation and not update.reservation.incident:
            return update.reservation.action
        for event in update.events:
            if event.kind == "would":
                return f"would {event.after}"
    return ""


def _looked_at_again(children: Mapping[str, ChildView]) -> Mapping[str, ChildView]:
    """The same, each seen once more at the same moment as before."""
    return {
        name: replace(seen, observation=replace(seen.observation, seq=seen.observation.seq + 1))
        for name, seen in children.items()
        if seen.observation
    }
