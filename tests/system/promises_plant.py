"""What the promise tests supervise: a press whose check fails when its belt is torn, a mine with a silent pump, and a
yard with a shed below it, whose boxes are restarted one after the other.

All that is real are files in ``$PLANT_FOLDER``: ``torn`` is what the check finds and a restart mends, unless there is
``hopeless``, under which it runs into its limit; ``<child>.hang`` and ``<child>.gone`` are how looks go wrong, and
``raises`` how the check does. ``shed.torn`` and ``shed.hopeless`` are
the same for the boxes, of which the second one mends;
``small`` is a later version of the code: without the check and the child that it reads.
"""

import os
import time
from pathlib import Path
from typing import Any

from supervision import (
    ActionFailed,
    Backoff,
    Child,
    Do,
    Go,
    Phase,
    Run,
    Seen,
    Snapshot,
    Stay,
    Supervisor,
    action,
    check,
    fail,
    ok,
    state,
)
from supervision.checks import Verdict
from supervision.model import Move

FOLDER = Path(os.environ["PLANT_FOLDER"])
WORKS_S = 0.3
"""Seconds that a restart takes: longer than an interval, so that ticks come by meanwhile."""


class Part(Child):
    """Is as its files say; leaves a line for every look and for every begin and end of an action."""

    def is_there(self, what: str) -> bool:
        return (FOLDER / what).exists()

    def observe(self) -> dict[str, bool]:
        note(f"{self.name}.looks", str(os.getpid()))
        while self.is_there(f"{self.name}.hang"):
            time.sleep(0.05)
        if self.is_there(f"{self.name}.gone"):
            raise ConnectionError("nobody answers")
        return {"torn": self.is_there("torn"), "broken": self.is_there(f"{self.name}.broken")}

    @state(Phase.RUNNING, initial=True)
    def running(self, seen: Snapshot) -> Move:
        return Go("broken", "it broke") if seen.observed["broken"] else Stay("it runs")

    @state(Phase.DEGRADED)
    def broken(self, seen: Snapshot) -> Move:
        return Do("repair", "it is broken") if seen.observed["broken"] else Go("running", "it runs")

    @action(timeout=5)
    def repair(self, run: Run) -> None:
        note("runs", f"{self.name} begin {run.id} {run.fence}")
        (FOLDER / f"{self.name}.broken").unlink(missing_ok=True)
        note("runs", f"{self.name} end {run.id} {run.fence}")

    @action(timeout=1, retries=0)
    def restart(self, run: Run) -> None:
        note("runs", f"{self.name} begin {run.id} {run.fence}")
        time.sleep(WORKS_S)
        while self.is_there("hopeless"):
            time.sleep(0.05)
        (FOLDER / "torn").unlink(missing_ok=True)
        note("runs", f"{self.name} end {run.id} {run.fence}")


def note(file: str, line: str) -> None:
    """One line, in one write, so that two writers never mix theirs."""
    descriptor = os.open(FOLDER / file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


@check("belt", "motor", restart="motor")
def it_holds(belt: Seen, _motor: Seen) -> Verdict:
    """The belt is whole; with ``raises`` nobody knows."""
    if (FOLDER / "raises").exists():
        raise ValueError("the check is wrong itself")
    return fail("the belt is torn") if belt.observed["torn"] else ok()


QUICK: dict[str, Any] = {
    "interval": 0.3,
    "observe_timeout": 0.5,
    "stale_after": 2,
    "restart": Backoff(base=0.2, cap=0.4, jitter=0),
}
SMALL = (FOLDER / "small").exists()

press = Supervisor(
    "press",
    [Part("motor")] if SMALL else [Part("belt"), Part("motor")],
    checks=[] if SMALL else [it_holds],
    max_attempts=3,
    **QUICK,
)
mine = Supervisor("mine", [Part("pump"), Part("wagon"), Part("lift")], **QUICK)


class Box(Part):
    """One of two that are restarted together."""

    def observe(self) -> dict[str, bool]:
        return {"torn": self.is_there("shed.torn"), "broken": False}

    @action(timeout=1, retries=0)
    def restart(self, run: Run) -> None:
        note("runs", f"{self.name} begin {run.id} {run.fence}")
        if self.is_there("shed.hopeless"):
            raise ActionFailed("there is no hope")
        if self.name == "box-2":
            (FOLDER / "shed.torn").unlink(missing_ok=True)
        note("runs", f"{self.name} end {run.id} {run.fence}")


@check("box-1", "box-2", restart="box-1")
def they_hold(_one: Seen, other: Seen) -> Verdict:
    """Both boxes are whole."""
    return fail("a box is torn") if other.observed["torn"] else ok()


shed = Supervisor(
    "shed", [Box("box-1"), Box("box-2")], checks=[they_hold], strategy="one_for_all", max_attempts=2, **QUICK
)
yard = Supervisor("yard", [shed], max_attempts=2, **QUICK)
