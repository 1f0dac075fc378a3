"""The outbox: messages that a script decided on and that still have to be sent."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from supervision.store.keys import Keys
from supervision.store.scripts import Scripts

MOST_PER_SWEEP = 500

MOST_PER_SCRIPT = 1_000
"""Entries per script that forgets them: Lua hands at most some 8,000 arguments to one command."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One message to send: ``kind`` says which task, ``subject`` is its only argument, both are identities.

    ``timeout_ms`` is the soft limit of the run that it starts, 0 for none.
    """

    id: str
    kind: str
    subject: str
    timeout_ms: int = 0


class Kinds(NamedTuple):
    """The kinds of messages that scripts write."""

    act: str = "act"
    tick: str = "tick"


KINDS = Kinds()


def entries(answers: Iterable[bytes | None]) -> tuple[Entry, ...]:
    """The entries among a script's answers."""
    return tuple(msgspec.json.decode(answer, type=Entry) for answer in answers if answer)


class Outbox:
    """What was decided and is not yet known to be sent."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self._scripts = scripts
        self._keys = [keys.outbox, keys.entries]

    def published(self, sent: Sequence[Entry]) -> None:
        """Forget entries that the broker has taken."""
        for i in range(0, len(sent), MOST_PER_SCRIPT):
            self._scripts.run("published", self._keys, [entry.id for entry in sent[i : i + MOST_PER_SCRIPT]])

    def unpublished(self, older_than_ms: int) -> tuple[Entry, ...]:
        """The oldest entries that wait for longer than that, `MOST_PER_SWEEP` at most."""
        return entries(self._scripts.run("unpublished", self._keys, [older_than_ms, MOST_PER_SWEEP]))
