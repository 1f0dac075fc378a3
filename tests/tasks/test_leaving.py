"""Who leaves a slot costs its worker little; whatever else leaves a task is described as Celery does it."""

import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.app import trace
from celery.exceptions import Ignore

from supervision.engine import leaving
from supervision.engine.leaving import Left

TWO_PIECES = 16_384
"""Bytes from which on billiard writes a result in two pieces."""


@pytest.fixture
def app() -> Iterator[Celery]:
    with Celery("leaving", broker="memory://", set_as_current=False) as made:
        yield made


def described(app: Celery, error: BaseException) -> Any:
    """What the tracer hands to the worker of a task that raises ``error``, as it comes out of the pipe."""

    @app.task(name=type(error).__name__)
    def leaves() -> None:
        raise error

    run = trace.build_tracer(leaves.name, leaves, app.loader, "here", app=app)
    description, found, *_ = run("1", (), {}, {"id": "1", "task": leaves.name, "delivery_info": {}})
    assert found.state in {"IGNORED", "FAILURE"}
    written = pickle.dumps(description)
    return len(written), pickle.loads(written)  # noqa: S301 # written above


def test_who_leaves_is_described_in_one_piece(app: Celery) -> None:
    leaving.install()
    size, found = described(app, Left())
    assert size < 200
    assert isinstance(found.exception, Ignore), "which the worker acknowledges"
    assert found.traceback == ""


def test_whatever_else_leaves_a_task_is_described_as_celery_does(app: Celery) -> None:
    leaving.install()
    leaving.install()
    size, found = described(app, Ignore())
    assert size > TWO_PIECES, "Celery's own description of Ignore is short: supervision/engine/leaving.py is not needed"
    assert "in leaves" in found.traceback
    _, found = described(app, LookupError("no"))
    assert "LookupError: no" in found.traceback
