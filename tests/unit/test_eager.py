"""Eager mode: a wait is refused by name of the setting, and never passed over."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, chain

from supervision import all_of, any_of, gather, k_of, wait_for
from supervision.engine import waiting
from supervision.errors import InvalidWait

went_on: list[str] = []


class Waiting(waiting.Waiting):
    abstract = True


app = Celery("user", broker="memory://", backend="cache+memory://", set_as_current=False)
app.finalize()


@app.task(name="supervision.wait", bind=True, base=Waiting, shared=False)
def wait(self: Any, *carried: Any, **terms: Any) -> Any:
    return waiting.run(self, carried, terms)


@app.task(shared=False)
def add(one: int, other: int = 0) -> int:
    return one + other


@app.task(shared=False)
def goes_on(value: Any) -> None:
    went_on.append(value)


@pytest.fixture
def eager() -> Iterator[None]:
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False
    went_on.clear()


@pytest.mark.parametrize(
    "make",
    [
        lambda: wait_for("built", app=app),
        lambda: all_of("built", "tested", app=app),
        lambda: any_of("built", "tested", app=app),
        lambda: k_of(1, "built", "tested", app=app),
        lambda: gather([add.s(1)], app=app),
    ],
)
def test_what_waits_is_not_made_under_eager(make: Callable[[], object], eager: None) -> None:  # noqa: ARG001 # a setting
    with pytest.raises(
        InvalidWait, match=r"task_always_eager=True: a (wait|gather) .* task_always_eager=False .* worker"
    ):
        make()


def test_a_wait_that_was_made_before_is_not_run_under_eager() -> None:
    following = chain(wait_for("built", app=app), goes_on.s(), app=app)
    app.conf.task_always_eager = True
    try:
        with pytest.raises(InvalidWait, match=r"task_always_eager=True: supervision\.wait"):
            following.apply_async().get()
    finally:
        app.conf.task_always_eager = False
    assert went_on == []


def test_a_wait_is_not_applied_in_place() -> None:
    with pytest.raises(InvalidWait, match=r"apply\(\), or task_always_eager"):
        wait_for("built", app=app).apply().get()
