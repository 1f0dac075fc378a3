"""A plant with a child whose look hangs for as long as a file is there, and two that are always seen.

Its ladder is quicker than the real one, so that a test can wait for all of it.
"""

import os
import sys
import time
from pathlib import Path

from probe_tasks import note

from supervision import Supervisor, freshness, healthy, monitor
from supervision.monitor import Health

FOLDER = os.environ["PLANT_FOLDER"]

freshness.PAUSES_MS = (1_000, 1_500, 2_000)


@monitor
def hangs() -> Health:
    """Note who looks, and hang for as long as it is wanted."""
    note(FOLDER, "looks", f"{Path(sys.argv[0]).stem} {os.getpid()} {os.getppid()}")
    while (Path(FOLDER) / "hang").exists():
        time.sleep(0.05)
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
