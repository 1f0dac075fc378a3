"""Gathers as stored: their parts until each has ended, their results until they are handed on; the rest is a wait.

Parts are staged in slices before the gather begins, and published in slices after that, by one process at a time: what
it has published is confirmed with the next slice it takes. Whoever dies in between loses nothing, since the slice is
published again under the same task ids.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from supervision.coordination.gathers import Arrival, Gather, told
from supervision.documents import clipped
from supervision.errors import StoreUnavailable
from supervision.store.claims import news
from supervision.store.connection import translated
from supervision.store.happened import Happened, Heard
from supervision.store.keys import Keys
from supervision.store.outbox import Entry
from supervision.store.scripts import Scripts
from supervision.store.waits import LEASE_MS, Claimed, Stored, claimed, handed, refuse_other

STAGED_PER_SCRIPT = 500
"""Parts that one script takes: a few ms of the store."""

STAGED_MS = 3_600_000
"""How long parts stand that were staged for a gather which never began: staging takes seconds."""

FANNED_PER_SCRIPT = 100
"""Parts in one slice: what is published twice at most when a process dies."""

FAN_LEASE_MS = 10_000
"""How long a process that publishes a slice is left alone; 0.1 s is usual."""

ARRIVED_PER_SCRIPT = 100

MOST_LOOKED_AFTER = 20
"""Gathers of one sweep ..."""

MOST_LOOKED_FOR = 200
"""... and parts of each whose results it looks for: together about a second of the result backend."""

LOOK_AGAIN_MS = 60_000
"""A part whose report is lost is found a minute or two later."""


class Slice(NamedTuple):
    """Parts to publish now, index and signature, for a gather whose app is at ``home``; ``upto`` is confirmed next."""

    home: str
    upto: int
    parts: tuple[tuple[int, str], ...]


class Overdue(NamedTuple):
    """A gather that nothing was heard of for a while: some parts of it may have ended, some be unpublished."""

    id: str
    unpublished: bool
    missing: tuple[int, ...]


class Gathers:
    """The store's side of gathers."""

    def __init__(self, scripts: Scripts, keys: Keys, heard: Heard | None = None) -> None:
        self._scripts = scripts
        self._heard = heard or Heard()
        self._keys = keys
        self._first = [keys.outbox, keys.entries, keys.events, keys.counters]

    def begin(
        self, gather_id: str, gather: Gather, parts: Sequence[str], *, mail: str, resumed: bool = False
    ) -> Claimed:
        """Begin to wait for ``parts`` (as text, in order), or claim how that ended, as `Waits.enter` does.

        With ``resumed`` none is begun.

        Raises:
            InvalidWait: the task's id is that of a wait for something else.
            StoreUnavailable: the store has lost parts that it had taken; nothing has begun.
        """
        for i in range(0, 0 if resumed else len(parts), STAGED_PER_SCRIPT):
            some = [each for pair in enumerate(parts[i : i + STAGED_PER_SCRIPT], i) for each in pair]
            self._scripts.run("stage", self._first, [gather_id, STAGED_MS, *some])
        stored = msgspec.json.encode(to_store(gather, parts)).decode()
        timeout_ms = round(gather.timeout * 1000)
        arguments = [gather_id, stored, mail, timeout_ms, "", "", int(resumed), LEASE_MS]
        answer = self._scripts.run("enter", self._first, arguments)
        if answer[0] == b"unstaged":
            raise StoreUnavailable(f"gather {gather_id}: the store has lost some of its parts; call it again")
        refuse_other(gather_id, answer)
        claim = claimed(gather_id, answer)
        if claim.state == "waiting" and claim.news:
            self._heard.tell(Happened("wait", gather_id, "", "waiting", on=told(len(gather.parts))))
        self._heard.tell(*news([claim]))
        return claim

    def fan(self, gather_id: str, holder: str, published: int) -> Slice | None:
        """The next parts to publish, after those before index ``published``; None if there are none for ``holder``."""
        arguments = [gather_id, holder, published, FANNED_PER_SCRIPT, FAN_LEASE_MS]
        answer = self._scripts.run("fan", self._first, arguments)
        if answer[0] != b"slice":
            return None
        _, home, upto, *rest = (each.decode() for each in answer)
        parts = tuple((int(index), text) for index, text in zip(rest[::2], rest[1::2], strict=True))
        return Slice(home, int(upto), parts)

    def fanned(self, gather_id: str, holder: str, published: int) -> Entry | None:
        """Confirm what was published and let somebody else go on; answers the message for that, if some are left."""
        answer = self._scripts.run("fan", self._first, [gather_id, holder, published, 0, 0])
        return msgspec.json.decode(answer[1], type=Entry) if answer[0] == b"left" else None

    def arrive(self, gather_id: str, arrivals: Sequence[Arrival], *, claim: bool) -> list[Claimed]:
        """Say how parts ended, each of which counts once; answers the gather to go on with if they end it."""
        for i in range(0, len(arrivals), ARRIVED_PER_SCRIPT):
            some = [
                (each.part, int(each.came), each.value if each.came else clipped(each.value))
                for each in arrivals[i : i + ARRIVED_PER_SCRIPT]
            ]
            flat = [part for each in some for part in each]
            answer = self._scripts.run("arrive", self._first, [gather_id, LEASE_MS if claim else 0, *flat])
            if answer:
                ended = handed(answer)
                self._heard.tell(*news(ended))
                return ended
        return []

    def overdue(self) -> list[Overdue]:
        """Gathers to look after; each is due again a minute later."""
        answer = self._scripts.run("missing", self._first, [MOST_LOOKED_AFTER, MOST_LOOKED_FOR, LOOK_AGAIN_MS])
        return [
            Overdue(gather_id.decode(), unpublished == b"1", tuple(int(index) for index in missing))
            for gather_id, unpublished, *missing in answer
        ]

    def results(self, gather_id: str) -> tuple[list[str], dict[int, str]]:
        """The results of parts that ended well, as JSON in their order, and why the others failed, by their index."""
        with translated("results"):
            kept = self._scripts.client.hgetall(self._keys.results(gather_id))
        found = {int(index): text.decode() for index, text in kept.items()}  # type: ignore[union-attr] # the sync client answers the mapping itself
        came = [text[1:] for _, text in sorted(found.items()) if text.startswith("+")]
        return came, {index: text[1:] for index, text in found.items() if text.startswith("-")}


def to_store(gather: Gather, parts: Sequence[str]) -> Stored:
    """``gather`` of these ``parts`` as the scripts have it."""
    return Stored(
        leaves=(),
        told=told(len(gather.parts)),
        parts=len(gather.parts),
        digest=blake2b("\n".join(parts).encode(), digest_size=8).hexdigest(),
        fail_fast=gather.fail_fast,
        on_timeout=gather.on_timeout,
        home=gather.home,
        instead_of=gather.instead_of,
    )
