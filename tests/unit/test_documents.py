import math
import traceback
from dataclasses import dataclass, field
from datetime import UTC, datetime
from signal import SIGTERM
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervision import documents
from supervision.errors import InvalidDeclaration, InvalidDocument
from supervision.fitting import fields_of, unfitting

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)


@dataclass(frozen=True)
class Pump:
    flow: float
    tags: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)


class Tank(msgspec.Struct, frozen=True):
    level: int
    when: datetime | None = None


class Moody(msgspec.Struct, frozen=True):
    mood: str

    def __post_init__(self) -> None:
        raise KeyError(self.mood)


class Leaving(msgspec.Struct, frozen=True):
    mood: str

    def __post_init__(self) -> None:
        raise SystemExit(self.mood)


class Mute(Exception):
    def __str__(self) -> str:
        raise AttributeError("no message")

    __repr__ = __str__


class Ending(Exception):
    """While it is written, this process is told to end."""

    def __str__(self) -> str:
        raise SystemExit(SIGTERM - 256)


class Box(msgspec.Struct, frozen=True):
    content: Any
    raises: bool = False
    ends: bool = False

    def __post_init__(self) -> None:
        if self.raises:
            raise Ending if self.ends else Mute


class Unresolved(msgspec.Struct, frozen=True):
    it: "NowhereDefined"  # type: ignore[name-defined]  # noqa: F821 # the point


class Unequal(dict[str, int]):
    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError

    __hash__ = None


@given(st.dictionaries(st.text(), plain, max_size=5))
def test_what_is_written_is_read_back_as_it_was(document: dict[str, Any]) -> None:
    assert documents.decode(documents.encode(document, dict, "seen"), dict, "seen") == document


@pytest.mark.parametrize(
    "document", [Pump(1.5), Pump(2, ("a", "b"), {"x": [1]}), Tank(3), Tank(4, datetime(2024, 1, 1, tzinfo=UTC))]
)
def test_typed_documents_come_back_as_they_were(document: object) -> None:
    data = documents.encode(document, type(document), "seen")
    assert documents.decode(data, type(document), "seen") == document


def recursive() -> dict[str, Any]:
    circle: dict[str, Any] = {}
    circle["self"] = circle
    return circle


def deep() -> dict[str, Any]:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    return {"deep": nested}


REFUSED = {
    "NaN": ({"flow": math.nan}, dict, "$.flow is a float and would be read back as a NoneType"),
    "infinite": ({"flow": math.inf}, dict, "would be read back as"),
    "NaN in a field": (
        Pump(math.nan),
        Pump,
        "cannot be read back (ValidationError: Expected `float`, got `null` - at `$.flow`)",
    ),
    "a set": ({"tags": {1}}, dict, "$.tags is a set and would be read back as a list"),
    "a tuple": ({"a": [{"tags": (1,)}]}, dict, "$.a[0].tags is a tuple and would be read back as a list"),
    "a tuple in a field of a dataclass": (
        Pump(1.0, extra={"tags": (1,)}),
        Pump,
        "$.extra.tags is a tuple and would be read back as a list",
    ),
    "a set in a field of a Struct": (Box([{1}]), Box, "$.content[0] is a set and would be read back as a list"),
    "a number as key": ({1: "a"}, dict, "$ has a key of type int"),
    "bytes": ({"raw": b"x"}, dict, "would be read back as"),
    "a moment": ({"at": datetime(2024, 1, 1, tzinfo=UTC)}, dict, "would be read back as"),
    "an object": ({"it": object()}, dict, "cannot be written as JSON"),
    "half a character": ({"name": "\ud800"}, dict, "cannot be written as JSON"),
    "a circle": (recursive(), dict, "cannot be written as JSON"),
    "very deep": (deep(), dict, "cannot be written as JSON"),
    "a list": ([1], dict, "is a list, not dict"),
    "nothing": (None, dict, "is a NoneType, not dict"),
    "another type": (Tank(1), Pump, "is a Tank, not Pump"),
    "a field of the wrong type": (Pump("fast"), Pump, "cannot be read back"),  # type: ignore[arg-type]  # the point
    "a deep thing of the wrong type": (deep()["deep"], dict, "is a list, not dict"),
    "comparing raises": (Unequal(a=1), dict, "cannot be read back (ZeroDivisionError)"),
}


@pytest.mark.parametrize(("document", "expected", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_a_document_that_does_not_survive_is_refused_by_name(document: Any, expected: type, why: str) -> None:
    with pytest.raises(InvalidDocument) as refusal:
        documents.encode(document, expected, "plant/pump: observed")
    assert str(refusal.value).startswith("plant/pump: observed: ")
    assert why in str(refusal.value)
    assert len(str(refusal.value)) < 600


class Secretive(msgspec.Struct, frozen=True):
    password: str
    port: int = 1
    colour: Literal["red", "blue"] = "red"

    def __post_init__(self) -> None:
        if isinstance(self.port, int) and self.port < 0:
            raise ValueError(f"{self.password} with port {self.port}")


@pytest.mark.parametrize(
    "wrong", ['"port":"x"', '"port":-1', '"colour":"hunter2"', '"port":', '"port":"hunter2"', '"colour":["hunter2"]']
)
def test_what_is_wrong_with_a_document_is_told_without_what_it_says(wrong: str) -> None:
    data = f'{{"password":"hunter2",{wrong}}}'.encode()
    with pytest.raises(InvalidDocument) as refusal:
        documents.decode(data, Secretive, "plant/pump: desired")
    assert "hunter2" not in "".join(traceback.format_exception(refusal.value))
    assert str(refusal.value).startswith("plant/pump: desired: it is not a Secretive (")


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"password": "hunter2", "port": math.nan}, dict),
        ({"password": "hunter2", "port": object()}, dict),
        ("hunter2", dict),
        (Secretive("hunter2", "hunter2"), Secretive),  # type: ignore[arg-type]  # the point
        (Secretive("hunter2", colour="hunter2"), Secretive),  # type: ignore[arg-type]  # the point
    ],
)
def test_nor_is_it_in_the_refusal_to_write_one(document: object, kind: type) -> None:
    with pytest.raises(InvalidDocument) as refusal:
        documents.encode(document, kind, "plant/pump: observed")
    assert "hunter2" not in "".join(traceback.format_exception(refusal.value)).split("InvalidDocument")[-1]


