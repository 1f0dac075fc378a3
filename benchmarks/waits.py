"""Waits: from a signal to the start of what follows, the release of many, what a blocked wait costs, hearts and sweeps.

Signal to the next task: a chain of a wait and a task that asks the store's clock, one at a time, on one worker; from
before the signal is sent (through an app that knows the task, and through a plain client) to the stamp. The baseline,
in turn with it, is a bare Celery task on the same worker. Release: so many waits on one signal, from before it is sent
until all are processed; the baseline is as many empty Celery tasks whose results are stored, on the same worker, from
the first one sent until the last has ended. Memory is the store's own, before and after so many waits are open. The
stall probe PINGs the store on a connection of its own all the while a sweep forgets everything that production code has
written.
"""

import resource
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Self

from celery import Celery, chain

from benchmarks.figures import Figure, Goal, expect, timed
from benchmarks.plants.bare import STAMPS, empty, stamp
from benchmarks.stage import Stage, until
from supervision.beating import Heart
from supervision.client import Client
from supervision.coordination.waits import Node, Terms
from supervision.engine.canvas import wait_for
from supervision.store.coordinators import Beat
from supervision.store.store import Store

TIMES, QUICK, WARM_UP = 150, 10, 20
MANY, FEW = 10_000, 100
OPEN, QUICK_OPEN = 100_000, 1_000
HEARTS, QUICK_HEARTS = 1_000, 100
HEARTBEAT_S, BEATEN_S = 5.0, 20.0
QUEUE = "supervision.waits"
MAIL = '{"options":{}}'


def measure(*, quick: bool) -> Iterator[Figure]:
    """The figures of this benchmark."""
    with Stage("benchmarks.plants.bare") as stage:
        stage.worker("waits", "sweeps", slots=2).ready()
        yield from _latency(stage, QUICK if quick else TIMES)
        yield from _releases(stage, quick=quick)
    with Stage() as stage:
        yield from _cost(stage, QUICK_OPEN if quick else OPEN)
        yield from _hearts(stage, QUICK_HEARTS if quick else HEARTS, 2 * HEARTBEAT_S if quick else BEATEN_S)
        yield from _forgetting(stage)


def _latency(stage: Stage, times: int) -> Iterator[Figure]:
    app = _knowing(stage)
    with Client.from_app(app) as near, Client(stage.server.url) as far:
        took = [
            (_bare(stage, app), _through(stage, app, near, f"near/{i}"), _through(stage, app, far, f"far/{i}"))
            for i in range(WARM_UP + times)
        ][WARM_UP:]
    bare, nearly, far_away = (list(each) for each in zip(*took, strict=True))
    sent = Figure("wait, bare Celery task from sent to started", "ms", bare)
    yield sent
    yield Figure("wait, signal from a process with the app to the next task started", "ms", nearly, sent)
    yield Figure("wait, signal from a plain client to the next task started", "ms", far_away, sent)


def _knowing(stage: Stage) -> Celery:
    """An app that can go on with waits itself, as a worker of ours or whoever imports `tasks` has."""
    from tasks import app  # noqa: PLC0415 # reads its addresses when it is imported

    app.loader.import_default_modules()
    app.conf.update(
        broker_url=stage.server.url, result_backend=stage.server.url, supervision_store_url=stage.server.url
    )
    return app


def _bare(stage: Stage, app: Celery) -> float:
    ask, before = stage.ask(), stage.now()
    app.send_task(stamp.name, queue=QUEUE, ignore_result=True)
    return float(until(lambda: ask.rpop(STAMPS), "a bare task", every=0.001)) - before


def _through(stage: Stage, app: Celery, client: Client, name: str) -> float:
    chain(wait_for(name, app=app), app.signature(stamp.name, immutable=True, queue=QUEUE), app=app)()
    until(lambda: client.waits(signal=name), "a wait", every=0.002)
    ask, before = stage.ask(), stage.now()
    client.send(name)
    return float(until(lambda: ask.rpop(STAMPS), "the task after a wait", every=0.001)) - before


def _releases(stage: Stage, *, quick: bool) -> Iterator[Figure]:
    app = _knowing(stage)
    for number in (FEW, FEW if quick else MANY):
        rounds = 1 if number == MANY else 3
        took = [
            (_empty_tasks(stage, app, number), _release(stage, app, number, uuid.uuid4().hex)) for _ in range(rounds)
        ]
        bare, released = (list(each) for each in zip(*took, strict=True))
        raw = Figure(f"release, {number} empty Celery tasks with results", "ms", bare)
        yield raw
        goal = Goal("max", 300) if number == FEW else None
        yield Figure(f"release of {number} waits by one signal, all processed", "ms", released, raw, goal)


