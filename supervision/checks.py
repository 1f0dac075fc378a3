"""Checks: rules over several children that say whether what was observed contradicts itself.

A check names the children it reads; it is called only while all of them are fresh, so trouble of the infrastructure
can never look like trouble of the plant. It is a pure function and returns `ok()`, `fail(reason)` or
`unknown(reason)`; unknown neither opens nor closes a circuit.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from supervision.errors import InvalidDeclaration
from supervision.model import Phase, valid_count, valid_name
from supervision.valid import valid_help

DEFAULT_TRIP_AFTER = 2
"""Consecutive fresh failures that open the circuit: one may be a moment between two observations."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One child as a check sees it: its state, its phase and its observed document.

    Go by what was observed: state and phase follow it a tick later.
    """

    name: str
    state: str
    phase: Phase
    observed: Any


@dataclass(frozen=True, slots=True)
class Ok:
    """The children agree."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The children contradict each other; ``restart`` names the child whose restart should help."""

    reason: str
    restart: str | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nothing can be said."""

    reason: str


@dataclass(frozen=True, slots=True)
class Broken(Unknown):
    """The check itself is wrong: it raised, or answered nonsense. To the circuit the same as not knowing."""


Verdict = Ok | Fail | Unknown


def ok() -> Ok:
    """The children agree."""
    return Ok()


def fail(reason: str, *, restart: str | None = None) -> Fail:
    """The children contradict each other; ``restart`` overrides the child that the check declares."""
    return Fail(reason, restart)


def unknown(reason: str) -> Unknown:
    """Nothing can be said; neither opens nor closes the circuit."""
    return Unknown(reason)


@dataclass(frozen=True, slots=True)
class Check:
    """A check as declared; an open circuit suppresses the derivation of the children it ``affects``, empty for all.

    ``attempts`` bounds the restarts of its own; None leaves that to the supervisor. ``runbook_url`` and
    ``manual_steps`` are for people, when no restart has helped.
    """

    name: str
    reads: tuple[str, ...]
    rule: Callable[..., Verdict]
    restart: str
    trip_after: int
    affects: frozenset[str]
    attempts: int | None = None
    runbook_url: str = ""
    manual_steps: tuple[str, ...] = ()


def check(  # noqa: PLR0913 # the whole declaration of a check; all but what it reads are named
    *reads: str,
    restart: str,
    trip_after: int = DEFAULT_TRIP_AFTER,
    affects: tuple[str, ...] = (),
    name: str | None = None,
    runbook_url: str = "",
    manual_steps: Sequence[str] = (),
) -> Callable[[Callable[..., Verdict]], Check]:
    """Declare a function as a check over the children ``reads``, which it receives as `Seen`, in that order.

    ``restart`` names the child to restart when it fails ``trip_after`` times in a row. ``runbook_url`` and
    ``manual_steps`` become part of the call for help when that did not help. Raises `InvalidDeclaration`.
    """
    if not isinstance(affects, (list, tuple)):
        raise InvalidDeclaration(f"check over {reads!r}: affects={affects!r}: needs names, for example ('flow',)")
    for child in (*reads, restart, *affects):
        valid_name(child, f"check over {reads!r}: child")
    if not reads or len(set(reads)) != len(reads):
        raise InvalidDeclaration(
            f"check over {reads!r}: needs one or more children, each named once, for example 'flow'"
        )
    valid_count(trip_after, f"check over {reads!r}: trip_after", least=1, example="trip_after=2")
    valid_help(runbook_url, manual_steps, f"check over {reads!r}")

    def declare(rule: Callable[..., Verdict]) -> Check:
        called = valid_name(rule.__name__ if name is None else name, "check")
        try:
            inspect.signature(rule).bind(*reads)
        except TypeError as error:
            raise InvalidDeclaration(
                f"check {called!r}: {error}; it is called with one argument per child it reads: {', '.join(reads)}"
            ) from error
        return Check(
            name=called,
            reads=reads,
            rule=rule,
            restart=restart,
            trip_after=trip_after,
            affects=frozenset(affects),
            runbook_url=runbook_url,
            manual_steps=tuple(manual_steps),
        )

    return declare
