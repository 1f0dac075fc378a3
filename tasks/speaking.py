"""How the processes of this app log: Celery's own lines in our format, and each line knows the task it belongs to.

Not `setup_logging`: who connects that gets no logging from Celery at all, and we only want the format.
"""

import logging
from typing import Any

import structlog
from celery import Celery, signals
from celery.utils.log import ColorFormatter

from supervision import settings
from supervision.engine import publish
from supervision.telemetry import logs


def install(app: Celery) -> None:
    """Connect to the signals of Celery; the format is read when logging is set up. Idempotent."""

    def dressed(logger: logging.Logger, **_signal: Any) -> None:
        logs.dress(logger, settings.read(app.conf).log_format, only=ColorFormatter)

    logs.configure()
    for signal in (signals.after_setup_logger, signals.after_setup_task_logger):
        signal.connect(dressed, weak=False, dispatch_uid="supervision.speaking")
    signals.task_prerun.connect(_bound, dispatch_uid="supervision.speaking")
    signals.task_postrun.connect(_unbound, dispatch_uid="supervision.speaking")


def _bound(task_id: str, task: Any, args: Any = (), **_signal: Any) -> None:
    supervisor = _supervisor(task.name, args)
    named = {"supervisor": supervisor} if supervisor else {}
    structlog.contextvars.bind_contextvars(task_id=task_id, root_id=task.request.root_id, **named)


def _unbound(**_signal: Any) -> None:
    structlog.contextvars.unbind_contextvars("task_id", "root_id", "supervisor")


def _supervisor(task: str, args: Any) -> str:
    """Whose tick, look or action it is; empty for what belongs to none of them."""
    if not args or not isinstance(args[0], str):
        return ""
    if task == publish.ACT:  # an action's id is its child's path, with ~ for /, and one more part
        return "/".join(args[0].split("~")[:-2])
    if task == publish.LOOK_ALONE:  # a child's path
        return str(args[0]).rpartition("/")[0]
    return args[0] if task in {publish.TICK, publish.COLLECT} else ""
