"""Submissions as stored: what was asked for under a key, and the message to send, written by one script."""

from typing import Any, NamedTuple

import msgspec

from supervision.coordination.submissions import Submission
from supervision.errors import Conflict, NotFound
from supervision.moments import moment
from supervision.store.connection import translated
from supervision.store.keys import Keys
from supervision.store.outbox import Entry, entries
from supervision.store.scripts import Scripts

KEEP_MS = 24 * 3_600_000
"""How long a key is known: like the records of actions and of waits."""


class Submitted(NamedTuple):
    """What became of it: ``repeated`` if the key stood already, else with what is to be sent."""

    repeated: bool
    entries: tuple[Entry, ...]


class Submissions:
    """The store's side of tasks that are submitted by key."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self._scripts = scripts
        self._keys = keys
        self._first = [keys.outbox, keys.entries, keys.events, keys.counters]

    def submit(  # noqa: PLR0913 # one submission; all but its key and message are named
        self, key: str, message: str, *, task: str, task_id: str, asked: str, sender: str
    ) -> Submitted:
        """Write the message down, once; `Conflict` if another one than ``asked`` stands under ``key``."""
        arguments = [key, message, task, sender, KEEP_MS, task_id, asked]
        outcome, *rest = self._scripts.run("submit", self._first, arguments)
        if outcome == b"other":
            found, by, at = (part.decode() for part in rest)
            raise Conflict(
                f"{key!r} was submitted already with another task, other arguments or to another queue: {found} by "
                f"{by or 'somebody'} (at {moment(int(at))}); submit what is new under a key of its own"
            )
        return Submitted(outcome == b"same", entries(rest))

    def get(self, key: str) -> Submission:
        """What was submitted under ``key``; `NotFound` if nothing was, or a day has passed."""
        with translated("submission"):
            found: Any = self._scripts.client.hmget(self._keys.submitted(key), "message", "sender", "at")
        message, sender, at = found
        if message is None:
            raise NotFound(f"nothing was submitted under {key!r}, or that was more than a day ago")
        task, task_id = _read(message)
        with translated("submission"):
            unsent = self._scripts.client.hexists(self._keys.entries, entry_id(task_id))
        state = "queued" if unsent else "sent"
        return Submission(key=key, task=task, task_id=task_id, sender=sender.decode(), at=int(at), state=state)


def entry_id(task_id: str) -> str:
    """Which message of the outbox is a submission's: of two under one key, days apart, each has its own."""
    return f"task:{task_id}"


def _read(message: bytes) -> tuple[str, str]:
    task, _, _, options = msgspec.json.decode(message)  # as `submissions.encoded` wrote it
    return task, options["task_id"]
