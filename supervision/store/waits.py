"""Waits as stored: begun, ended, claimed and let go by one script each, whoever of several comes first."""

from collections.abc import Iterable, Sequence
from itertools import repeat

import msgspec

from supervision.coordination.waits import MAX_TIMEOUT_S, Terms, described, tree
from supervision.documents import clipped
from supervision.errors import InvalidWait, Lost, NotFound, Superseded
from supervision.model import shown
from supervision.store.claims import Claimed, Leaf, Stored, claimed, handed, news, told_to_parent
from supervision.store.connection import translated
from supervision.store.happened import Happened, Heard
from supervision.store.keys import Keys
from supervision.store.scripts import Scripts

__all__ = [
    "LEASE_MS",
    "SLICE",
    "Claimed",
    "Leaf",
    "Stored",
    "Waits",
    "claimed",
    "handed",
    "refuse_other",
    "to_store",
]

LEASE_MS = 30_000
"""How long a process that goes on with a wait is left alone before another one may: publishing takes 15 s at most."""

SLICE = 25
"""Waits that one script releases or expires, fewer where they are for many signals (see `lua/prelude_slices.lua`).

Each takes 50 to 100 µs of the store, so a slice stays below 10 ms also where the store gets half of a core.
"""


class Waits:
    """The store's side of waits."""

    def __init__(self, scripts: Scripts, keys: Keys, heard: Heard | None = None) -> None:
        self._scripts = scripts
        self.keys = keys
        self._heard = heard or Heard()
        self._first = [keys.outbox, keys.entries, keys.events, keys.counters]

    def enter(  # noqa: PLR0913 # one wait; all but its id and terms are named
        self,
        wait_id: str,
        terms: Terms | None,
        *,
        mail: str = "",
        channel: str = "",
        incarnation: int = 0,
        resumed: bool = False,
        told: bool = False,
    ) -> Claimed:
        """Begin to wait, or claim how the wait ended; which of the two is decided by the store.

        ``mail`` is the message that goes on with it, ``channel`` where a process listens instead, which gets what its
        ``incarnation`` has claimed again, until it has told what came of it. ``resumed`` is a message that says that
        the wait has ended, which begins none; ``told`` is who has told already how it ended, and gets that again.

        Raises:
            NotFound: nobody expected is known by that name.
            InvalidWait: it closes a circle of waits, or the task's id is that of a wait for something else.
            Superseded: another instance of the same coordinator has come since ``incarnation``.
            Lost: the store has lost that instance in a failover; it registers again, and comes again.
        """
        stored = to_store(terms) if terms else None
        answer = self._scripts.run(
            "enter",
            self._first,
            [
                wait_id,
                msgspec.json.encode(stored).decode() if stored else "",
                mail,
                round(terms.timeout * 1000) if terms else 0,
                channel,
                incarnation or "",
                int(resumed),
                LEASE_MS,
            ],
        )
        _refuse(answer[0].decode(), [part.decode() for part in answer[1:3]], answer, terms)
        refuse_other(wait_id, answer)
        claim = claimed(wait_id, answer)
        if claim.state == "waiting" and claim.news and terms:
            self._heard.tell(Happened("wait", wait_id, "", "waiting", actor=terms.owner, on=described(terms.on)))
        fresh = [] if told and claim.state == "received" else news([claim])
        self._heard.tell(*fresh, *([told_to_parent(claim.told_of, wait_id)] if claim.told_of else []))
        return claim

    def processed(self, ended: Sequence[tuple[str, int, str]], incarnation: int = 0) -> int:
        """Say that what follows these waits (id, start, `processed` or `failed`) is on its way; answers how many.

        It is idempotent: what was said already counts, what another process or ``incarnation`` has since does not.
        """
        arguments = [incarnation or "", *(part for each in ended for part in each)]
        theirs = [part.decode() for part in self._scripts.run("processed", self._first, arguments)]
        steps = zip(theirs[::2], repeat("received"), theirs[1::2], strict=False)
        self._heard.tell(*(Happened("wait", *each) for each in steps if each[2] != "again"))
        return len(theirs) // 2

    def hold(self, claims: Sequence[Claimed]) -> list[Claimed]:
        """Begin the lease of these claims anew; answers those that are still whose they were."""
        arguments = [part for each in claims for part in (each.id, each.start)]
        theirs = {part.decode() for part in self._scripts.run("hold", self._first, [LEASE_MS, *arguments])}
        return [each for each in claims if each.id in theirs]

    def expire(self, *, claim: bool) -> tuple[int, list[Claimed]]:
        """End those whose deadline has passed, `SLICE` at most; answers how many are left, and who goes on."""
        left, *ended = self._scripts.run("expire", self._first, [SLICE, LEASE_MS if claim else 0])
        return int(left), self._handed(ended)

    def redeliver(self, most: int) -> list[Claimed]:
        """Those that have ended and nobody has gone on with in time; each is due again after a longer pause."""
        again = handed(self._scripts.run("redeliver", self._first, [most]))
        self._heard.tell(*(Happened("wait", each.id, "ended", "redelivered") for each in again))
        return again

    def end(  # noqa: PLR0913 # who ends what, how and why
        self, wait_id: str, *, how: str, why: str, by: str, value: str = "", claim: bool = False, instead: str = ""
    ) -> tuple[list[Claimed], str]:
        """End an open wait for a person: ``cancelled``, or ``released`` with ``value`` (JSON).

        Answers what to go on with, and why that is refused where its time was over: then it ends as `timed_out`.
        ``instead``: what takes its place on timeout has this behind its id, and is ended where it did, or when it will:
        then word of it is left, which the history tells, and this raises.

        Raises:
            NotFound: there is none, or it is over.
        """
        lease = LEASE_MS if claim else 0
        answer = self._scripts.run("cancel", self._first, [wait_id, how, value, clipped(why), by, lease, instead])
        if answer[0] == b"late":
            return self._handed(answer[2:]), _over(wait_id, answer)
        if answer[0] != b"ended":
            raise NotFound(_over(wait_id, answer))
        self._heard.tell(Happened("order", answer[1].decode(), "waiting", how, why, by))
        return self._handed(answer[2:]), ""

    def retry(self, wait_id: str, *, why: str, by: str, claim: bool = False) -> list[Claimed]:
        """Make a wait deliverable again that was given up.

        Raises:
            NotFound: it is no dead letter.
            InvalidWait: it was given up because its record is damaged, which no retry mends.
        """
        answer = self._scripts.run("retry", self._first, [wait_id, clipped(why), by, LEASE_MS if claim else 0])
        if answer[0] == b"damaged":
            raise InvalidWait(f"wait {wait_id!r} cannot go on, {answer[1].decode()}; begin it anew, under another id")
        if answer[0] == b"other":
            raise NotFound(f"wait {wait_id!r} is no dead letter: it is {answer[1].decode()}")
        if answer[0] != b"again":
            raise NotFound(_over(wait_id, answer))
        self._heard.tell(Happened("order", wait_id, "dead_letter", "retried", why, by))
        return self._handed(answer[1:])

    def extend(self, wait_id: str, by_ms: int, *, why: str, by: str) -> int:
        """Move an open wait's deadline; answers where it is now.

        Raises:
            NotFound: there is none, or it is over.
            InvalidWait: it would last longer than any wait may.
        """
        answer = self._scripts.run(
            "extend", self._first, [wait_id, by_ms, clipped(why), by, round(MAX_TIMEOUT_S * 1000)]
        )
        if answer[0] == b"beyond":
            raise InvalidWait(
                f"wait {wait_id!r} cannot be extended by {by_ms / 1000:g} s: none lasts longer than 30 days from its "
                f"beginning, which leaves {int(answer[1]) / 1000:.0f} s"
            )
        if answer[0] != b"until":
            raise NotFound(_over(wait_id, answer))
        self._heard.tell(Happened("order", wait_id, "waiting", "extended", why, by))
        return int(answer[1])

    def clear(self, most: int, keep_ms: int) -> list[list[str]]:
        """Forget waits, signals and coordinators that have ended for so long; answers those of each."""
        removed = self._scripts.run("clear", self._first, [most, keep_ms])
        return [[name.decode(errors="replace") for name in each] for each in removed]

    def ended(self, wait_ids: Sequence[str]) -> list[str]:
        """Those of ``wait_ids`` that no longer wait."""
        pipeline = self._scripts.client.pipeline(transaction=False)
        for wait_id in wait_ids:
            pipeline.hget(self.keys.wait(wait_id), "state")
        with translated("waits"):
            states = pipeline.execute()
        return [wait_id for wait_id, state in zip(wait_ids, states, strict=True) if state != b"waiting"]

    def _handed(self, answer: Iterable[Sequence[bytes]]) -> list[Claimed]:
        found = handed(answer)
        self._heard.tell(*news(found))
        return found


