"""A hundred weak children, which files put down and a restart of 50 ms puts up again, beside twenty quiet siblings."""

import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.stage import folder
from supervision import Backoff, Child, Do, Go, Phase, Run, Snapshot, Stay, Supervisor, action, state
from supervision.model import Move

WEAK = 100
STILL, DRIVEN = 10, 10
RESTART_S = 0.05


@dataclass(frozen=True)
class Found:
    """Whether it is up, and a number that says nothing."""

    up: bool
    number: int = 0


class Weak(Child):
    """Up, unless there is a file of its name."""

    Observed = Found

    @property
    def file(self) -> Path:
        """What puts it down."""
        return folder() / f"{self.name}.down"

    def observe(self) -> Found:
        """Look for the file."""
        return Found(up=not self.file.exists())

    @state(Phase.STOPPED, initial=True)
    def down(self, seen: Snapshot) -> Move:
        """Restart it until it is seen up."""
        return Go("up", "it is up") if seen.observed.up else Do("restart_child", "it is down")

    @state(Phase.RUNNING)
    def up(self, seen: Snapshot) -> Move:
        """Until it is seen down."""
        return Stay("it is up") if seen.observed.up else Go("down", "it went down")

    @action(timeout=10)
    def restart(self, _run: Run) -> None:
        """Take as long as a small process does."""
        time.sleep(RESTART_S)
        self.file.unlink(missing_ok=True)


class Quiet(Child):
    """Never down; in one of two states, by the number in its file."""

    Observed = Found

    @property
    def file(self) -> Path:
        """What says its number."""
        return folder() / f"{self.name}.number"

    def observe(self) -> Found:
        """Read the number."""
        return Found(up=True, number=int(self.file.read_text()) if self.file.exists() else 0)

    @state(Phase.RUNNING, initial=True)
    def even(self, seen: Snapshot) -> Move:
        """While the number is."""
        return Go("odd", "the number is odd") if seen.observed.number % 2 else Stay("the number is even")

    @state(Phase.RUNNING)
    def odd(self, seen: Snapshot) -> Move:
        """While the number is."""
        return Stay("the number is odd") if seen.observed.number % 2 else Go("even", "the number is even")


weak = [Weak(f"weak-{i}") for i in range(WEAK)]
still = [Quiet(f"still-{i}") for i in range(STILL)]
driven = [Quiet(f"driven-{i}") for i in range(DRIVEN)]
plant = Supervisor("storm", [*weak, *still, *driven], restart=Backoff(base=0.05, cap=0.1))
