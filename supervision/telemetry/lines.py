"""Log lines: what one committed tick has to tell, as values. `logs` writes them; nothing here knows how.

    lines(view, committed(plan, outcome, sent)) -> [Line, ...]

Rules:
- Pure: the same view and plan give the same lines. It is called with what was committed, after the commit.
- Everything about the ground (checks and the circuit) is of the scope infrastructure, everything about one child of the
  scope worker: names that the plans fixed, for those who route alerts by them.
- A child's ordinary changes of state are in the history and in the counts, not here: a thousand children that come up
  would be a thousand lines. What went wrong with a child is here, `MOST_CHILD_LINES` per tick at most.
- An escalation that a parent answers is a warning that names the parent. People are called by whoever nobody answers:
  one line at ERROR per incident, when the silence is over if there is one, with what the declaration gives to do.
- Durations are seconds, never negative: a clock may have been set back since the incident began.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from supervision.circuit import Circuit, State
from supervision.decide import Plan
from supervision.helping import check_of, help_for
from supervision.model import Event, Phase
from supervision.orders import Mode
from supervision.view import View

MOST_CHILD_LINES: Final = 20
"""Per tick; one more line says how many were left out."""

PERSISTENT_SHARE: Final = (3, 5)
"""From 3 attempts of 5 on, and as many parts of another number, a failure is called persistent."""


class Line(NamedTuple):
    """One line: ``level`` is the name of a logger's method, ``event`` says what happened."""

    level: str
    event: str
    fields: Mapping[str, Any]


def lines(view: View, plan: Plan | None) -> list[Line]:
    """What to tell about what `committed` found of a plan for ``view``."""
    if plan is None:
        return []
    circuit = plan.circuit or view.circuit
    told = [line for event in plan.events if (line := _of_event(event, view, circuit))]
    if circuit.state is not State.CLOSED and view.orders.mode is not Mode.OFF:
        told.append(Line("warning", "circuit_open", {**_ground(view, circuit), **_progress(view, circuit)}))
    return told + _of_children(view, plan)


def committed(plan: Plan, outcome: str, sent: Iterable[str]) -> Plan | None:
    """The part of ``plan`` that its commit has written: None at all when ``outcome`` says so, or its probe was refused.

    ``sent`` are the actions that got their child's slot; a child whose slot was taken meanwhile was left as it was.
    """
    got = frozenset(sent)
    refused = [update for update in plan.updates if update.reservation and update.reservation.id not in got]
    if outcome == "superseded" or any(update.reservation and update.reservation.incident for update in refused):
        return None
    lost = {update.child for update in refused}
    return replace(plan, updates=tuple(update for update in plan.updates if update.child not in lost))


def recovery_status(attempts: int, max_attempts: int) -> str:
    """How it looks while a circuit is open and not yet escalated."""
    part, whole = PERSISTENT_SHARE
    if attempts >= max_attempts:
        return "escalation_imminent"
    return "persistent_failure" if attempts * whole >= max_attempts * part else "attempting_recovery"


def _of_event(event: Event, view: View, after: Circuit) -> Line | None:
    circuit = after if after.incident else view.circuit  # the incident that this very tick has ended
    ground = {**_ground(view, circuit), "reason": event.reason}
    if event.kind == "circuit":
        level, name, more = _MOVES.get((State(event.before), State(event.after)), _UNFORESEEN)
        return Line(level, name, {**ground, **more(view, circuit)})
    if event.kind == "escalation":
        return Line("error", "ESCALATION REQUIRED", {**ground, **_call_for_help(view, circuit)})
    if event.kind == "escalation_near":
        left = max(0, _most(view, circuit) - _used(view, circuit))
        return Line("warning", event.kind, {**ground, **_progress(view, circuit), "attempts_remaining": left})
    level = "warning" if event.kind in _ALARMING else "info"
    return Line(level, event.kind, {**ground, "subject": event.subject})


def _ground(view: View, circuit: Circuit) -> dict[str, Any]:
    """What every line about the circuit carries; ``affects`` only where a check says that it does not affect all."""
    check = check_of(view, circuit)
    affects = {"affects": sorted(check.affects)} if check and check.affects else {}
    return {
        "supervisor": view.supervisor.path,
        "error_scope": "infrastructure",
        "impact": "all_workers",
        "child_name": circuit.child,
        "incident": circuit.incident,
        "check": circuit.check,
        **affects,
    }


def _progress(view: View, circuit: Circuit) -> dict[str, Any]:
    return {
        "circuit": circuit.state.value,
        "reason": circuit.reason,
        "retry_attempt": circuit.attempt,
        "max_attempts": _most(view, circuit),
        "elapsed_downtime": _seconds(view.now - circuit.opened_at),
        "next_retry_in": None if circuit.forced else _seconds(circuit.next_attempt_at - view.now),
        "recovery_status": _status(view, circuit),
    }


