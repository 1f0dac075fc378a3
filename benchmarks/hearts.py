"""Hearts: what it takes to beat for many coordinators of one process, and how fast they are judged and told dead.

The share of a core is the processor time of this process while its heart beats for 1,000 coordinators every 5 s and
nothing else happens; the baseline is what one raw pipeline of as many `ZADD` takes for as long. Judged: one run of the
sweep for liveness over all of them, alive and then silent; its baseline is such a pipeline, too.
"""

import resource
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks import goals
from benchmarks.figures import Figure, Goal, expect, timed
from benchmarks.stage import Stage
from supervision.beating import Heart
from supervision.coordination.liveness import JUDGEMENTS, Patience
from supervision.store.coordinators import Beat, Coordinators

HEARTS, QUICK = 1_000, 100
HEARTBEAT_S = 5.0
BEATEN_S, QUICK_BEATEN_S = 20.0, 5.0
RAW = 20
SILENT = Patience(heartbeat=0.001, warning=0.002, critical=0.003, dead=0.004)
"""Who was silent for some milliseconds is dead, so that nothing has to be waited for."""


def measure(*, quick: bool) -> Iterator[Figure]:
    """The figures of this benchmark."""
    number = QUICK if quick else HEARTS
    with Stage() as stage:
        coordinators = stage.store.coordinators
        incarnations = {f"c/{i}": _register(coordinators, f"c/{i}") for i in range(number)}
        raw = timed(partial(_raw, stage, list(incarnations)), RAW)
        bare = Figure(f"heart, raw pipeline of {number:,} ZADD", "ms", raw)
        yield bare
        used = Figure(f"heart, share of a core with {number:,} raw ZADD", "%", [_raw_share(stage, incarnations)])
        yield used
        share = _share(coordinators, incarnations, QUICK_BEATEN_S if quick else BEATEN_S)
        yield Figure(
            f"heart, share of a core with {number:,} coordinators",
            "%",
            [share],
            used,
            Goal("max", 1, of=goals.HEARTBEAT),
        )
        alive = timed(lambda: coordinators.judge(Patience()), RAW)
        yield Figure(f"heart, judging {number:,} that beat", "ms", alive, bare)
        yield Figure(f"heart, telling {number:,} dead", "ms", [_bury(coordinators, number)], bare)


def _register(coordinators: Coordinators, name: str) -> int:
    return coordinators.register(name, kind="process", process="here:1", host="here").incarnation


def _raw(stage: Stage, names: list[str]) -> None:
    pipeline: Any = stage.ask().pipeline(transaction=False)
    for name in names:
        pipeline.zadd("raw", {name: 1_700_000_000_000})
    pipeline.execute()


def _raw_share(stage: Stage, incarnations: dict[str, int]) -> float:
    before = _cpu()
    for _ in range(RAW):
        _raw(stage, list(incarnations))
    return (_cpu() - before) / RAW / HEARTBEAT_S * 100


def _share(coordinators: Coordinators, incarnations: dict[str, int], seconds: float) -> float:
    heart = Heart(coordinators, HEARTBEAT_S)
    before = _cpu()
    for name, incarnation in incarnations.items():
        heart.begin(name, partial(Beat, name, incarnation), lambda _why: None)
    threading.Event().wait(seconds)
    share = (_cpu() - before) / seconds * 100
    heart.close()
    return share


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _bury(coordinators: Coordinators, number: int) -> float:
    """Milliseconds until all are declared dead, in as many judgements as it takes."""
    died: list[str] = []
    took = 0.0
    for _ in range(JUDGEMENTS):
        took += timed(lambda: died.extend(coordinators.judge(SILENT)), 1)[0]
        threading.Event().wait(2 * SILENT.heartbeat)
    expect(len(died), number, "coordinators that were declared dead")
    return took
