"""The claim on a wait that is being gone on with is held anew, however long that takes.

To go on with a wait is to publish what follows and to store a result. A result backend that is away holds that up for
minutes, which is longer than a claim lasts: without this, others would go on with the wait, too, and publish what
follows once more, five times, and it would be taken for poison.

Rules:
- A claim is held as long as its process lives and its run lasts; it is let go of when the run has ended, however.
- The store's lease stays the guarantee: a process that is killed holds nothing.
"""

import logging
import os
import threading

from supervision.store.waits import Claimed, Waits

HOLD_S = 10.0
"""Seconds between two times that a claim is held anew: two may fail before its lease of 30 s runs out."""

_log = logging.getLogger(__name__)


class Keeper:
    """Holds the claims of this process anew, from a thread that starts with the first."""

    def __init__(self) -> None:
        self._kept: dict[str, Claimed] = {}
        self._waits: Waits | None = None
        self._process = 0
        self._lock = threading.Lock()

    def keep(self, claim: Claimed, waits: Waits) -> None:
        """Hold ``claim`` until it is let go of."""
        with self._lock:
            if self._process != os.getpid():  # what a fork took along is not held here
                self._kept, self._waits, self._process = {}, waits, os.getpid()
                threading.Thread(target=self._hold, name="claims", daemon=True).start()
            self._kept[claim.id] = claim

    def let_go(self, claim: Claimed) -> None:
        """It is over, or somebody else's to go on with; idempotent, and nothing to another claim on it."""
        with self._lock:
            if self._kept.get(claim.id) is claim:
                del self._kept[claim.id]

    def _hold(self) -> None:
        never = threading.Event()
        while not never.wait(HOLD_S):
            try:
                if (kept := list(self._kept.values())) and self._waits:
                    self._waits.hold(kept)
            except Exception as error:  # noqa: BLE001 # the store is away: the next turn comes in time, or the lease ends
                _log.warning("claims not held anew, trying again: %s", error)