def _status(view: View, circuit: Circuit) -> str:
    """`recovery_status`, or why that does not say it: nothing is tried while forced open, or hardly while escalated."""
    if circuit.forced:
        return "forced_open"
    escalated = circuit.state is State.ESCALATED
    return "escalated" if escalated else recovery_status(_used(view, circuit), _most(view, circuit))


def _used(view: View, circuit: Circuit) -> int:
    """Attempts as the circuit counts them: those of the incident, or those within the window if more."""
    window = view.supervisor.window_ms
    return max(circuit.attempt, sum(0 <= view.now - at < window for at in circuit.restarts))


def _most(view: View, circuit: Circuit) -> int:
    """Attempts that there are: the check's own, or the supervisor's."""
    check = check_of(view, circuit)
    return view.supervisor.max_attempts if check is None or check.attempts is None else check.attempts


def _nothing_more(_view: View, _circuit: Circuit) -> dict[str, Any]:
    return {}


def _attempt(view: View, circuit: Circuit) -> dict[str, Any]:
    return {"retry_attempt": circuit.attempt, "max_attempts": _most(view, circuit)}


def _downtime(view: View, circuit: Circuit) -> dict[str, Any]:
    return {"total_downtime": _seconds(view.now - circuit.opened_at)}


def _handed_up(view: View, circuit: Circuit) -> dict[str, Any]:
    """An escalation; ``escalated_to`` names the parent that answers it, so that nobody is called from here."""
    to = {"escalated_to": view.supervisor.parent} if view.heard_above else {}
    return {**_downtime(view, circuit), **to, **help_for(view, circuit).fields()}


def _call_for_help(view: View, circuit: Circuit) -> dict[str, Any]:
    """What people need who are called: once per incident, by the highest supervisor that could not heal it."""
    known = help_for(view, circuit)
    downtime = _seconds(view.now - known.since)  # where it began, which may be further below
    return {"total_downtime": downtime, "max_attempts": _most(view, circuit), **known.fields()}


_ALARMING: Final = frozenset({"check_broken", "desired", "store_suspected"})
"""What a supervisor's event may be that somebody should look at."""

_MORE = Callable[[View, Circuit], dict[str, Any]]

_MOVES: Final[Mapping[tuple[State, State], tuple[str, str, _MORE]]] = {
    (State.CLOSED, State.OPEN): ("warning", "circuit_opened", _nothing_more),
    (State.OPEN, State.VERIFYING): ("info", "recovery_attempt", _attempt),
    (State.VERIFYING, State.OPEN): ("warning", "recovery_failed", _attempt),
    (State.OPEN, State.ESCALATED): ("warning", "escalated", _handed_up),
    (State.CLOSED, State.VERIFYING): ("warning", "restarted_by_parent", _nothing_more),
    (State.ESCALATED, State.VERIFYING): ("warning", "restarted_by_parent", _downtime),
    (State.ESCALATED, State.OPEN): ("warning", "circuit_opened", _downtime),
    (State.OPEN, State.CLOSED): ("info", "recovered", _downtime),
    (State.VERIFYING, State.CLOSED): ("info", "recovered", _downtime),
    (State.ESCALATED, State.CLOSED): ("info", "recovered", _downtime),
}
"""One line per move of a circuit; a test compares it with `circuit.TRANSITIONS`."""

_UNFORESEEN: Final[tuple[str, str, _MORE]] = ("warning", "circuit_moved", _nothing_more)
"""What is committed is told, whatever it is: a line must never end a tick."""


def _of_children(view: View, plan: Plan) -> list[Line]:
    told = list(_child_lines(view, plan))
    left_out = len(told) - MOST_CHILD_LINES
    if left_out <= 0:
        return told
    rest = {"supervisor": view.supervisor.path, "left_out": left_out, "see": "supervision events"}
    return [*told[:MOST_CHILD_LINES], Line("warning", "child_lines_left_out", rest)]


def _child_lines(view: View, plan: Plan) -> Iterator[Line]:
    for update in plan.updates:
        for event in update.events:
            degraded = update.record.phase is Phase.DEGRADED and event.after == update.record.state
            if event.kind != "state" or degraded:
                what = "degraded" if event.kind == "state" else event.kind
                level = "info" if what in _HARMLESS else "warning"
                yield Line(level, f"child_{what}", _of_child(view.supervisor.path, update.child, event))


_HARMLESS: Final = frozenset({"would", "observable", "looked_alone"})
"""What a child's event may be without anything being wrong with it."""


def _of_child(supervisor: str, child: str, event: Event) -> dict[str, Any]:
    moved = {"before": event.before, "after": event.after} if event.after else {}
    return {
        "supervisor": supervisor,
        "error_scope": "worker",
        "impact": "single_worker",
        "worker_id": f"{supervisor}/{child}",
        "reason": event.reason,
        **moved,
    }


def _seconds(milliseconds: int) -> float:
    return max(0, milliseconds) / 1000
