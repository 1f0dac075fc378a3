"""A crowd: one supervisor with many live children in this process, and looks at them that come from no collector.

Its interval is a millisecond, so that every tick finds a new slot and nothing has to be waited for.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import msgspec

from benchmarks.figures import expect
from supervision.child import Child, state
from supervision.model import Go, Move, Phase, Snapshot, Stay
from supervision.runtime import Runtime
from supervision.store.observations import Sight
from supervision.store.outbox import Entry
from supervision.store.store import Store
from supervision.supervisor import Supervisor
from supervision.view import Claim


@dataclass(frozen=True)
class Reading:
    """What is seen of a gauge: about as much as a process or an endpoint shows."""

    on: bool
    pid: int = 4711
    started: float = 1_700_000_000.25
    note: str = "listening on 127.0.0.1:8080"


class Gauge(Child):
    """A child that is off or on, as it is seen."""

    Observed = Reading

    def observe(self) -> Reading:
        """Never asked: its readings are written by `Crowd.look`."""
        return Reading(on=False)

    @state(Phase.STOPPED, initial=True)
    def off(self, seen: Snapshot) -> Move:
        """Until it is seen on."""
        return Go("lit", "it is on") if seen.observed.on else Stay("it is off")

    @state(Phase.RUNNING)
    def lit(self, seen: Snapshot) -> Move:
        """Until it is seen off."""
        return Stay("it is on") if seen.observed.on else Go("off", "it is off")


class Unsent:
    """A publisher that keeps nothing: the messages of a crowd have no reader."""

    def publish(self, entries: Iterable[Entry]) -> list[Entry]:
        """Take all of them."""
        return list(entries)


class Crowd:
    """One supervisor of ``size`` children over ``store``, born and seen off."""

    def __init__(self, store: Store, size: int, name: str = "crowd") -> None:
        self.store = store
        self.supervisor = Supervisor(name, [Gauge(f"gauge-{i}") for i in range(size)], interval=0.001)
        self.runtime = Runtime(store, Unsent(), {self.supervisor.path: self.supervisor})
        self._on = False
        self.tick()
        self.look()
        self.tick()

    def look(self, *, change: bool = False) -> None:
        """Every child is seen as before, or every child is seen changed."""
        self._on ^= change
        look = self.store.observations.look(self.supervisor, periodic=False)
        if look is None:
            raise RuntimeError("a look that is not periodic was refused")
        self.store.outbox.published(self.store.observations.seen(self.supervisor, look, self._sights()))

    def tick(self) -> None:
        """One tick of the next slot."""
        while (outcome := self.runtime.tick(self.supervisor.path)) == "duplicate":
            pass
        expect(outcome, "done", "a tick")

    def claim(self) -> Claim:
        """The right to the next slot."""
        while not isinstance(claim := self.store.ticks.claim(self.supervisor, "slot"), Claim):
            expect(claim, "duplicate", "a claim")
        return claim

    def states(self) -> set[str]:
        """The states that its children are in, as stored."""
        stored = cast("dict[bytes, bytes]", self.store.client.hgetall(self.key("records")))
        return {msgspec.json.decode(record)["state"] for record in stored.values()}

    def key(self, what: str) -> str:
        """One key of its supervisor."""
        return self.store.keys.of(self.supervisor.path, what)

    def _sights(self) -> Iterator[Sight]:
        document = msgspec.json.encode(Reading(on=self._on)).decode()
        return (Sight(child, document) for child in self.supervisor.children)
