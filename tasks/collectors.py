"""Collectors: look at the children, whatever their circuits say; acknowledged early, the next one comes by itself."""

from celery import shared_task

from supervision.engine import publish
from tasks import wiring


@shared_task(name=publish.COLLECT, acks_late=False, ignore_result=True)
def collect(supervisor: str) -> int | None:
    """Look at all children of ``supervisor``."""
    return wiring.unless_store_is_away(lambda runtime: runtime.collect(supervisor))
