"""Eager tasks cannot wait: Celery runs them inside their caller, who could not send the signal meanwhile.

An inline wait would block that caller for up to a month, hold what waits are made not to hold, and need a store where
people set ``task_always_eager`` in order to need no server. So it is refused, where the signature is made and where it
is run, rather than passed over: the step after it would run without what it waits for.
"""

from typing import Any

from celery import Celery

from supervision.errors import InvalidWait


def refuse_eager(app: Celery, what: str) -> None:
    """Raise `InvalidWait` if tasks of ``app`` are run by their callers; ``what`` is to be run."""
    if app.conf.task_always_eager:
        raise refusal("task_always_eager=True", what)


def refuse_eager_run(task: Any) -> None:
    """Raise `InvalidWait` if this run of ``task`` is its caller's own."""
    if task.request.is_eager:
        raise refusal("apply(), or task_always_eager=True", f"{task.name} {task.request.id}")


def refusal(how: str, what: str) -> InvalidWait:
    """The error."""
    return InvalidWait(
        f"{how}: {what} would wait inside its caller, who could not send the signal meanwhile; set "
        "task_always_eager=False and let a worker run it (in tests celery.contrib.testing.worker.start_worker), or "
        "wait in a program with Client().coordinator(...).wait(...)"
    )
