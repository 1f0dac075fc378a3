"""Ticks: acknowledged early, because the next one comes by itself."""

from celery import shared_task

from supervision.engine import publish
from supervision.view import Mode
from tasks import wiring

SOFT_LIMIT_S = 8
"""Seconds. A tick over 10,000 children takes less than one, and user code that hangs in it is ended after one."""

HARD_LIMIT_S = 10
"""Seconds until its process is killed, for code that no alarm gets out of; shorter than
the lease (`HUNG_LEASE_MS`) that keeps others from hanging beside it."""


@shared_task(
    name=publish.TICK, acks_late=False, ignore_result=True, soft_time_limit=SOFT_LIMIT_S, time_limit=HARD_LIMIT_S
)
def tick(supervisor: str, mode: Mode = "slot") -> str | None:
    """One tick of ``supervisor``: periodic (``slot``) or because something changed (``dirty``)."""
    return wiring.unless_store_is_away(lambda runtime: runtime.tick(supervisor, mode))
