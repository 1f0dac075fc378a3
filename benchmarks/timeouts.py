"""Timeouts: how late the end of a wait is announced at 100 of them a second, and how many a second a worker can do.

One worker with two slots, and beat, which sweeps for deadlines. *Late* is from the deadline, as the store has it, to
the record of the wait's end in the history; its baseline is as many Celery tasks with an ETA on the same worker, from
the ETA to the stamp. *All at once*: so many waits have the same deadline; from the first record of an end to the last
record of a continuation. Its baseline is as many empty Celery tasks with results on that worker.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from celery import Celery

from benchmarks import goals
from benchmarks.figures import Figure, Goal
from benchmarks.plants.bare import STAMPS, empty, stamp
from benchmarks.stage import Stage, drained, until
from supervision.coordination.waits import Node, Terms
from supervision.store.history import Past

QUEUE = "supervision.waits"
A_SECOND = 100
SPREAD, QUICK_SPREAD = 1_000, 50
TOGETHER, QUICK_TOGETHER = 3_000, 100
AHEAD_S, REGISTERED_PER_S = 3.0, 500
"""Seconds until the first deadline, and how many are registered a second even on a machine that is busy."""


def measure(*, quick: bool) -> Iterator[Figure]:
    """The figures of this benchmark."""
    with Stage("benchmarks.plants.bare") as stage:
        stage.worker("waits", "sweeps", slots=2).ready()
        stage.beat()
        app, number = stage.app(), QUICK_SPREAD if quick else SPREAD
        eta = Figure(f"timeout, Celery tasks with an ETA, late at {A_SECOND} a second", "ms", _eta(stage, app, number))
        yield eta
        late = _late(stage, number)
        yield Figure(f"timeout, late at {A_SECOND} a second", "ms", late, eta, Goal("max", 1000, of=goals.TIMEOUT))
        together = QUICK_TOGETHER if quick else TOGETHER
        bare = Figure("timeout, empty Celery tasks with results", "1/s", [_empty_tasks(stage, app, together)])
        yield bare
        rate = [_at_once(stage, together)]
        goal = Goal("median", A_SECOND, at_least=True, of=goals.TIMEOUT)
        yield Figure(f"timeout, {together:,} all at once, gone on with", "1/s", rate, bare, goal)


def _eta(stage: Stage, app: Celery, number: int) -> list[float]:
    begin = time.time() + AHEAD_S
    for i in range(number):
        eta = datetime.fromtimestamp(begin + i / A_SECOND, UTC)
        app.send_task(stamp.name, queue=QUEUE, ignore_result=True, eta=eta)
    ask = stage.ask()
    until(lambda: ask.llen(STAMPS) == number, "tasks with an ETA", within=120)
    stamps = sorted(float(each) for each in ask.lrange(STAMPS, 0, -1))
    ask.delete(STAMPS)
    return [at - (begin + i / A_SECOND) * 1000 for i, at in enumerate(stamps)]


def _enter(stage: Stage, number: int, a_second: float) -> dict[str, float]:
    """Register so many waits, whose deadlines are so many a second; answers when they are, in store milliseconds."""
    store, first = stage.store, stage.now() / 1000 + AHEAD_S + number / REGISTERED_PER_S
    ids = [uuid.uuid4().hex for _ in range(number)]
    for i, wait_id in enumerate(ids):
        left = first + i / a_second - stage.now() / 1000
        on = Node(signal="never")
        store.waits.enter(wait_id, Terms(on, timeout=left, home="celery"), mail='{"options":{}}')
    deadlines = stage.ask().zmscore(store.keys.deadlines, [f"0#{wait_id}" for wait_id in ids])
    return dict(zip(ids, deadlines, strict=True))


def _late(stage: Stage, number: int) -> list[float]:
    last = stage.store.history.latest(1)[-1:]
    deadlines = _enter(stage, number, A_SECOND)
    _gone_on_with(stage)
    ended = {past.subject: past.at for past in _since(stage, last) if past.after == "timed_out"}
    return [ended[wait_id] - deadline for wait_id, deadline in deadlines.items()]


def _at_once(stage: Stage, number: int) -> float:
    last = stage.store.history.latest(1)
    _enter(stage, number, float("inf"))
    _gone_on_with(stage)
    past = _since(stage, last)
    first = min(each.at for each in past if each.after == "timed_out")
    return 1000 * number / (max(each.at for each in past if each.after == "processed") - first)


def _gone_on_with(stage: Stage) -> None:
    ask, keys = stage.ask(), stage.store.keys
    until(lambda: not ask.zcard(keys.open) and not ask.zcard(keys.undelivered), "the end of all waits", within=300)


def _since(stage: Stage, last: list[Past]) -> list[Past]:
    after = last[-1].id if last else "-"
    return [past for past in stage.store.history.since(after, most=1_000_000) if past.kind == "wait"]


def _empty_tasks(stage: Stage, app: Celery, number: int) -> float:
    def send() -> Callable[[], object]:
        for i in range(number):
            last = app.send_task(empty.name, (i,), queue=QUEUE, ignore_result=False).id
        return lambda: stage.ask().exists(f"celery-task-meta-{last}") and not stage.ask().llen(QUEUE)

    return 1000 * number / drained(app, QUEUE, send)
