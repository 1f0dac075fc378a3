"""Sweeps: what they take with 100,000 stale objects, and how long they hold the store up meanwhile.

The objects are written by the same code as in production: waits and the signals that released them, coordinators that
left, ids of handled messages. Then the sweep that forgets runs until nothing is left, as beat has it run. Beside it:
as many deadlines that have passed, ends of waits that nobody has gone on with, coordinators that fall silent, are
silent and all beat again, and the history of all this. A process of its own PINGs the store every millisecond
meanwhile: its longest PING is the longest stall, other programs on the machine included. The *longest script* is what
the server counts for itself (`SLOWLOG`), without them; it is asked for when the PINGs are over. The baseline: pipelines
of a hundred `DEL` and `ZREM` that remove as many hashes, with such a probe beside them. The store does
not rewrite its append-only file meanwhile; what that costs is measured once more, with *ends to send again*.
"""

import threading
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any, NamedTuple

from benchmarks import goals, stale
from benchmarks.figures import Figure, Goal, expect, timed
from benchmarks.noted import Noted, Rewriting
from benchmarks.probe import Probe
from benchmarks.stage import Stage
from supervision.continuing import NOWHERE
from supervision.coordinating import Coordination
from supervision.coordination.liveness import Patience
from supervision.mailing import Mailing

STALE, QUICK, QUICK_OTHERS = 100_000, 1_000, 200
SILENT = Patience(heartbeat=0.001, warning=0.002, critical=100, dead=110)
"""Everybody is late, and nobody is dead yet."""

SHORT = Goal("max", 10, of=goals.SWEEP)


class Took(NamedTuple):
    """Seconds a sweep took, milliseconds of its longest script, and of each PING beside it."""

    seconds: float
    longest: float
    pings: list[float]


def measure(*, quick: bool) -> Iterator[Figure]:
    """The figures of this benchmark."""
    number, others = (QUICK, QUICK_OTHERS) if quick else (STALE, STALE)
    with Stage() as stage:
        raw, pings = yield from _raw(stage, number)
        coordination = Coordination(stage.store, NOWHERE, list)
        stage.store.heard.by = None  # ten thousand log lines are for nobody here, and take no time of the store
        _write(stage, number)
        took = _until_nothing(stage, _forget(stage, coordination))
        yield from _figures(f"forgetting {number:,} stale objects", took, raw, Goal("max", 30, of=goals.SWEEP))
        yield Figure(f"sweep, PING while {number:,} stale objects are forgotten", "ms", took.pings, pings, SHORT)
        beside = yield from _others(stage, coordination, others)
        yield Figure("sweep, PING while the other sweeps run", "ms", beside, pings, SHORT)


def _raw(stage: Stage, number: int) -> Generator[Figure, None, tuple[Figure, Figure]]:
    stale.raw(stage, number)
    with Probe(stage) as probe:
        took = timed(lambda: stale.write_slices(stage, number, _remove), 1)
    raw = Figure(f"sweep, pipelines that remove {number:,} hashes", "s", [took[0] / 1000])
    pings = Figure(f"sweep, PING while pipelines remove {number:,} hashes", "ms", probe.took)
    yield from (raw, pings)
    return raw, pings


def _remove(pipeline: Any, name: str) -> None:
    pipeline.delete(name)
    pipeline.zrem("raw", name)


def _write(stage: Stage, number: int) -> None:
    """Three tenths each of waits and signals, two of coordinators and of messages; all of them a day old."""
    store, keys = stage.store, stage.store.keys
    waits, coordinators, messages = 3 * number // 10, number // 5, number // 5
    stale.signalled(store, waits)
    stale.left(store, coordinators)
    stale.handled(store, messages)
    boxes = -(-messages // stale.PER_MAILBOX)
    remembered = {
        keys.mail(f"box/{i}").replace(":mail:", ":handled:"): min(messages, stale.PER_MAILBOX) for i in range(boxes)
    }
    ended = {keys.ended: waits, keys.signals: waits, keys.coordinators: coordinators}
    stale.age(stage, {**ended, **remembered, keys.mailboxes: boxes})


def _forget(stage: Stage, coordination: Coordination) -> Callable[[], int]:
    mailing = Mailing(stage.store.mailboxes, list)
    return lambda: coordination.sweep_cleared() + mailing.sweep_cleared()


def _until_nothing(stage: Stage, sweep: Callable[[], int]) -> Took:
    """Run it until it finds nothing more, as beat would."""

    def all_of_it() -> None:
        while sweep():
            pass

    with Noted(stage) as noted, Probe(stage) as probe:
        seconds = timed(all_of_it, 1)[0] / 1000
    return Took(seconds, noted.longest_ms, probe.took)


def _others(stage: Stage, coordination: Coordination, number: int) -> Generator[Figure, None, list[float]]:
    """Every other sweep; returned are the PINGs beside them."""
    store, keys = stage.store, stage.store.keys
    pings: list[float] = []

    def swept(what: str, sweep: Callable[[], int]) -> Iterator[Figure]:
        took = _until_nothing(stage, sweep)
        pings.extend(took.pings)
        return _figures(what, took)

    stale.late(store, number)
    yield from swept(f"{number:,} deadlines", coordination.sweep_deadlines)
    expect(stage.ask().zcard(keys.open), 0, "waits that are still open")
    stale.age(stage, {keys.undelivered: number})
    yield from swept(f"{number:,} ends to send again", coordination.sweep_undelivered)
    yield from _while_rewriting(stage, number, coordination.sweep_undelivered)
    incarnations = stale.silent(store, number)

    def judge(patience: Patience = SILENT) -> int:
        return len(store.coordinators.judge(patience))

    for what in ("fell silent", "are silent"):
        yield from swept(f"judging {number:,} coordinators that {what}", judge)
    stale.beaten(store, incarnations)
    yield from swept(f"judging {number:,} coordinators that all beat again", partial(judge, Patience()))
    expect(stage.ask().scard(keys.late), 0, "coordinators that are still late")
    records = stage.ask().xlen(keys.events)
    yield from swept(f"trimming {records:,} records of the history", partial(store.history.trim, 0))
    return pings


def _while_rewriting(stage: Stage, number: int, sweep: Callable[[], int]) -> Iterator[Figure]:
    """Ends to send again, and what a PING takes when nothing else happens: both while the store rewrites its file."""
    with Rewriting(stage), Probe(stage) as probe:
        threading.Event().wait(1)
    alone = Figure("sweep, PING while the store rewrites its file", "ms", probe.took)
    stale.age(stage, {stage.store.keys.undelivered: number})
    with Rewriting(stage):
        took = _until_nothing(stage, sweep)
    what = f"{number:,} ends to send again while the store rewrites its file"
    yield alone
    yield Figure(f"sweep, PING beside {what}", "ms", took.pings, alone)
    yield Figure(f"sweep, {what}, longest script", "ms", [took.longest])


def _figures(what: str, took: Took, raw: Figure | None = None, goal: Goal | None = None) -> Iterator[Figure]:
    yield Figure(f"sweep, {what}", "s", [took.seconds], raw, goal)
    yield Figure(f"sweep, {what}, longest script", "ms", [took.longest], goal=SHORT)
