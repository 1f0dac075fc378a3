"""What a mailbox accepts, and how long it pauses."""

import re
from typing import Any

import msgspec
import pytest
from celery import Celery, chain, group, signature
from celery.backends.base import Backend

from supervision.coordination.mailboxes import LONGEST_PAUSE_S, pause_s, valid_handler, valid_lease, valid_number
from supervision.errors import InvalidWait, MailboxFull


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 1), (2, 2), (3, 4), (4, 8), (7, LONGEST_PAUSE_S), (60, 60)])
def test_each_failure_doubles_the_pause_up_to_a_minute(attempt: int, seconds: float) -> None:
    assert pause_s(attempt) == seconds


@pytest.mark.parametrize("number", [0, -1, 501, 1.0, True, "3", None])
def test_a_number_that_is_none_is_refused(number: Any) -> None:
    with pytest.raises(InvalidWait, match=re.escape("at_once=")) as refused:
        valid_number(number, "at_once", 500)
    assert "a whole number from 1 to 500" in str(refused.value)


@pytest.mark.parametrize("number", [1, 2, 500])
def test_a_number_within_its_bounds_is_taken_as_it_is(number: int) -> None:
    assert valid_number(number, "at_once", 500) == number


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), True, "60", None, 31 * 86_400])
def test_a_lease_that_is_none_is_refused(seconds: Any) -> None:
    with pytest.raises(InvalidWait, match="lease="):
        valid_lease(seconds)


def test_a_lease_is_milliseconds() -> None:
    assert (valid_lease(0.001), valid_lease(60)) == (1, 60_000)


def test_a_handler_is_kept_as_its_signature() -> None:
    kept = msgspec.json.decode(valid_handler(signature("app.retry", args=(1,), kwargs={"a": 2}, queue="mine")))
    assert kept["signature"]["task"] == "app.retry"
    assert kept["signature"]["args"] == [1]
    assert kept["signature"]["options"] == {"queue": "mine"}


@pytest.mark.parametrize(
    ("handler", "why"),
    [
        ("app.retry", "needs a Celery signature"),
        ({}, "needs a Celery signature"),
        ({"task": ""}, "needs a Celery signature"),
        ({"task": 3}, "needs a Celery signature"),
        (signature("app.retry", immutable=True), "an immutable signature gets no message"),
        (chain(signature("a"), signature("b")), "the signature of one task"),
        (group(signature("a"), signature("b")), "the signature of one task"),
        (signature("app.retry", args=(object(),)), "cannot be written as JSON"),
        (signature("app.retry", kwargs={"a": {1: {2}, (3,): 4}}), "cannot be written as JSON"),
    ],
)
def test_a_handler_that_could_not_work_is_refused(handler: Any, why: str) -> None:
    with pytest.raises(InvalidWait, match=why):
        valid_handler(handler)


def test_a_full_mailbox_is_told_through_a_result_backend_with_the_time_to_try_again() -> None:
    backend = Backend(Celery("here", set_as_current=False))
    sent = MailboxFull("mailbox 'a' holds 3 messages, as many as it may; try again in 2.5 s", 2.5)
    found = backend.exception_to_python(backend.prepare_exception(sent, "json"))
    assert isinstance(found, MailboxFull)
    assert (str(found), found.retry_after) == (str(sent), 2.5)
    assert str(sent) == "mailbox 'a' holds 3 messages, as many as it may; try again in 2.5 s"
