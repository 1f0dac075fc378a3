"""Ticks: acknowledged early, because the next one comes by itself."""

from celery import shared_task

from supervision.engine import publish
from supervision.view import Mode
from tasks import wiring


@shared_task(name=publish.TICK, acks_late=False, ignore_result=True)
def tick(supervisor: str, mode: Mode = "slot") -> str | None:
    """One tick of ``supervisor``: periodic (``slot``) or because something changed (``dirty``)."""
    return wiring.unless_store_is_away(lambda runtime: runtime.tick(supervisor, mode))
