"""Counts and gauges, as a scrape needs them: three round trips, on a connection with short limits of its own.

What is counted stands in one hash, written by the scripts; what can be read off the documents is not counted twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from supervision.aggregate import phase, unobservable
from supervision.circuit import Circuit
from supervision.coordination.liveness import STATES
from supervision.model import ChildRecord
from supervision.orders import Silence
from supervision.store.connection import connect, translated
from supervision.store.keys import Keys
from supervision.store.registry import DeclaredSupervisor, declaration
from supervision.store.scripts import Scripts

_T = TypeVar("_T")

SCRAPE_TIMEOUT_S: Final = 1.0
"""Seconds for one answer: Prometheus gives up after ten, and Flower's own page waits for ours."""

QUEUES: Final = (
    *("supervision.ticks", "supervision.sweeps", "supervision.collectors"),
    *("supervision.actions", "supervision.waits"),
)
"""The queues of ours, each a list of that name in a broker that is a Redis or Valkey."""

PRIORITIES: Final = ("", "\x06\x163", "\x06\x166", "\x06\x169")
"""What kombu appends to a queue's name for messages with a priority, in its default steps."""

_OF_WAITS: Final = 10
"""What is asked about waits and coordinators."""

_ANSWERS: Final = 4
"""What is asked per supervisor."""

PER_CHILD: Final = "|per_child"
"""The field beside the counts that the scripts ask for; no metric's name is empty."""


@dataclass(frozen=True, slots=True)
class SupervisorMeters:
    """One supervisor: ``phases`` by child, ``unobservable`` counts those that nobody can see.

    ``circuit`` is None when it cannot be read. ``last_tick_at`` and ``silenced_until`` in store milliseconds; None
    before the first, 0 for no silence.
    """

    declared: DeclaredSupervisor
    circuit: Circuit | None
    last_tick_at: int | None
    phases: Mapping[str, str]
    in_flight: int
    unobservable: int = 0
    silenced_until: int = 0


