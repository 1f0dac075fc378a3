"""Many children that each want one action; each run leaves its begin and its end in ``$PLANT_FOLDER/runs``."""

import os
import time
from pathlib import Path

from supervision import Child, Do, Phase, Run, Snapshot, Stay, Supervisor, action, state

FOLDER = Path(os.environ["PLANT_FOLDER"])
CHILDREN = 150
WORKS_S = 0.02
"""Seconds that one action takes: together 1.5 s in two processes, much more than a tick."""


class Once(Child):
    """Wants one ``work``; it is done when its file is there."""

    def observe(self) -> dict[str, bool]:
        return {"done": (FOLDER / "done" / self.name).exists()}

    @state(Phase.STARTING, initial=True)
    def wanting(self, seen: Snapshot):
        return Stay("done") if seen.observed["done"] else Do("work", "not done")

    @action(timeout=20)
    def work(self, run: Run) -> int:
        self.note("begins")
        time.sleep(WORKS_S)
        (FOLDER / "done" / self.name).touch()
        self.note("ends")
        return run.attempt

    def note(self, what: str) -> None:
        """One line, in one write: the clock is the machine's, and the same for all processes."""
        descriptor = os.open(FOLDER / "runs", os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        os.write(descriptor, f"{time.monotonic_ns()} {what} {self.name}\n".encode())
        os.close(descriptor)


many = Supervisor("many", [Once(f"child-{i}") for i in range(CHILDREN)], stale_after=30)
