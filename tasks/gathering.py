"""Gathers: registered and gone on with as waits, their parts published and heard of; see `engine.gathering`."""

from typing import Any

from celery import current_app, shared_task

from supervision.coordination.gathers import Arrival
from supervision.engine import gathering, parts, publish, resuming, waiting
from supervision.errors import WaitEnded
from tasks import wiring


class Gathering(gathering.Gathering):
    """Gathers in the store of this process."""

    abstract = True
    waits = staticmethod(wiring.waits)
    gathers = staticmethod(wiring.gathers)
    fan_out = staticmethod(wiring.fan_out)


@shared_task(name=resuming.GATHER, bind=True, base=Gathering, acks_late=True, ignore_result=False, throws=(WaitEnded,))
def gather(self: Gathering, *_carried: Any, **terms: Any) -> Any:
    """Gather as ``terms`` say, or go on with how that ended."""
    return waiting.run(self, (), terms)


@shared_task(name=publish.PARTS, acks_late=True, ignore_result=True)
def publish_parts(gather_id: str) -> int | None:
    """Publish some parts of a gather; answers how many."""
    return wiring.fan_out(gather_id)


@shared_task(name=parts.PART, acks_late=True, ignore_result=True)
def part(value: Any, *, gather: str, part: int) -> None:
    """One part has ended with ``value``; a report that is lost is made up for by a sweep."""
    arrival = Arrival(part, came=True, value=parts.text(value))
    wiring.unless_store_is_away(lambda runtime: runtime.gathering.arrive(gather, [arrival]))


@shared_task(name=parts.PART_FAILED, acks_late=True, ignore_result=True)
def part_failed(task_id: str, *, gather: str, part: int) -> None:
    """One part has failed, with its task ``task_id``."""
    arrival = Arrival(part, came=False, value=parts.CeleryParts(current_app).reason(task_id))
    wiring.unless_store_is_away(lambda runtime: runtime.gathering.arrive(gather, [arrival]))
