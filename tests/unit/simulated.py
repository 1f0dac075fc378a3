"""A plant of simulated children that drives `decide` as the runtime does: looks, ticks, actions that end.

What is written goes through JSON and back, as in the store. Every plan is judged as it is applied: moves that
`TRANSITIONS` does not know, and actions that should not have been given, fail the test wherever they come from.
"""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import msgspec

from supervision import documents
from supervision.actions import Run, action
from supervision.checks import Check, Ok, check, fail, ok
from supervision.checks import Fail as Failed
from supervision.child import Child, state
from supervision.circuit import TRANSITIONS, Circuit, State, suppressed
from supervision.decide import Plan, decide
from supervision.evaluate import evaluated
from supervision.model import (
    ChildRecord,
    Do,
    Event,
    Go,
    LastAction,
    Move,
    Observation,
    Phase,
    Reservation,
    Snapshot,
    Stay,
    Update,
)
from supervision.orders import Orders
from supervision.supervisor import Supervisor
from supervision.view import ChildView, View

BEGIN_MS = 1_700_000_000_000
SECOND_MS = 1000


class Seen(msgspec.Struct, frozen=True):
    alive: bool = True
    connected: bool = True


class Part(Child):
    """Wants to be alive; offers `start`, and `restart` for the circuit. ``raises`` is what its code raises."""

    Observed = Seen
    raises: type[Exception] | None = None

    def observe(self) -> Seen:
        return Seen()

    @state(Phase.STOPPED, initial=True)
    def stopped(self, seen: Snapshot) -> Move:
        if self.raises:
            raise self.raises("bug")
        return Go("running", "alive") if seen.observed.alive else Do("start", "dead")

    @state(Phase.RUNNING)
    def running(self, seen: Snapshot) -> Move:
        if self.raises:
            raise self.raises("bug")
        return Stay("alive") if seen.observed.alive else Go("stopped", "died")

    @action
    def start(self, run: Run) -> None: ...

    @action
    def restart(self, run: Run) -> None: ...


@check("broker", "flow", restart="flow")
def connected(_broker: Any, flow: Any) -> Ok | Failed:
    return ok() if flow.observed.connected else fail("no connection")


@dataclass(frozen=True)
class Given:
    """One action that a tick gave."""

    at: int
    wish: Reservation


_T = TypeVar("_T")


