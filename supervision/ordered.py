"""Orders that move a circuit: a reset, a circuit forced open, a parent's restart of everything below.

Each is heard once. What was heard is named in the plan, whatever came of it, and its commit takes it off the orders;
an order that comes too late changes nothing and is told.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from supervision.circuit import Circuit, State
from supervision.circuit_step import Step
from supervision.model import Event
from supervision.orders import Mode
from supervision.restarting import refused
from supervision.strategy import Errand
from supervision.view import View


@dataclass(frozen=True, slots=True)
class Heard:
    """The circuit's move, if an order made one; what else is told; and the orders as they are taken off, by field."""

    step: Step | None
    events: tuple[Event, ...]
    taken_off: Mapping[str, str]


def heard(view: View, errands: tuple[Errand, ...], now: int) -> Heard:
    """What the orders make of the circuit; ``errands`` restart everything."""
    orders, path = view.orders, view.supervisor.path
    taken_off: dict[str, str] = {}
    events: list[Event] = []
    step: Step | None = None
    if orders.reset:
        taken_off["reset"] = orders.reset
        step = _reset(view, now)
        if step is None:
            events.append(Event("order", path, f"{orders.reset} was over before its reset", before="reset"))
    if orders.forced:
        taken_off["force-open"] = msgspec.json.encode(orders.forced).decode()
        step = _forced_open(step, view, now)
    if orders.restart:
        taken_off["restart"] = orders.restart
        if orders.mode is Mode.OBSERVE:
            events.append(Event("would", path, "the parent restarts everything below", after="restart"))
        elif (step.circuit if step else view.circuit).forced or _pointless(view, errands):
            events += unheard(view)
        else:
            step = _restarted(step, view, errands, now)
    return Heard(step, tuple(events), taken_off)


def unheard(view: View) -> tuple[Event, ...]:
    """The record of a restart that was ordered and that nothing comes of, for whoever was told that it is ordered."""
    why = refused(view) or f"{view.supervisor.path} was forced open at the same time"
    return (
        (Event("order", view.supervisor.path, why, before="restart", after="refused"),) if view.orders.restart else ()
    )


def _pointless(view: View, errands: tuple[Errand, ...]) -> bool:
    """Whether there is nobody to restart, and no trouble whose attempts could begin anew."""
    return not errands and view.circuit.state is State.CLOSED


def _reset(view: View, now: int) -> Step | None:
    """The circuit as new, if people want its incident reset; only what is seen from now on may open it again.

    A circuit that has closed and waits until it was calm for long enough has its incident ended, too.
    """
    before = view.circuit
    if view.orders.reset != before.incident:
        return None
    fresh = Circuit(
        probe=before.probe,
        sent_to=before.sent_to or before.child,
        probe_ended=now,
        suspected=before.suspected,
    )
    ended = Event("incident_ended", view.supervisor.path, f"{before.incident} reset by a person")
    moved = () if before.state is State.CLOSED else (_moved(before, fresh, view, "reset by a person"),)
    return Step(fresh, (*moved, ended))


def _forced_open(done: Step | None, view: View, now: int) -> Step:
    """Open, until it is reset; a restart that is out goes on to its end, and what would follow it does not."""
    before, events = (done.circuit, done.events) if done else (view.circuit, ())
    order = view.orders.forced
    assert order is not None  # noqa: S101 # asked by the caller
    opened = replace(
        before,
        state=State.OPEN,
        incident=before.incident or f"{view.supervisor.path}@{view.epoch}",
        opened_at=before.opened_at if before.incident else now,
        reason=f"forced open by {order.by}: {order.reason}",
        forced=order.by,
        errands=(),
    )
    moved = () if before.state is State.OPEN else (_moved(before, opened, view, opened.reason),)
    return Step(opened, (*events, *moved))


def _restarted(done: Step | None, view: View, errands: tuple[Errand, ...], now: int) -> Step:
    """Everything restarted by the parent's wish. The incident goes on until it is calm; the window is not cleared."""
    before, events = (done.circuit, done.events) if done else (view.circuit, ())
    begun = Circuit(
        state=State.VERIFYING,
        incident=before.incident or f"{view.supervisor.path}@{view.epoch}",
        check=before.check,  # which says whether it helped
        reason="the parent restarts everything below",
        opened_at=before.opened_at if before.incident else now,
        next_attempt_at=now,
        restarts=before.restarts,
        probe=before.probe,
        errands=errands,
        stopped=before.stopped,
        warned=before.warned,
        escalated_at=before.escalated_at,
        called=before.called,
        suspected=before.suspected,
    )
    moved = () if before.state is State.VERIFYING else (_moved(before, begun, view, begun.reason),)
    return Step(begun, (*events, *moved))


def _moved(before: Circuit, after: Circuit, view: View, reason: str) -> Event:
    return Event("circuit", view.supervisor.path, reason, before.state.value, after.state.value, after.attempt)
