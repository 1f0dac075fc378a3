"""The one decision of the system: what is, against what should be, answered with at most one action per child.

    decide(view, now) -> Plan

Pure: no I/O, no clock, no randomness. In this order:
0. People's orders: in the mode `off` nothing is decided; a reset ends the incident that it names.
1. Checks are evaluated over fresh children, whatever else is going on.
2. The circuit makes its step. It may ask for one restart.
3. Every child that may be derived is: its state functions run until one of them rests or asks for an action.

A child is not derived while an action on it is in flight, while it is stale, until it was looked at after its last
action's end, while it is quarantined or paused, and while an open circuit suppresses it. None of this stops 1 and 2,
so nothing but `off` can stop the evaluation that closes the circuit. An exception in one child's code is that child's
alone. In the mode `observe` all of it happens, and what would be sent becomes a record of the history instead.
"""

from dataclasses import dataclass, replace

import msgspec

from supervision import derive
from supervision.actions import ActionSpec
from supervision.checks import Fail
from supervision.child import RESTART_CHILD
from supervision.circuit import Circuit, Evaluation, Probe, Round, Rules, State, suppressed
from supervision.circuit_step import Step, step
from supervision.evaluate import broken, evaluated, told_broken
from supervision.model import ChildRecord, Event, Reservation, Update
from supervision.orders import Mode
from supervision.view import ChildView, View


@dataclass(frozen=True, slots=True)
class Plan:
    """What one tick wants written. ``circuit`` is None and ``updates`` is empty where nothing changed.

    ``reset`` is the reset that was heard, in time or not: it is taken off the orders.
    """

    circuit: Circuit | None
    updates: tuple[Update, ...]
    events: tuple[Event, ...] = ()
    reset: str = ""


def decide(view: View, now: int) -> Plan:
    """The plan for ``view`` at store time ``now``; the same arguments always give the same plan."""
    if view.orders.mode is Mode.OFF:
        return Plan(None, ())
    evaluations = [evaluated(check, view, now) for check in view.supervisor.checks]
    stepped = _reset(view, now) or _stepped(view, evaluations, now)
    circuit, probe = _with_probe(stepped, view)
    circuit = msgspec.structs.replace(circuit, broken=broken(view.circuit, evaluations))
    held = suppressed(circuit, evaluations, view.children)
    updates = [update for seen in view.children.values() if (update := _update(seen, view, probe, held, now))]
    return Plan(
        circuit=circuit if circuit != view.circuit else None,
        updates=tuple(sorted(updates, key=_not_the_probe)),
        events=(*stepped.events, *_would_restart(stepped, view), *told_broken(view, evaluations)),
        reset=view.orders.reset,
    )


def _reset(view: View, now: int) -> Step | None:
    """The circuit as new, if people want its incident reset; only what is seen from now on may open it again."""
    before, name = view.circuit, view.supervisor.path
    if not view.orders.reset or view.orders.reset != before.incident or before.state is State.CLOSED:
        return None
    fresh = Circuit(probe=before.probe, probe_ended=now)
    ended = (
        Event("circuit", name, "reset by a person", before.state.value, fresh.state.value),
        Event("incident_ended", name, f"{before.incident} reset by a person"),
    )
    return Step(fresh, ended)


def _stepped(view: View, evaluations: list[Evaluation], now: int) -> Step:
    """The circuit's own step; a reset that is heard after its incident changes nothing, and is told."""
    stepped = step(view.circuit, _round(view, evaluations, now))
    if not view.orders.reset:
        return stepped
    late = Event("order", view.supervisor.path, f"{view.orders.reset} was over before its reset", before="reset")
    return replace(stepped, events=(late, *stepped.events))


def _would_restart(stepped: Step, view: View) -> tuple[Event, ...]:
    """What the mode `observe` has to say about a circuit that opens."""
    opened = view.circuit.state is State.CLOSED and stepped.circuit.state is State.OPEN
    if not opened or view.orders.mode is not Mode.OBSERVE:
        return ()
    subject = f"{view.supervisor.path}/{stepped.circuit.child}"
    return (Event("would", subject, stepped.circuit.reason, after=RESTART_CHILD),)


