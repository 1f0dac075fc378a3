"""Waits: from a signal to the start of what follows, and the release of many by one signal, on a real worker.

Signal to the next task: a chain of a wait and a task that asks the store's clock, one at a time, on one worker; from
before the signal is sent (through an app that knows the task, and through a plain client) to the stamp. The baseline,
in turn with it, is a bare Celery task on the same worker. Release: so many waits on one signal, from before it is sent
until all are processed; the baseline is as many empty Celery tasks whose results are stored, on the same worker, from
the first one taken, when all of them are in the queue, until the last has ended. Registered: those waits before that,
from the first one taken until the last is a record in the store, with the same baseline. *While so many wait* is the
same bare task again, with all of them open: they hold no slot of the worker (which is asked, too), so nothing is left
for it to wait for. *While so many are released* is that task, too, one after the other on the same queue: what does not
wait must not starve behind those that go on.
"""

import time
import uuid
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

from celery import Celery, chain

from benchmarks import goals
from benchmarks.figures import Figure, Goal, expect, over
from benchmarks.plants.bare import STAMPS, empty, stamp
from benchmarks.stage import Stage, drained, until
from supervision.client import Client
from supervision.engine.canvas import wait_for

TIMES, QUICK, WARM_UP = 300, 10, 20
MANY, FEW = 10_000, 100
MOST_MEANWHILE = 100
PAUSE_S = 0.25
QUEUE = "supervision.waits"


class Round(NamedTuple):
    """Milliseconds: as many empty tasks, the waits registered, and their release; and bare tasks beside both."""

    empty: float
    registered: float
    meanwhile: list[float]
    released: float
    beside: list[float]


def measure(*, quick: bool) -> Iterator[Figure]:
    """The figures of this benchmark."""
    with Stage("benchmarks.plants.bare") as stage:
        stage.worker("waits", "sweeps", slots=2).ready()
        app = _knowing(stage)
        bare = yield from _latency(stage, app, QUICK if quick else TIMES)
        for number, rounds in ((FEW, 3),) if quick else ((FEW, 3), (MANY, 1)):
            yield from _releases(stage, app, number, rounds, bare)


def _knowing(stage: Stage) -> Celery:
    """An app that can go on with waits itself, as a worker of ours or whoever imports `tasks` has."""
    from tasks import app  # noqa: PLC0415 # reads its addresses when it is imported

    app.loader.import_default_modules()
    url = stage.server.url
    app.conf.update(broker_url=url, result_backend=url, supervision_store_url=url)
    return app


def _latency(stage: Stage, app: Celery, times: int) -> Generator[Figure, None, Figure]:
    with Client.from_app(app) as near, Client(stage.server.url) as far:
        took = [
            (_bare(stage, app), _through(stage, app, near, f"near/{i}"), _through(stage, app, far, f"far/{i}"))
            for i in range(WARM_UP + times)
        ][WARM_UP:]
    bare, nearly, far_away = (list(each) for each in zip(*took, strict=True))
    sent = Figure("wait, bare Celery task from sent to started", "ms", bare)
    yield sent
    for name, each in (("a process with the app", nearly), ("a plain client", far_away)):
        figure = Figure(f"wait, signal from {name} to the next task started", "ms", each, sent)
        yield figure
        yield over(figure, "median", Goal("max", 2, of=goals.NEXT_TASK))
        yield over(figure, "p99", Goal("max", 4, of=goals.NEXT_TASK))
    return sent


def _bare(stage: Stage, app: Celery) -> float:
    ask, before = stage.ask(), stage.moment()
    app.send_task(stamp.name, queue=QUEUE, ignore_result=True)
    return float(until(lambda: ask.rpop(STAMPS), "a bare task", every=0.001)) - before


def _through(stage: Stage, app: Celery, client: Client, name: str) -> float:
    chain(wait_for(name, app=app), app.signature(stamp.name, immutable=True, queue=QUEUE), app=app)()
    until(lambda: client.waits(signal=name), "a wait", every=0.002)
    ask, before = stage.ask(), stage.moment()
    client.send(name)
    return float(until(lambda: ask.rpop(STAMPS), "the task after a wait", every=0.001)) - before


def _releases(stage: Stage, app: Celery, number: int, rounds: int, bare: Figure) -> Iterator[Figure]:
    took = [_round(stage, app, number) for _ in range(rounds)]
    of = f"of {number:,}"
    raw = Figure(f"release, {number:,} empty Celery tasks with results", "ms", [each.empty for each in took])
    yield raw
    yield Figure(f"wait, registered by a worker, all {of}", "ms", [each.registered for each in took], raw)
    meanwhile = [one for each in took for one in each.meanwhile]
    yield Figure(f"wait, bare Celery task while {number:,} wait", "ms", meanwhile, bare)
    goal = Goal("max", 300, of=goals.RELEASE_100) if number == FEW else None
    released = Figure(
        f"release of {number:,} waits by one signal, all processed", "ms", [each.released for each in took], raw, goal
    )
    yield released
    if number == MANY:
        yield over(released, "median", Goal("max", 1 / 0.8, of=goals.RELEASE_10_000))
        beside = [one for each in took for one in each.beside]
        yield Figure(f"wait, bare Celery task while {number:,} are released", "ms", beside, bare)


def _round(stage: Stage, app: Celery, number: int) -> Round:
    name = uuid.uuid4().hex
    raw = _empty_tasks(stage, app, number)
    registered = _register(stage, app, number, name)
    meanwhile = [_bare(stage, app) for _ in range(min(number // 10, MOST_MEANWHILE))]
    working = app.control.inspect(timeout=2.0).active() or {}
    expect([task for tasks in working.values() for task in tasks], [], "what holds a slot while all wait")
    return Round(raw, registered, meanwhile, *_release(stage, app, name))


def _empty_tasks(stage: Stage, app: Celery, number: int) -> float:
    def send() -> Callable[[], object]:
        for i in range(number):
            last = app.send_task(empty.name, (i,), queue=QUEUE, ignore_result=False).id
        return lambda: stage.ask().exists(f"celery-task-meta-{last}") and not stage.ask().llen(QUEUE)

    return drained(app, QUEUE, send)


def _register(stage: Stage, app: Celery, number: int, name: str) -> float:
    waiters = stage.store.keys.waiters(name)

    def send() -> Callable[[], object]:
        for _ in range(number):
            wait_for(name, app=app, timeout=3600).apply_async()
        return lambda: stage.ask().zcard(waiters) == number

    return drained(app, QUEUE, send)


def _release(stage: Stage, app: Celery, name: str) -> tuple[float, list[float]]:
    ask, keys, beside = stage.ask(), stage.store.keys, list[float]()

    def over_() -> bool:
        return not ask.zcard(keys.waiters(name)) and not ask.zcard(keys.undelivered)

    with Client.from_app(app) as client:
        begun = time.perf_counter()
        client.send(name, ttl=3600)
        while ask.zcard(keys.waiters(name)):
            beside.append(_bare(stage, app))
            time.sleep(PAUSE_S)
        until(over_, "all to be processed", within=300, every=0.01)
        return (time.perf_counter() - begun) * 1000, beside
