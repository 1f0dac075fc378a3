"""What the kill tests supervise: one process, whose every start fails once, so that each healing has a retry."""

import os
import sys
from pathlib import Path

from supervision import ActionFailed, Backoff, Run, Supervisor, action
from supervision.kinds.process import Process

FOLDER = Path(os.environ["PLANT_FOLDER"])
COMMAND = [sys.executable, str(Path(__file__).with_name("lonely.py")), str(FOLDER)]


class Stubborn(Process):
    """A process whose first start always fails."""

    @action(retries=3, backoff=Backoff(base=0.1, cap=0.5, jitter=0))
    def start(self, run: Run) -> None:
        """Fail once, then start."""
        if run.attempt == 1:
            raise ActionFailed("the first start of this process fails on purpose")
        super().start(run)


plant = Supervisor(
    "plant",
    [Stubborn("lonely", COMMAND, start_timeout=2, stop_timeout=1)],
    restart=Backoff(base=0.05, cap=0.1),
)
