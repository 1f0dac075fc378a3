"""The terms of an order, checked before anything is written: who and why, a request's name, an end, a document."""

import uuid
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, Final, NoReturn

import msgspec

from supervision import documents
from supervision.errors import InvalidDeclaration, InvalidDocument
from supervision.fitting import Fields, unfitting
from supervision.model import shown, valid_name, valid_seconds
from supervision.moments import moment

MOST_REASON: Final = 1000
"""Characters of a reason: it stands in the history for a week."""

LONGEST_PAUSE_S: Final = 30 * 86_400
"""Seconds that a pause or a silence may last: a month is a decision, and what should last longer is a mode."""


def line(text: str, what: str) -> str:
    """``text`` if it can stand in the history as one line, else `InvalidDeclaration`."""
    if isinstance(text, str) and text.strip() and len(text) <= MOST_REASON and text.isprintable():
        return text.strip()
    raise InvalidDeclaration(f"{what}={shown(text)}: needs one line of 1 to {MOST_REASON} printable characters")


def request(request_id: str | None) -> str:
    """``request_id`` if it can be a name, a new one if it is None, else `InvalidDeclaration`."""
    return valid_name(request_id or uuid.uuid4().hex, "request_id")


def encoded(document: Any, path: str) -> str:
    """``document`` as JSON, or `InvalidDocument`."""
    what = f"{path}: desired"
    if isinstance(document, Mapping):
        return documents.encode(dict(document), dict, what).decode()
    if isinstance(document, msgspec.Struct) or (is_dataclass(document) and not isinstance(document, type)):
        return documents.encode(document, type(document), what).decode()
    raise InvalidDocument(
        f"{what}: it is a {type(document).__name__}; "
        'needs a mapping, a dataclass or a msgspec.Struct, for example {"running": false}'
    )


def fitted(text: str, fields: Fields | None, path: str) -> str:
    """``text`` if its fields are those that are declared for ``path``, or `InvalidDocument`."""
    if wrong := unfitting(msgspec.json.decode(text), fields):
        raise InvalidDocument(documents.clipped(f"{path}: desired: {wrong}"))
    return text


def end(now: int, until: int | None, for_s: float | None) -> int:
    """The moment (store milliseconds) that is given as one of ``until`` and ``for_s``, or `InvalidDeclaration`."""
    if (until is None) == (for_s is None):
        _refuse_end(f"until={until!r} and for_s={for_s!r}: needs exactly one end")
    if for_s is not None:
        until = now + round(valid_seconds(for_s, "for_s", "600") * 1000)
    if not isinstance(until, int) or isinstance(until, bool):
        _refuse_end(f"until={shown(until)}: needs milliseconds of the store's clock")
    if not now < until <= now + LONGEST_PAUSE_S * 1000:
        longest = LONGEST_PAUSE_S // 86_400
        _refuse_end(f"until={until}: the store's clock says {now}, and pauses and silences end within {longest} d")
    return until


def ending(reason: str, until: int) -> str:
    """``reason`` as it stands in the history: with the end of what is ordered."""
    return f"{line(reason, 'reason')} (until {moment(until, precise=False)})"


def _refuse_end(what: str) -> NoReturn:
    raise InvalidDeclaration(f"{what}; for example for_s=600, or until=client.now() + 600_000")
