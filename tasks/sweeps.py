"""Sweeps: idempotent clean-ups; acknowledged early, the next one comes by itself."""

from celery import shared_task

from supervision.engine import publish
from supervision.runtime import SWEEPS
from tasks import wiring


@shared_task(name=publish.SWEEP, acks_late=False, ignore_result=True)
def sweep(what: str) -> int | None:
    """One of `SWEEPS`; answers how many things it handled."""
    return wiring.unless_store_is_away(SWEEPS[what])
