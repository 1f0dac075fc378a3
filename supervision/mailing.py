"""The use cases of mailboxes: put, arrange, tell how it ended, sweep; for the client, the engine and the runtime."""

import uuid
from collections.abc import Callable, Iterable
from typing import Any

from supervision.coordination.mailboxes import (
    HANDLER_TIMEOUT_S,
    MOST_AT_ONCE,
    MOST_BOUND,
    valid_handler,
    valid_lease,
    valid_number,
)
from supervision.coordination.signals import encoded_payload, valid_signal
from supervision.saying import log as _log
from supervision.store.mailboxes import Mailboxes
from supervision.store.outbox import Entry

MOST_PER_SLICE = 50
"""Mailboxes that one script goes on with, or looks at to forget something."""

MOST_SLICES = 20

MOST_SLICES_CLEARED = 200
"""Twice as many ids as one mailbox remembers."""


class Mailing:
    """Mailboxes over one store; what is to be sent goes to ``publish``."""

    def __init__(self, mailboxes: Mailboxes, publish: Callable[[Iterable[Entry]], object]) -> None:
        self.mailboxes = mailboxes
        self._publish = publish

    def put(self, mailbox: str, message: Any, *, message_id: str | None = None, sender: str = "") -> str:
        """Put a message at the end; answers its id, and does nothing if it was put in before.

        Raises:
            MailboxFull: it holds as many as it may; nothing was put in.
            InvalidWait, InvalidDocument: a name or the message is not what it may be.
        """
        valid_mailbox(mailbox)
        named = valid_signal(message_id or uuid.uuid4().hex, "id")
        payload = encoded_payload(message, f"mailbox {mailbox!r}")
        by = valid_signal(sender, "sender") if sender else ""
        self._publish(self.mailboxes.put(mailbox, named, payload, by).entries)
        return named

    def arrange_bound(self, mailbox: str, bound: int) -> None:
        """Have ``mailbox`` hold so many messages at most."""
        self.mailboxes.arrange(valid_mailbox(mailbox), bound=valid_number(bound, "bound", MOST_BOUND))

    def arrange_handler(
        self, mailbox: str, signature: Any, *, at_once: int = 1, timeout: float = HANDLER_TIMEOUT_S
    ) -> None:
        """Have a task handle the messages; None ends that."""
        handler = "-" if signature is None else valid_handler(signature)
        together = valid_number(at_once, "at_once", MOST_AT_ONCE)
        timeout_ms = valid_lease(timeout, "timeout")
        self._publish(
            self.mailboxes.arrange(valid_mailbox(mailbox), handler=handler, at_once=together, timeout_ms=timeout_ms)
        )

    def begun(self, mailbox: str, token: str, retries: int) -> str:
        """Say that a call of the handler begins; answers ``ours`` if it may, else why not."""
        word, sent = self.mailboxes.begun(mailbox, token, retries)
        self._publish(sent)
        return word

    def failed(self, mailbox: str, token: str, why: str, *, counted: bool = True) -> bool:
        """Say that a batch was not handled; answers whether this was news."""
        news, sent = self.mailboxes.failed(mailbox, token, why, counted=counted)
        self._publish(sent)
        return news

    def retry(self, mailbox: str, message_id: str, *, why: str, by: str) -> None:
        """Put a dead letter at the end again; `NotFound` if there is none."""
        self._publish(self.mailboxes.retry(mailbox, message_id, why=why, by=by))

    def sweep(self) -> int:
        """Go on where a batch's time, or a pause, is over; answers with how many mailboxes."""
        handled = 0
        for _ in range(MOST_SLICES):
            found, sent = self.mailboxes.remind(MOST_PER_SLICE)
            self._publish(sent)
            handled += found
            if not found:
                break
        return handled

    def sweep_cleared(self) -> int:
        """Forget ids that were handled over a day ago, and mailboxes that nobody uses; answers how many."""
        removed = 0
        for _ in range(MOST_SLICES_CLEARED):
            looked, ids, gone = self.mailboxes.clear(MOST_PER_SLICE)
            if ids or gone:
                _log.info("mail_cleared", handled_ids=ids, mailboxes=gone)
            removed += ids + len(gone)
            if not looked:
                break
        return removed


def valid_mailbox(name: object) -> str:
    """``name`` if a mailbox can have it, which a coordinator can, else `InvalidWait`."""
    return valid_signal(name, "mailbox")
