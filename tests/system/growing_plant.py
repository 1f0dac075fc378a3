"""A plant of three levels for the tests of trees: a line below the plant, whose saws come and go with a document.

Every machine is a real process. Whether the cutter is blunt says a file, which no restart removes.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervision import Backoff, Seen, Supervisor, check, fail, ok
from supervision.kinds.process import Process, ProcessDesired, ProcessObserved

FOLDER = Path(os.environ["PLANT_FOLDER"])


@dataclass(frozen=True)
class CutterSeen:
    running: bool
    blunt: bool
    pid: int | None = None
    outdated: bool = False


def machine(kind: type[Process], name: str, **common: Any) -> Process:
    """A process that writes down when it starts and when it is asked to stop."""
    command = [sys.executable, str(Path(__file__).with_name("machine.py")), str(FOLDER / "machines"), name]
    return kind(name, command, start_timeout=5, stop_timeout=2, **common)


class Cutter(Process):
    """A process that may be blunt."""

    Observed = CutterSeen

    def observe(self) -> Any:
        """What any process is, and whether it is blunt."""
        seen = super().observe()
        return CutterSeen(seen.running, (FOLDER / "blunt").exists(), seen.pid)


@check("cutter", restart="cutter", runbook_url="https://plant.example/cutter", manual_steps=("sharpen it",))
def it_is_sharp(cutter: Seen) -> Any:
    return fail("the cutter is blunt") if cutter.observed.blunt else ok()


@dataclass(frozen=True)
class SawsWanted:
    saws: int | None = 1


def saws(wanted: SawsWanted) -> list[Process] | None:
    """As many saws as wanted; no opinion without a number."""
    return None if wanted.saws is None else [machine(Process, f"saw-{n}") for n in range(wanted.saws)]


line = Supervisor(
    "line",
    [machine(Process, "belt"), machine(Cutter, "cutter")],
    checks=[it_is_sharp],
    interval=0.5,
    restart=Backoff(base=0.1, cap=0.2),
    max_attempts=2,
    strategy="one_for_all",
)
hall = Supervisor(
    "hall",
    [line],
    dynamic=saws,
    Desired=SawsWanted,
    desired=SawsWanted(),
    interval=0.5,
    restart=Backoff(base=0.1, cap=0.2),
    max_attempts=1,
)
plant = Supervisor(
    "plant",
    [machine(Process, "power"), machine(Process, "spare", enabled=False), hall],
    interval=0.5,
    on_escalation="escalate",
)

__all__ = ["ProcessDesired", "ProcessObserved", "plant"]
