"""The shortest useful supervisor: two things that are looked at, and nothing that is restarted.

    SUPERVISION_IMPORTS=examples.watched celery -A tasks worker -B -Q supervision.ticks,supervision.sweeps,\
supervision.collectors,supervision.actions
    supervision tree
"""

import os
import shutil

from supervision import Supervisor, degraded, healthy, monitor

FULL = 90
"""Percent; beyond it somebody should clean up."""

BUSY = 2
"""Processes that wait per processor."""


@monitor(interval=30)
def disk():
    """The disk of this machine has room."""
    found = shutil.disk_usage("/")
    share = round(100 * found.used / found.total)
    return healthy(f"{share} % used") if share < FULL else degraded(f"{share} % used")


@monitor(interval=10)
def load():
    """The processors keep up. Rounded, so that the reason changes when something has changed."""
    waiting = round(os.getloadavg()[0] / (os.cpu_count() or 1))
    return healthy("it keeps up") if waiting < BUSY else degraded(f"{waiting} processes wait per processor")


host = Supervisor("host", [disk, load])