class Plant:
    """One supervisor named ``plant`` with its store, its collectors and its workers, all of them simulated."""

    def __init__(self, *children: Child, checks: tuple[Check, ...] = (), **options: Any) -> None:
        self.supervisor = Supervisor("plant", children, checks=checks, **options)
        self.now = BEGIN_MS
        self.epoch = self.seq = 0
        self.circuit = Circuit()
        self.orders = Orders()
        self.records: dict[str, ChildRecord] = {}
        self.observations: dict[str, Observation] = {}
        self.in_flight: dict[str, Reservation] = {}
        self.last: dict[str, LastAction] = {}
        self.events: list[Event] = []
        self.given: list[Given] = []
        self.states = [State.CLOSED]
        self.truth: dict[str, Any] = {name: Seen() for name in self.supervisor.children}

    def view(self) -> View:
        children = {
            name: ChildView(
                child=child,
                record=self.records.get(name),
                desired=child.desired,
                observation=self.observations.get(name),
                in_flight=self.in_flight[name].id if name in self.in_flight else "",
                last_action=self.last.get(name),
                stale_after_ms=self.supervisor.stale_after_ms,
            )
            for name, child in self.supervisor.children.items()
        }
        return View(self.supervisor, self.now, self.epoch, self.circuit, children, self.orders)

    def look(self, *names: str, at: int | None = None) -> None:
        """See what is true; of all children when none is named."""
        self.seq += 1
        for name in names or self.truth:
            self.observations[name] = Observation(self.truth[name], self.now if at is None else at, self.seq)

    def decided(self) -> Plan:
        """What a tick would do now."""
        return decide(self.view(), self.now)

    def tick(self) -> Plan:
        """One tick: claim, load, decide, commit."""
        self.epoch = max(self.epoch + 1, self.now)
        plan = self.decided()
        assert plan == self.decided(), "the same view gives the same plan"
        self._commit(plan)
        return plan

    def end(self, child: str, outcome: str = "succeeded", error: str = "") -> None:
        """The action in flight on ``child`` ends."""
        wish = self.in_flight.pop(child)
        self.last[child] = LastAction(wish.id, wish.action, outcome, self.now, error=error)

    def pass_time(self, seconds: float = 1) -> None:
        self.now += round(seconds * SECOND_MS)

    def second(self) -> Plan:
        """A second of everyday life: time passes, everyone is looked at, a tick."""
        self.pass_time()
        self.look()
        return self.tick()

    def seconds(self, count: int) -> None:
        for _ in range(count):
            self.second()

    def settle(self, most: int = 12) -> None:
        """Tick at one moment until nothing changes: the same view must lead to rest."""
        given = Counter(each.wish.child for each in self.given)
        for _ in range(most):
            plan = self.tick()
            if plan.circuit is None and not plan.updates:
                assert plan.events == ()
                break
        else:
            raise AssertionError(f"still changing after {most} ticks without news: {plan}")
        twice = Counter(each.wish.child for each in self.given) - given
        assert max(twice.values(), default=0) <= 1, twice

    def disconnect(self, child: str = "flow") -> None:
        self.truth[child] = Seen(connected=False)

    def heal(self) -> None:
        self.truth = {name: Seen() for name in self.truth}

    def probes(self) -> list[Given]:
        return [given for given in self.given if given.wish.incident]

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def moves(self) -> list[tuple[State, State]]:
        return list(pairwise(self.states))

    def _commit(self, plan: Plan) -> None:
        circuit = self.circuit if plan.circuit is None else stored(plan.circuit, Circuit)
        self._judge_circuit(circuit, plan)
        for update in plan.updates:
            if update.reservation:
                self._judge_action(update, circuit)
        self.circuit = circuit
        heard = {"reset": "", "force-open": None, "restart": ""}
        taken_off = {field.replace("force-open", "forced"): heard[field] for field in plan.taken_off}
        self.orders = msgspec.structs.replace(self.orders, **taken_off)
        for update in plan.updates:
            self._write(update)
        self.events.extend(plan.events)
        for event in self.events:
            event.reason.encode()

    def _judge_circuit(self, circuit: Circuit, plan: Plan) -> None:
        before, after = self.circuit.state, circuit.state
        told = [event for event in plan.events if event.kind == "circuit"]
        if before is not after:
            assert after in TRANSITIONS[before], f"{before} -> {after}"
            self.states.append(after)
            assert [(event.before, event.after) for event in told] == [(before.value, after.value)]
        else:
            assert told == []

    def _judge_action(self, update: Update, circuit: Circuit) -> None:
        name, wish = update.child, update.reservation
        assert wish is not None
        observation, last = self.observations[name], self.last.get(name)
        stale_after = self.supervisor.stale_after_ms
        assert name not in self.in_flight
        assert 0 <= self.now - observation.at < stale_after
        assert last is None or last.ended < observation.at or last.ended - self.now >= stale_after
        if wish.incident:
            assert circuit.state in {State.VERIFYING, State.ESCALATED}
            assert (wish.child, wish.id) == (circuit.sent_to, circuit.probe)
            assert wish.retries == 0
        else:
            view = self.view()
            evaluations = [evaluated(check, view, self.now) for check in self.supervisor.checks]
            assert name not in suppressed(circuit, evaluations, [name])

    def _write(self, update: Update) -> None:
        self.records[update.child] = stored(update.record, ChildRecord)
        self.events.extend(update.events)
        if wish := update.reservation:
            documents.encode(wish.params, dict, "params")
            assert wish.id not in {given.wish.id for given in self.given}
            self.in_flight[update.child] = wish
            self.given.append(Given(self.now, wish))


def stored(value: _T, kind: type[_T]) -> _T:
    """``value`` as it comes back from the store."""
    return msgspec.json.decode(msgspec.json.encode(value), type=kind)


def running(*children: Child, checks: tuple[Check, ...] = (connected,), **options: Any) -> Plant:
    """A plant whose children, by default a broker and a flow, have been seen to run."""
    plant = Plant(*(children or (Part("broker"), Part("flow"))), checks=checks, **options)
    plant.seconds(3)
    assert {record.state for record in plant.records.values()} == {"running"}
    plant.events.clear()
    return plant
