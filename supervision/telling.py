"""Telling what has just become true in this process: as log lines, and to the hooks.

In a process of ours lines go the way of all others. In a program that only uses the client, and has configured no
structlog, they go to the logger ``supervision`` of `logging` and nowhere else: a library prints nothing.
"""

import logging
from collections.abc import Iterable

import structlog

from supervision import hooks
from supervision.decide import Plan
from supervision.store.happened import Happened
from supervision.telemetry import coordination_lines, lines, logs
from supervision.view import View

_log = structlog.get_logger(logs.OURS)
_plain = logging.getLogger(logs.OURS)
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def heard(happened: Iterable[Happened]) -> None:
    """Tell of these transitions."""
    for each in happened:
        _write(coordination_lines.line(each))
        _call(each.kind, each.subject, each.before, each.after, each.reason, each.actor)


def ticked(view: View, plan: Plan | None) -> None:
    """Tell what of a ``plan`` for ``view`` was committed."""
    logs.write(_log, lines.lines(view, plan))
    for event in plan.events if plan else ():
        _call(event.kind, event.subject, event.before, event.after, event.reason, "tick")


def _call(kind: str, subject: str, before: str, after: str, reason: str, actor: str) -> None:  # noqa: PLR0913, PLR0917 # an event's fields
    if name := hooks.called(kind, before, after):
        fields = {"kind": kind, "subject": subject, "before": before, "after": after, "reason": reason, "actor": actor}
        hooks.HOOKS[name].send(subject, **fields)


def _write(line: lines.Line) -> None:
    if structlog.is_configured():
        logs.write(_log, [line])
    elif _plain.isEnabledFor(_LEVELS[line.level]):
        _plain.log(_LEVELS[line.level], "%s %s", line.event, _pairs(line))


def _pairs(line: lines.Line) -> str:
    return " ".join(f"{name}={value!r}" for name, value in line.fields.items())
