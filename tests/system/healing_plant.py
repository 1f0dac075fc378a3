"""What the kill tests supervise: one process, whose every start fails once, so that each healing has a retry.

Guests come and go as the plant's document says; they are nothing but a look at themselves.
"""

import os
import sys
from pathlib import Path
from typing import Any

from supervision import ActionFailed, Backoff, Child, Run, Supervisor, action, healthy, monitor
from supervision.kinds.process import Process
from supervision.monitor import Health

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


def _is_well() -> Health:
    return healthy()


def guests(wanted: dict[str, Any]) -> list[Child] | None:
    """Those who are named; no opinion when nobody says so."""
    return [monitor(name=name)(_is_well) for name in wanted["guests"]] if "guests" in wanted else None


plant = Supervisor(
    "plant",
    [Stubborn("lonely", COMMAND, start_timeout=2, stop_timeout=1)],
    restart=Backoff(base=0.05, cap=0.1),
    dynamic=guests,
)
