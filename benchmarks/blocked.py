"""Blocked: what a wait costs that is open, in store, processor and time to register; and the script of a signal.

So many waits are registered one after the other, as a worker does it, each for a signal of its own. Their baseline is
the bare minimum in the same place: a hash of the same fields and an entry in one sorted set, in one round trip. Memory
is the store's own (`INFO memory`), before and after. The store's share of a core is its own count (`INFO cpu`) while
nobody does anything but to sweep for deadlines once a second, as beat has it done; its baseline is the empty store.
Sweeps: while all these are open, a thousand more have passed their deadline, and every sweep of coordination runs a
hundred times, beside a process that PINGs the store every millisecond, with other programs on the machine in it; the
longest script, which the server counts without them (`SLOWLOG`), is asked for afterwards. The baseline is the same in
an empty store. Slots: a worker with one slot starts a bare task while all are open; the baseline is the same in an
empty store.
Signals: each latches and releases one wait; baselines in turn with it are an empty script and a PING, and *inside the
store* is what the server counts for the script itself (`INFO commandstats`).
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

from benchmarks import goals, stale
from benchmarks.crowd import Unsent
from benchmarks.figures import Figure, Goal, expect, per_second, timed
from benchmarks.noted import Noted
from benchmarks.plants.bare import STAMPS, stamp
from benchmarks.probe import Probe
from benchmarks.stage import Stage, until
from supervision.coordination.waits import Node, Terms
from supervision.runtime import SWEEPS, Runtime
from supervision.store.store import Store
from supervision.store.waits import to_store

SIZES, QUICK_SIZES = (1_000, 100_000), (1_000,)
RAW = 10_000
SENDS, QUICK_SENDS = 5_000, 200
IDLE_S, QUICK_IDLE_S = 5, 1
LATE, QUICK_LATE = 1_000, 50
TASKS, QUICK_TASKS = 50, 5
OF_COORDINATION = ("deadlines", "undelivered", "gathers", "liveness", "mail", "cleared")
ROUNDS = 100
"""Of all sweeps, those that find nothing included."""

MAIL = '{"options":{}}'
PLANT, QUEUE = "benchmarks.plants.bare", "supervision.waits"


def measure(*, quick: bool) -> Iterator[Figure]:
    """The figures of this benchmark."""
    late, tasks = (QUICK_LATE, QUICK_TASKS) if quick else (LATE, TASKS)
    with Stage(PLANT) as stage:
        empty = (*_swept(stage, late, "an empty store"), _started(stage, tasks, "an empty store"))
    yield from empty
    for number in QUICK_SIZES if quick else SIZES:
        with Stage(PLANT) as stage:
            yield from _cost(stage, number, QUICK_IDLE_S if quick else IDLE_S)
            beside = (*_swept(stage, late, f"{number:,} open"), _started(stage, tasks, f"{number:,} open"))
            expect(stage.ask().zcard(stage.store.keys.open), number, "waits that are open")
            for figure, baseline in zip(beside, empty, strict=True):
                goal = None if "task" in figure.name else Goal("max", 10, of=goals.BLOCKED)
                yield replace(figure, baseline=baseline, goal=goal)
            if number == (QUICK_SIZES if quick else SIZES)[-1]:
                yield from _signals(stage, QUICK_SENDS if quick else SENDS)


def _cost(stage: Stage, number: int, seconds: int) -> Iterator[Figure]:
    store, of = stage.store, f"of {number:,}"
    empty = Figure("blocked, share of a core of an empty store", "%", [_idle(stage, seconds)])
    raw_number = min(number, RAW)
    raw_size, raw_rate = _grown(stage, raw_number, lambda: _enter_raw(stage, raw_number))
    bare = Figure(f"blocked, a hash and an entry, each of {raw_number:,}", "KiB", [raw_size])
    raw = Figure(
        f"blocked, a hash and an entry, written one after the other, each of {raw_number:,}", "1/s", [raw_rate]
    )
    size, rate = _grown(stage, number, lambda: _enter_all(store, number))
    yield from (bare, raw, empty)
    yield Figure(
        f"blocked, store per open wait {of}, its event included",
        "KiB",
        [size],
        bare,
        Goal("max", 1.5, of=goals.BLOCKED),
    )
    yield Figure(f"blocked, waits registered one after the other, all {of}", "1/s", [rate], raw)
    yield Figure(
        f"blocked, one deadline sweep that finds nothing, {number:,} open",
        "ms",
        timed(lambda: store.waits.expire(claim=False), 200),
    )
    yield Figure(f"blocked, share of a core of the store with {number:,} open", "%", [_idle(stage, seconds)], empty)


def _swept(stage: Stage, late: int, how: str) -> tuple[Figure, Figure]:
    """All sweeps, after so many deadlines have passed: each PING meanwhile, and the longest script."""
    runtime, heard = Runtime(stage.store, Unsent(), {}), stage.store.heard.by
    stage.store.heard.by = None  # a log line for each would be most of the time
    stale.late(stage.store, late)
    with Noted(stage) as noted, Probe(stage) as probe:
        for _ in range(ROUNDS):
            for name in OF_COORDINATION:
                SWEEPS[name](runtime)
    stage.store.heard.by = heard
    return (
        Figure(f"blocked, PING while all sweeps run, {how}", "ms", probe.took),
        Figure(f"blocked, longest script of all sweeps, {how}", "ms", [noted.longest_ms]),
    )


def _started(stage: Stage, tasks: int, how: str) -> Figure:
    """From before a bare task is sent until it has started, on a worker with one slot."""
    worker, app, ask, took = stage.worker("waits", slots=1).ready(), stage.app(), stage.ask(), []
    for _ in range(tasks):
        begun = stage.moment()
        app.send_task(stamp.name, queue=QUEUE, ignore_result=True)
        until(lambda: ask.llen(STAMPS), "a bare task", every=0.001)
        took.append(float(ask.lpop(STAMPS)) - begun)
    worker.end()
    return Figure(f"blocked, bare Celery task on one slot, {how}", "ms", took)


def _grown(stage: Stage, number: int, write: Callable[[], None]) -> tuple[float, float]:
    """How many KiB each of ``number`` things takes that ``write`` writes, and how many of them a second."""
    before = _memory(stage)
    rate = per_second(number, write)
    return (_memory(stage) - before) / number / 1024, rate


def _memory(stage: Stage) -> int:
    return int(stage.ask().info("memory")["used_memory"])


def _terms(i: int) -> Terms:
    return Terms(Node(signal=f"s/{i}"), timeout=3600, home="celery")


def _enter_all(store: Store, number: int) -> None:
    for i in range(number):
        store.waits.enter(f"w-{i:032}", _terms(i), mail=MAIL)


def _enter_raw(stage: Stage, number: int) -> None:
    """The same fields, and when it is over; nothing else that makes it a wait."""
    ask = stage.ask()
    for i in range(number):
        fields = {"state": "waiting", "what": str(to_store(_terms(i)).leaves), "since": 1_700_000_000_000, "mail": MAIL}
        pipeline = ask.pipeline(transaction=False)
        pipeline.hset(f"raw:w-{i:032}", mapping=fields)
        pipeline.zadd("raw", {f"w-{i:032}": 1_700_000_000_000})
        pipeline.execute()


def _idle(stage: Stage, seconds: int) -> float:
    """The share of a core that the store takes while one deadline sweep comes by every second."""
    before = _used(stage)
    for _ in range(seconds):
        stage.store.waits.expire(claim=False)
        threading.Event().wait(1)
    return (_used(stage) - before) / seconds * 100


def _used(stage: Stage) -> float:
    cpu = stage.ask().info("cpu")
    return float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])


def _signals(stage: Stage, number: int) -> Iterator[Figure]:
    ask, store = stage.ask(), stage.store
    nothing = ask.register_script("return 1")
    nothing()
    pings: list[float] = []
    scripts: list[float] = []
    sends: list[float] = []
    inside: list[float] = []
    for i in range(number):
        pings += timed(ask.ping, 1)
        scripts += timed(nothing, 1)
        before = _counted(stage)
        sends += timed(lambda i=i: _send(store, i), 1)  # type: ignore[misc] # mypy takes it for one with an argument
        inside.append(_counted(stage) - before)
    yield Figure("signal, one PING", "ms", pings)
    script = Figure("signal, an empty script", "ms", scripts)
    yield script
    sent = Figure(
        "signal, the script that latches and releases one", "ms", sends, script, Goal("p99", 1, of=goals.STORE)
    )
    yield sent
    yield Figure("signal, inside the store", "ms", inside, sent)


def _send(store: Store, i: int) -> None:
    store.signals.send(f"s/{i}", signal_id="one", payload="1", sender="", ttl_ms=3_600_000)


def _counted(stage: Stage) -> float:
    """Milliseconds that the store has spent in scripts."""
    return float(stage.ask().info("commandstats")["cmdstat_evalsha"]["usec"]) / 1000
