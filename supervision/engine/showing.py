"""What Celery and Flower are shown of a wait: that it waits, for as long as it does, and each of its ends.

Events are decoration: sent whether or not the worker sends events of its own, lost without harm when nobody listens.
"""

from typing import Any

from celery import states
from celery.backends.base import BaseKeyValueStoreBackend

from supervision.coordination.waits import MAX_TIMEOUT_S
from supervision.saying import log as _log

WAITING = "WAITING"
"""The Celery state of a task that waits, in `AsyncResult` and in Flower."""


def announce(task: Any, on: str, timeout: float) -> bool:
    """Show that the task waits; before the store knows it, see the head of `waiting`.

    Not where it has ended, as one that comes once more: then nothing is changed, and this is False.
    """
    if task.backend.get_state(task.request.id) in states.READY_STATES:
        return False
    task.update_state(state=WAITING, meta={"on": on, "timeout": timeout})
    _keep(task)
    tell(task, "task-waiting", f"for {on}")
    return True


def ended(task: Any, status: str, result: Any) -> None:
    """Show how the task ended: with a value, or with what it raised."""
    tell(task, "task-succeeded" if status == states.SUCCESS else "task-failed", str(result))


def revoked(task: Any, request: Any) -> None:
    """Show that the task was revoked.

    To who reads events, REVOKED comes before any state that Celery does not know: it is passed over after WAITING, and
    not after RETRY.
    """
    for event in ("task-retried", "task-revoked"):
        tell(task, event, "revoked", request)


def tell(task: Any, event: str, result: str, request: Any = None) -> None:
    """Tell Flower of ``request``, by default the one that ``task`` runs."""
    request = request or task.request
    said = {"name": task.name, "result": result, "exception": result, "runtime": 0.0}
    try:
        with task.app.events.default_dispatcher(hostname=request.hostname) as dispatcher:
            policy = task.app.conf.task_publish_retry_policy
            dispatcher.send(event, uuid=request.id, retry=True, retry_policy=policy, **said)
    except Exception as error:  # noqa: BLE001 # decoration must never cost a wait
        _log.warning("not_announced", task=request.id, announced=event, error=str(error))


def _keep(task: Any) -> None:
    """Keep the state as long as a wait may last that is extended: by whom it is has no way to the result backend."""
    backend: Any = task.backend
    expires = getattr(backend, "expires", None) if isinstance(backend, BaseKeyValueStoreBackend) else None
    if not expires:  # or the backend keeps no key of ours
        return
    try:
        backend.expire(backend.get_key_for_task(task.request.id), int(MAX_TIMEOUT_S + expires))
    except Exception as error:  # noqa: BLE001 # whatever it raises when it is away; the wait goes on without
        _log.warning("waiting_state_expires", task=task.request.id, after=expires, error=str(error))
