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
- How long is one setting, ``supervision_shutdown_timeout``: our celeryconfig hands it to Celery, `seconds` compares.
"""

import os
import sys
from pathlib import Path

from celery import Celery
from celery.signals import celeryd_init

from supervision import settings

VARIABLE = "REMAP_SIGTERM"
WANTED = "SIGQUIT"


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
