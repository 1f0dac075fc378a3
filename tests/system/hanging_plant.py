"""Two supervisors: while there is a file ``hang``, a state of one hangs and hears no alarm; the other has a process."""

import os
import signal
import sys
import time
from pathlib import Path

from supervision import Child, Phase, Snapshot, Stay, Supervisor, state
from supervision.kinds.process import Process
from supervision.model import Move

FOLDER = Path(os.environ["PLANT_FOLDER"])
COMMAND = [sys.executable, str(Path(__file__).with_name("lonely.py")), str(FOLDER)]


class Deaf(Child):
    """What it does stands for a call into C that never returns."""

    def observe(self) -> dict[str, bool]:
        return {"there": True}

    @state(Phase.RUNNING, initial=True)
    def up(self, _seen: Snapshot) -> Move:
        while (FOLDER / "hang").exists():
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGUSR1})
            time.sleep(0.2)
        return Stay("up")


bad = Supervisor("bad", [Deaf("deaf")])
plant = Supervisor("plant", [Process("lonely", COMMAND, start_timeout=5, stop_timeout=1)])
