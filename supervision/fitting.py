"""Fitting: whether a desired document has the fields that its declaration has, and in each a value of its kind.

A misspelt field would leave a default in force, and nobody would notice. So the fields are part of what is declared:
who sets a document without the code is told at once, and workers do not use what has a field too many. Plain mappings
declare no fields; what is observed is read leniently, because another version of the code may have written it.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec
from msgspec import inspect


class Field(msgspec.Struct, frozen=True):
    """One field: the ``kinds`` of values that it takes (none told: any), and whether it has no default."""

    kinds: tuple[str, ...] = ()
    required: bool = False


Fields = Mapping[str, Field]

_KINDS: Final[Mapping[type[inspect.Type], str]] = {
    inspect.NoneType: "null",
    inspect.BoolType: "true or false",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.StrType: "a text",
    inspect.ListType: "a list",
    inspect.TupleType: "a list",
    inspect.VarTupleType: "a list",
    inspect.SetType: "a list",
    inspect.FrozenSetType: "a list",
    inspect.DictType: "a mapping",
    inspect.TypedDictType: "a mapping",
    inspect.DataclassType: "a mapping",
}
"""Types whose values have one kind in JSON, whatever the options; all others may be written in several ways."""


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_HOLDS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "null": lambda value: value is None,
    "true or false": lambda value: isinstance(value, bool),
    "a whole number": lambda value: _number(value) and isinstance(value, int),
    "a number": _number,
    "a text": lambda value: isinstance(value, str),
    "a list": lambda value: isinstance(value, list),
    "a mapping": lambda value: isinstance(value, dict),
}


@lru_cache(maxsize=1024)  # asked in every tick about every document that was set; classes are few
def fields_of(kind: type) -> Fields | None:
    """The fields of a dataclass or Struct as they stand in JSON; None where any are right."""
    try:
        found = inspect.type_info(kind)
    except Exception:  # noqa: BLE001 # a hint that cannot be resolved: reading a document says so, with its name
        return None
    if not isinstance(found, (inspect.StructType, inspect.DataclassType)) or getattr(found, "array_like", False):
        return None
    fields = {field.encode_name: Field(_kinds(field.type), field.required) for field in found.fields}
    tag = getattr(found, "tag_field", None)
    return {**fields, tag: Field()} if tag else fields


def unknown_fields(document: Iterable[str], fields: Fields | None) -> str:
    """Which field of ``document`` is not among ``fields``, and which there are; empty when none is."""
    wrong = next((name for name in document if fields is not None and name not in fields), None)
    return "" if wrong is None else f"has no field {wrong!r}; it has {', '.join(fields or ()) or 'none'}"


def unfitting(document: Mapping[str, Any], fields: Fields | None) -> str:
    """What is wrong with ``document`` as far as its fields tell, without what it says; empty when nothing is."""
    if fields is None:
        return ""
    if unknown := unknown_fields(document, fields):
        return unknown
    for name, field in fields.items():
        if name not in document:
            if field.required:
                return f"has to have a field {name!r}"
        elif field.kinds and not any(_HOLDS[kind](document[name]) for kind in field.kinds if kind in _HOLDS):
            return f"field {name!r} is {_kind(document[name])}; it needs {' or '.join(field.kinds)}"
    return ""


def _kinds(found: inspect.Type) -> tuple[str, ...]:
    """What a value of this type may be in JSON; nothing when that is not clear."""
    parts = found.types if isinstance(found, inspect.UnionType) else (found,)
    kinds = tuple(dict.fromkeys(_KINDS.get(type(part), "") for part in parts))
    return () if "" in kinds else kinds


def _kind(value: Any) -> str:
    return next((kind for kind, holds in _HOLDS.items() if holds(value)), type(value).__name__)
