"""Waits: registered by their first run, gone on with by a later one; see `supervision.engine.waiting`.

Mailboxes: their handlers called, and heard; see `supervision.engine.mailing`.
"""

from typing import Any

from celery import Task, shared_task

from supervision.engine import mailing, publish, resuming, waiting
from supervision.errors import StoreUnavailable, WaitEnded
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


@shared_task(name=publish.MAIL, bind=True, acks_late=True, ignore_result=True)
def mail(self: "Task[[str], str | None]", mailbox: str) -> str | None:
    """Call the handler of ``mailbox`` with the next messages; answers the id of that task."""
    claimer = str(self.request.id)
    return wiring.unless_store_is_away(lambda runtime: mailing.hand_over(runtime.mail, mailbox, claimer))


# Retried by Celery where the broker is there and the store is not: what is not heard is handled twice.
@shared_task(
    name=mailing.HANDLED,
    bind=True,
    acks_late=True,
    ignore_result=True,
    autoretry_for=(StoreUnavailable,),
    retry_backoff=True,
    retry_backoff_max=30,
    max_retries=20,
)
def mail_handled(self: "Task[[str, str], str]", mailbox: str, token: str) -> str:
    """Say that the handler of ``mailbox`` has ended well, and call it with the next; answers the id of that task."""
    return mailing.handled(wiring.runtime().mail, mailbox, token, str(self.request.id))


@shared_task(name=mailing.FAILED, acks_late=True, ignore_result=True)
def mail_failed(*said: Any) -> bool | None:
    """Say that the handler of a mailbox has failed; ends with the mailbox and the token."""
    return wiring.unless_store_is_away(lambda runtime: mailing.failed(runtime.mail, said))
