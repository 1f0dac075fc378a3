"""What a call of `wait_for`, a join or `gather` says that could not work is refused when it is made."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from celery import Celery

from supervision import all_of, any_of, gather, k_of, wait_for
from supervision.errors import InvalidDocument, InvalidWait

app = Celery("mine", broker="memory://", backend="cache+memory://", set_as_current=False)
app.finalize()


@app.task(shared=False)
def add(one: Any, other: int = 0) -> Any:
    return one, other


MAKERS: list[Callable[..., Any]] = [
    lambda **terms: wait_for("built", app=app, **terms),
    lambda **terms: all_of("built", "tested", app=app, **terms),
    lambda **terms: gather([add.s(1)], app=app, **terms),
]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("value", "why"),
    [
        (math.nan, "on_timeout: payload nan would be read back as None"),
        ({"late": math.inf}, "on_timeout: payload .* would be read back as"),
        ((1, 2), r"on_timeout: payload \(1, 2\) would be read back as \[1, 2\]"),
        (datetime(2026, 7, 1, tzinfo=UTC), "on_timeout: .* would be read back as"),
        (object(), "on_timeout: payload <object .* cannot be written as JSON"),
        ("x" * 2**20, "on_timeout: a payload of 1,048,578 bytes as JSON, at most 262,144 are allowed"),
    ],
)
def test_a_value_on_timeout_is_what_a_payload_may_be(make: Callable[..., Any], value: Any, why: str) -> None:
    with pytest.raises(InvalidDocument, match=why):
        make(on_timeout=value)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("value", [None, 0, False, "late", [], {"late": [1.5]}])
def test_a_value_on_timeout_that_is_fine(make: Callable[..., Any], value: Any) -> None:
    assert make(on_timeout=value)["kwargs"]["on_timeout"] == {"value": value}


def test_nobody_expected_and_no_owner_may_be_said_as_none() -> None:
    said = wait_for("built", expects=None, owner=None, replacement=None, on_death=None, app=app)
    assert said == wait_for("built", app=app)
    assert all_of("a", "b", expects=None, owner=None, app=app) == all_of("a", "b", app=app)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: all_of("a", "b", expects="bob", app=app), r"give it to its parts, as wait_for\('a', expects='bob'\)"),
        (lambda: any_of("a", "b", expects="bob", app=app), "a join has no expects"),
        (lambda: k_of(2, "a", "b", expects=7, app=app), "a join has no expects"),
        (lambda: wait_for("a", app="x"), "app='x': needs a Celery app, or None"),  # type: ignore[arg-type] # the point
        (lambda: all_of("a", app=7), "app=7: needs a Celery app"),
        (lambda: gather([add.s(1)], app="x"), "app='x': needs a Celery app"),  # type: ignore[arg-type] # the point
        (lambda: gather(None, app=app), "parts=None: needs a list of signatures"),  # type: ignore[arg-type] # the point
        (lambda: gather(7, app=app), "parts=7: needs a list of signatures"),  # type: ignore[arg-type] # the point
        (lambda: gather(add.s(1), app=app), "parts=.*: needs a list of signatures"),
        (lambda: gather([None], app=app), "part 0 of a gather is None: needs a signature"),  # type: ignore[list-item] # the point
        (lambda: wait_for("a", on_timeout=add.s(object()), app=app), "arguments that cannot be written as JSON"),
    ],
)
def test_calls_that_are_refused(make: Callable[[], Any], why: str) -> None:
    with pytest.raises(InvalidWait, match=why):
        make()
