"""Observations: begin a look, and store what was seen. A look that began earlier never overwrites a later one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import msgspec

from supervision.store.keys import Keys
from supervision.store.outbox import Entry, entries
from supervision.store.scripts import Scripts
from supervision.supervisor import Supervisor

LOOKS_PER_SLICE = 500
"""Children per script; keeps each one under 10 ms of the store's time."""

SLOW_EXTRA_MS = 1_000
"""How much longer than its timeout a look that is under way keeps others from starting the same one."""


@dataclass(frozen=True, slots=True)
class Look:
    """The right to look now: what is seen is as of ``at`` and newer than every lower ``sequence``."""

    sequence: int
    at: int
    under_way: frozenset[str]


class Sight(msgspec.Struct, frozen=True, array_like=True):
    """One child's look: its ``document`` as JSON, or ``error`` when there is none."""

    child: str
    document: str = ""
    error: str = ""


class Observations:
    """The store's side of observing."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self._scripts = scripts
        self._keys = keys

    def look(self, supervisor: Supervisor, *, periodic: bool) -> Look | None:
        """Begin to look at all children; None when this interval's periodic look was already begun elsewhere."""
        keys = [self._keys.of(supervisor.path, what) for what in ("control", "slow")]
        answer = self._scripts.run(
            "look", keys, ["slot" if periodic else "now", supervisor.interval_ms, _slow_ms(supervisor)]
        )
        if answer[0] == b"duplicate":
            return None
        return Look(int(answer[2]), int(answer[1]), frozenset(child.decode() for child in answer[3:]))

    def seen(
        self, supervisor: Supervisor, look: Look, sights: Iterable[Sight], under_way: Sequence[str] = ()
    ) -> tuple[Entry, ...]:
        """Store what was seen; ``under_way`` are children whose look takes longer. Answers the wake-up to send."""
        written: list[Entry] = []
        rest = iter(sights)
        first = True
        while (some := list(islice(rest, LOOKS_PER_SLICE))) or first:
            written.extend(self._seen(supervisor, look, some, under_way if first else ()))
            first = False
        return tuple(written)

    def _seen(
        self, supervisor: Supervisor, look: Look, sights: Sequence[Sight], under_way: Sequence[str]
    ) -> tuple[Entry, ...]:
        of, keys = self._keys.of, self._keys
        own = (of(supervisor.path, what) for what in ("control", "observed", "seen", "errors", "slow"))
        answer = self._scripts.run(
            "observed",
            [*own, keys.outbox, keys.entries, keys.events, keys.counters],
            [
                supervisor.path,
                look.sequence,
                look.at,
                msgspec.msgpack.encode(sights),
                msgspec.msgpack.encode(under_way),
                _slow_ms(supervisor),
            ],
        )
        return entries(answer[1:])


def _slow_ms(supervisor: Supervisor) -> int:
    return supervisor.observe_timeout_ms + SLOW_EXTRA_MS