def test_a_document_may_be_as_large_as_the_limit_and_no_larger() -> None:
    room = documents.MAX_DOCUMENT_BYTES - len('{"a":""}')
    assert len(documents.encode({"a": "x" * room}, dict, "seen")) == documents.MAX_DOCUMENT_BYTES
    with pytest.raises(InvalidDocument, match="seen: 262,145 bytes as JSON, at most 262,144 are allowed"):
        documents.encode({"a": "x" * (room + 1)}, dict, "seen")


def test_ten_megabytes_are_refused_in_a_short_message() -> None:
    with pytest.raises(InvalidDocument, match="10,000,008 bytes") as refusal:
        documents.encode({"a": "x" * 10_000_000}, dict, "seen")
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", Tank),
        (b"{", Tank),
        (b"[]", Tank),
        (b'{"level":"x"}', Tank),
        (b"\xff", dict),
        (b"[" * 100_000, dict),
        (b'{"mood":"bad"}', Moody),
        (b'{"mood":"bad"}', Leaving),
    ],
)
def test_what_another_version_wrote_is_told_apart_from_trouble(data: bytes, kind: type) -> None:
    with pytest.raises(InvalidDocument, match=f"seen: it is not a {kind.__name__}"):
        documents.decode(data, kind, "seen")


@pytest.mark.parametrize("kind", [dict, Pump, Tank])
def test_kinds_of_documents_are_known(kind: type) -> None:
    documents.valid_type(kind, "Pump.Observed")


@pytest.mark.parametrize("kind", [int, str, object, None, dict[str, int], {"a": 1}, Pump(1)])
def test_other_kinds_are_refused_by_name(kind: object) -> None:
    with pytest.raises(InvalidDeclaration, match=r"Pump.Observed = .*: needs a frozen dataclass, a msgspec.Struct or"):
        documents.valid_type(kind, "Pump.Observed")


def test_reasons_are_kept_as_they_are_or_made_fit() -> None:
    assert documents.clipped("dead ✓") == "dead ✓"
    assert documents.clipped("file \udcff") == "file \\udcff"
    assert len(documents.clipped("x" * 10_000_000)) == documents.MAX_TEXT_LENGTH
    assert documents.clipped("x" * 3000).endswith("x…")


def test_an_error_is_told_even_when_it_cannot_tell_itself() -> None:
    assert documents.told(ValueError("too hot")) == "ValueError: too hot"
    assert documents.told(Mute()) == "Mute: its message raised another exception"
    with pytest.raises(InvalidDocument) as refusal:
        documents.decode(b'{"content":1,"raises":true}', Box, "seen")
    assert str(refusal.value) == "seen: it is not a Box (Mute)"


def test_an_order_to_end_goes_on_even_out_of_the_message_of_an_error() -> None:
    with pytest.raises(SystemExit):
        documents.told(Ending())
    with pytest.raises(SystemExit):
        documents.decode(b'{"content":1,"raises":true,"ends":true}', Box, "seen")


@pytest.mark.parametrize(
    ("document", "wrong"),
    [
        ({"level": 3}, ""),
        ({"level": 3, "when": "2026-05-01T00:00:00Z"}, ""),
        ({"level": 3, "when": None}, ""),
        ({}, "has to have a field 'level'"),
        ({"level": 3.5}, "field 'level' is a number; it needs a whole number"),
        ({"level": "3"}, "field 'level' is a text; it needs a whole number"),
        ({"level": 3, "wen": 1}, "has no field 'wen'; it has level, when"),
    ],
)
def test_a_document_fits_when_each_of_its_fields_does(document: dict[str, Any], wrong: str) -> None:
    assert unfitting(document, fields_of(Tank)) == wrong
    if not wrong:
        assert documents.decode_desired(msgspec.json.encode(document), Tank, "tank: desired").level == 3


def test_a_mapping_has_no_fields_and_what_a_type_may_be_in_several_ways_is_left_to_the_code() -> None:
    assert fields_of(dict) is None
    assert unfitting({"anything": 1}, fields_of(dict)) == ""
    found = fields_of(Pump)
    assert found is not None
    assert {name: field.kinds for name, field in found.items()} == {
        "flow": ("a number",),
        "tags": ("a list",),
        "extra": ("a mapping",),
    }
    assert [name for name, field in found.items() if field.required] == ["flow"]


def test_a_type_that_names_what_is_nowhere_defined_says_nothing_until_a_document_is_read() -> None:
    assert fields_of(Unresolved) is None
    assert unfitting({"it": 1, "anything": 2}, fields_of(Unresolved)) == ""
    with pytest.raises(InvalidDocument, match=r"tank: desired: it is not a Unresolved \(NameError\)"):
        documents.decode_desired(b'{"it": 1}', Unresolved, "tank: desired")


def test_only_what_is_desired_is_refused_for_a_field_too_many() -> None:
    data = b'{"level": 3, "lvel": 4}'
    assert documents.decode(data, Tank, "observed") == Tank(3)
    with pytest.raises(InvalidDocument, match="tank: desired: has no field 'lvel'; it has level, when"):
        documents.decode_desired(data, Tank, "tank: desired")
