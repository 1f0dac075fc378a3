"""Observations: begin a look, and store what was seen. A look that began earlier never overwrites a later one.

A child with an interval of its own is looked at in the first of its supervisor's looks within each of its intervals,
counted by the store's clock, whoever makes them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import msgspec

from supervision.child import Child
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
    """The right to look now: what is seen is as of ``at`` and newer than every lower ``sequence``.

    ``not_now`` are the children that somebody else is looking at, and those whose own interval is not over yet.
    ``doubtful`` are those in the middle of whose look a collector died, which they may be the cause of; ``cautious``
    says that one died so soon that nobody knows of whom.
    """

    sequence: int
    at: int
    not_now: frozenset[str]
    doubtful: frozenset[str] = frozenset()
    cautious: bool = False


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

    def look(self, supervisor: Supervisor, children: Iterable[Child] = (), *, periodic: bool) -> Look | None:
        """Begin to look; None when this interval's periodic look was already begun elsewhere.

        ``children`` are those to look at, of which `Look.not_now` is said in a periodic look.
        """
        rare = {child.name: child.interval_ms for child in children if child.interval_ms > supervisor.interval_ms}
        return self._begun(supervisor, "slot" if periodic else "now", rare, "")

    def look_alone(self, supervisor: Supervisor, child: str) -> Look | None:
        """Begin to look at one child alone; None when somebody does already."""
        return self._begun(supervisor, "alone", {}, child)

    def _begun(self, supervisor: Supervisor, mode: str, intervals: Mapping[str, int], child: str) -> Look | None:
        answer = self._scripts.run(
            "look",
            [self._keys.of(supervisor.path, what) for what in ("control", "slow", "seen", "errors")],
            [mode, supervisor.interval_ms, _slow_ms(supervisor), msgspec.msgpack.encode(intervals), child],
        )
        if answer[0] == b"duplicate":
            return None
        not_now, doubtful = (frozenset(child.decode() for child in children) for children in answer[4:6])
        return Look(int(answer[2]), int(answer[1]), not_now, doubtful, cautious=bool(answer[3]))

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
        names = [*(sight.child for sight in sights), *under_way]
        answer = self._scripts.run(
            "observed",
            [*own, keys.outbox, keys.entries, keys.events, keys.counters, of(supervisor.path, "gone")],
            [
                supervisor.path,
                look.sequence,
                look.at,
                msgspec.msgpack.encode(sights),
                msgspec.msgpack.encode(under_way),
                _slow_ms(supervisor),
                msgspec.msgpack.encode([name for name in names if name in supervisor.children]),
            ],
        )
        return entries(answer[1:])


def _slow_ms(supervisor: Supervisor) -> int:
    return supervisor.observe_timeout_ms + SLOW_EXTRA_MS
