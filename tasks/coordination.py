"""Waits: registered by their first run, gone on with by a later one; see `supervision.engine.waiting`."""

from typing import Any

from celery import shared_task

from supervision.engine import publish, resuming, waiting
from supervision.errors import WaitEnded
from tasks import wiring


class Waiting(waiting.Waiting):
    """Waits in the store of this process."""

    abstract = True
    waits = staticmethod(wiring.waits)


@shared_task(name=resuming.WAIT, bind=True, base=Waiting, acks_late=True, ignore_result=False, throws=(WaitEnded,))
def wait(self: Waiting, *carried: Any, **terms: Any) -> Any:
    """Wait as ``terms`` say, or go on with how that ended."""
    return waiting.run(self, carried, terms)


@shared_task(name=publish.RELEASE, acks_late=True, ignore_result=True)
def release(signal: str) -> int | None:
    """Release some of those who wait for ``signal``; answers how many."""
    return wiring.unless_store_is_away(lambda runtime: runtime.coordination.release(signal))


@shared_task(name=publish.REPLACE, acks_late=True, ignore_result=True)
def replace(coordinator: str) -> str | None:
    """Start whoever replaces a dead ``coordinator``; answers the id of the task, the same however often it is asked."""
    return wiring.unless_store_is_away(lambda runtime: waiting.replace(runtime.store.coordinators, coordinator))
