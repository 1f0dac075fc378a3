"""One gauge whose tick stops in the middle, holding its lease, while a file says so, and tells which process it is."""

import os
import time

from benchmarks.crowd import Reading
from benchmarks.stage import folder
from supervision import Child, Phase, Snapshot, Stay, Supervisor, state
from supervision.model import Move

HOLD = "hold"
HELD = "held"


class Held(Child):
    """A child whose rule hangs while the file `HOLD` is there, as a tick that is about to be killed."""

    Observed = Reading

    def observe(self) -> Reading:
        """Always the same."""
        return Reading(on=True)

    @state(Phase.RUNNING, initial=True)
    def lit(self, _seen: Snapshot) -> Move:
        """Stay, after the file is gone."""
        while (folder() / HOLD).exists():
            written = folder() / f"{HELD}.{os.getpid()}"
            written.write_text(str(os.getpgid(0)))
            written.rename(folder() / HELD)
            time.sleep(0.001)
        return Stay("it is on")


plant = Supervisor("failover", [Held("gauge")])
