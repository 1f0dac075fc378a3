"""A plant with a child whose look, begun while a file is there, never comes back, and two that are always seen.

Its limits are quicker than the real ones, so that a test can wait for all of it: the ladder, and the end of processes
that hold a look which hangs.
"""

import os
import sys
import threading
from pathlib import Path

from probe_tasks import note

from supervision import Supervisor, freshness, healthy, looking, monitor
from supervision.monitor import Health

FOLDER = os.environ["PLANT_FOLDER"]

freshness.PAUSES_MS = (1_000, 1_500, 2_000)
looking.LONG_HUNG_S = 8.0


@monitor
def hangs() -> Health:
    """Note who looks, and never come back while that is wanted."""
    note(FOLDER, "looks", f"{Path(sys.argv[0]).stem} {os.getpid()}")
    if (Path(FOLDER) / "hang").exists():
        threading.Event().wait()
    return healthy()


@monitor
async def awaited() -> Health:
    """Always well."""
    return healthy()


@monitor
def called() -> Health:
    """Always well."""
    return healthy()


plant = Supervisor("plant", [hangs, awaited, called], interval=0.5, observe_timeout=0.5, stale_after=3, dead_after=4)
