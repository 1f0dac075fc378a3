"""The outbox: messages that a script decided on and that still have to be sent.

What cannot be read was written by another version of the code, which will send it: it is told, left, in nobody's way.
"""

from collections.abc import Iterable, Sequence
from itertools import count
from typing import NamedTuple, Protocol

import msgspec

from supervision.saying import log as _log
from supervision.store.keys import Keys
from supervision.store.scripts import Scripts

MOST_PER_SWEEP = 500

UNPUBLISHED_MS = 1_000
"""An entry that old was not sent by the process that wrote it."""

MOST_PER_SCRIPT = 1_000
"""Entries per script that forgets them: Lua hands at most some 8,000 arguments to one command."""

PATIENCE_MS = 1_000
"""A wake-up that old, and a claim whose lease is over, is made up for by another wake-up if nothing was settled."""

MOST_LOOKED_AFTER = 500
"""Supervisors per script that looks for missing ticks; keeps each one under 10 ms of the store's time."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One message to send: ``kind`` says which task, ``subject`` is its only argument, both are identities.

    ``timeout_ms`` is the soft limit of the run that it starts, 0 for none; ``delay_ms`` is how long the message waits
    after it was sent, by the clocks of who sends and who receives: nothing may depend on that but comfort.
    Of a hook ``subject`` is the task, and the event that it is told; of a submitted task the whole message.
    """

    id: str
    kind: str
    subject: str
    timeout_ms: int = 0
    delay_ms: int = 0


class Kinds(NamedTuple):
    """The kinds of messages that scripts write."""

    act: str = "act"
    tick: str = "tick"
    sweep: str = "sweep"
    look: str = "look"
    release: str = "release"
    replace: str = "replace"
    mail: str = "mail"
    parts: str = "parts"
    hook: str = "hook"
    task: str = "task"


KINDS = Kinds()


class Publisher(Protocol):
    """Whatever turns outbox entries into messages."""

    def publish(self, entries: Iterable[Entry]) -> list[Entry]:
        """Send each entry; answer those that the broker took."""


def entries(answers: Iterable[bytes | None]) -> tuple[Entry, ...]:
    """The entries among a script's answers."""
    return tuple(msgspec.json.decode(answer, type=Entry) for answer in answers if answer)


class Outbox:
    """What was decided and is not yet known to be sent."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self._scripts = scripts
        self._all_keys = keys
        self._keys = [keys.outbox, keys.entries]

    def published(self, sent: Sequence[Entry]) -> None:
        """Forget entries that the broker has taken."""
        for i in range(0, len(sent), MOST_PER_SCRIPT):
            self._scripts.run("published", self._keys, [entry.id for entry in sent[i : i + MOST_PER_SCRIPT]])

    def unpublished(self, older_than_ms: int) -> tuple[Entry, ...]:
        """The oldest entries that wait for longer than that and can be read, `MOST_PER_SWEEP` or a few more at most."""
        found: list[Entry] = []
        for skipped in count(0, MOST_PER_SWEEP):
            page = self._scripts.run("unpublished", self._keys, [older_than_ms, MOST_PER_SWEEP, skipped])
            found += (entry for entry_id, text in _pairs(page) if (entry := _readable(entry_id, text)))
            if found or not page:
                break
        return tuple(found)

    def rewake(self, supervisors: Sequence[str], lease_ms: int) -> tuple[Entry, ...]:
        """Wake-ups for those of ``supervisors`` that a tick is missing of: it died, or the message got lost.

        Each is in the outbox once, and the longer nobody comes, the less often another one is written: after 1, 2, 4 …
        up to 64 s. ``lease_ms`` is how long a tick may be silent.
        """
        found: list[Entry] = []
        for i in range(0, len(supervisors), MOST_LOOKED_AFTER):
            some = supervisors[i : i + MOST_LOOKED_AFTER]
            keys = [*self._keys, *(self._all_keys.of(supervisor, "control") for supervisor in some)]
            answer = self._scripts.run("rewake", keys, [PATIENCE_MS, lease_ms, *some])
            found += (entry for supervisor, text in _pairs(answer) if (entry := _readable(supervisor, text)))
        return tuple(found)


def _pairs(answer: Sequence[bytes]) -> Iterable[tuple[str, bytes]]:
    return zip((name.decode(errors="replace") for name in answer[::2]), answer[1::2], strict=True)


def _readable(name: str, text: bytes) -> Entry | None:
    """The entry, or None, told in the log under its ``name``, when another version of the code must have written it."""
    try:
        entry = msgspec.json.decode(text, type=Entry)
        if entry.kind in KINDS:
            return entry
        why = f"its kind is {entry.kind!r}; known are {', '.join(KINDS)}"
    except msgspec.MsgspecError as error:
        why = str(error)
    _log.error("entry_unreadable", entry=name, error=why)
    return None