def _empty_tasks(stage: Stage, app: Celery, number: int) -> float:
    ask, begun = stage.ask(), time.perf_counter()
    results = [app.send_task(empty.name, (i,), queue=QUEUE, ignore_result=False).id for i in range(number)]
    last = f"celery-task-meta-{results[-1]}"
    until(lambda: ask.exists(last) and not ask.llen(QUEUE), "the end of all tasks", within=300, every=0.005)
    return (time.perf_counter() - begun) * 1000


def _release(stage: Stage, app: Celery, number: int, name: str) -> float:
    for _ in range(number):
        wait_for(name, app=app, timeout=3600).apply_async()
    until(lambda: stage.ask().zcard(stage.store.keys.waiters(name)) == number, "the waits", within=60, every=0.05)
    with Client.from_app(app) as client:
        begun = time.perf_counter()
        client.send(name, ttl=3600)
        until(
            lambda: (
                stage.ask().zcard(stage.store.keys.waiters(name)) == 0
                and stage.ask().zcard(stage.store.keys.undelivered) == 0
            ),
            "all to be processed",
            within=300,
            every=0.01,
        )
        return (time.perf_counter() - begun) * 1000


def _cost(stage: Stage, number: int) -> Iterator[Figure]:
    """What so many open waits cost, registered as a worker registers them, each for a signal of its own."""
    before, store = _memory(stage), stage.store
    terms = [Terms(Node(signal=f"s/{i}"), timeout=3600, home="celery") for i in range(number)]
    took = timed(lambda: _enter_all(store, terms), 1)
    yield Figure(f"wait, time to register one of {number:,}", "ms", [took[0] / number])
    size = (_memory(stage) - before) / number / 1024
    yield Figure(f"wait, store per open wait of {number:,}, its event included", "KiB", [size], goal=Goal("max", 1.5))
    yield Figure(
        "wait, one deadline sweep that finds nothing", "ms", timed(lambda: store.waits.expire(claim=False), 200)
    )
    sends = timed(partial(_send_next, store, iter(range(number))), min(number, 2000))
    yield Figure("signal, the script that latches and releases one", "ms", sends, goal=Goal("p99", 1))


def _enter_all(store: Store, terms: list[Terms]) -> None:
    for i, each in enumerate(terms):
        store.waits.enter(f"w-{i:032}", each, mail=MAIL)


def _send_next(store: Store, numbers: Iterator[int]) -> None:
    i = next(numbers)
    store.signals.send(f"s/{i}", signal_id="one", payload="1", sender="", ttl_ms=3_600_000)


def _memory(stage: Stage) -> int:
    return int(stage.ask().info("memory")["used_memory"])


def _hearts(stage: Stage, number: int, seconds: float) -> Iterator[Figure]:
    """The share of one core that a heart with so many coordinators takes."""
    store = stage.store.coordinators
    incarnations = [
        store.register(f"c/{i}", kind="process", process="here:1", host="here").incarnation for i in range(number)
    ]
    heart = Heart(store, HEARTBEAT_S)
    for i, incarnation in enumerate(incarnations):
        heart.begin(f"c/{i}", partial(Beat, f"c/{i}", incarnation), lambda _why: None)
    before = _cpu()
    threading.Event().wait(seconds)
    share = (_cpu() - before) / seconds * 100
    heart.close()
    yield Figure(f"heart, share of a core with {number:,} coordinators", "%", [share], goal=Goal("max", 1))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _forgetting(stage: Stage) -> Iterator[Figure]:
    """Everything of `_cost` is ended and forgotten, in slices, while a probe PINGs the store."""
    store, ask = stage.store, stage.ask()
    open_waits = [each.decode() for each in ask.zrange(store.keys.open, 0, -1)]
    for wait_id in open_waits:
        store.waits.end(wait_id, how="cancelled", why="the benchmark is over", by="benchmark")
    for wait_id in (each.decode() for each in ask.zrange(store.keys.ended, 0, -1)):
        claim = store.waits.enter(wait_id, None, resumed=True)
        store.waits.processed([(wait_id, claim.start, "processed")])
    number = int(ask.zcard(store.keys.ended))
    with _Probe(stage) as probe:
        begun = time.perf_counter()
        while any(store.waits.clear(200, 0)):
            pass
        took = time.perf_counter() - begun
    expect(ask.zcard(store.keys.ended), 0, "ended waits that are left")
    yield Figure(f"sweep, forgetting {number:,} waits", "s", [took], goal=Goal("max", 30))
    yield Figure("sweep, PING of the store meanwhile", "ms", probe.took, goal=Goal("p99", 10))


class _Probe:
    """PINGs on a connection and in a thread of its own."""

    def __init__(self, stage: Stage) -> None:
        self.took: list[float] = []
        self._store = Store(stage.server.url)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        ping: Callable[[], object] = self._store.client.ping
        while not self._stop.wait(0.001):
            self.took += timed(ping, 1)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        self._thread.join()
        self._store.close()
