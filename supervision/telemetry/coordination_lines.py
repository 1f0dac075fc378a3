"""Log lines of signals, waits and coordinators: what a script has made true, as values. `logs` writes them.

Rules:
- One line per transition, written by the process that made it. Of a wait that ended that is whoever goes on with it
  first, so that there is one line however many look.
- Information is what should be; a warning what somebody may want to look at (a timeout, silence, what was sent again or
  given up); an error the end of a coordinator that somebody waits for.
- No payload is ever told: it may be large, or secret.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from supervision.store.happened import Happened
from supervision.telemetry.lines import Line

_ALARMING: Final = frozenset({"timed_out", "died", "failed", "redelivered", "dead_letter"})
"""What may become of a wait or a message that somebody should look at."""

_BEFORE_RETURN: Final = frozenset({"dead", "failed"})
"""What a coordinator was that has returned; one that had lived or was complete has only registered anew."""


def line(happened: Happened) -> Line:
    """What to tell of it."""
    return _OF[happened.kind](happened)


def _of_wait(happened: Happened) -> Line:
    fields = {"wait": happened.subject, **_given(on=happened.on, owner=happened.actor, reason=happened.reason)}
    level = "warning" if happened.after in _ALARMING else "info"
    if happened.after == "waiting":
        return Line(level, "wait_begun", fields)
    if happened.before == "waiting":
        return Line(level, "wait_ended", {**fields, "how": happened.after})
    return Line(level, f"wait_{happened.after}", fields)


def _of_order(happened: Happened) -> Line:
    fields = {"wait": happened.subject, "order": happened.after, "reason": happened.reason, "by": happened.actor}
    return Line("info", "wait_order", fields)


def _of_signal(happened: Happened) -> Line:
    fields = {"signal": happened.subject, "id": happened.reason, "sender": happened.actor}
    return Line("info", f"signal_{happened.after}", fields)


def _of_mailbox(happened: Happened) -> Line:
    more = _given(id=happened.on, reason=happened.reason, by=happened.actor)
    level = "warning" if happened.after in _ALARMING else "info"
    return Line(level, f"mail_{_HANDLER.get(happened.after, happened.after)}", {"mailbox": happened.subject, **more})


def _of_coordinator(happened: Happened) -> Line:
    level, event = _COORDINATOR[happened.after]
    if happened.after == "registered" and happened.before in _BEFORE_RETURN:
        event = "coordinator_returned"
    fields = {"coordinator": happened.subject, **_given(before=happened.before, reason=happened.reason)}
    if happened.after in {"warning", "critical"}:
        fields["health"] = happened.after
    if happened.after in _BEFORE_RETURN:
        fields["expected"] = happened.expected
    return Line("error" if happened.expected else level, event, fields)


_HANDLER: Final[Mapping[str, str]] = {"handler": "handler_set", "no handler": "handler_removed"}

_COORDINATOR: Final[Mapping[str, tuple[str, str]]] = {
    "registered": ("info", "coordinator_registered"),
    "healthy": ("info", "coordinator_healthy"),
    "warning": ("warning", "coordinator_late"),
    "critical": ("warning", "coordinator_late"),
    "complete": ("info", "coordinator_complete"),
    "failed": ("warning", "coordinator_failed"),
    "dead": ("warning", "coordinator_died"),
    "escalated": ("warning", "coordinator_escalated"),
    "replacing": ("warning", "coordinator_replaced_again"),
    "unreplaced": ("error", "coordinator_not_replaced"),
    "superseded": ("warning", "coordinator_superseded"),
}

_OF: Final[Mapping[str, Callable[[Happened], Line]]] = {
    "wait": _of_wait,
    "order": _of_order,
    "signal": _of_signal,
    "coordinator": _of_coordinator,
    "mailbox": _of_mailbox,
}


def _given(**fields: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}
