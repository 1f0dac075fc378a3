"""The waits that one coordinator has in hand: each is one caller's, from its first step until it is told how it went.

A second caller of the same coordinator is refused. It would get what the first one has, as soon as the claim's lease is
over, and both would go on with it.
"""

import threading

from supervision.errors import InvalidWait
from supervision.store.claims import Claimed


class InHand:
    """Of one coordinator, whose threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._theirs: set[str] = set()
        self._kept: dict[str, Claimed] = {}

    def begin(self, wait_id: str, told: str) -> None:
        """Whoever waits for ``told`` begins; `InvalidWait` while somebody else has it in hand."""
        with self._lock:
            if wait_id in self._theirs:
                coordinator = wait_id.partition(">")[0]
                raise InvalidWait(
                    f"{coordinator} waits for {told!r} already, or goes on with it: in another thread, which can share "
                    "what it gets, or in a block of `waiting` around this one, which has it"
                )
            self._theirs.add(wait_id)

    def end(self, wait_id: str) -> None:
        """It is in nobody's hand any more."""
        with self._lock:
            self._theirs.discard(wait_id)

    def keep(self, claim: Claimed) -> None:
        """Nobody was there to take it: whoever waits for the same next gets it."""
        with self._lock:
            self._kept[claim.id] = claim
            self._theirs.discard(claim.id)

    def kept(self, wait_id: str) -> Claimed | None:
        """What was kept of it."""
        return self._kept.get(wait_id)

    def forget(self, wait_id: str) -> None:
        """It is taken now, or another's."""
        self._kept.pop(wait_id, None)
