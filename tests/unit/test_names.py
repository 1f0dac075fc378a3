import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervision.errors import InvalidDeclaration
from supervision.model import MAX_PATH_LENGTH, shown, valid_count, valid_name, valid_path, valid_seconds

ALLOWED = string.ascii_letters + string.digits + "_-.:@"
names = st.text(ALLOWED, min_size=1, max_size=30).filter(lambda name: name not in {".", ".."})


@given(names)
def test_a_name_of_allowed_characters_is_taken_as_it_is(name: str) -> None:
    assert valid_name(name, "child") == name


@given(st.lists(names, min_size=1, max_size=5))
def test_a_path_of_names_is_taken_as_it_is(parts: list[str]) -> None:
    path = "/".join(parts)
    assert valid_path(path, "supervisor") == path


@given(st.text(max_size=30))
def test_any_other_text_is_refused(text: str) -> None:
    if re.fullmatch(f"[{re.escape(ALLOWED)}]+", text, re.ASCII) and text not in {".", ".."}:
        assert valid_name(text, "child") == text
    else:
        with pytest.raises(InvalidDeclaration, match="for example 'line-1'"):
            valid_name(text, "child")


BAD_NAMES = [
    "",
    " ",
    "a b",
    "a/b",
    "*",
    "a*",
    "[a]",
    "{a}",
    "a\n",
    "\n",
    "ä",
    "\uff11",
    ".",
    "..",
    "a\x00",
    "~",
    "x" * 201,
]


@pytest.mark.parametrize("name", [*BAD_NAMES, None, 5, True, b"pump", ["pump"]])
def test_a_refused_name_is_shown_with_what_would_be_right(name: object) -> None:
    with pytest.raises(InvalidDeclaration, match="for example 'line-1'") as refusal:
        valid_name(name, "child")
    assert str(refusal.value).startswith(f"child {shown(name)}")
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize("path", ["", "/", "a/", "/a", "a//b", "a/../b", "a/b c", "a/*", None, 7])
def test_a_refused_path_is_shown_with_what_would_be_right(path: object) -> None:
    with pytest.raises(InvalidDeclaration, match="for example '") as refusal:
        valid_path(path, "supervisor")
    assert f"supervisor {path!r}" in str(refusal.value)


def test_a_path_is_bounded_as_a_whole() -> None:
    longest = "/".join(["x" * 99] * 2) + "y"
    assert len(longest) == MAX_PATH_LENGTH
    assert valid_path(longest, "supervisor") == longest
    with pytest.raises(InvalidDeclaration, match="201 characters, at most 200"):
        valid_path(longest + "y", "supervisor")


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), True, "1", None, 1e12, 0.0001, 10**400])
def test_a_refused_duration_is_shown_with_what_would_be_right(value: object) -> None:
    with pytest.raises(
        InvalidDeclaration, match=r"seconds from 0\.001 to 315360000, for example interval=1"
    ) as refusal:
        valid_seconds(value, "interval", "interval=1")
    assert f"interval={shown(value)}" in str(refusal.value)


@pytest.mark.parametrize("value", [0.001, 1, 2.5, 315_360_000])
def test_a_duration_is_taken_as_it_is(value: float) -> None:
    assert valid_seconds(value, "interval", "interval=1") == value


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "3", None, 10**7])
def test_a_refused_count_is_shown_with_what_would_be_right(value: object) -> None:
    with pytest.raises(InvalidDeclaration, match="a whole number from 1 to 1000000, for example 5") as refusal:
        valid_count(value, "max_attempts", least=1, example="5")
    assert f"max_attempts={value!r}" in str(refusal.value)


def test_anything_is_shown_in_one_line() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (deep, "x" * 10_000_000, {"a": "b" * 1000}, list(range(10**6))):
        assert len(shown(value)) < 250
