"""What a gather says: parts that can run, and failures in one sentence."""

import pytest
from celery.backends.base import Backend

from supervision import PartsFailed, gather
from supervision.coordination.gathers import MOST_TOLD, failures


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
