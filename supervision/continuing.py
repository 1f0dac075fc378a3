"""Going on with waits that have ended: who does it, and how many of them in one turn.

Rules:
- A claim lasts for its lease. Whoever holds many says after each turn what is done, and holds the rest anew, so that
  however slow a result backend or broker is, nobody else goes on with one of them meanwhile.
- A store that is away for a moment is told again, or all of a turn would be done twice.
- What is no longer ours by then (this process was stopped, say) is left to whoever has it.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from supervision.repeating import patiently
from supervision.store.waits import Claimed, Waits

TURN_S = 1.0
"""Seconds for which waits are gone on with until it is said what is done, and the claims on the others are held anew:
with the longest publication, 15 s, far below the lease of 30 s, so that a slow result backend makes nobody go on with
them a second time."""


class Continuing(Protocol):
    """Whatever goes on with waits that have ended."""

    @property
    def here(self) -> bool:
        """Whether this process can go on with them itself."""

    def go_on(self, claims: Iterable[Claimed]) -> list[tuple[str, int, str]]:
        """Go on with each in place; answers those that are over."""

    def send(self, claims: Iterable[Claimed]) -> None:
        """Send the message that goes on with each, whatever is wrong with one; raises what a lost broker raises."""


class Nowhere:
    """For processes that can neither go on with a wait nor send its message: a sweep of the workers' does it."""

    here = False

    def go_on(self, claims: Iterable[Claimed]) -> list[tuple[str, int, str]]:
        """Nothing: ``here`` is False, so nothing is claimed."""
        return [(claim.id, claim.start, "failed") for claim in claims]

    def send(self, claims: Iterable[Claimed]) -> None:
        """Nothing is sent; what is not gone on with is due for the sweep in any case."""


NOWHERE = Nowhere()


def in_turns(continuing: Continuing, waits: Waits, claims: Sequence[Claimed]) -> None:
    """Go on with all of ``claims`` here."""
    rest = list(claims)
    while rest:
        done = continuing.go_on(_for_one_turn(rest))
        patiently(lambda: waits.processed(done))  # noqa: B023 # called at once
        rest = waits.hold(rest) if rest else rest


def _for_one_turn(rest: list[Claimed]) -> Iterator[Claimed]:
    """Takes claims out of ``rest``, one at least, until a turn is over."""
    until = time.monotonic() + TURN_S
    yield rest.pop(0)
    while rest and time.monotonic() < until:
        yield rest.pop(0)
