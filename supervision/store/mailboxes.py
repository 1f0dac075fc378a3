"""Mailboxes as stored: put into, handed over batch by batch, and told how that ended, by one script each."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from supervision.coordination.mailboxes import BOUND, DeadLetter, MailboxView, Message
from supervision.documents import clipped
from supervision.errors import Conflict, MailboxFull, NotFound, Superseded
from supervision.store.connection import translated
from supervision.store.happened import Happened, Heard
from supervision.store.keys import Keys
from supervision.store.outbox import Entry, entries
from supervision.store.scripts import Scripts

DAY_MS = 24 * 3_600_000
KEEP_DEAD_MS = 7 * DAY_MS
"""How long a dead letter waits for somebody: as long as the history that tells of it."""

KEEP_HANDLER_MS = 30 * DAY_MS
"""How long a mailbox with a handler stays without a message: whoever arranged it does not expect it to forget."""

MOST_IDS = 1_000
"""Handled ids that one script forgets, of all its mailboxes together: a µs or two each."""

MOST_LISTED = 1_000


class Batch(NamedTuple):
    """Messages that were handed over together, and to which handler, if to one."""

    mailbox: str
    token: str
    handler: dict[str, Any] | None
    at_once: int
    messages: tuple[Message, ...]


class Put(NamedTuple):
    """What became of a message: ``repeated`` if it was there already; ``entries`` are to be sent."""

    repeated: bool
    entries: tuple[Entry, ...]


class Mailboxes:
    """The store's side of mailboxes."""

    def __init__(self, scripts: Scripts, keys: Keys, heard: Heard | None = None) -> None:
        self._scripts = scripts
        self._heard = heard or Heard()
        self._keys = keys
        self._first = [keys.outbox, keys.entries, keys.events, keys.counters]

    def put(self, mailbox: str, message_id: str, payload: str, sender: str) -> Put:
        """Put a message (``payload`` is JSON) at the end; `MailboxFull` if it holds as many as it may."""
        word, *rest = self._scripts.run("post", self._first, [mailbox, message_id, payload, sender])
        if word == b"full":
            bound, seconds = int(rest[0]), int(rest[1]) / 1000
            raise MailboxFull(
                f"mailbox {mailbox!r} holds {bound:,} messages, as many as it may; {message_id!r} was not put in, "
                f"try again in {seconds:g} s",
                seconds,
            )
        return Put(word == b"same", entries(rest))

    def arrange(
        self, mailbox: str, *, bound: int | None = None, handler: str = "", at_once: int = 1, timeout_ms: int = 0
    ) -> tuple[Entry, ...]:
        """Set a bound or a handler (JSON, "-" for none), whatever is said of them; answers what is to be sent."""
        arguments = [mailbox, bound or "", handler, at_once, timeout_ms]
        entry, *news = self._scripts.run("arrange", self._first, arguments)
        if news:
            self._heard.tell(Happened("mailbox", mailbox, *(word.decode() for word in news)))
        return entries([entry])

    def take(self, mailbox: str, claimer: str, most: int, lease_ms: int) -> Batch | None:
        """The next messages for a process, None while there are none or others are being handled.

        Raises:
            Conflict: it has a handler, which gets them.
        """
        answer = self._scripts.run("take", self._first, [mailbox, claimer, most, lease_ms])
        if answer == [b"handled"]:
            raise Conflict(f"mailbox {mailbox!r} has a handler, which gets its messages; handle(None) ends that")
        return self._taken(mailbox, answer)

    def hand_over(self, mailbox: str, claimer: str) -> Batch | None:
        """The next messages for its handler; the same again for the same ``claimer``, which was killed meanwhile."""
        return self._taken(mailbox, self._scripts.run("take", self._first, [mailbox, claimer, 0, 0]))

    def handled(self, mailbox: str, token: str, claimer: str) -> tuple[int, Batch | None]:
        """Say that a batch was handled; answers how many messages this was news of, and the handler's next batch."""
        theirs, *following = self._scripts.run("handled", self._first, [mailbox, token, claimer])
        return int(theirs), _batch(mailbox, following)

    def begun(self, mailbox: str, token: str, retries: int) -> tuple[str, tuple[Entry, ...]]:
        """Say that a call of the handler begins; answers whether it may (``ours``), and what is to be sent.

        ``stale`` is one that was handed over again since, ``again`` one whose process was killed before its end.
        """
        word, entry, given_up = self._scripts.run("begun", self._first, [mailbox, token, retries])
        self._tell_of(given_up)
        return word.decode(), entries([entry])

    def done(self, mailbox: str, token: str, ids: Sequence[str]) -> None:
        """Say that a process has handled these of a batch; `Superseded` if its lease was over."""
        theirs, *_ = self._scripts.run("handled", self._first, [mailbox, token, "", *ids])
        if int(theirs) < len(ids):
            raise Superseded(_over(mailbox, ids))

    def failed(self, mailbox: str, token: str, why: str, *, counted: bool = True) -> tuple[bool, tuple[Entry, ...]]:
        """Say that a batch was not handled; answers whether this was news, and what is to be sent."""
        arguments = [mailbox, token, clipped(why), int(counted)]
        theirs, entry, given_up = self._scripts.run("unhandled", self._first, arguments)
        self._tell_of(given_up)
        return bool(theirs), entries([entry])

    def remind(self, most: int) -> tuple[int, tuple[Entry, ...]]:
        """Go on with mailboxes whose batch's time, or pause, is over; answers how many, and what is to be sent."""
        found, given_up, *sent = self._scripts.run("remind", self._first, [most])
        self._tell_of(given_up)
        return int(found), entries(sent)

    def retry(self, mailbox: str, message_id: str, *, why: str, by: str) -> tuple[Entry, ...]:
        """Put a dead letter at the end again, as if it had never been tried; `NotFound` if there is none."""
        return self._dead("retry", mailbox, message_id, why, by)

    def discard(self, mailbox: str, message_id: str, *, why: str, by: str) -> None:
        """Remove a dead letter; `NotFound` if there is none."""
        self._dead("discard", mailbox, message_id, why, by)

    def clear(self, most: int) -> tuple[int, int, list[str]]:
        """Look at some mailboxes; answers at how many, ids forgotten, and mailboxes forgotten."""
        arguments = [most, MOST_IDS, DAY_MS, KEEP_DEAD_MS, KEEP_HANDLER_MS]
        looked, ids, *gone = self._scripts.run("clear_mail", self._first, arguments)
        return int(looked), int(ids), [name.decode() for name in gone]

    def view(self, mailbox: str) -> MailboxView:
        """One mailbox; one that nobody has used yet is empty."""
        pipeline = self._scripts.client.pipeline(transaction=True)
        pipeline.hgetall(self._keys.mailbox(mailbox))
        pipeline.zcard(self._keys.mail(mailbox))
        pipeline.hlen(self._keys.dead_mail(mailbox))
        with translated("mailbox"):
            fields, depth, dead = pipeline.execute()
        return _view(mailbox, {name.decode(): value.decode() for name, value in fields.items()}, depth, dead)

    def dead_letters(self, mailbox: str) -> list[DeadLetter]:
        """The messages that were given up, the latest last."""
        with translated("dead letters"):
            found: Any = self._scripts.client.hgetall(self._keys.dead_mail(mailbox))
        return sorted((_dead_letter(name.decode(), text) for name, text in found.items()), key=lambda dead: dead.since)

    def _taken(self, mailbox: str, answer: Sequence[Any]) -> Batch | None:
        given_up, *batch = answer
        self._tell_of(given_up)
        return _batch(mailbox, batch)

    def _tell_of(self, given_up: Sequence[bytes]) -> None:
        """Of each message that became a dead letter: its mailbox, its id and why."""
        texts = [text.decode() for text in given_up]
        letters = zip(texts[::3], texts[1::3], texts[2::3], strict=True)
        self._heard.tell(
            *(Happened("mailbox", box, "handed", "dead_letter", why, on=name) for box, name, why in letters)
        )

    def _dead(self, verb: str, mailbox: str, message_id: str, why: str, by: str) -> tuple[Entry, ...]:
        word, *rest = self._scripts.run("dead_mail", self._first, [mailbox, message_id, verb, clipped(why), by])
        if word == b"gone":
            raise NotFound(f"mailbox {mailbox!r} has no dead letter {message_id!r}; dead_letters() lists those it has")
        after = "put_again" if verb == "retry" else "discarded"
        self._heard.tell(Happened("mailbox", mailbox, "dead_letter", after, why, by, on=message_id))
        return entries(rest)


