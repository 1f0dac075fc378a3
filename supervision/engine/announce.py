"""Tell Celery and Flower what became of an action that the store, not Celery, retries.

Events are decoration: sent whether or not the worker sends events of its own, lost without harm when nobody listens.
"""

from collections.abc import Callable
from typing import Any

import structlog
from celery import states

from supervision.store.actions import Record

_log = structlog.get_logger("supervision")

_EVENTS = {
    "running": "task-started",
    "retrying": "task-retried",
    "succeeded": "task-succeeded",
    "failed": "task-failed",
}


def to(task: Any) -> Callable[[str, Record], None]:  # a bound Celery task
    """A listener for `Runtime.run_action` that speaks for ``task``."""

    def tell(outcome: str, record: Record) -> None:
        if outcome == "retrying":
            task.update_state(state=states.RETRY, meta={"attempt": record.attempt, "of": record.retries + 1})
        if event := _EVENTS.get(outcome):
            _send(task, event, record)

    return tell


def _send(task: Any, event: str, record: Record) -> None:  # as above
    try:
        task.send_event(
            event,
            name=task.name,
            args=f"({record.supervisor}/{record.child}, {record.name})",
            retries=record.attempt - 1,
            result=f"attempt {record.attempt} of {record.retries + 1}",
            exception=record.error,
        )
    except OSError as error:  # the broker is away; the store knows how the action ended
        _log.warning("event_not_sent", event_type=event, error=str(error))
