"""Gathers: many empty tasks and what follows them, as `gather` and as Celery's own chord, in turn on the same worker.

From before the canvas is made and sent until the result of what follows is stored: with 100 parts, with 1,000, and with
10,000, which is the most that a gather takes. What a gather adds is a record of each part, and a script that hears of
its end; what a chord lacks is that record.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec
from celery import Celery, Signature, chord

from benchmarks.figures import Figure, expect
from benchmarks.plants.bare import empty, total
from benchmarks.stage import Stage, until
from supervision.engine.gathering import gather

SIZES: tuple[tuple[int, int], ...] = ((100, 10), (1_000, 3), (10_000, 1))
QUICK_SIZES = ((20, 2),)
QUEUE = "supervision.waits"

Making = Callable[[Celery, list["Signature[Any]"], "Signature[Any]"], "Signature[Any]"]


def measure(*, quick: bool) -> Iterator[Figure]:
    """The figures of this benchmark."""
    with Stage("benchmarks.plants.bare") as stage:
        stage.worker("waits", "sweeps", slots=2).ready()
        app = stage.app()
        for way in (_chord, _gather):
            _took(stage, app, way, 10)  # warms up every process of the worker
        for size, rounds in QUICK_SIZES if quick else SIZES:
            took = [[_took(stage, app, way, size) for way in (_chord, _gather)] for _ in range(rounds)]
            chords, gathers = (list(each) for each in zip(*took, strict=True))
            bare = Figure(f"gather, Celery's chord of {size:,}", "ms", chords)
            yield bare
            yield Figure(f"gather of {size:,}", "ms", gathers, bare)
            yield Figure(f"gather of {size:,}, parts", "1/s", [1000 * size / each for each in gathers])


def _chord(app: Celery, parts: list["Signature[Any]"], then: "Signature[Any]") -> "Signature[Any]":
    canvas: Signature[Any] = chord(parts, then, app=app)
    return canvas


def _gather(app: Celery, parts: list["Signature[Any]"], then: "Signature[Any]") -> "Signature[Any]":
    return gather(parts, then, timeout=600, app=app)


def _took(stage: Stage, app: Celery, way: Making, size: int) -> float:
    sign = partial(app.signature, queue=QUEUE, ignore_result=False)
    begun = time.perf_counter()
    ended = way(app, [sign(empty.name, args=(i,)) for i in range(size)], sign(total.name)).apply_async()
    result = f"celery-task-meta-{ended.id}"
    found = until(lambda: stage.ask().get(result), f"the end of {size} parts", within=600, every=0.002)
    took = (time.perf_counter() - begun) * 1000
    expect(msgspec.json.decode(found)["result"], size, "results that came together")
    return took
