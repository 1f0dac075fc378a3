"""A plugin of coverage.py: what a process has run is saved every second, for most of ours end by SIGKILL.

Tests end whole process groups at once, as a power cut would, and what coverage.py saves at exit would be lost.
"""

import os
import threading
import time

from coverage import Coverage

EVERY_S = 1.0

_saving = threading.Lock()


def coverage_init(*_: object) -> None:
    """Called by coverage.py itself when it starts in a process, after a fork again."""
    threading.Thread(target=_save, daemon=True, name="coverage").start()


def _save() -> None:
    while True:
        time.sleep(EVERY_S)
        with _saving:
            if measured := Coverage.current():
                measured.save()


# A fork waits until the file is written: the child would inherit locks of a thread that it does not have.
os.register_at_fork(before=_saving.acquire, after_in_parent=_saving.release, after_in_child=_saving.release)
