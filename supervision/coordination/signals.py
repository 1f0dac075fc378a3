"""Signals: what a name, a payload and a lifetime must be, and how far one has got with those who wait for it.

Rules:
- A signal happens once. It is latched under its name until its time to live is over; a wait that begins later passes.
- The same name with the same id is the same signal, whoever sends it again; with another id it is refused.
- For each of its waiters a receipt says `Progress`; it only ever moves forward.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from supervision.documents import MAX_DOCUMENT_BYTES, told
from supervision.errors import InvalidDocument, InvalidWait
from supervision.model import shown

MAX_NAME_LENGTH = 200

DEFAULT_TTL_S = 24 * 3600.0
"""Seconds for which a signal lets those pass who begin to wait later."""

MAX_TTL_S = 90 * 86_400.0
"""Three months; a fact that should stand longer belongs into a database."""

_NAME = re.compile(r"[A-Za-z0-9_.:/@-]+")


class Progress(StrEnum):
    """How far a signal has got with one waiter; the last three are ends without it, `FAILED` is one after it."""

    PENDING = "pending"
    DELIVERED = "delivered"
    RECEIVED = "received"
    PROCESSED = "processed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    DEAD = "dead"
    CANCELLED = "cancelled"


class Receipt(msgspec.Struct, frozen=True):
    """One signal as its sender sees it: ``waiters`` (wait or coordinator) by how far it has got with them.

    ``pending`` counts those who wait and were not released yet, ``pending_waiters`` has the first 100 of them. Times
    are milliseconds of the store's clock.
    """

    signal: str
    id: str
    sender: str
    at: int
    until: int
    pending: int
    waiters: Mapping[str, Progress]
    repeated: bool = False
    pending_waiters: tuple[str, ...] = ()

    def everybody(self) -> dict[str, Progress]:
        """How far it has got with each of ``waiters`` and ``pending_waiters``."""
        return {**dict.fromkeys(self.pending_waiters, Progress.PENDING), **self.waiters}

    def acknowledged(self, level: Progress = Progress.RECEIVED) -> int:
        """How many waiters have come at least as far as ``level``, `RECEIVED` or `PROCESSED`."""
        return sum(progress in _REACHED[level] for progress in self.waiters.values())

    def missing(self, level: Progress = Progress.RECEIVED) -> dict[str, Progress]:
        """Those who have not come so far, and where they are; of those who were not released yet the first 100."""
        return {who: progress for who, progress in self.everybody().items() if progress not in _REACHED[level]}


_REACHED = {
    Progress.RECEIVED: frozenset({Progress.RECEIVED, Progress.PROCESSED}),
    Progress.PROCESSED: frozenset({Progress.PROCESSED}),
}


def valid_signal(name: object, what: str = "signal") -> str:
    """``name`` if a signal or a coordinator can have it, else `InvalidWait`."""
    if isinstance(name, str) and len(name) <= MAX_NAME_LENGTH and _NAME.fullmatch(name):
        return name
    length = f" of {len(name)} characters" if isinstance(name, str) and len(name) > MAX_NAME_LENGTH else ""
    raise InvalidWait(
        f"{what} {shown(name)}{length}: a name has 1 to {MAX_NAME_LENGTH} letters, digits and _ - . : / @, "
        "for example 'review/epic-1/round-3'"
    )


def valid_level(level: object) -> Progress:
    """``level`` if acknowledgements can be counted at it, else `InvalidWait`."""
    if isinstance(level, str) and level in _REACHED:
        return Progress(level)
    raise InvalidWait(f"level={shown(level)}: needs 'received' or 'processed'")


def encoded_payload(payload: Any, what: str) -> str:
    """``payload`` as JSON that reads back as the same, or `InvalidDocument` with what is wrong."""
    try:
        data = msgspec.json.encode(payload)
        same = bool(msgspec.json.decode(data) == payload)  # not with `to_builtins`, which alters it the same way
    except Exception as error:  # it reads properties and iterates over what users wrote
        raise InvalidDocument(
            f"{what}: payload {shown(payload)} cannot be written as JSON ({told(error)}); needs what JSON has: texts, "
            "numbers, true, false, null, lists and mappings"
        ) from error
    if len(data) > MAX_DOCUMENT_BYTES:
        raise InvalidDocument(
            f"{what}: a payload of {len(data):,} bytes as JSON, at most {MAX_DOCUMENT_BYTES:,} are allowed; "
            "put it where it belongs and send its name"
        )
    if not same:
        raise InvalidDocument(
            f"{what}: payload {shown(payload)} would be read back as {shown(msgspec.json.decode(data))}; "
            "send what JSON has: NaN for example as null or as a text, a tuple or a set as a list, a moment as a text"
        )
    return data.decode()
