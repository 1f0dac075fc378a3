"""Handing a mailbox's messages to its handler: a Celery task of the user's, with links of ours that tell how it ended.

How it works:
- A batch is claimed by a script, and its call published with a task id of this hand-over. A message of ours that comes
  twice, because its process was killed in between, publishes the same call again.
- The handler's link says that the batch was handled, and goes on with the next one in the same run; its errback says
  that it failed, and the store pauses. A call of which neither is heard is made again when its time is over.
- What is heard of an older hand-over changes nothing.
- Where the handler's app has `Handling` as its class of tasks, as ours has, a call says when it begins. One that is out
  of date then does not run; one that the broker brings again, because it has killed its process, counts as a failure
  (Celery alone would run it again at once, for ever); time in a queue without workers costs no attempt; and whoever
  ran it goes on with the next batch in place of the link, which saves a way through the broker.
"""

from collections.abc import Callable
from typing import Any

from celery import Celery, Signature, Task, current_app, signals
from celery.exceptions import Ignore

from supervision.documents import told
from supervision.engine.resuming import QUEUE, SERIALIZER
from supervision.errors import StoreUnavailable
from supervision.mailing import Mailing
from supervision.saying import log as _log
from supervision.store.mailboxes import Batch

HANDLED = "supervision.mail_handled"
FAILED = "supervision.mail_failed"

_EXCEPTION = 1
_NEW_STYLE = 5
"""Arguments of ours when Celery calls an errback with request, exception and traceback before them."""


class Handling(Task):  # type: ignore[type-arg] # celery-types makes it generic, Celery does not
    """The class of an app's tasks, any of which may be a handler; ``mailing`` answers the use cases of this process."""

    abstract = True
    mailing: Callable[[], Mailing]

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Leave by `Ignore` where this run is the call of a handler and may not be."""
        super().before_start(task_id, args, kwargs)
        headers = self.request.headers or {}
        if "mail_token" not in headers:
            return
        mailbox, token = headers["mailbox"], headers["mail_token"]
        try:
            word = type(self).mailing().begun(mailbox, token, self.request.retries)
        except StoreUnavailable as error:  # then it may run twice, which is better than not at all
            _log.warning("handler_not_checked", mailbox=mailbox, error=str(error))
            return
        if word != "ours":
            _log.warning("handler_not_run", mailbox=mailbox, task_id=task_id, why=word)
            raise Ignore
        links = self.request.callbacks or ()
        self.request.callbacks = [link for link in links if link["task"] != HANDLED]
        vars(self.request)["mail_in_place"] = [link for link in links if link["task"] == HANDLED]

    def replace(self, sig: Any, **options: Any) -> Any:
        """As Celery's; it is then handled when what takes this one's place has ended, wherever that runs."""
        if link := getattr(self.request, "mail_in_place", None):
            self.request.callbacks = [*(self.request.callbacks or ()), *link]
        return super().replace(sig, **options)


def install(mailing: Callable[[], Mailing]) -> None:
    """Have this process go on with the next batch where a handler has ended well. Idempotent."""

    def succeeded(sender: Any, **_signal: Any) -> None:
        if getattr(sender.request, "mail_in_place", False):
            _ended_well(mailing, sender.request)

    signals.task_success.connect(succeeded, weak=False, dispatch_uid="supervision.mailing")


def _ended_well(mailing: Callable[[], Mailing], request: Any) -> None:
    mailbox, token = request.headers["mailbox"], request.headers["mail_token"]
    try:
        handled(mailing(), mailbox, token, str(request.id))
    except StoreUnavailable as error:
        _log.warning("handled_not_heard", mailbox=mailbox, error=str(error))
        _heard(current_app, HANDLED, mailbox, token).apply_async(add_to_parent=False)


def hand_over(mailing: Mailing, mailbox: str, claimer: str) -> str:
    """Call the handler with the next messages; answers the id of that task, empty if there is nothing to do."""
    return _go_on(mailing, mailing.mailboxes.hand_over(mailbox, claimer))


def handled(mailing: Mailing, mailbox: str, token: str, claimer: str) -> str:
    """Say that a batch was handled, and call the handler with the next; answers the id of that task."""
    _, following = mailing.mailboxes.handled(mailbox, token, claimer)
    return _go_on(mailing, following)


def failed(mailing: Mailing, said: tuple[Any, ...]) -> bool:
    """Say that a batch failed, as an errback is told it; answers whether this was news."""
    mailbox, token = said[-2:]
    why = told(said[_EXCEPTION]) if len(said) == _NEW_STYLE else "its handler failed; the worker's log says why"
    return mailing.failed(mailbox, token, why)


def _go_on(mailing: Mailing, batch: Batch | None) -> str:
    if batch is None:
        return ""
    try:
        return _call(current_app, batch)
    except Exception as error:  # noqa: BLE001 # a broker that is gone, a queue without rights: tried again, uncounted
        _log.warning("handler_not_called", mailbox=batch.mailbox, error=told(error))
        mailing.failed(batch.mailbox, batch.token, f"its handler could not be called: {told(error)}", counted=False)
        return ""


def _call(app: Celery, batch: Batch) -> str:
    handler = batch.handler or {}
    payloads = [message.payload for message in batch.messages]
    call = app.signature(handler["signature"]).clone(args=(payloads if batch.at_once > 1 else payloads[0],))
    call.link(_heard(app, HANDLED, batch.mailbox, batch.token))
    call.link_error(_heard(app, FAILED, batch.mailbox, batch.token))
    task_id = f"mail-{batch.mailbox}-{batch.token}"
    options: dict[str, Any] = {"task_id": task_id, "root_id": task_id, "ignore_result": True}
    if handler["home"] and "queue" not in call.options and call.task not in app.tasks:
        options["queue"] = handler["home"]
    headers = {**(call.options.get("headers") or {}), **_headers(batch)}
    call.apply_async(headers=headers, add_to_parent=False, **options)
    return task_id


def _heard(app: Celery, task: str, mailbox: str, token: str) -> "Signature[Any]":
    return app.signature(
        task,
        args=(mailbox, token),
        options={"queue": QUEUE, "ignore_result": True, "serializer": SERIALIZER},
        immutable=task == HANDLED,
    )


def _headers(batch: Batch) -> dict[str, Any]:
    return {
        "mailbox": batch.mailbox,
        "mail_token": batch.token,
        "message_ids": [message.id for message in batch.messages],
        "senders": [message.sender for message in batch.messages],
        "put_at": [message.at for message in batch.messages],
        "attempts": [message.attempt for message in batch.messages],
    }
