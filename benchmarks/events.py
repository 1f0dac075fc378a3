"""From a changed observation to the start of its tick: one real worker, one change at a time, nothing else to do.

A change is stored and its wake-up published as a collector does it. Both ends are times of the store's clock, in whole
milliseconds: it is asked just before the observation is written, and the tick's start is its claim, whose epoch is the
store's time at that moment. Changes are at least 160 ms apart, so each is the first after a pause and meets no
debounce. The baseline, in turn with it: a bare Celery task on the same worker and queue, from before it is sent until
the first thing it does, which is to ask the store's clock.
"""

import random
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec
from celery import Celery

from benchmarks.crowd import Reading
from benchmarks.figures import Figure, Goal
from benchmarks.plants.bare import STAMPS, stamp
from benchmarks.plants.event import event
from benchmarks.stage import Stage, until
from supervision.store.observations import Sight

if TYPE_CHECKING:
    from supervision.engine.publish import CeleryPublisher

TIMES = 200
QUICK = 10
WARM_UP = 20
"""Changes before the first one that counts: every process of the worker has then built what it keeps."""

APART_S = (0.08, 0.12)
GOAL = Goal("p99", 25)


def measure(*, quick: bool) -> Iterator[Figure]:
    """The figures of this benchmark."""
    with Stage("benchmarks.plants.bare", "benchmarks.plants.event") as stage:
        stage.worker("ticks", "sweeps", slots=2).ready()
        changes, app = _Changes(stage), stage.app()
        took = [(_bare(stage, app), changes.one()) for _ in range(WARM_UP + (QUICK if quick else TIMES))][WARM_UP:]
    bare, ticks = zip(*took, strict=True)
    sent = Figure("event, bare Celery task from sent to started", "ms", bare)
    yield sent
    yield Figure("event, change to the start of its tick", "ms", ticks, sent, GOAL)


class _Changes:
    """A collector that sees one child after the other change."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._publisher: CeleryPublisher = stage.publisher()
        self._on = dict.fromkeys(event.children, False)
        self.one()

    def one(self) -> float:
        """Change one child; answers the milliseconds until its tick has claimed."""
        _pause()
        child = random.choice(list(self._on))  # noqa: S311 - which child it is keeps no secret
        self._on[child] ^= True
        store, control = self._stage.store, self._stage.store.keys.of(event.path, "control")
        before = self._stage.now()
        look = store.observations.look(event, periodic=False)
        if look is None:
            raise RuntimeError("a look that is not periodic was refused")
        sight = Sight(child, msgspec.json.encode(Reading(on=self._on[child])).decode())
        wakes = store.observations.seen(event, look, [sight])
        store.outbox.published(self._publisher.publish(wakes))
        ask = self._stage.ask()

        def epoch() -> int:
            claimed = int(ask.hget(control, "epoch") or 0)
            return claimed if claimed >= before else 0

        return until(epoch, "the tick of a change") - before


def _bare(stage: Stage, app: Celery) -> float:
    _pause()
    ask, before = stage.ask(), stage.now()
    app.send_task(stamp.name, queue="supervision.ticks", ignore_result=True)
    return int(float(until(lambda: ask.rpop(STAMPS), "a bare task"))) - before  # both ends in whole milliseconds


def _pause() -> None:
    time.sleep(random.uniform(*APART_S))  # noqa: S311 - so that nothing falls into step
