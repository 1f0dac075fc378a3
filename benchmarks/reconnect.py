"""Reconnect: the store is killed with -9 and comes back; how long until everybody who uses it is back, too.

A program with the client blocks in a wait, and its heart beats; another asks a question again and again, as one that
repeats what it was refused; a worker is there. The store is away for two seconds. From the moment at which its port
answers: until the question is answered; until the blocked wait has returned, whose signal a fresh client sends at
once; and until a Celery task, sent at once, has stored its result. The baseline is a fresh connection that PINGs.
*Loaded* is the time from the start of the server until it answers with its 10,000 open waits; its baseline is the start
of an empty one. In the end store and worker are both killed and started again. There is nothing to recover then: from
the moment at which the worker is ready, one of those waits is released and gone on with; its baseline is the next one.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from celery import Celery

from benchmarks import goals
from benchmarks.figures import Figure, Goal, expect, timed
from benchmarks.plants.bare import empty
from benchmarks.stage import Stage, until
from supervision.client import Client
from supervision.coordination.waits import Node, Terms
from supervision.errors import StoreUnavailable
from supervision.server import EmbeddedStore
from supervision.store.connection import ping

ROUNDS, QUICK = 5, 1
OPEN, QUICK_OPEN = 10_000, 100
AWAY_S = 2.0
QUEUE = "supervision.waits"
GOAL = Goal("max", 2000, of=goals.RECONNECT)


class Back(NamedTuple):
    """Milliseconds from the port's first answer."""

    loaded: float
    fresh: float
    asked: float
    waited: float
    worked: float


def measure(*, quick: bool) -> Iterator[Figure]:
    """The figures of this benchmark."""
    number = QUICK_OPEN if quick else OPEN
    with Stage("benchmarks.plants.bare") as stage:
        worker = stage.worker("waits", "sweeps", slots=2).ready()
        for i in range(number):
            on = Node(signal=f"s/{i}")
            stage.store.waits.enter(f"w-{i:032}", Terms(on, timeout=3600, home="celery"), mail='{"options":{}}')
        with Client(stage.server.url) as client:
            took = [_outage(stage, client, i) for i in range(QUICK if quick else ROUNDS)]
        worker.end()
        first, next_ = _all_of_it(stage)
        expect(stage.ask().zcard(stage.store.keys.open), number - 2, "open waits after all this")
        empty_store = EmbeddedStore(stage.folder / "empty")
        nothing = Figure("reconnect, an empty store started", "ms", timed(empty_store.start, 1))
        empty_store.stop()
    loaded, fresh, asked, waited, worked = (list(each) for each in zip(*took, strict=True))
    bare = Figure("reconnect, a fresh connection", "ms", fresh)
    yield bare
    yield nothing
    yield Figure(f"reconnect, {number:,} open waits loaded", "ms", loaded, nothing)
    yield Figure("reconnect, a client that asks again", "ms", asked, bare, GOAL)
    yield Figure("reconnect, a blocked wait and its signal", "ms", waited, bare, GOAL)
    yield Figure("reconnect, a worker has done the next task", "ms", worked, bare, GOAL)
    after = Figure("reconnect, a release later on", "ms", [next_])
    yield after
    goal = Goal("max", 1000, of=goals.RESTART)
    yield Figure("reconnect, the first release after a restart of everything", "ms", [first], after, goal)


def _outage(stage: Stage, client: Client, number: int) -> Back:
    name, away = f"back/{number}", threading.Event()
    moments: dict[str, float] = {}

    def wait() -> None:
        with client.coordinator(f"waiting/{number}") as coordinator:
            coordinator.wait(name, timeout=120)
            moments["waited"] = time.perf_counter()

    def ask() -> None:
        away.wait()
        while "asked" not in moments:
            with suppress(StoreUnavailable):
                client.now()
                moments["asked"] = time.perf_counter()

    def answered() -> None:
        away.wait()
        until(lambda: ping(stage.server.url), "the store", every=0.001)
        moments["back"] = time.perf_counter()

    threads = [threading.Thread(target=each) for each in (wait, ask, answered)]
    for thread in threads:
        thread.start()
    until(lambda: client.waits(signal=name), "a wait")
    app = stage.app()
    os.kill(stage.server.pid, signal.SIGKILL)
    until(lambda: not ping(stage.server.url), "the end of the store")
    away.set()
    threading.Event().wait(AWAY_S)  # the outage itself
    loaded = timed(stage.server.start, 1)[0]
    fresh = timed(lambda: ping(stage.server.url), 1)[0]
    with Client(stage.server.url) as other:
        other.send(name)
    moments["worked"] = _worked(stage, app)
    for thread in threads:
        thread.join()
    back = min(moments["back"], moments["asked"])  # whoever heard of it first
    asked, waited, worked = (1000 * (moments[each] - back) for each in ("asked", "waited", "worked"))
    return Back(loaded, fresh, asked, waited, worked)


def _all_of_it(stage: Stage) -> tuple[float, float]:
    """Store and worker are started anew; milliseconds of the first release after that, and of the second."""
    os.kill(stage.server.pid, signal.SIGKILL)
    until(lambda: not ping(stage.server.url), "the end of the store")
    stage.server.start()
    stage.worker("waits", "sweeps", slots=2).ready()
    with Client(stage.server.url) as client:
        return _released(client, 0), _released(client, 1)


def _released(client: Client, number: int) -> float:
    begun = time.perf_counter()
    client.send(f"s/{number}")
    until(lambda: client.explain(f"w-{number:032}").state == "processed", "a release", every=0.001)
    return (time.perf_counter() - begun) * 1000


def _worked(stage: Stage, app: Celery) -> float:
    """Send a task at once; answers when its result is stored."""
    result = f"celery-task-meta-{app.send_task(empty.name, (0,), queue=QUEUE, ignore_result=False).id}"
    until(lambda: stage.ask().exists(result), "a task after the outage", every=0.002)
    return time.perf_counter()