def _over(mailbox: str, ids: Sequence[str]) -> str:
    return f"{', '.join(ids)} of mailbox {mailbox!r}: the lease was over, and they are handed over again"


def _batch(mailbox: str, answer: Sequence[bytes]) -> Batch | None:
    if not answer:
        return None
    token, handler, at_once, *flat = answer
    triples = zip(flat[::3], flat[1::3], flat[2::3], strict=True)
    messages = tuple(_message(token.decode(), *triple) for triple in triples)
    return Batch(mailbox, token.decode(), msgspec.json.decode(handler) if handler else None, int(at_once), messages)


def _message(token: str, name: bytes, letter: bytes, attempt: bytes) -> Message:
    payload, sender, at = msgspec.json.decode(letter, type=tuple[str, str, str])
    return Message(name.decode(), msgspec.json.decode(payload), sender, int(at), int(attempt), token)


def _dead_letter(name: str, text: bytes) -> DeadLetter:
    letter, why, since, attempts = msgspec.json.decode(text, type=tuple[str, str, str, str])
    payload, sender, at = msgspec.json.decode(letter, type=tuple[str, str, str])
    return DeadLetter(name, msgspec.json.decode(payload), sender, int(at), int(attempts), int(since), why)


def _view(mailbox: str, fields: dict[str, str], depth: int, dead: int) -> MailboxView:
    handler = msgspec.json.decode(fields["handler"])["signature"]["task"] if "handler" in fields else ""
    timeout = {"timeout": int(fields["timeout_ms"]) / 1000} if "timeout_ms" in fields else {}
    return MailboxView(
        name=mailbox,
        depth=depth,
        bound=int(fields.get("bound", BOUND)),
        state=fields.get("state", "resting"),
        in_flight=tuple(msgspec.json.decode(fields.get("ids", "[]"))),
        handled=int(fields.get("done", 0)),
        dead=dead,
        handler=handler,
        at_once=int(fields.get("at_once", 1)),
        **timeout,
    )
