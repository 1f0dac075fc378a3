"""The history: one stream of records, written by the scripts that made each transition true."""

from collections.abc import Iterator

import msgspec

from supervision.store.connection import translated
from supervision.store.keys import Keys
from supervision.store.scripts import Scripts

KEEP_MS = 7 * 24 * 3600 * 1000
"""A week of history; an incident that is open longer than that keeps its records: since it began, those about its
subject and about what is below that."""

SLICE = 300
"""Records that one script looks through while an incident is open: a few milliseconds of the store's time."""

AT_ONCE = 10_000
"""Records that one script removes while none is open: a few tenths of a millisecond for each thousand, at the worst."""

MOST_SLICES = 200
"""... and scripts per sweep: what is left then is for the next one."""

_PAGE = 500


class Past(msgspec.Struct, frozen=True):
    """One record: what happened to ``subject`` at ``at`` (store milliseconds), from what to what, why, and by whom."""

    id: str
    at: int
    kind: str
    subject: str
    before: str
    after: str
    reason: str
    attempt: int
    actor: str
    epoch: int
    action: str = ""


class History:
    """Reading and trimming the stream."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self._scripts = scripts
        self._keys = keys

    def since(self, last_id: str = "-", most: int = _PAGE) -> Iterator[Past]:
        """Records after ``last_id`` (all when "-"), oldest first."""
        start = "-" if last_id == "-" else f"({last_id}"
        with translated("events"):
            yield from map(past, self._scripts.client.xrange(self._keys.events, start, "+", count=most))  # type: ignore[arg-type] # the sync client answers the list itself

    def latest(self, most: int) -> list[Past]:
        """The last ``most`` records, oldest first."""
        with translated("events"):
            found = self._scripts.client.xrevrange(self._keys.events, count=most)
        return [past(record) for record in reversed(found)]  # type: ignore[arg-type] # as above

    def trim(self, keep_ms: int = KEEP_MS) -> int:
        """Remove what is older, except for the records of open incidents; answers how many."""
        keys, removed = self._keys, 0
        for _ in range(MOST_SLICES):
            gone, more = self._scripts.run(
                "trim", [keys.events, keys.incidents, keys.supervisors, keys.trimmed], [keep_ms, SLICE, AT_ONCE]
            )
            removed += gone
            if not more:
                break
        return removed


def past(record: tuple[bytes, dict[bytes, bytes]]) -> Past:
    """One entry of the stream, as redis-py answers it, as a record."""
    entry_id, fields = record
    plain = {name.decode(): value.decode() for name, value in fields.items()}
    return msgspec.convert({"id": entry_id.decode(), **plain}, Past, strict=False)
