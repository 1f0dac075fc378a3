"""A process, something well, and a child whose look kills whoever looks, while there is a file ``crash``."""

import os
import sys
from pathlib import Path

from supervision import Child, Phase, Snapshot, Stay, Supervisor, healthy, monitor, state
from supervision.kinds.process import Process
from supervision.model import Move
from supervision.monitor import Health

FOLDER = Path(os.environ["PLANT_FOLDER"])
COMMAND = [sys.executable, str(Path(__file__).with_name("lonely.py")), str(FOLDER)]


class Deadly(Child):
    """As a driver that crashes."""

    def observe(self) -> dict[str, bool]:
        if (FOLDER / "crash").exists():
            os._exit(139)
        return {"there": True}

    @state(Phase.RUNNING, initial=True)
    def up(self, _seen: Snapshot) -> Move:
        return Stay("up")


@monitor()
def well() -> Health:
    """Is always well."""
    return healthy()


plant = Supervisor("plant", [Deadly("deadly"), Process("lonely", COMMAND, start_timeout=5, stop_timeout=1), well])
