"""Documents: what may be desired or observed, and how it becomes JSON and comes back.

A document is a frozen dataclass, a `msgspec.Struct` or a plain mapping. It is refused when it has the wrong type, when
it does not survive the way to JSON and back (NaN, sets in a mapping, numbers as keys), or when it is too large: all of
it before anything is written.
"""

from typing import Any

import msgspec

from supervision.errors import InvalidDocument

MAX_DOCUMENT_BYTES = 256 * 1024
"""The limit for a signal's payload too: what is larger belongs into a file or a database, and its name in here."""


def encode(document: Any, expected: type, what: str) -> bytes:
    """``document`` as JSON, or `InvalidDocument` naming ``what`` it is, what was wrong and what would be right."""
    if not isinstance(document, expected):
        raise InvalidDocument(f"{what}: {_short(document)} is a {type(document).__name__}, not {expected.__name__}")
    try:
        data = msgspec.json.encode(document)
        back: Any = msgspec.json.decode(data, type=expected)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidDocument(f"{what}: cannot be written as JSON and read back ({error})") from error
    if len(data) > MAX_DOCUMENT_BYTES:
        raise InvalidDocument(f"{what}: {len(data):,} bytes as JSON, at most {MAX_DOCUMENT_BYTES:,} are allowed")
    if back != document:
        raise InvalidDocument(f"{what}: {_short(document)} would be read back as {_short(back)}")
    return data


def decode(data: bytes, expected: type, what: str) -> Any:
    """The document in ``data``; `InvalidDocument` when it was written for another version of ``expected``."""
    try:
        return msgspec.json.decode(data, type=expected)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise InvalidDocument(f"{what}: {data[:80]!r} is not a {expected.__name__} ({error})") from error


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."  # noqa: PLR2004 # one terminal line
