"""A plant for the command line's tests: lamps whose reality is a dictionary, driven by the real runtime.

The publisher keeps what it should send; a test runs it when it wants to.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from supervision import Child, Do, Go, Phase, Run, Snapshot, Stay, Supervisor, action, check, fail, ok, state
from supervision.checks import Seen, Verdict
from supervision.model import Move
from supervision.runtime import Runtime
from supervision.store.outbox import Entry

SECRET = "hunter2-swordfish"  # noqa: S105 # what must be printed nowhere


class Lamp(Child):
    """On or off."""

    real: ClassVar[dict[str, bool]] = {}

    def observe(self) -> dict[str, Any]:
        if self.name not in self.real:
            raise OSError(f"redis://:{SECRET}@lamps:6379 says\x1b[31m: no {self.name}\nin two lines")
        return {"on": self.real[self.name], "said by": f"redis://:{SECRET}@lamps:6379/0"}

    @state(Phase.STOPPED, initial=True)
    def off(self, seen: Snapshot) -> Move:
        return Go("lit", "it is on") if seen.observed["on"] else Do("switch_on", "it is off")

    @state(Phase.RUNNING)
    def lit(self, seen: Snapshot) -> Move:
        return Stay("it is on") if seen.observed["on"] else Go("off", "it went out")

    @action(timeout=5, retries=0)
    def switch_on(self, _run: Run) -> None:
        self.real[self.name] = True

    @action(timeout=5, retries=0)
    def restart(self, _run: Run) -> dict[str, int]:
        if self.name == "red":
            raise RuntimeError("it stays dark")
        self.real[self.name] = True
        return {"watts": 40}


@dataclass(frozen=True)
class Shape:
    shape: str = "full"


class Moon(Child):
    """Nothing can be done about it."""

    Desired = Shape

    def observe(self) -> dict[str, Any]:
        return {"shape": "full"}

    @state(Phase.RUNNING, initial=True)
    def up(self, _seen: Snapshot) -> Move:
        return Stay("it is there")


@check("red", "green", restart="red", trip_after=1)
def lamps_agree(red: Seen, green: Seen) -> Verdict:
    return ok() if red.observed["on"] == green.observed["on"] else fail("red and green differ")


class Kept:
    """A broker that takes everything and delivers nothing by itself."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def publish(self, entries: Iterable[Entry]) -> list[Entry]:
        some = list(entries)
        self.entries += some
        return some


def plant() -> Supervisor:
    """A new declaration: a child belongs to one supervisor only."""
    children = [Lamp("red", desired={"brightness": 7}), Lamp("green"), Lamp("dead"), Moon("moon")]
    return Supervisor("plant/line-1", children, checks=[lamps_agree], interval=0.01, stale_after=600)


def brought_up(runtime: Runtime) -> None:
    """Look and tick until every lamp that is there is lit."""
    Lamp.real.clear()
    Lamp.real.update(red=True, green=True)
    runtime.declare()
    name = next(iter(runtime.supervisors))
    for _ in range(3):
        while runtime.collect(name) is None:
            pass
        while runtime.tick(name) != "done":
            pass
