"""What a client may read of the history: the latest events, those since a moment, and what comes next."""

import time
from collections.abc import Iterator
from typing import Final

from supervision.errors import StoreUnavailable
from supervision.store.history import Past
from supervision.store.store import Store
from supervision.store.tail import LONGEST_BLOCK_S, Tail, about, newer_than

OUTAGE_S: Final = 60.0
"""Seconds without the store after which following its events gives up."""

RECONNECT_S: Final = 0.5
"""Seconds between two tries to go on following; a store that restarts is back within one or two."""


class Following:
    """The events of a client."""

    _store: Store
    _tail: Tail

    def last_event_id(self) -> str:
        """The id of the newest event: whoever follows from here on misses nothing that comes later."""
        return self._tail.last_id()

    def latest_events(self, most: int, *, subject: str = "") -> list[Past]:
        """The last ``most`` events of ``subject`` and what is below it (of all when empty), oldest first."""
        return self._tail.latest(most, subject) if most > 0 else []

    def events_after(self, event_id: str, timeout: float) -> list[Past]:
        """What happened after the event ``event_id``; waits up to ``timeout`` seconds (10 at most) for the first."""
        return self._tail.after(event_id, timeout)

    def events(self, *, since: str | int = 0, subject: str = "", follow: bool = False) -> Iterator[Past]:
        """Events of ``subject`` and what is below it (of all when empty), oldest first.

        ``since`` is the id of the last event that is already known, or a moment of the store's clock. With ``follow``
        it goes on for ever, waiting in the server for the next one, and survives an outage of `OUTAGE_S` seconds.
        Raises `StoreUnavailable`, and `InvalidDeclaration` when ``since`` is neither.
        """
        last_id = newer_than(since)
        while page := list(self._store.history.since(last_id)):
            last_id = page[-1].id
            yield from (event for event in page if about(event, subject))
        while follow:
            for event in self._awaited(last_id):
                last_id = event.id
                if about(event, subject):
                    yield event

    def _next_about(self, last_id: str, action_id: str, seconds: float) -> str:
        """Wait for news of one action; answers the id to go on from."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            for event in self._tail.after(last_id, left):
                last_id = event.id
                if event.action == action_id:
                    return last_id
        return last_id

    def _awaited(self, last_id: str) -> list[Past]:
        """The next events, after as many tries as fit into `OUTAGE_S`."""
        deadline = time.monotonic() + OUTAGE_S
        while True:
            try:
                return self._tail.after(last_id, LONGEST_BLOCK_S)
            except StoreUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(RECONNECT_S)
