"""What a gather says: parts that can run, and failures in one sentence."""

import math
from typing import Any

import msgspec
import pytest
from celery.backends.base import Backend

from supervision import PartsFailed, gather
from supervision.coordination.gathers import MOST_PARTS, MOST_TOLD, Gather, failures, gather_terms, told, valid_gather
from supervision.errors import InvalidWait

STEP = {"task": "app.build", "args": [1]}


def test_failures_are_told_in_their_order_and_not_all_of_them() -> None:
    assert failures({7: "part 7: b", 3: "part 3: a"}, 9) == "2 of 9 parts failed: part 3: a; part 7: b"
    many = failures({i: f"part {i}" for i in range(MOST_TOLD + 5)}, 100)
    assert many.startswith("15 of 100 parts failed: part 0; ")
    assert many.endswith("part 9; and 5 more")


@pytest.mark.parametrize("failed", [{}, {1: "a", 20: "b"}])
def test_the_error_travels_through_a_result_backend(failed: dict[int, str]) -> None:
    from celery import Celery  # noqa: PLC0415 # only this test of the core needs one

    backend = Backend(Celery("here", set_as_current=False))
    sent = PartsFailed("2 of 9 parts failed", failed)
    found = backend.exception_to_python(backend.prepare_exception(sent, "json"))
    assert isinstance(found, PartsFailed)
    assert (str(found), found.failed) == ("2 of 9 parts failed", failed)


def test_its_public_name_is_lazy_and_the_function() -> None:
    assert gather.__module__ == "supervision.engine.gathering"


@pytest.mark.parametrize(
    "terms",
    [
        Gather(((STEP,),)),
        Gather(((STEP, {"task": "app.measure"}), (STEP,)), fail_fast=True, timeout=5, on_timeout={"value": None}),
        Gather(((STEP,),) * MOST_PARTS, home="mine"),
    ],
)
def test_a_gather_survives_the_way_through_a_message(terms: Gather) -> None:
    assert gather_terms(msgspec.json.decode(msgspec.json.encode(terms))) == terms


NEEDS_A_TASK = "needs a task's signature, or a chain of them"


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ((), f"a gather of 0 parts; needs from 1 to {MOST_PARTS}"),
        (((STEP,),) * (MOST_PARTS + 1), f"a gather of {MOST_PARTS + 1} parts; needs"),
        (((),), f"part 0 of a gather is .*: {NEEDS_A_TASK}"),
        (((STEP,), (STEP, {})), f"part 1 of a gather is .*: {NEEDS_A_TASK}"),
        (((STEP,), ({"task": ""}, STEP)), f"part 1 of a gather is .*: {NEEDS_A_TASK}"),
        (((STEP,), (STEP,), ({"task": 7},)), f"part 2 of a gather is .*: {NEEDS_A_TASK}"),
    ],
)
def test_a_gather_that_could_not_work_names_the_part(parts: Any, why: str) -> None:
    with pytest.raises(InvalidWait, match=why):
        valid_gather(Gather(parts))


@pytest.mark.parametrize("timeout", [0, -1, math.nan, 31 * 86_400, True])
def test_a_gather_has_an_end_in_time(timeout: Any) -> None:
    with pytest.raises(InvalidWait, match="timeout="):
        valid_gather(Gather(((STEP,),), timeout=timeout))


@pytest.mark.parametrize("data", [{}, {"parts": 7}, {"parts": [STEP]}, {"parts": [[STEP]], "timeout": "x"}, None, []])
def test_a_foreign_message_is_no_gather(data: object) -> None:
    with pytest.raises(InvalidWait, match="which nobody here can read"):
        gather_terms(data)


def test_what_came_with_a_message_is_checked_too() -> None:
    with pytest.raises(InvalidWait, match="a gather of 0 parts"):
        gather_terms({"parts": []})


def test_what_a_gather_waits_for_is_read_as_that_of_a_wait() -> None:
    assert told(9) == "all 9 parts"
