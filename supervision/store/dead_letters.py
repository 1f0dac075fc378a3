"""Dead letters: what was tried so often that trying again by itself would do no good, until a person says so.

One registry holds them all, by when they were given up; how one reads depends on what it is of, which its id begins
with: ``wait:<id>``, or ``mail:<mailbox>#<id>``.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from supervision.store.connection import translated
from supervision.store.keys import Keys
from supervision.store.mailboxes import Mailboxes
from supervision.store.open_waits import OpenWaits
from supervision.store.scripts import Scripts

WAIT: Final = "wait"
MAIL: Final = "mail"

MOST_LISTED: Final = 1000

_OFTEN: Final = "what follows it was started too often and never ended"


class GivenUp(msgspec.Struct, frozen=True):
    """One of them: what kind of thing it is ``of``, what it is ``about``, why it was given up and when (store ms)."""

    id: str
    of: str
    at: int
    about: str = ""
    owner: str = ""
    why: str = ""


class DeadLetters:
    """Reads dead letters."""

    def __init__(self, scripts: Scripts, keys: Keys, waits: OpenWaits, mailboxes: Mailboxes) -> None:
        self._client: Any = scripts.client
        self._keys = keys
        self._waits = waits
        self._mailboxes = mailboxes
        self._readers: Mapping[str, Callable[[Mapping[str, int]], list[GivenUp]]] = {
            WAIT: self._of_waits,
            MAIL: self._of_mail,
        }

    def all(self, most: int = MOST_LISTED) -> list[GivenUp]:
        """The oldest first, ``most`` at most."""
        with translated("dead letters"):
            found: Sequence[tuple[bytes, float]] = self._client.zrange(
                self._keys.dead_letters, 0, most - 1, withscores=True
            )
        given_up = {member.decode(): int(at) for member, at in found}
        letters: list[GivenUp] = []
        for of in dict.fromkeys(split_id(member)[0] for member in given_up):
            some = {split_id(member)[1]: at for member, at in given_up.items() if split_id(member)[0] == of}
            read = self._readers.get(of)
            letters += read(some) if read else _unread(of, some)
        return sorted(letters, key=lambda letter: letter.at)

    def _of_waits(self, given_up: Mapping[str, int]) -> list[GivenUp]:
        return [
            GivenUp(
                id=f"{WAIT}:{view.id}",
                of=WAIT,
                at=given_up[view.id],
                about=view.on,
                owner=view.owner,
                why=view.why if view.kind == "damaged" or not view.how else f"{_OFTEN}; it was {view.how}: {view.why}",
            )
            for view in self._waits.some(list(given_up))
        ]

    def _of_mail(self, given_up: Mapping[str, int]) -> list[GivenUp]:
        boxes = dict.fromkeys(split_mail(name)[0] for name in given_up)
        return [
            GivenUp(
                id=f"{MAIL}:{box}#{letter.id}",
                of=MAIL,
                at=letter.since,
                about=f"{letter.id} from {letter.sender or 'somebody'}",
                owner=box,
                why=f"failed {letter.attempts} times, at last: {letter.why}",
            )
            for box in boxes
            for letter in self._mailboxes.dead_letters(box)
            if f"{box}#{letter.id}" in given_up
        ]


def split_id(letter_id: str) -> tuple[str, str]:
    """What a dead letter is of, and its own id there; one without a kind is taken for a wait."""
    kind, colon, rest = letter_id.partition(":")
    return (kind, rest) if colon and kind in KINDS else (WAIT, letter_id)


def split_mail(name: str) -> tuple[str, str]:
    """The mailbox and the id of one message; no mailbox has a # in its name."""
    box, _, message_id = name.partition("#")
    return box, message_id


KINDS: Final = frozenset({WAIT, MAIL})
"""What there are dead letters of."""


def _unread(of: str, given_up: Mapping[str, int]) -> list[GivenUp]:
    """Those of a kind that this version cannot read: that they are there is shown all the same."""
    return [GivenUp(id=f"{of}:{name}", of=of, at=at) for name, at in given_up.items()]
