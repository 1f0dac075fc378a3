"""A plant of simulated children that drives `decide` as the runtime does: looks, ticks, actions that end.

Plants stand below each other as supervisors do (`Tree`): each tick of one tells the plant above how it is, and an order
of that one comes down when its action ends. Children come and go as a plant's ``document`` says.

What is written goes through JSON and back, as in the store. Every plan is judged as it is applied: moves that
`TRANSITIONS` does not know, and actions that should not have been given, fail the test wherever they come from.
"""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import msgspec

from supervision import aggregate, documents
from supervision.actions import Run, action
from supervision.branch import Response, Summary
from supervision.checks import Check, Ok, check, fail, ok
from supervision.checks import Fail as Failed
from supervision.child import Child, state
from supervision.circuit import TRANSITIONS, Circuit, State, suppressed
from supervision.decide import Plan, decide
from supervision.evaluate import evaluated, resting
from supervision.freshness import limits
from supervision.members import Maker, of_their_kind, source
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
from supervision.orders import Mode, Orders
from supervision.supervisor import Supervisor
from supervision.view import ChildView, Member, Roster, View

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


class Wanted(msgspec.Struct, frozen=True):
    on: bool = True


class Engine(Part):
    """Is stopped and started by actions of its own, which do what they say when they succeed."""

    Desired = Wanted

    @state(Phase.STOPPED, initial=True)
    def stopped(self, seen: Snapshot) -> Move:
        if seen.observed.alive:
            return Go("running", "alive")
        return Do("start", "dead") if seen.desired.on else Stay("not wanted")

    @state(Phase.RUNNING)
    def running(self, seen: Snapshot) -> Move:
        if not seen.observed.alive:
            return Go("stopped", "died")
        return Stay("alive") if seen.desired.on else Do("stop", "not wanted")

    @action
    def stop(self, run: Run) -> None: ...

    def rest(self, desired: Wanted) -> Wanted:  # noqa: ARG002 # the signature of what it overrides
        return Wanted(on=False)


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

    def __init__(
        self,
        *children: Child | Supervisor,
        checks: tuple[Check, ...] = (),
        supervisor: Supervisor | None = None,
        **options: Any,
    ) -> None:
        self.supervisor = supervisor or Supervisor("plant", children, checks=checks, **options)
        self.above: Plant | None = None
        self.maker = Maker(self.supervisor)
        self.document = msgspec.json.encode(self.supervisor.desired).decode()
        self.revision = 0
        self.members: dict[str, Member] = {}
        self.sources: dict[str, str] = {}
        self.now = BEGIN_MS
        self.resumed = 0
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
        self.truth: dict[str, Any] = {name: Seen() for name in self.observable()}

    def view(self) -> View:
        roster, found = self._roster()
        children = {
            name: ChildView(
                child=child,
                record=self.records.get(name),
                desired=child.desired,
                observation=self.observations.get(name),
                in_flight=self.in_flight[name].id if name in self.in_flight else "",
                last_action=self.last.get(name),
                stale_after_ms=limits(child, self.supervisor).stale_ms,
                leaving=self._leaves(name, roster),
                resumed=self.resumed,
            )
            for name, child in found.items()
        }
        return View(
            self.supervisor,
            self.now,
            self.epoch,
            self.circuit,
            children,
            self.orders,
            resumed=self.resumed,
            heard_above=self._heard_above(),
            roster=roster,
        )

    def observable(self) -> list[str]:
        """Who is looked at: declared or enrolled, and no branch."""
        found = self._roster()[1].items()
        known = {*self.supervisor.children, *self.members}
        return [name for name, child in found if name in known and not child.reported]

    def want(self, **document: Any) -> None:
        """Set the supervisor's own document."""
        self.document = msgspec.json.encode(document).decode()
        self.revision += 1

    def look(self, *names: str, at: int | None = None) -> None:
        """See what is true; of all children when none is named."""
        self.seq += 1
        for name in names or self.observable():
            seen = self.truth.setdefault(name, Seen())
            self.observations[name] = Observation(seen, self.now if at is None else at, self.seq)

    def decided(self) -> Plan:
        """What a tick would do now."""
        return decide(self.view(), self.now)

    def tick(self) -> Plan:
        """One tick: claim, load, decide, commit."""
        self.epoch = max(self.epoch + 1, self.now)
        view, plan = self.view(), self.decided()
        assert plan == self.decided(), "the same view gives the same plan"
        self._commit(plan)
        if self.above:
            summary = stored(aggregate.after(view, plan), Summary)
            self.above.observations[self.supervisor.name] = Observation(summary, self.now, self.epoch)
        return plan

    def end(self, child: str, outcome: str = "succeeded", error: str = "") -> None:
        """The action in flight on ``child`` ends."""
        wish = self.in_flight.pop(child)
        self.last[child] = LastAction(wish.id, wish.action, outcome, self.now, error=error)
        engine = isinstance(self._roster()[1].get(child), Engine)
        if engine and outcome == "succeeded" and isinstance(self.truth.get(child), Seen):
            self.truth[child] = msgspec.structs.replace(self.truth[child], alive=wish.action != "stop")

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
            if plan.circuit is None and not (plan.updates or plan.taken_off or plan.members.members):
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

    def acts(self) -> list[tuple[str, str]]:
        """All actions that were given, as (child, action)."""
        return [(given.wish.child, given.wish.action) for given in self.given]

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
        self._enrol(plan)
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
        told = [event for event in plan.events if event.kind == "circuit"]
        assert len(told) <= 1 or plan.taken_off, "only orders make more than one move at once"
        for event in told:
            before, after = State(event.before), State(event.after)
            assert before is self.states[-1]
            assert after in TRANSITIONS[before], f"{before} -> {after}"
            self.states.append(after)
        assert self.states[-1] is circuit.state

    def _judge_action(self, update: Update, circuit: Circuit) -> None:
        name, wish = update.child, update.reservation
        assert wish is not None
        observation, last = self.observations[name], self.last.get(name)
        view = self.view()
        seen, stale_after = view.children[name], view.children[name].stale_after_ms
        assert name not in self.in_flight
        assert seen.leaving or 0 <= self.now - observation.at < stale_after
        assert last is None or last.ended < observation.at or last.ended - self.now >= stale_after
        if wish.incident:
            started_again = circuit.state is State.OPEN and wish.action == "start" and name in circuit.stopped
            assert circuit.state in {State.VERIFYING, State.ESCALATED} or started_again
            assert (wish.child, wish.id) == (circuit.sent_to, circuit.probe)
            assert wish.retries == 0
        elif not resting(seen, view):
            evaluations = [evaluated(check, view, self.now) for check in self.supervisor.checks]
            assert name not in suppressed(circuit, evaluations, [name])

    def _enrol(self, plan: Plan) -> None:
        for name, member in plan.members.members.items():
            if member is None:
                assert name not in self.in_flight
                assert name not in [update.child for update in plan.updates]
                for documents_of_children in (self.members, self.records, self.observations, self.last):
                    documents_of_children.pop(name, None)
            else:
                self.members[name] = member
                self.sources.setdefault(member.source, self.document)
        used = {member.source for member in self.members.values()}
        self.sources = {name: text for name, text in self.sources.items() if name in used}
        self.events.extend(plan.members.events)

    def _roster(self) -> tuple[Roster, dict[str, Child]]:
        """As `store.loading` makes it of what is stored."""
        declared = dict(self.supervisor.children)
        if self.supervisor.dynamic is None:
            return Roster(), declared
        misfit = self.maker.misfit(self.document) if self.revision else ""
        wanted, error = (None, "") if misfit else self.maker.made(self.document)
        made: dict[str, Child] = {}
        for name, member in self.members.items():
            if name in (children := self.maker.made(self.sources[member.source])[0] or {}):
                made[name] = children[name]
        wanted = of_their_kind(wanted, made)
        members, revision = dict(self.members), self.revision
        roster = Roster(source(self.document), self.document, wanted, error, members, misfit=misfit, revision=revision)
        return roster, declared | made | dict(wanted or {})

    def _leaves(self, name: str, roster: Roster) -> bool:
        member = roster.members.get(name)
        return member is not None and (bool(member.leaving) if roster.wanted is None else name not in roster.wanted)

    def _heard_above(self) -> bool:
        if self.above is None or self.supervisor.above_answers is Response.DEGRADE:
            return False
        orders, name = self.above.orders, self.supervisor.name
        if orders.forced or self.above.circuit.forced:
            return False
        held = self.supervisor.above_answers is Response.RESTART and orders.paused_until(name, self.now)
        return orders.mode is Mode.ACT and not held and orders.enabled(name, declared=True)

    def _write(self, update: Update) -> None:
        if self.supervisor.dynamic:
            assert update.child in {*self.supervisor.children, *self.members}
        self.records[update.child] = stored(update.record, ChildRecord)
        self.events.extend(update.events)
        if wish := update.reservation:
            documents.encode(wish.params, dict, "params")
            assert wish.id not in {given.wish.id for given in self.given}
            self.in_flight[update.child] = wish
            self.given.append(Given(self.now, wish))


