"""The shortest useful supervisor: two things that are looked at, and nothing that is restarted.

Run it with ``SUPERVISION_IMPORTS=examples.watched``, and see it with ``supervision tree``.
"""

import os
import shutil

from supervision import Supervisor, degraded, healthy, monitor
from supervision.monitor import Health

FULL = 90
"""Percent; beyond it somebody should clean up."""

BUSY = 2
"""Processes that wait per processor."""


@monitor(interval=30)
def disk() -> Health:
    """The disk of this machine has room."""
    found = shutil.disk_usage("/")
    share = round(100 * found.used / found.total)
    return healthy(f"{share} % used") if share < FULL else degraded(f"{share} % used")


@monitor(interval=10)
def load() -> Health:
    """The processors keep up. Rounded, so that the reason changes when something has changed."""
    waiting = round(os.getloadavg()[0] / (os.cpu_count() or 1))
    return healthy("it keeps up") if waiting < BUSY else degraded(f"{waiting} processes wait per processor")


host = Supervisor("host", [disk, load])
