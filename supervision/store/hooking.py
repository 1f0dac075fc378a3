"""How far the history has been told to hooks in other processes: a cursor that one sweep at a time moves on."""

from collections.abc import Iterable

from supervision.store.connection import translated
from supervision.store.keys import Keys
from supervision.store.outbox import Entry, entries
from supervision.store.scripts import Scripts


class Hooking:
    """The store's side of them."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self._scripts = scripts
        self._keys = keys

    def cursor(self) -> str:
        """The id of the last event that was told, empty before the first sweep."""
        with translated("hooks"):
            found: bytes | None = self._scripts.client.get(self._keys.hooked)  # type: ignore[assignment] # the sync client answers the value itself
        return (found or b"").decode()

    def advance(self, cursor: str, last_id: str, messages: Iterable[tuple[str, str]]) -> tuple[Entry, ...]:
        """Move on from ``cursor``, and write the ``messages`` (id, text) of what lies between; none if it has moved."""
        first = [self._keys.outbox, self._keys.entries, self._keys.events, self._keys.counters]
        arguments = [cursor, last_id, *(part for message in messages for part in message)]
        _, *written = self._scripts.run("hooked", first, arguments)
        return entries(written)
