"""Collectors: look at the children, whatever their circuits say; acknowledged early, the next one comes by itself."""

from celery import shared_task

from supervision import looking_alone
from supervision.engine import publish, replacing
from supervision.runtime import Runtime
from tasks import wiring

ALONE = "tasks.alone"

replacing.install()


@shared_task(name=publish.COLLECT, acks_late=False, ignore_result=True)
def collect(supervisor: str) -> int | None:
    """Look at all children of ``supervisor``; a process that holds too many looks that hang is replaced after it."""
    return wiring.unless_store_is_away(lambda runtime: _collected(runtime, supervisor))


@shared_task(name=publish.LOOK_ALONE, acks_late=False, ignore_result=True)
def look_alone(child: str) -> int | None:
    """Have a fresh process look at ``child``; answers its pid."""
    return wiring.unless_store_is_away(lambda runtime: looking_alone.begin(ALONE, child, runtime.look_s(child)))


def _collected(runtime: Runtime, supervisor: str) -> int | None:
    looked_at = runtime.collect(supervisor)
    if worn := runtime.worn:
        replacing.after_this_task(worn)
    return looked_at
