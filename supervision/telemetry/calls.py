"""What people read who are called: where the runbook is, and the steps, as the declaration gives them.

A check may give them, or the child that it restarts. A supervisor that escalates because the one below it did has none
of its own: those below it give theirs. What is known here is the declaration, not which check has failed below; where
several of them give different steps, each step names its check, and the call's reason says which one has failed.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from supervision.checks import Check
from supervision.child import Child
from supervision.circuit import Circuit
from supervision.supervisor import Supervisor
from supervision.view import View


class Help(NamedTuple):
    """Where it is written what to do, and the steps in order; either may be empty."""

    runbook_url: str
    manual_steps: tuple[str, ...]

    def fields(self) -> dict[str, Any]:
        """As fields of a line."""
        return {"runbook_url": self.runbook_url, "manual_steps": list(self.manual_steps)}


def help_for(view: View, circuit: Circuit) -> Help:
    """What to do about ``circuit``, which could not be healed."""
    seen = view.children.get(circuit.child)
    own = _given(check_of(view, circuit), seen.child if seen else None)
    below = view.supervisor.below.get(circuit.child)
    return _of_one_or_many(_below(below)) if below and not any(own) else own


def check_of(view: View, circuit: Circuit) -> Check | None:
    """The check in the sights of ``circuit``; None when it was forced open, or its check is no longer declared."""
    return next((check for check in view.supervisor.checks if check.name == circuit.check), None)


def _given(check: Check | None, child: Child | None) -> Help:
    places = [place for place in (check, child) if place]
    url = next((place.runbook_url for place in places if place.runbook_url), "")
    return Help(url, next((place.manual_steps for place in places if place.manual_steps), ()))


def _below(supervisor: Supervisor) -> Iterator[tuple[str, Help]]:
    """What each check gives, here and further below, by its name; nothing of those that give nothing."""
    for each in supervisor.tree():
        for check in each.checks:
            given = _given(check, each.children.get(check.restart))
            if any(given):
                yield check.name, given


def _of_one_or_many(found: Iterable[tuple[str, Help]]) -> Help:
    by_check = dict(found)
    if len(set(by_check.values())) <= 1:
        return next(iter(by_check.values()), Help("", ()))
    url = next((given.runbook_url for given in by_check.values() if given.runbook_url), "")
    return Help(url, tuple(f"{name}: {step}" for name, given in by_check.items() for step in given.manual_steps))
