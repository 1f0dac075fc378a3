"""One whole tick (claim, load, decide, commit) over 100, 1,000 and 10,000 live children of one supervisor.

*Unchanged*: every child was seen again as before. *All changed*: every child was seen changed and goes to another
state, so every record is written, with its event in the history. The baseline of the first is the same bytes fetched
by one pipeline and decoded with msgspec; that of the second also encodes and writes the same records and events back,
by one pipeline again. *Writes beyond the gate* are the store's own counts of write commands (`INFO commandstats`) per
unchanged tick, less those of a claim with an empty commit. *Growth per child* is the median of 10,000 children divided
by ten times that of 1,000: 1 is linear, and the goal leaves room for noise. The *processor time* of the ticker is what
other programs on the machine disturb least; what it is short of the whole are the store and whoever else was served.
"""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec

from benchmarks.crowd import Crowd, Reading
from benchmarks.figures import Figure, Goal, expect, timed
from benchmarks.gate import gate
from benchmarks.stage import Stage
from supervision.decide import decide
from supervision.model import ChildRecord
from supervision.store.store import Store

SIZES = {100: 200, 1_000: 100, 10_000: 30}
"""How many ticks are measured over how many children."""

QUICK = {100: 5, 1_000: 3}

GOALS = {1_000: Goal("median", 25), 10_000: Goal("median", 300)}
LINEAR = Goal("median", 1.2)

WRITES = ("hset", "hdel", "hincrby", "xadd", "zadd", "zrem", "set", "del", "expire")


def measure(*, quick: bool) -> Iterator[Figure]:
    """The figures of this benchmark."""
    medians: dict[tuple[int, str], float] = {}
    for size, times in (QUICK if quick else SIZES).items():
        with Stage() as stage:
            for figure in _of(Crowd(stage.store, size), times):
                medians[size, figure.name.rpartition(", ")[2]] = figure.median
                yield figure
    for what in ("unchanged", "all changed"):
        (small, large) = sorted(size for size, name in medians if name == what)[-2:]
        grown = medians[large, what] / medians[small, what] * small / large
        yield Figure(f"tick, growth per child {small:,} to {large:,}, {what}", "x", [grown], goal=LINEAR)


def _of(crowd: Crowd, times: int) -> Iterator[Figure]:
    size = len(crowd.supervisor.children)
    name = f"tick, {size:,} children"
    goal = GOALS.get(size)
    fetched = Figure(f"{name}, fetch and decode", "ms", timed(partial(_fetch, crowd), times))
    written = Figure(f"{name}, fetch, decode, encode and write", "ms", timed(partial(_write, crowd), times))
    yield fetched
    yield written
    yield Figure(f"{name}, unchanged", "ms", timed(crowd.tick, times, before=crowd.look), fetched, goal)
    yield Figure(f"{name}, unchanged, writes beyond the gate", "writes", [_beyond_the_gate(crowd)], goal=Goal("max", 0))
    before = crowd.states()
    changing = partial(crowd.look, change=True)
    yield Figure(f"{name}, all changed", "ms", timed(crowd.tick, times | 1, before=changing), written, goal)
    expect(crowd.states() ^ before, {"off", "lit"}, "states before and after an odd number of changes")
    spent = timed(crowd.tick, times, before=changing, clock=time.process_time)
    yield Figure(f"{name}, all changed: processor time of the ticker", "ms", spent)
    for step, samples in phases(crowd, times).items():
        yield Figure(f"{name}, all changed: {step}", "ms", samples)


def phases(crowd: Crowd, times: int) -> dict[str, list[float]]:
    """The same tick in its steps; what is missing to the whole is publishing and logging."""
    took: dict[str, list[float]] = {}

    def step(name: str, work: partial[Any]) -> Any:
        answers: list[Any] = []
        took.setdefault(name, []).extend(timed(lambda: answers.append(work()), 1))
        return answers[0]

    for _ in range(times):
        crowd.look(change=True)
        claim = step("claim", partial(crowd.claim))
        view = step("load", partial(crowd.store.ticks.load, crowd.supervisor, claim))
        plan = step("decide", partial(decide, view, claim.now))
        expect(step("commit", partial(crowd.store.ticks.commit, view, plan, claim)).outcome, "done", "a commit")
    return took


def _fetch(crowd: Crowd) -> dict[bytes, ChildRecord]:
    pipeline: Any = crowd.store.client.pipeline(transaction=True)
    for what in ("records", "observed", "seen"):
        pipeline.hgetall(crowd.key(what))
    records, observed, seen = pipeline.execute()
    reading, record = msgspec.json.Decoder(Reading), msgspec.json.Decoder(ChildRecord)
    for document in observed.values():
        reading.decode(document)
    for mark in seen.values():
        mark.split(b":")
    return {child: record.decode(stored) for child, stored in records.items()}


def _write(crowd: Crowd) -> None:
    encoder = msgspec.json.Encoder()
    encoded: dict[Any, Any] = {child: encoder.encode(record) for child, record in _fetch(crowd).items()}
    pipeline: Any = crowd.store.client.pipeline(transaction=True)
    pipeline.hset("raw:records", mapping=encoded)
    for child in encoded:
        event = {"at": 0, "epoch": 0, "kind": "state", "subject": child, "reason": "it is on", "before": "off"}
        pipeline.xadd("raw:events", {**event, "after": "lit", "attempt": 0, "actor": "tick"})
    pipeline.execute()


def _beyond_the_gate(crowd: Crowd) -> float:
    crowd.look()
    begun = _writes(crowd.store)
    crowd.tick()
    ticked = _writes(crowd.store)
    gate(crowd)
    return ticked - begun - (_writes(crowd.store) - ticked)


def _writes(store: Store) -> int:
    client: Any = store.client
    counted = client.info("commandstats")
    return sum(counted.get(f"cmdstat_{command}", {}).get("calls", 0) for command in WRITES)
