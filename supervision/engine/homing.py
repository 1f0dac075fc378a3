"""Where what follows a wait goes: home, to the default queue of the app that made the wait.

A wait runs on our workers, so Celery continues the chain from there, and would send a task that we do not know to a
queue of ours, where nobody knows it either.
"""

from typing import Any

from celery import current_app, current_task

from supervision.engine.resuming import RESUMED


def route(name: str, *_arguments: Any, **_more: Any) -> dict[str, str] | None:
    """A router of Celery's: the queue for what a wait is followed by, None for everything else."""
    if not current_task or current_task.name not in RESUMED or name in current_app.tasks:
        return None
    claim = getattr(current_task.request, "claim", None)
    home = claim.stored.home if claim and claim.stored else ""
    return {"queue": home} if home else None
