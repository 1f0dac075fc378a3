"""Telling what has just become true in this process: as log lines, and to the hooks."""

from collections.abc import Iterable

from supervision import hooks
from supervision.decide import Plan
from supervision.saying import log as _log
from supervision.store.happened import Happened
from supervision.telemetry import coordination_lines, lines, logs
from supervision.view import View


def heard(happened: Iterable[Happened]) -> None:
    """Tell of these transitions."""
    for each in happened:
        logs.write(_log, [coordination_lines.line(each)])
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