@dataclass(frozen=True, slots=True)
class WaitMeters:
    """Waits and coordinators, as numbers; ``oldest`` is since when (store ms) the oldest open wait waits, 0: none.

    ``coordinators`` are counted by `STATES`.
    """

    open: int
    oldest: int
    undelivered: int
    dead_letters: int
    coordinators: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything at the moment ``at`` (store milliseconds); ``counts`` by field, ``queues`` None when elsewhere."""

    at: int
    counts: Mapping[str, int]
    outbox: int
    waits: WaitMeters
    supervisors: tuple[SupervisorMeters, ...]
    queues: Mapping[str, int] | None


class Meters:
    """Reads what is measured; ``with_queues`` when the store is the broker too. Thread-safe."""

    def __init__(self, url: str, keys: Keys, *, with_queues: bool, timeout: float = SCRAPE_TIMEOUT_S) -> None:
        self._client = connect(url, timeout=timeout)
        self._keys = keys
        self._queues = QUEUES if with_queues else ()

    def read(self) -> Measured:
        """All of it; raises `StoreUnavailable`."""
        at = self.now()
        with translated("meters"):
            declared: Any = self._client.hgetall(self._keys.supervisors)
            known = [declaration(name, declared[name]) for name in sorted(declared)]
            names = [each.name for each in known]
            counts, outbox, *rest = self._asked(names)
        waits, rest = _waits(rest[:_OF_WAITS]), rest[_OF_WAITS:]
        supervisors = tuple(_meters(each, rest[_ANSWERS * i : _ANSWERS * (i + 1)], at) for i, each in enumerate(known))
        return Measured(
            at=at,
            counts={field.decode(): int(value) for field, value in counts.items() if not field.startswith(b"|")},
            outbox=outbox,
            waits=waits,
            supervisors=supervisors,
            queues=_depths(self._queues, rest[_ANSWERS * len(names) :]) if self._queues else None,
        )

    def now(self) -> int:
        """The store's clock in milliseconds; raises `StoreUnavailable`."""
        with translated("time"):
            seconds, micros = self._client.time()
        return int(seconds * 1000 + micros // 1000)

    def close(self) -> None:
        """Close the connections; using it again opens new ones."""
        self._client.close()

    def _asked(self, names: Sequence[str]) -> list[Any]:
        pipeline = self._client.pipeline(transaction=True)
        pipeline.hgetall(self._keys.counters)
        pipeline.zcard(self._keys.outbox)
        for registry in (self._keys.open, self._keys.undelivered, self._keys.dead_letters):
            pipeline.zcard(registry)
        pipeline.zcard(self._keys.beats)
        for state in (self._keys.late, *map(self._keys.state, STATES[2:])):
            pipeline.scard(state)
        pipeline.zrange(self._keys.open, 0, 0, withscores=True)
        for name in names:
            pipeline.hmget(self._keys.of(name, "control"), "epoch", "slot", "circuit")
            pipeline.hgetall(self._keys.of(name, "records"))
            pipeline.hlen(self._keys.of(name, "flight"))
            pipeline.hget(self._keys.of(name, "orders"), "silence")
        for queue in self._queues:
            for priority in PRIORITIES:
                pipeline.llen(queue + priority)
        counts, outbox, *rest = pipeline.execute(raise_on_error=False)
        for each in (counts, outbox, *rest[:_OF_WAITS]):
            if isinstance(each, Exception):
                raise each
        return [counts, outbox, *rest]


def count_per_child(scripts: Scripts, keys: Keys, *, wanted: bool) -> None:
    """Have the scripts add each child's path to its counts from now on, or no longer; one switch for all processes."""
    with translated("meters"):
        if wanted:
            scripts.client.hset(keys.counters, PER_CHILD, "1")
        else:
            scripts.client.hdel(keys.counters, PER_CHILD)


def _waits(found: Sequence[Any]) -> WaitMeters:
    waiting, undelivered, dead_letters, living, late, critical, *ended, oldest = found
    return WaitMeters(
        open=waiting,
        oldest=int(oldest[0][1]) if oldest else 0,
        undelivered=undelivered,
        dead_letters=dead_letters,
        coordinators=dict(zip(STATES, (living - late, late - critical, critical, *ended), strict=True)),
    )


def _meters(declared: DeclaredSupervisor, found: Sequence[Any], at: int) -> SupervisorMeters:
    # A key of some other type is as if it were not there: what is wrong with one hides no other one.
    read = (absent if isinstance(each, Exception) else each for each, absent in zip(found, _ABSENT, strict=True))
    (epoch, slot, circuit), stored, in_flight, silence = read
    records = {
        name.decode(errors="backslashreplace"): record
        for name, text in stored.items()
        if (record := _decoded(text, ChildRecord))
    }
    silenced = _decoded(silence, Silence)
    until = silenced.until if silenced else 0
    return SupervisorMeters(
        declared=declared,
        circuit=_decoded(circuit, Circuit) if circuit else Circuit(),
        last_tick_at=_last_tick(_number(epoch), _number(slot) * declared.interval_ms, at),
        phases={name: phase(record, at).value for name, record in records.items()},
        in_flight=in_flight,
        unobservable=sum(unobservable(record) for record in records.values()),
        silenced_until=until if until > at else 0,
    )


_ABSENT: Final[tuple[Any, ...]] = ((None, None, None), {}, 0, None)
"""What is answered where there is nothing, in the order of `_asked`."""


def _number(stored: bytes | None) -> int:
    return int(stored) if stored and stored.isdigit() else 0


def _decoded(text: bytes | None, kind: type[_T]) -> _T | None:
    """What is stored, None if another version of the code wrote it: it counts for nothing, and hides nothing else."""
    try:
        return msgspec.json.decode(text, type=kind) if text else None
    except msgspec.MsgspecError:
        return None


def _last_tick(epoch: int, slot_at: int, at: int) -> int | None:
    """An epoch is the moment of its claim, unless the clock was set back: then a slot knows."""
    if not epoch:
        return None
    return epoch if epoch <= at else min(slot_at, at)


def _depths(queues: Sequence[str], lengths: Sequence[int]) -> dict[str, int]:
    step = len(PRIORITIES)
    return {queue: sum(lengths[step * i : step * (i + 1)]) for i, queue in enumerate(queues)}
