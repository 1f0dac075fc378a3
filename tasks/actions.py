"""Actions: acknowledged late. The store decides whether a message is still good; Celery is told what became of it."""

from celery import Task, shared_task
from celery.exceptions import Ignore

from supervision.engine import announce, publish, shutdown
from supervision.errors import ActionFailed
from tasks import wiring


@shared_task(name=publish.ACT, bind=True, acks_late=True, ignore_result=True, throws=(ActionFailed,))
def act(self: "Task[[str], str]", action_id: str) -> str:
    """One run of the action; its retry waits in the store, and comes as the same task again."""
    with shutdown.heard_once():
        outcome = wiring.runtime().run_action(action_id, tell=announce.to(self))
    if outcome == "retrying":
        raise Ignore
    if outcome == "failed":
        raise ActionFailed(f"{action_id} failed for good; the reason is in: supervision events")
    return outcome
