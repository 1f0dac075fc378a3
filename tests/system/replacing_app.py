"""A hardened app whose processes ask to be replaced after every third task, while tasks keep coming."""

import itertools
import os

from celery import shared_task
from hardened_app import app
from probe_tasks import note

from supervision.engine import replacing

replacing.install()
_tasks = itertools.count(1)


@shared_task(name="probe.wearing")
def wearing(folder: str, number: int) -> None:
    """Note who did it; ask for a successor now and then."""
    if next(_tasks) % 3 == 0:
        replacing.after_this_task("three tasks done")
    note(folder, "done", f"{number} {os.getpid()}")


__all__ = ["app"]
