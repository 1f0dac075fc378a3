"""Documents: what may be desired or observed, and how it becomes JSON and comes back.

A document is a frozen dataclass, a `msgspec.Struct` or a plain mapping. It is refused when it has the wrong type, when
it does not survive the way to JSON and back (NaN, sets in a mapping, numbers as keys), or when it is too large: all of
it before anything is written. What is wrong is told by path and type: a value may be a secret, and errors are kept.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import msgspec

from supervision.contained import fault
from supervision.errors import InvalidDeclaration, InvalidDocument
from supervision.fitting import fields_of, unknown_fields
from supervision.model import shown

MAX_DOCUMENT_BYTES = 256 * 1024
"""The limit for a signal's payload too: what is larger belongs into a file or a database, and its name in here."""


MAX_TEXT_LENGTH = 2000
"""Characters of a reason or an error that are kept: a screenful; the rest belongs into a log."""


_RIGHT = "use text, finite numbers, true, false, none, lists, and mappings with texts as keys"


def valid_type(kind: object, what: str) -> None:
    """Refuse with `InvalidDeclaration` what no document can be an instance of."""
    if not (isinstance(kind, type) and (is_dataclass(kind) or issubclass(kind, (msgspec.Struct, Mapping)))):
        raise InvalidDeclaration(f"{what} = {shown(kind)}: needs a frozen dataclass, a msgspec.Struct or dict")


def clipped(text: str) -> str:
    """``text`` as it can be stored and read: of bounded length, what UTF-8 cannot hold written as an escape."""
    if len(text) <= MAX_TEXT_LENGTH and text.isascii():  # nearly all are, and a tick has thousands of them
        return text
    whole = text[: MAX_TEXT_LENGTH + 1].encode(errors="backslashreplace").decode()
    return whole if len(whole) <= MAX_TEXT_LENGTH else whole[: MAX_TEXT_LENGTH - 1] + "…"


def told(error: BaseException) -> str:
    """An exception as one reason: its type and what it says, if it can say it."""
    try:
        said = str(error)
    except BaseException as another:  # noqa: BLE001 - user code: an exception that cannot even say what it is
        fault(another)
        said = "its message raised another exception"
    return clipped(f"{type(error).__name__}: {said}" if said else type(error).__name__)


def encode(document: Any, expected: type, what: str) -> bytes:
    """``document`` as JSON, or `InvalidDocument` naming ``what`` it is, what was wrong and what would be right."""
    if not isinstance(document, expected):
        raise InvalidDocument(f"{what}: it is a {type(document).__name__}, not {expected.__name__}")
    try:
        data = msgspec.json.encode(document)
    except BaseException as error:  # noqa: BLE001 # not only msgspec's: it reads properties and iterates over what users wrote
        raise InvalidDocument(f"{what}: cannot be written as JSON ({_unquoted(fault(error))}); {_RIGHT}") from None
    if len(data) > MAX_DOCUMENT_BYTES:
        raise InvalidDocument(f"{what}: {len(data):,} bytes as JSON, at most {MAX_DOCUMENT_BYTES:,} are allowed")
    try:
        back: Any = msgspec.json.decode(data, type=expected)
        wrong = "" if back == document else _difference(document, back, "$")
    except BaseException as error:  # noqa: BLE001 # a user's __post_init__ or __eq__ may raise anything
        raise InvalidDocument(f"{what}: cannot be read back ({_unquoted(fault(error))}); {_RIGHT}") from None
    if wrong:
        raise InvalidDocument(f"{what}: {wrong}; {_RIGHT}")
    return data


def decode(data: bytes, expected: type, what: str) -> Any:
    """The document in ``data``; `InvalidDocument` when it was written for another version of ``expected``."""
    try:
        return msgspec.json.decode(data, type=expected)
    except BaseException as error:  # noqa: BLE001 # a user's __post_init__ may raise anything
        raise InvalidDocument(f"{what}: it is not a {expected.__name__} ({_unquoted(fault(error))})") from None


def decode_desired(data: bytes, expected: type, what: str) -> Any:
    """As `decode`, and `InvalidDocument` where ``data`` has a field that is not ``expected``'s: it may be misspelt."""
    found = decode(data, expected, what)
    fields = fields_of(expected)
    if fields is not None and (wrong := unknown_fields(msgspec.json.decode(data, type=dict[str, msgspec.Raw]), fields)):
        raise InvalidDocument(clipped(f"{what}: {wrong}"))
    return found


_NO_VALUE = (
    "Expected `",
    "Object ",
    "JSON is malformed",
    "Input data was truncated",
    "Encoding objects of",
    "Only dicts",
)
"""How those of msgspec's sentences begin in which types and fields are named, and no value of the document is."""


def _unquoted(error: BaseException) -> str:
    """What was wrong and where, without what the document says there: it may be a password, and this is kept."""
    try:
        said = str(error)
    except BaseException as another:  # noqa: BLE001 # as in `told`
        fault(another)
        said = ""
    if not said.startswith(_NO_VALUE):
        at = said.rpartition(" - at `")
        said = f"at `{at[2]}" if at[1] else ""
    return clipped(f"{type(error).__name__}: {said}" if said else type(error).__name__)


def _difference(written: Any, read: Any, path: str) -> str:
    """The first place at which a document is not read back as it is, by its path and by types."""
    ours, theirs = _parts(written), _parts(read)
    for key, value in ours.items():
        if key not in theirs:
            return clipped(f"{path} has a key of type {type(key).__name__}, which would be read back as another one")
        if value != theirs[key]:
            return _difference(value, theirs[key], f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}")
    another = "another one" if type(read) is type(written) else f"a {type(read).__name__}"
    return clipped(f"{path} is a {type(written).__name__} and would be read back as {another}")


def _parts(value: Any) -> Mapping[Any, Any]:
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    if isinstance(value, (list, tuple)):
        return dict(enumerate(value))
    return value if isinstance(value, Mapping) else {}
