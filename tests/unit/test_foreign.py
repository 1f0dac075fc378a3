"""The net under the consumer: what cannot be read is thrown away, what the pool could not take is not."""

from types import SimpleNamespace
from typing import Any

import pytest

from supervision.engine.foreign import ForeignMessages

GOOD = {"task": "supervision.wait", "id": "w"}

JUNK: list[dict[str, Any]] = [
    *({"timelimit": limits} for limits in (5, "junk", [1], ["a", "b"], [True, None], [-1, None], [10**400, 1])),
    *({"stamped_headers": names} for names in (True, "name", [["name"]])),
    {"stamps": [1]},
    {"shadow": ["name"]},
]


def thrown_away(raising_module: str, headers: dict[str, Any], payload: Any) -> list[Any]:
    """What the consumer refuses of one message, whose handler raises ValueError in ``raising_module``."""
    refused: list[Any] = []
    raising: dict[str, Any] = {"__name__": raising_module}
    exec("def handle(message): raise ValueError('closed file')", raising)  # noqa: S102 # a function of that module
    consumer = SimpleNamespace(
        create_task_handler=lambda: raising["handle"],
        on_decode_error=lambda message, error: refused.append((message, error)),
    )
    ForeignMessages(consumer).start(consumer)
    message = SimpleNamespace(headers=headers, payload=payload, acknowledged=False)
    consumer.create_task_handler()(message)
    return refused


@pytest.mark.parametrize("module", ["celery.concurrency.prefork", "billiard.pool"])
def test_what_the_pool_could_not_take_comes_again(module: str) -> None:
    with pytest.raises(ValueError, match="closed file"):
        thrown_away(module, GOOD, [[], {}, {}])


def test_what_could_not_be_read_is_thrown_away() -> None:
    assert len(thrown_away("celery.worker.request", GOOD, [[], {}, {}])) == 1


@pytest.mark.parametrize(
    ("headers", "payload"),
    [
        (GOOD, "hello"),
        (GOOD, {"hello": 1}),
        (GOOD, [[], {}]),
        (GOOD, [[], {}, 7]),
        (GOOD, [[], {}, {"chain": ["x"]}]),
        (GOOD, [[], {}, {"chain": 5}]),
        (GOOD, [[], {}, {"chain": [{"args": []}]}]),
        ({**GOOD, "id": None}, [[], {}, {}]),
        *(({**GOOD, **junk}, [[], {}, {}]) for junk in JUNK),
        ({}, {"task": "supervision.wait", "id": "w", "args": [], "kwargs": {}, "timelimit": 5}),
    ],
    ids=[
        "a text",
        "a mapping",
        "two parts",
        "no options",
        "no signature",
        "no steps",
        "no task",
        "no id",
        *map(str, JUNK),
        "an older protocol",
    ],
)
def test_a_message_of_another_shape_does_not_get_as_far_as_the_pool(headers: dict[str, Any], payload: Any) -> None:
    assert len(thrown_away("billiard.pool", headers, payload)) == 1


@pytest.mark.parametrize(
    "headers", [{"timelimit": None}, {"timelimit": [None, 1.5]}, {"stamped_headers": ["by"], "stamps": {"by": ["ann"]}}]
)
def test_what_celery_sends_gets_as_far_as_the_pool(headers: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="closed file"):
        thrown_away("billiard.pool", {**GOOD, **headers}, [[], {}, {}])
