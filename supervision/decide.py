"""The one decision of the system: what is, against what should be, answered with at most one action per child.

    decide(view, now) -> Plan

Pure: no I/O, no clock, no randomness. In this order:
0. People's orders: in the mode `off` nothing is decided; a reset ends the incident that it names.
1. Members come and go; checks are evaluated over fresh children, whatever else is going on.
2. The circuit makes its step. It may ask for one action of a restart.
3. Every child that may be derived is: its state functions run until one of them rests or asks for an action.

A child is not derived while an action on it is in flight, while it is stale, until it was looked at after its last
action's end, and while it is quarantined or paused. One that an open circuit holds is given no action; its state goes
on to follow what is seen, for a check may read it. None of this stops 1 and 2, so nothing but `off` can stop the
evaluation that closes the circuit. A child that is switched off or leaves is brought to rest below an open circuit too,
and one that leaves even when nobody can see it any more. While the store or the network is suspected, nothing is
derived or restarted. An exception in one child's code is that child's alone. In the mode `observe` all of it happens,
and what would be sent becomes a record of the history instead.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from supervision import derive, freshness, members
from supervision.child import RESTART_CHILD
from supervision.circuit import Circuit, State, suppressed
from supervision.circuit_step import Step, step
from supervision.evaluate import ORDERS, broken, evaluated, resting, told_broken
from supervision.freshness import Rung
from supervision.members import Changes
from supervision.model import ChildRecord, Event, Reservation, Update
from supervision.ordered import heard, unheard
from supervision.orders import Mode
from supervision.restarting import called, everything, of_those_who_are_there, round_of, with_probe
from supervision.room import Room, fitted
from supervision.view import ChildView, View


@dataclass(frozen=True, slots=True)
class Plan:
    """What one tick wants written; ``circuit`` is None and everything else empty where nothing changed.

    ``taken_off`` are the orders that were heard, by field, in time or not; ``again`` says that there is more to be
    decided at once, ``refused`` counts the actions that found the queue full.
    """

    circuit: Circuit | None
    updates: tuple[Update, ...]
    events: tuple[Event, ...] = ()
    taken_off: Mapping[str, str] = field(default_factory=dict)
    members: Changes = field(default_factory=Changes)
    again: bool = False
    refused: int = 0


def decide(view: View, now: int) -> Plan:
    """The plan for ``view`` at store time ``now``; the same arguments always give the same plan."""
    if view.orders.mode is Mode.OFF:  # a parent's restart is for now or never; what people order waits for them
        return _off(view)
    changes = members.changed(view, now)
    suspicion = freshness.suspicion(view, now)
    suspected, suspicions = freshness.suspected(view.circuit.suspected, suspicion, view.supervisor.path, now)
    evaluations = [evaluated(check, view, now) for check in view.supervisor.checks]
    ordered = heard(view, everything(view), now)
    stepped = ordered.step or step(
        of_those_who_are_there(view), round_of(view, evaluations, now, blind=bool(suspected))
    )
    circuit, probe = with_probe(stepped, view)
    circuit, calls = called(circuit, view, now)
    circuit = replace(circuit, broken=broken(view, evaluations), suspected=suspected)
    held = frozenset(view.children) if suspected else suppressed(circuit, evaluations, view.children)
    ticking = _Ticking(view, now, probe, held, freshness.climb(view, now), changes, suspected=bool(suspected))
    leaving = [name for name, seen in view.children.items() if seen.leaving]
    fitting = fitted(ticking.updates(), view.children, Room(view.in_flight, view.most_actions), leaving)
    told = (*stepped.events, *ordered.events, *calls, *suspicions)
    return Plan(
        circuit=circuit if circuit != view.circuit else None,
        updates=tuple(sorted(fitting.updates, key=_not_the_probe)),
        events=(*told, *_would_restart(stepped, view), *told_broken(view, evaluations)),
        taken_off=ordered.taken_off,
        members=changes,
        refused=fitting.refused,
        again=bool(stepped.events) or changes.more,
    )


def _off(view: View) -> Plan:
    """Nothing but that an order of now or never was not heard, and, once, why orders cannot be read."""
    circuit, told = None, unheard(view)
    if view.orders.unreadable and ORDERS not in view.circuit.broken:
        circuit = replace(view.circuit, broken=(*view.circuit.broken, ORDERS))
        told = (*told, Event("check_broken", view.supervisor.path, view.orders.unreadable))
    return Plan(circuit, (), told, taken_off={"restart": view.orders.restart} if view.orders.restart else {})


def _would_restart(stepped: Step, view: View) -> tuple[Event, ...]:
    """What the mode `observe` has to say about a circuit that opens."""
    opened = view.circuit.state is State.CLOSED and stepped.circuit.state is State.OPEN
    if not opened or view.orders.mode is not Mode.OBSERVE:
        return ()
    subject = f"{view.supervisor.path}/{stepped.circuit.child}"
    return (Event("would", subject, stepped.circuit.reason, after=RESTART_CHILD),)


@dataclass(frozen=True, slots=True)
class _Ticking:
    """One tick's look at each of its children, once it is clear what becomes of the circuit."""

    view: View
    now: int
    probe: Reservation | None
    held: frozenset[str]
    rungs: Mapping[str, Rung]
    changes: Changes
    suspected: bool

    def updates(self) -> Iterator[Update]:
        """What changes about each child, for those about which anything does."""
        for name, seen in self.view.children.items():
            removed = name in self.changes.members and self.changes.members[name] is None
            if not removed and not seen.unreadable and (update := self._update(seen)):
                yield update

    def _update(self, seen: ChildView) -> Update | None:
        if seen.record is None:
            return derive.born(seen, self.now) if self._belongs(seen) else None
        name, record = seen.child.name, derive.believed(seen.record, self.now)
        update = self._decided(seen, record) or (Update(name, record) if record is not seen.record else None)
        update = derive.misfit_told(seen, update or Update(name, record)) or update
        if rung := self.rungs.get(name):
            update = _on_rung(update or Update(name, record), rung)
        return _withheld(seen, update) if update and self.view.orders.mode is Mode.OBSERVE else update

    def _belongs(self, seen: ChildView) -> bool:
        """Whether it is declared or enrolled; a document of one that is not would be there for ever."""
        name = seen.child.name
        known = name in self.view.supervisor.children or name in self.view.roster.members
        return not seen.leaving and (known or name in self.changes.members)

    def _decided(self, seen: ChildView, record: ChildRecord) -> Update | None:
        if self.probe and self.probe.child == seen.child.name:
            return Update(seen.child.name, derive.tried(record, self.probe.action, self.now), (), self.probe)
        if derive.quarantined(record, self.now) or self.view.orders.paused_until(seen.child.name, self.now):
            return None
        if resting(seen, self.view):
            may = not self.suspected and (seen.ready(self.now) or _leaves_unseen(seen, self.now))
            return derive.brought_to_rest(seen, record, self.view, self.now) if may else None
        # One that is reported has no actions of its own to hold back: its state says what is told of it.
        held = seen.child.name in self.held and not seen.child.reported
        may = seen.ready(self.now) and (not self.suspected or seen.child.reported)
        return derive.derived(seen, record, self.view, self.now, held=held) if may else None


def _leaves_unseen(seen: ChildView, now: int) -> bool:
    """Whether it leaves and nobody can see it now: then it is stopped by what was last seen of it."""
    return seen.leaving and not seen.in_flight and seen.observation is not None and seen.settled(now)


def _on_rung(update: Update, rung: Rung) -> Update:
    record = replace(update.record, unseen=rung.unseen)
    return replace(update, record=record, events=(*update.events, *rung.events), look=rung.look)


def _withheld(seen: ChildView, update: Update) -> Update:
    """The same without its action. Its try counts, so that what is told comes as rarely as the action would."""
    wish = update.reservation
    if wish is None:
        return update
    would = Event("would", seen.child.path, wish.reason, after=wish.action)
    return replace(update, events=(*update.events, would), reservation=None)


def _not_the_probe(update: Update) -> bool:
    """Sort key: the probe is written in the same script as the circuit that sent it, so it comes first."""
    return update.reservation is None or not update.reservation.incident
