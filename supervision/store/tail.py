"""The end of the history: wait for new records, on a connection of its own, without asking again and again."""

import re
from typing import Any

from supervision.errors import InvalidDeclaration
from supervision.store.connection import READ_TIMEOUT_S, connect, translated
from supervision.store.history import Past, past
from supervision.store.keys import Keys

LONGEST_BLOCK_S = 10.0
"""Seconds that one question may wait in the server; the socket waits longer, or silence would look like loss."""

BEGIN = "0-0"
"""Before every record."""

MOST_SCANNED = 20_000
"""Records looked at, newest first, for those of one subject: about 20 ms of the store's time in slices of 500."""

_PAGE = 500
_ID = re.compile(r"\d{1,20}-\d{1,20}")
_LAST_OF_MOMENT = 2**64 - 1


class Tail:
    """Reads the newest records; thread-safe, each waiting thread takes a connection of its own."""

    def __init__(self, url: str, keys: Keys) -> None:
        self._client = connect(url, timeout=LONGEST_BLOCK_S + READ_TIMEOUT_S)
        self._key = keys.events

    def last_id(self) -> str:
        """The id of the newest record, `BEGIN` when there is none."""
        with translated("events"):
            found: Any = self._client.xrevrange(self._key, count=1)
        return found[0][0].decode() if found else BEGIN

    def after(self, last_id: str, seconds: float) -> list[Past]:
        """Records after ``last_id``, oldest first; waits ``seconds`` (`LONGEST_BLOCK_S` at most) for the first."""
        block = max(1, round(min(seconds, LONGEST_BLOCK_S) * 1000))  # 0 would be for ever
        with translated("events"):
            found: Any = self._client.xread({self._key: last_id}, count=_PAGE, block=block)
        if not found:
            return []
        # A list of pairs, or with protocol=3 in the address a mapping to a list with one page.
        pages = [page for each in found.values() for page in each] if isinstance(found, dict) else [found[0][1]]
        return [past(record) for page in pages for record in page]

    def latest(self, most: int, subject: str = "") -> list[Past]:
        """The last ``most`` records `about` ``subject``, oldest first, among the last `MOST_SCANNED` of all."""
        kept: list[Past] = []
        end = "+"
        for _ in range(MOST_SCANNED // _PAGE):
            with translated("events"):
                page: Any = self._client.xrevrange(self._key, max=end, count=_PAGE)
            kept.extend(record for record in map(past, page) if about(record, subject))
            if len(kept) >= most or len(page) < _PAGE:
                break
            end = f"({page[-1][0].decode()}"
        return kept[:most][::-1]

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def about(record: Past, subject: str) -> bool:
    """Whether ``record`` is about ``subject`` or something below it; everything is when it is empty."""
    return not subject or record.subject == subject or record.subject.startswith(f"{subject}/")


def newer_than(since: str | int) -> str:
    """The id after which records are wanted: ``since`` itself, or the last id before that moment."""
    if isinstance(since, str) and _ID.fullmatch(since):
        return since
    if isinstance(since, int) and since >= 0:
        return f"{since - 1}-{_LAST_OF_MOMENT}" if since else BEGIN
    raise InvalidDeclaration(f"since={since!r}: needs an event's id like 1767225600000-0, or milliseconds >= 0")
