"""Tasks that let go of their slot to be gone on with later: they leave by `Ignore`, and nobody asks where in the code.

Celery describes every exception that leaves a task twice over, frame by frame, and sends one description to the
worker: for a wait that begins this took more time than all the rest, and had 36 KiB.

Rules:
- `Left` is an `Ignore` and means the same. Where `install` was not called it only costs more.
- The difference from Celery: its tracer asks here for the description, and gets a short one of `Left`. Those of all
  other exceptions are Celery's.
"""

import sys
from typing import Any

from billiard.einfo import ExceptionInfo
from celery.app import trace
from celery.exceptions import Ignore


class Left(Ignore):
    """The task has left its slot, and what it was for goes on without it."""


class _Short(ExceptionInfo):
    """All that a worker looks at before it acknowledges the message."""

    def __init__(self) -> None:
        self.type = Left  # type: ignore[misc] # read-only for celery-types, and set like this by billiard
        self.exception, self.tb, self.traceback, self.internal = Left(), None, "", True


def _described(exc_info: Any = None, internal: bool = False) -> ExceptionInfo:  # noqa: FBT001, FBT002 - as billiard has it
    if exc_info is None and sys.exc_info()[0] is Left:
        return _Short()
    return ExceptionInfo(exc_info, internal)


def install() -> None:
    """Let tasks of this process leave at little cost. Idempotent."""
    vars(trace)["ExceptionInfo"] = _described
