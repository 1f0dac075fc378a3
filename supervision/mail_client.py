"""Mailboxes through the client: messages to a coordinator, which are handled also while it waits.

    build = client.mailbox("build-42")
    build.put({"retry": "unit tests"}, id="retry-7")             # anybody
    build.handle(retry_step.s())                                 # a task gets them, one at a time
    with build.taking(10) as messages:                           # or a process takes them
        ...

What a mailbox promises stands in `supervision.coordination.mailboxes`.
"""

import os
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from supervision.coordination.mailboxes import (
    HANDLER_TIMEOUT_S,
    LEASE_S,
    MOST_AT_ONCE,
    DeadLetter,
    MailboxView,
    Message,
    valid_lease,
    valid_number,
)
from supervision.coordination.waits import MAX_TIMEOUT_S
from supervision.documents import told
from supervision.errors import InvalidWait, StoreUnavailable
from supervision.mailing import Mailing, valid_mailbox
from supervision.model import shown
from supervision.order_terms import line
from supervision.saying import log as _log
from supervision.store.outbox import Entry, Outbox

TAKE_POLL_S: Final = 0.1
"""Seconds between two looks into an empty mailbox by somebody who waits for a message."""


class Mailbox:
    """One mailbox; made by `Client.mailbox`, which asks the store nothing."""

    def __init__(self, name: str, mailing: Mailing) -> None:
        self.name: Final = valid_mailbox(name)
        self._mailing = mailing
        self._store = mailing.mailboxes

    def put(self, message: Any, *, id: str | None = None, sender: str = "") -> str:  # noqa: A002 # as `Client.send`
        """Put a message at the end; answers its id. The same ``id`` again is the same message, and changes nothing.

        Args:
            message: what JSON can hold, 256 KiB at most.
            id: what makes two calls the same message, for a day after it was handled; by default each is its own.
            sender: who sends it; by default this process.

        Raises:
            MailboxFull: it holds as many messages as it may; ``retry_after`` says in how many seconds to try again.
            InvalidWait, InvalidDocument: a name or the message is not what it may be; nothing was put in.
            StoreUnavailable: it is unknown whether it was put in; put it in again with the same ``id``.
        """
        here = f"{socket.gethostname()}:{os.getpid()}"
        return self._mailing.put(self.name, message, message_id=id, sender=sender or here)

    def bound(self, messages: int) -> None:
        """Have it hold so many messages at most, 1 to 100,000; those that are in it stay."""
        self._mailing.arrange_bound(self.name, messages)

    def handle(self, signature: Any, *, at_once: int = 1, timeout: float = HANDLER_TIMEOUT_S) -> None:
        """Have a Celery task handle the messages, in order, one batch at a time; None ends that.

        The task gets the payload in front of the signature's own arguments, or a list of payloads where ``at_once`` is
        above 1. Its headers have ``mailbox``, ``message_ids``, ``senders``, ``put_at`` and ``attempts``. When it has
        ended well the messages are handled; when it raises they come again, each alone, after 1, 2, 4 … seconds.

        Args:
            signature: of one task; it says in which queue, and its own limits hold.
            at_once: messages in one call, 1 to 200, and 1 MiB together.
            timeout: seconds after which a call that has not ended is made again; from its begin where the handler's app
                says so (`supervision.engine.mailing`), else from when it was sent.

        Raises:
            InvalidWait: something of it is not what it may be.
        """
        self._mailing.arrange_handler(self.name, signature, at_once=at_once, timeout=timeout)

    def take(self, n: int = 1, *, lease: float = LEASE_S, wait: float = 0.0) -> list[Message]:
        """The next ``n`` messages at most; empty while there are none, or while others are being handled.

        Who does not say `done` or `failed` within ``lease`` seconds has them handed over again, to whoever takes then.

        Args:
            n: 1 to 200, and 1 MiB together; messages that come again come alone.
            lease: seconds.
            wait: seconds to wait for a message.

        Raises:
            Conflict: the mailbox has a handler, which gets the messages.
        """
        most, lease_ms = valid_number(n, "n", MOST_AT_ONCE), valid_lease(lease)
        deadline = time.monotonic() + valid_wait(wait)
        while True:
            batch = self._store.take(self.name, uuid.uuid4().hex, most, lease_ms)
            left = deadline - time.monotonic()
            if batch or left <= 0:
                return list(batch.messages) if batch else []
            time.sleep(min(TAKE_POLL_S, left))

    def done(self, *messages: Message) -> None:
        """Say that these have been handled; `Superseded` if their lease was over, and others get them."""
        for token in dict.fromkeys(message.token for message in messages):
            self._store.done(self.name, token, [message.id for message in messages if message.token == token])

    def failed(self, *messages: Message, reason: str = "") -> None:
        """Say that the batch of these could not be handled: what is not done of it comes again, after a pause."""
        for token in dict.fromkeys(message.token for message in messages):
            self._mailing.failed(self.name, token, reason or "whoever took it said so")

    @contextmanager
    def taking(self, n: int = 1, *, lease: float = LEASE_S, wait: float = 0.0) -> Iterator[list[Message]]:
        """As `take`; done when the block ends well, failed when it raises."""
        messages = self.take(n, lease=lease, wait=wait)
        try:
            yield messages
        except BaseException as error:
            self.raised(messages, error)
            raise
        self.done(*messages)

    def raised(self, messages: Sequence[Message], error: BaseException) -> None:
        """Say that ``error`` has ended the work on these; a store that is away hands them over again later."""
        try:
            self.failed(*messages, reason=told(error))
        except StoreUnavailable as away:
            _log.warning("failure_not_heard", mailbox=self.name, error=str(away))

    def depth(self) -> int:
        """How many messages are in it, those that are being handled included."""
        return self.view().depth

    def view(self) -> MailboxView:
        """How it is set up, and what is in it."""
        return self._store.view(self.name)

    def dead_letters(self) -> list[DeadLetter]:
        """The messages that were given up in the last 7 days, and why; the latest last."""
        return self._store.dead_letters(self.name)

    def retry(self, message_id: str, *, by: str, reason: str) -> None:
        """Put a dead letter at the end, with all its attempts before it; `NotFound` if there is none."""
        self._mailing.retry(self.name, message_id, why=line(reason, "reason"), by=line(by, "by"))

    def discard(self, message_id: str, *, by: str, reason: str) -> None:
        """Remove a dead letter; `NotFound` if there is none."""
        self._store.discard(self.name, message_id, why=line(reason, "reason"), by=line(by, "by"))


def sending(publish: Callable[[Iterable[Entry]], list[Entry]], outbox: Outbox) -> Callable[[Iterable[Entry]], None]:
    """What sends entries and forgets those that were taken. Without any it does nothing: it would load Celery."""

    def send(entries: Iterable[Entry]) -> None:
        if waiting := list(entries):
            outbox.published(publish(waiting))

    return send


class Mailed:
    """The mailboxes of a client."""

    _mailing: Mailing

    def mailbox(self, name: str) -> Mailbox:
        """The mailbox of the coordinator ``name``, whether or not that one lives; `InvalidWait` if it is no name."""
        return Mailbox(name, self._mailing)


def valid_wait(seconds: object) -> float:
    """``seconds`` if somebody can wait so long for a message, else `InvalidWait`."""
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 <= seconds <= MAX_TIMEOUT_S:
        return float(seconds)
    raise InvalidWait(f"wait={shown(seconds)}: needs seconds from 0 to {MAX_TIMEOUT_S:.0f} (30 days)")
