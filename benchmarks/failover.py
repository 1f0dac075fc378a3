"""Failover: the ticker that holds the lease is killed with -9 in the middle of a tick; when does another one tick?

Two ticker workers and one beat, at the default interval of 1 s. The child's rule holds its tick until the driver has
seen which worker it is and kills that worker's whole process group. Every second time the tick is one that an event
woke, each at another moment of the interval, since that is when the lease and beat are least in step. The time is from
just before the kill to the next claim (its epoch is the store's time), so the lease, whatever notices that a tick is
missing, and the way through the broker are in it. The baseline is the time between two ticks when nobody is killed.
"""

import itertools
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from benchmarks.crowd import Reading
from benchmarks.figures import Figure, Goal
from benchmarks.plants.failover import HELD, HOLD, plant
from benchmarks.stage import CeleryProcess, Stage, until
from supervision.engine.publish import CeleryPublisher
from supervision.store.observations import Sight

ROUNDS = 10
QUICK = 2
UNDISTURBED = 5
GOAL = Goal("max", 2000)

MOMENTS_S = (0.55, 0.75, 0.95, 0.15, 0.35)
"""When in the interval, after the periodic tick, an event wakes the tick that is killed."""


def measure(*, quick: bool) -> Iterator[Figure]:
    """The figures of this benchmark."""
    with Stage("benchmarks.plants.failover") as stage:
        tickers = [_ticker(stage) for _ in range(2)]
        for ticker in tickers:
            ticker.ready()
        stage.beat()
        _see(stage, stage.publisher(), 0)
        epochs = [_next_epoch(stage, stage.now())]
        for _ in range(UNDISTURBED):
            epochs.append(_next_epoch(stage, epochs[-1]))
        undisturbed = [after - before for before, after in itertools.pairwise(epochs)]
        took = [_round(stage, tickers, number) for number in range(1, 1 + (QUICK if quick else ROUNDS))]
    between = Figure("failover, between two ticks when nobody is killed", "ms", undisturbed)
    yield between
    yield Figure("failover, from kill -9 in a tick to the next tick", "ms", took, between, GOAL)


def _ticker(stage: Stage) -> CeleryProcess:
    return stage.worker("ticks", "sweeps", slots=1)


def _round(stage: Stage, tickers: list[CeleryProcess], number: int) -> float:
    """Kill the worker that ticks; answers the milliseconds until the other one does."""
    for ticker in tickers:
        ticker.ready()
    publisher = stage.publisher()
    _next_epoch(stage, stage.now())  # all is well again, and the next slot is an interval away
    woken = number % 2 == 0
    if woken:
        time.sleep(MOMENTS_S[number // 2 % len(MOMENTS_S) - 1])
    (stage.folder / HELD).unlink(missing_ok=True)
    (stage.folder / HOLD).touch()
    if woken:
        _see(stage, publisher, number)
    group = int(until((stage.folder / HELD).exists, "a tick that holds", every=0.001) and _held(stage))
    (stage.folder / HOLD).unlink()
    killed, held = stage.now(), _epoch(stage)
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    took = _next_epoch(stage, held) - killed
    for index, ticker in enumerate(tickers):
        if ticker.group == group:
            ticker.end()
            tickers[index] = _ticker(stage)
    return took


def _held(stage: Stage) -> str:
    return (stage.folder / HELD).read_text()


def _see(stage: Stage, publisher: CeleryPublisher, number: int) -> None:
    """The child is seen with another document, which wakes a tick."""
    look = stage.store.observations.look(plant, periodic=False)
    if look is None:
        raise RuntimeError("a look that is not periodic was refused")
    sight = Sight("gauge", msgspec.json.encode(Reading(on=True, pid=number)).decode())
    stage.store.outbox.published(publisher.publish(stage.store.observations.seen(plant, look, [sight])))


def _epoch(stage: Stage) -> int:
    return int(stage.ask().hget(stage.store.keys.of(plant.path, "control"), "epoch") or 0)


def _next_epoch(stage: Stage, last: int) -> int:
    def newer() -> int:
        found = _epoch(stage)
        return found if found > last else 0

    return until(newer, "the next tick", every=0.005)
