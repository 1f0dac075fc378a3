"""Dead letters: what was tried so often that trying again by itself would do no good, until a person says so.

One registry holds them all, by when they were given up; how one reads depends on what it is of, which its id begins
with: ``wait:<id>``, or ``mail:<mailbox>:<id>``.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from supervision.store.connection import translated
from supervision.store.keys import Keys
from supervision.store.open_waits import OpenWaits
from supervision.store.scripts import Scripts

WAIT: Final = "wait"

MOST_LISTED: Final = 1000


class DeadLetter(msgspec.Struct, frozen=True):
    """One of them: what kind of thing it is ``of``, what it is ``about``, why it was given up and when (store ms)."""

    id: str
    of: str
    at: int
    about: str = ""
    owner: str = ""
    why: str = ""


class DeadLetters:
    """Reads dead letters."""

    def __init__(self, scripts: Scripts, keys: Keys, waits: OpenWaits) -> None:
        self._client: Any = scripts.client
        self._keys = keys
        self._waits = waits
        # Of whatever else is given up one day, a line here says how it reads.
        self._readers: Mapping[str, Callable[[Mapping[str, int]], list[DeadLetter]]] = {WAIT: self._of_waits}

    def all(self, most: int = MOST_LISTED) -> list[DeadLetter]:
        """The oldest first, ``most`` at most."""
        with translated("dead letters"):
            found: Sequence[tuple[bytes, float]] = self._client.zrange(
                self._keys.dead_letters, 0, most - 1, withscores=True
            )
        given_up = {member.decode(): int(at) for member, at in found}
        letters: list[DeadLetter] = []
        for of in dict.fromkeys(split_id(member)[0] for member in given_up):
            some = {split_id(member)[1]: at for member, at in given_up.items() if split_id(member)[0] == of}
            read = self._readers.get(of)
            letters += read(some) if read else _unread(of, some)
        return sorted(letters, key=lambda letter: letter.at)

    def _of_waits(self, given_up: Mapping[str, int]) -> list[DeadLetter]:
        return [
            DeadLetter(
                id=f"{WAIT}:{view.id}",
                of=WAIT,
                at=given_up[view.id],
                about=view.on,
                owner=view.owner,
                why=f"what follows it was started too often and never ended; it was {view.how}: {view.why}",
            )
            for view in self._waits.some(list(given_up))
        ]


def split_id(letter_id: str) -> tuple[str, str]:
    """What a dead letter is of, and its own id there; one without a kind is taken for a wait."""
    kind, colon, rest = letter_id.partition(":")
    return (kind, rest) if colon and kind in KINDS else (WAIT, letter_id)


KINDS: Final = frozenset({WAIT, "mail"})
"""What there are dead letters of."""


def _unread(of: str, given_up: Mapping[str, int]) -> list[DeadLetter]:
    """Those of a kind that this version cannot read: that they are there is shown all the same."""
    return [DeadLetter(id=f"{of}:{name}", of=of, at=at) for name, at in given_up.items()]
