"""What may be submitted by key, and how it is written down."""

from typing import Any

import msgspec
import pytest

from supervision.coordination.submissions import Message, Submission, asked, encoded, valid_message
from supervision.errors import InvalidDocument, InvalidWait

PAY = {"task": "shop.pay", "args": [17], "kwargs": {"to": "ann"}, "options": {"queue": "shop", "task_id": "old"}}


def test_a_task_is_named_or_a_signature_whose_place_in_a_canvas_does_not_count() -> None:
    assert valid_message("shop.pay", [17], {"to": "ann"}) == Message("shop.pay", [17], {"to": "ann"}, {})
    assert valid_message("shop.pay") == Message("shop.pay", [], {}, {})
    assert valid_message(PAY) == Message("shop.pay", [17], {"to": "ann"}, {"queue": "shop"})
    assert valid_message({"task": "shop.pay"}) == Message("shop.pay", [], {}, {})


def test_arguments_join_those_of_the_signature_as_celery_joins_them() -> None:
    assert valid_message(PAY, [1], {"to": "bob"}) == Message("shop.pay", [1, 17], {"to": "bob"}, {"queue": "shop"})


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("", "needs a task's name or a Celery signature"),
        (7, "submit 7: needs a task's name"),
        ({"args": [1]}, "needs a task's name"),
        ({"task": ""}, "needs a task's name"),
        ({"task": 7}, "needs a task's name"),
        ({"task": "celery.chain", "subtask_type": "chain"}, "submit celery.chain: needs one task"),
        ({"task": "t", "options": {"countdown": 5}}, "submit t: countdown would be counted anew"),
        ({"task": "t", "options": {"eta": "soon", "expires": 5}}, "submit t: eta, expires would be counted anew"),
    ],
)
def test_what_is_no_single_task_at_any_time_is_refused(what: Any, told: str) -> None:
    with pytest.raises(InvalidWait, match=told):
        valid_message(what)


def test_no_moment_is_none() -> None:
    assert valid_message({"task": "t", "options": {"countdown": None, "expires": None}}).task == "t"


def test_it_is_written_down_under_its_id_and_with_its_queue() -> None:
    message = valid_message(PAY)
    stored = msgspec.json.decode(encoded(message, "key-1", "celery"))
    assert stored == ["shop.pay", [17], {"to": "ann"}, {"queue": "shop", "task_id": "key-1"}]
    assert msgspec.json.decode(encoded(valid_message("t"), "key-2", "celery"))[3] == {
        "queue": "celery",
        "task_id": "key-2",
    }


def test_arguments_that_are_no_json_are_refused_by_name() -> None:
    with pytest.raises(InvalidDocument, match=r"submit t\b"):
        encoded(valid_message("t", [object()]), "key", "celery")


def test_a_submission_is_the_first_one_unless_it_says_otherwise() -> None:
    assert not Submission("k", "t", "id", "ann", 1, "queued").repeated


def test_the_same_request_is_asked_for_by_the_same_words_and_any_other_by_others() -> None:
    message = valid_message("shop.pay", [17], {"to": "ann"})
    others = [message._replace(task="shop.refund"), message._replace(args=[18]), message._replace(kwargs={})]
    assert asked(message, "shop") == asked(valid_message("shop.pay", [17], {"to": "ann"}), "shop")
    assert len({asked(message, "shop"), asked(message, "slow"), *(asked(each, "shop") for each in others)}) == 5