def to_store(wait: Terms) -> Stored:
    """``wait`` as the scripts have it."""
    single = not wait.on.of
    return Stored(
        leaves=tuple(Leaf(leaf.signal, leaf.expects, round(leaf.within * 1000)) for leaf in wait.on.leaves()),
        told=described(wait.on),
        tree=None if single else tree(wait.on),
        owner=wait.owner or None,
        on_death=wait.on_death,
        replacement=msgspec.json.encode(wait.replacement).decode() if wait.replacement else None,
        carry=wait.carry,
        on_timeout=wait.on_timeout,
        home=wait.home,
        instead_of=wait.instead_of,
    )


def _refuse(word: str, names: Sequence[str], answer: Sequence[bytes], wait: Terms | None) -> None:
    if word == "unknown":
        raise NotFound(
            f"expects={names[0]!r}: no coordinator has this name; is it spelt as it registers, has it registered yet?"
        )
    if word == "superseded":
        raise Superseded(f"{names[0]}: another instance of this coordinator has registered; this one is done")
    if word == "lost":
        raise Lost(names[0])
    if word == "circle" and wait:
        ring = " waits for ".join(part.decode() for part in answer[1:])
        raise InvalidWait(f"a circle of waits: {ring}; none of them would ever send {described(wait.on)!r}")


def refuse_other(wait_id: str, answer: Sequence[bytes]) -> None:
    """Raise `InvalidWait` if ``answer`` says that the id is that of a wait for something else."""
    if answer[0] == b"other":
        told, state = (part.decode() for part in answer[1:3])
        raise InvalidWait(
            f"task_id={wait_id!r} is that of a wait for {told}, which is {state}: an id is kept for a day after the "
            "end of its wait; give this one another, or none"
        )


def _over(wait_id: str, answer: Sequence[bytes]) -> str:
    if answer[0] == b"gone":
        return f"no wait {shown(wait_id)}; it may be in its queue still (see doctor), refused, or over for a day"
    return f"wait {wait_id!r} has ended already: {answer[1].decode()}"
