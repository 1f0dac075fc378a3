"""A pool process that asks to be replaced once its present task has ended: for what nothing else can get rid of.

Billiard, the pool under Celery's prefork, replaces a process that has done `worker_max_tasks_per_child` tasks: between
two tasks, after all its results have been taken, with a status that is no error. That number is fixed when a process
starts. What is done here is the same at another moment: the process leaves where it would wait for its next task.

In pools without processes of their own (threads, solo) nobody can be replaced, and the wish is ignored.
"""

import functools
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from billiard.pool import EX_RECYCLE
from billiard.process import current_process
from celery.signals import worker_process_init

_log = logging.getLogger(__name__)
_wish: list[str] = []
"""Why this process wants to be replaced; empty when it does not."""


def after_this_task(why: str) -> None:
    """Have this pool process replaced when its present task has ended; ``why`` is for whoever reads the log."""
    if not _wish:
        _log.warning("pool process %d is replaced: %s", os.getpid(), why)
    _wish[:] = [why]


def install() -> None:
    """Give every pool process a way to leave; called before the pool starts. Idempotent."""
    worker_process_init.connect(_installed, dispatch_uid="supervision.replacing")


def _installed(**_signal: Any) -> None:
    """Runs in the new process, before its loop begins."""
    _wish.clear()
    worker: Any = getattr(current_process(), "_target", None)
    if waits := getattr(worker, "wait_for_job", None):
        worker.wait_for_job = _or_leaves(waits)


def _or_leaves(waits: Callable[[], Any]) -> Callable[[], Any]:
    @functools.wraps(waits)
    def wait() -> Any:
        if _wish:
            sys.exit(EX_RECYCLE)  # as billiard does between two tasks, once it has done enough of them
        return waits()

    return wait
