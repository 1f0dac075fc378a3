"""What must be told to a store that is away for a moment, or work that is done would be done twice.

Whoever tells it holds a claim and has gone on with what it is for: where it gives up, somebody else goes on with that
once more when the claim's lease is over. So it sleeps and tells again, for as long as nobody else may. A coordinator
that is complete does, too, or its silence would be taken for its death, and it would be replaced.
"""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from supervision.errors import StoreUnavailable
from supervision.store.waits import LEASE_MS

AWAY_S: Final = 0.2
"""Seconds between two tries while the store is away."""

TOLD_S: Final = LEASE_MS / 1000 - 5
"""Seconds for which what is done about a wait is told again, whose claim was begun a moment before; and for which one
that leaves says so."""

_T = TypeVar("_T")


def patiently(call: Callable[[], _T], seconds: float = TOLD_S) -> _T:
    """What ``call`` answers, which has to be idempotent: while the store is away it is repeated for so long."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call()
        except StoreUnavailable:
            if time.monotonic() >= deadline:
                raise
        time.sleep(AWAY_S)
