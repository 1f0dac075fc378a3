"""What people are told who are called: where the runbook is, the steps, and since when there has been trouble.

A check may give them, or the child that it restarts. A supervisor that escalates because the one below it did has none
of its own: it tells what that one has reported.
"""

from typing import Any, NamedTuple

from supervision.branch import Summary
from supervision.checks import Check
from supervision.circuit import Circuit
from supervision.view import View


class Help(NamedTuple):
    """Where it is written what to do, the steps in order (either may be empty), and the moment the trouble began."""

    runbook_url: str
    manual_steps: tuple[str, ...]
    since: int

    def fields(self) -> dict[str, Any]:
        """As fields of a line."""
        return {"runbook_url": self.runbook_url, "manual_steps": list(self.manual_steps)}


def help_for(view: View, circuit: Circuit) -> Help:
    """What to do about ``circuit``, which could not be healed."""
    seen = view.children.get(circuit.child)
    below = seen.observation.document if seen and seen.observation else None
    places: list[Check | Any] = [check_of(view, circuit), seen.child if seen else None]
    since = [circuit.opened_at]
    if isinstance(below, Summary) and below.incident:
        places.append(below)
        since.append(below.opened_at)
    given = [place for place in places if place is not None]
    url = next((place.runbook_url for place in given if place.runbook_url), "")
    steps = next((place.manual_steps for place in given if place.manual_steps), ())
    return Help(url, tuple(steps), min(since))


def check_of(view: View, circuit: Circuit) -> Check | None:
    """The check in the sights of ``circuit``; None when it was forced open, or its check is no longer declared."""
    return next((check for check in view.supervisor.checks if check.name == circuit.check), None)
