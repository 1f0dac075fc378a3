"""SIGTERM in workers: running work is finished within a soft timeout or goes back to its queue at once.

By default a Celery worker waits at SIGTERM until every running task has ended, however long that takes, and whoever
runs it loses patience and sends SIGKILL. ``REMAP_SIGTERM=SIGQUIT`` changes that, but Celery's libraries read the
variable while they are imported, and ``celery -A app worker`` imports them before it imports the app: setting it in an
app's module is too late (three modules have copied the old value by then).

Rules:
- Set the variable where you start workers (our compose file, units and demo do); then nothing happens here.
- Where it is missing, a worker started by the ``celery`` command starts itself once more with it: same process id, same
  arguments, before it has touched anything. Nothing of Celery's is patched.
- A variable that is set, even to nothing, is somebody's decision and stays.
- A worker that some other program embeds is left alone; `advice` says what is missing.
- What runs in a pool process hears once that it is to end, and has `LAST_WORDS_S` to report it (`heard_once`). Celery
  says it two or three times within microseconds, and the second one would end it in the middle of its report.
- How long is one setting, ``supervision_shutdown_timeout``: our celeryconfig hands it to Celery, `seconds` compares.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from celery import Celery
from celery.signals import celeryd_init

from supervision import settings

VARIABLE = "REMAP_SIGTERM"
WANTED = "SIGQUIT"

LAST_WORDS_S = 5.0
"""Seconds from the order to end until a pool process is gone, whatever its task makes of the order: a report takes
milliseconds, and one more look at a child two seconds."""

_ORDERS = (signal.SIGTERM, signal.SIGQUIT)
_POOLS_OWN = "billiard.common"


def remap_sigterm_in_workers() -> None:
    """Workers of this process's app get ``REMAP_SIGTERM=SIGQUIT``, unless it was decided otherwise. Idempotent."""
    celeryd_init.connect(_start_again, weak=False, dispatch_uid="supervision.remap_sigterm")


def advice() -> str | None:
    """What to do where the variable is missing; None when it is as we want it."""
    if os.environ.get(VARIABLE) == WANTED:
        return None
    return (
        f"start workers with {VARIABLE}={WANTED}: at SIGTERM they then hand running work back instead of sitting on it"
    )


def seconds(app: Celery) -> tuple[object, float]:
    """What Celery gives running work at SIGTERM, and what our setting says that it gets; they should be the same."""
    return app.conf.worker_soft_shutdown_timeout, settings.value("shutdown_timeout", app.conf)


@contextmanager
def heard_once() -> Iterator[None]:
    """Inside, an order to end raises `SystemExit` once, and is obeyed on leaving; it does nothing outside of pools."""
    replaced = _pool_handlers() if threading.current_thread() is threading.main_thread() else {}
    told: list[int] = []

    def once(number: int, _frame: FrameType | None) -> None:
        told.append(number)
        if len(told) == 1:
            last = threading.Timer(LAST_WORDS_S, os._exit, (os.EX_SOFTWARE,))  # for tasks that swallow the order
            last.daemon = True
            last.start()
            sys.exit(number - 256)  # as the pool itself does

    for number in replaced:
        signal.signal(number, once)
    try:
        yield
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)
        if told:
            os.kill(os.getpid(), told[0])


def _pool_handlers() -> dict[signal.Signals, Any]:
    """What a pool process does when it is told to end; nothing in a process that is none, whose handlers stay."""
    found = {number: signal.getsignal(number) for number in _ORDERS}
    return {number: handler for number, handler in found.items() if getattr(handler, "__module__", "") == _POOLS_OWN}


def _start_again(**_signal: object) -> None:
    """The first signal of a worker: no connection, no child process, no file is open yet."""
    if VARIABLE in os.environ or not _is_celery_command(sys.argv[0]) or _changed_folder(sys.argv):
        return
    os.environ[VARIABLE] = WANTED
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - our own command line, no shell


def _is_celery_command(program: str) -> bool:
    """``celery`` or ``python -m celery``: a program whose whole purpose is this worker."""
    path = Path(program)
    return path.name == "celery" or (path.name == "__main__.py" and path.parent.name == "celery")


def _changed_folder(arguments: list[str]) -> bool:
    """With ``--workdir`` the same command line may mean another folder the second time."""
    return any(argument.startswith("--workdir") for argument in arguments)