class Tree:
    """Plants that stand below each other, one for each supervisor of a tree, and one clock for all."""

    def __init__(self, top: Supervisor) -> None:
        self.plants = {each.path: Plant(supervisor=each) for each in top.tree()}
        for plant in self.plants.values():
            plant.above = self.plants.get(plant.supervisor.parent)

    def __getitem__(self, path: str) -> Plant:
        return self.plants[path]

    def second(self) -> None:
        """A second of everyday life: everyone is looked at, and ticks, those below before those above."""
        for plant in reversed(self.plants.values()):
            plant.pass_time()
            plant.look()
            plant.tick()

    def seconds(self, count: int) -> None:
        for _ in range(count):
            self.second()

    def end_all(self, outcome: str = "succeeded") -> None:
        """All actions in flight end; one of a branch has ordered the restart of everything below."""
        for path, plant in self.plants.items():
            for child in list(plant.in_flight):
                below = self.plants.get(f"{path}/{child}")
                if below and outcome == "succeeded":
                    order = msgspec.structs.replace(below.orders, restart=plant.in_flight[child].id)
                    below.orders = order
                plant.end(child, outcome)

    def live(self, seconds: int, outcome: str = "succeeded") -> None:
        """Seconds in which every action ends at once."""
        for _ in range(seconds):
            self.end_all(outcome)
            self.second()

    def told(self, kind: str) -> list[str]:
        """The subjects of all records of that kind, over the whole tree."""
        return [event.subject for plant in self.plants.values() for event in plant.events if event.kind == kind]


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
