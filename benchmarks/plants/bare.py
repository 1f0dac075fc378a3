"""Bare Celery tasks, which do what has to be compared with and nothing else."""

from typing import Any, cast

from celery import shared_task

from tasks import wiring

STAMPS = "benchmarks:stamps"
"""A list: when each `stamp` began, in milliseconds of the store's clock, to the microsecond."""


@shared_task(name="benchmarks.empty", acks_late=True, ignore_result=True)
def empty(_number: int) -> None:
    """Nothing, acknowledged as an action is."""


@shared_task(name="benchmarks.stamp", acks_late=False, ignore_result=True)
def stamp() -> None:
    """Ask the store for the time at once, as a tick does, and leave it there."""
    client: Any = wiring.runtime().store.client
    seconds, micros = cast("tuple[int, int]", client.time())
    client.rpush(STAMPS, f"{seconds * 1000 + micros / 1000:.3f}")


@shared_task(name="benchmarks.total", acks_late=True, ignore_result=False)
def total(parts: list[Any]) -> int:
    """How many there are: what stands behind a chord, and behind a gather."""
    return len(parts)
