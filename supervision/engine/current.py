"""The Celery app and task that the calling code runs in."""

from typing import Any

from celery import Task, current_app, current_task
from celery.local import Proxy


def app() -> Any:
    """The current app."""
    found: Any = current_app  # a proxy, whose types do not tell the way to what is behind it
    return found._get_current_object()  # noqa: SLF001 # Celery's own way


def is_task(function: object) -> bool:
    """Whether this is a task already, also one that its app has not made yet."""
    return issubclass(type(function), (Task, Proxy))


def in_task() -> bool:
    """Whether a task is running here."""
    return bool(current_task)
