"""Actions through their whole path, against as many empty Celery tasks on the same worker.

In each round 200 children of ten supervisors are seen to want one `noop` each. Their ticks decide and reserve, the
messages are published, each action is started, run and finished under its fence, its child is observed at once, and
the ticks that this wakes settle it. A round lasts from the first reservation to the last end, by the records of the
history. The baseline is the same number of tasks that do nothing, acknowledged late like actions, on the same worker
and queue: from the first one sent until the queue and the list of unacknowledged messages are empty.
"""

import time
from collections.abc import Iterator
from functools import partial

from benchmarks.figures import Figure, expect
from benchmarks.plants.bare import empty
from benchmarks.plants.burst import CHILDREN, LINES, NUMBER, lines
from benchmarks.stage import Stage, until
from supervision.engine.publish import TICK
from supervision.runtime import Runtime
from supervision.store.history import Past

ROUNDS = 7
QUICK = 1
ACTIONS = LINES * CHILDREN
QUEUE = "supervision.actions"
UNACKED = "supervision.unacked"

SELDOM_S = 0.1
"""Seconds between two looks at how far it is, which must not cost what is measured; it has its own times."""


def measure(*, quick: bool) -> Iterator[Figure]:
    """The figures of this benchmark."""
    rounds = QUICK if quick else ROUNDS
    with Stage("benchmarks.plants.bare", "benchmarks.plants.burst") as stage:
        (stage.folder / NUMBER).write_text("0")
        stage.worker("ticks", "sweeps", "actions", slots=2).ready()
        burst = _Burst(stage)
        for _ in range(1 if quick else 2):  # warms up every process of the worker
            burst.one()
        tasks, bursts = zip(*((_bare(stage), burst.one()) for _ in range(rounds)), strict=True)
    bare = Figure("action, empty Celery task, time per task", "ms", [took / ACTIONS for took in tasks])
    yield bare
    whole = [(acted[-1].at - acted[0].at) / ACTIONS for acted in bursts]
    yield Figure("action, noop through the whole path, time per action", "ms", whole, bare)
    yield Figure("action, empty Celery tasks", "1/s", [1000 * ACTIONS / took for took in tasks])
    yield Figure("action, noop through the whole path", "1/s", [1000 / took for took in whole])
    waits = [waited for acted in bursts for waited in _lasted(acted, "running", "succeeded")]
    yield Figure("action, from start to end of a noop", "ms", waits)


BEAT_S = 1.0


class _Burst:
    """Ask every child for an action, and wait until all is quiet again."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._runtime = Runtime(stage.store, stage.publisher(), {line.path: line for line in lines})
        self._app = stage.app()
        self._number = 0
        self._seen("-")

    def one(self) -> list[Past]:
        """The records of the actions of one burst."""
        last = self._stage.store.history.latest(1)[-1].id
        self._seen(last)
        acted = [past for past in self._stage.store.history.since(last, most=100_000) if past.kind == "action"]
        expect(sum(past.after == "succeeded" for past in acted), ACTIONS, "actions of a burst")
        self._seen(acted[-1].id)
        return acted

    def _seen(self, last: str) -> None:
        """Every child sees the next number; wait until no tick has anything to do."""
        (self._stage.folder / NUMBER).write_text(str(self._number))
        odd = self._number % 2
        self._number += 1
        self._look()
        wanted = "succeeded" if odd else "calm"
        until(partial(self._reached, last, wanted), f"{ACTIONS} children that are {wanted}", every=SELDOM_S)
        until(self._quiet, "quiet lines", every=SELDOM_S)

    def _look(self) -> None:
        self._looked = time.monotonic()
        for line in lines:
            until(partial(self._runtime.collect, line.path), f"a look at {line.path}", every=0.001)

    def _reached(self, last: str, after: str) -> bool:
        """Whether all of them are; once a second what beat would send: the first tick after a pause only looks."""
        if time.monotonic() > self._looked + BEAT_S:
            self._look()
            for line in lines:
                self._app.send_task(TICK, (line.path,), queue="supervision.ticks", ignore_result=True)
        return sum(past.after == after for past in self._stage.store.history.since(last, most=100_000)) >= ACTIONS

    def _quiet(self) -> bool:
        """Nothing in flight, no wake-up on its way, every change settled by a tick."""
        ask, keys = self._stage.ask(), self._stage.store.keys
        controls = [ask.hmget(keys.of(line.path, "control"), "dirty", "clean", "waking") for line in lines]
        flying = sum(ask.hlen(keys.of(line.path, "flight")) for line in lines)
        settled = all(dirty == clean and waking == b"0" for dirty, clean, waking in controls)
        return settled and not flying and not ask.zcard(keys.outbox)


def _bare(stage: Stage) -> float:
    """Milliseconds from the first of as many empty tasks to the last acknowledgement."""
    app, ask = stage.app(), stage.ask()
    begun = time.perf_counter()
    for number in range(ACTIONS):
        app.send_task(empty.name, (number,), queue=QUEUE, ignore_result=True)
    until(lambda: not ask.llen(QUEUE) and not ask.hlen(UNACKED), "the end of all tasks", every=0.002)
    return (time.perf_counter() - begun) * 1000


def _lasted(acted: list[Past], before: str, after: str) -> list[float]:
    began = {past.action: past.at for past in acted if past.after == before}
    return [past.at - began[past.action] for past in acted if past.after == after]