def _round(view: View, evaluations: list[Evaluation], now: int) -> Round:
    declared = view.supervisor
    return Round(
        supervisor=declared.path,
        evaluations=evaluations,
        probe=_probe(view.circuit, view, now),
        probing=any(seen.in_flight and seen.in_flight == view.circuit.probe for seen in view.children.values()),
        restartable=frozenset(
            name for seen in evaluations for name in _restarts(seen) if _can_restart(name, view, now)
        ),
        rules=Rules(declared.restart, declared.max_attempts, declared.window_ms),
        now=now,
        epoch=view.epoch,
    )


def _restarts(seen: Evaluation) -> tuple[str, ...]:
    """The child that this evaluation asks to restart, if it asks."""
    return (seen.verdict.restart or seen.check.restart,) if isinstance(seen.verdict, Fail) else ()


def _can_restart(child: str, view: View, now: int) -> bool:
    """Whether a restart could be given now: not blindly, not beside another action, and not against an order."""
    allowed = view.orders.mode is Mode.ACT and not view.orders.paused_until(child, now)
    return allowed and view.children[child].ready(now, view.supervisor.stale_after_ms)


def _probe(circuit: Circuit, view: View, now: int) -> Probe:
    """What became of the probe. If another action ended after it, that one's end is the news about the child."""
    target = view.children.get(circuit.child)
    if target is None:
        return Probe(now, succeeded=False, error=f"child {circuit.child!r} is no longer declared")
    last, sent = target.last_action, max(circuit.restarts, default=0)
    if target.in_flight or (last and now < last.ended < now + view.supervisor.stale_after_ms):
        return Probe(0, succeeded=False)  # it runs, or ended after this tick began
    if last and (last.id == circuit.probe or last.ended >= sent):
        return Probe(last.ended, succeeded=last.outcome == "succeeded", error=last.error)
    return Probe(now, succeeded=False, error="the probe is gone without an end; the store lost writes")


def _with_probe(stepped: Step, view: View) -> tuple[Circuit, Reservation | None]:
    """The circuit that knows its probe, and the probe's reservation: one run, without retries of its own."""
    circuit = stepped.circuit
    spec = _restart_of(circuit.child, view)
    if not stepped.restart or spec is None:
        return circuit, None
    probe = derive.reservation(
        view.children[circuit.child], spec.called(RESTART_CHILD, retries=0), circuit.reason, view.epoch
    )
    probe = msgspec.structs.replace(probe, incident=circuit.incident)
    return msgspec.structs.replace(circuit, probe=probe.id), probe


def _restart_of(child: str, view: View) -> ActionSpec | None:
    found = view.children.get(child)
    return found.child.spec(RESTART_CHILD) if found else None


def _update(seen: ChildView, view: View, probe: Reservation | None, held: frozenset[str], now: int) -> Update | None:
    if seen.record is None:
        return derive.born(seen, now)
    update = None
    if probe and probe.child == seen.child.name:
        update = Update(seen.child.name, derive.tried(seen.record, probe.action, now), (), probe)
    elif seen.child.name not in held and _derivable(seen, seen.record, view, now):
        update = derive.derived(seen, seen.record, view, now)
    update = derive.misfit_told(seen, update or Update(seen.child.name, seen.record)) or update
    return _withheld(seen, update) if update and view.orders.mode is Mode.OBSERVE else update


def _withheld(seen: ChildView, update: Update) -> Update:
    """The same without its action. Its try counts, so that what is told comes as rarely as the action would."""
    wish = update.reservation
    if wish is None:
        return update
    would = Event("would", seen.child.path, wish.reason, after=wish.action)
    return msgspec.structs.replace(update, events=(*update.events, would), reservation=None)


def _not_the_probe(update: Update) -> bool:
    """Sort key: the probe is written in the same script as the circuit that sent it, so it comes first."""
    return update.reservation is None or not update.reservation.incident


def _derivable(seen: ChildView, record: ChildRecord, view: View, now: int) -> bool:
    left_alone = derive.quarantined(record, now) or view.orders.paused_until(seen.child.name, now)
    return seen.ready(now, view.supervisor.stale_after_ms) and not left_alone
