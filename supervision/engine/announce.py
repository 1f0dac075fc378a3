"""Tell Celery and Flower what became of an action that the store, not Celery, retries.

Events are decoration: sent whether or not the worker sends events of its own, lost without harm when nobody listens.
"""

from collections.abc import Callable
from typing import Any

from celery import states

from supervision.errors import ActionFailed
from supervision.saying import log as _log
from supervision.store.actions import Record

_EVENTS = {
    "running": "task-started",
    "retrying": "task-retried",
    "succeeded": "task-succeeded",
    "failed": "task-failed",
}

_STATES = {"retrying": states.RETRY, "succeeded": states.SUCCESS, "failed": states.FAILURE}
"""Stored by us, because a message that asks for a result makes its sender listen for it (see `publish`)."""


def to(task: Any) -> Callable[[str, Record], None]:  # a bound Celery task
    """A listener for `Runtime.run_action` that speaks for ``task``."""

    def tell(outcome: str, record: Record) -> None:
        try:
            _tell(task, outcome, record)
        except Exception as error:  # noqa: BLE001 # decoration must never cost an action; the store knows how it ended
            _log.warning("not_announced", action=record.id, outcome=outcome, error=str(error))

    return tell


def _tell(task: Any, outcome: str, record: Record) -> None:
    run = f"run {record.attempt} of {record.retries + record.handed + 1}"
    if state := _STATES.get(outcome):
        # With these two Celery stores an exception, and fails to read back anything else.
        failed = state in states.EXCEPTION_STATES
        task.update_state(state=state, meta=ActionFailed(f"{run}: {record.error}") if failed else run)
    if event := _EVENTS.get(outcome):
        task.send_event(
            event,
            name=task.name,
            args=f"({record.supervisor}/{record.child}, {record.name})",
            retries=record.attempt - 1,
            result=run,
            exception=record.error,
        )
