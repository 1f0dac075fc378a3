"""What any Python program may do with signals and waits through the client, and what operators may do with them.

A signal that is sent here releases those who wait for it at once: through the Celery app of `Client.from_app`, or else
through a connection to the broker that is made when the first one is released. Where no broker can be reached the
signal is latched all the same, and a sweep of the workers goes on with the waits within seconds.
"""

import os
import socket
import time
import uuid
from contextlib import suppress
from typing import Any

import msgspec

from supervision.beating import Heart
from supervision.coordinating import Coordination
from supervision.coordination.mailboxes import valid_number
from supervision.coordination.signals import (
    DEFAULT_TTL_S,
    Progress,
    Receipt,
    encoded_payload,
    valid_level,
    valid_signal,
)
from supervision.coordination.waits import DEFAULT_TIMEOUT_S, OnDeath, Terms, node_of, valid_terms, valid_timeout
from supervision.errors import InvalidWait, StoreUnavailable
from supervision.listening import Listener
from supervision.mailing import Mailing
from supervision.model import shown
from supervision.order_terms import line
from supervision.participant import Coordinator
from supervision.store.coordinators import CoordinatorView
from supervision.store.dead_letters import MAIL, GivenUp, split_id, split_mail
from supervision.store.open_waits import MOST_LISTED, WaitView
from supervision.store.store import Store

RECEIPT_POLL_S = 0.05
"""Seconds between two looks at a receipt that somebody waits for."""

MOST_ACKS = 100_000
MOST_ASKED = 10_000
"""Waits, or coordinators, that one call answers: each takes half a kilobyte or more of memory."""


class Waiting:
    """Signals, waits and coordinators of a client."""

    _store: Store
    _coordination: Coordination
    _listener: Listener
    _heart: Heart
    _mailing: Mailing

    def send(  # noqa: PLR0913 # one signal; all but its name and payload are named
        self,
        name: str,
        payload: Any = None,
        *,
        id: str | None = None,  # noqa: A002 # what the text of the plans calls it, and what it is
        sender: str = "",
        ttl: float = DEFAULT_TTL_S,
        replace: bool = False,
        acks: int = 0,
        level: str = Progress.RECEIVED,
        timeout: float = 10.0,
    ) -> Receipt:
        """Send a signal, which happens once; answers how far it has got with those who wait for it.

        Sending it again with the same ``id`` changes nothing and answers its receipt. With ``acks`` the call blocks
        until so many have come to ``level``, for ``timeout`` seconds at most; `Receipt.missing` says who has not.

        Args:
            name: 1 to 200 letters, digits and _ - . : / @; repeated rounds put the round into the name.
            payload: what JSON can hold, 256 KiB at most.
            id: what makes two calls the same signal; by default each call is one of its own.
            sender: who sends it, for the history.
            ttl: seconds for which those pass at once who begin to wait later.
            replace: whether it may take the place of another one that nobody has received yet.
            acks: acknowledgements to wait for, 0 for none.
            level: ``received`` or ``processed``.
            timeout: seconds to wait for them.

        Raises:
            SignalAlreadySent: another signal stands under that name.
            InvalidWait, InvalidDocument: a name, a number or the payload is not what it may be; nothing was sent.
            StoreUnavailable: it is unknown whether it was sent; send it again with the same ``id``.
        """
        wanted, reached = _acks(acks), valid_level(level)
        valid_timeout(timeout)  # now: what is wrong with the call is said before the signal is sent
        repeated = self._coordination.send(
            name, payload, signal_id=id, sender=sender or _here(), ttl=ttl, replace=replace
        )
        receipt = self.wait_for_acks(name, wanted, level=reached, timeout=timeout) if wanted else self.receipt(name)
        return msgspec.structs.replace(receipt, repeated=repeated)

    def receipt(self, name: str) -> Receipt:
        """How far a signal has got; `NotFound` if none stands or stood under that name."""
        return self._store.signals.receipt(valid_signal(name))

    def wait_for_acks(self, name: str, acks: int, *, level: str = Progress.RECEIVED, timeout: float = 10.0) -> Receipt:
        """The receipt when ``acks`` have come to ``level``, or as it is after ``timeout`` seconds."""
        deadline, reached, acks = time.monotonic() + valid_timeout(timeout), valid_level(level), _acks(acks)
        while True:
            receipt = self.receipt(name)
            left = deadline - time.monotonic()
            if receipt.acknowledged(reached) >= acks or left <= 0:
                return receipt
            time.sleep(min(RECEIPT_POLL_S, left))

    def payload(self, name: str) -> Any:
        """What a signal says that stands, for those who would rather look than wait; `NotFound` if none does."""
        return self._store.signals.payload(valid_signal(name))

    def waits(self, *, signal: str = "", owner: str = "", most: int = MOST_LISTED) -> list[WaitView]:
        """Who waits for what, since when, until when, and whom it expects: the ``most`` that end first, these first.

        Raises:
            InvalidWait: ``signal`` or ``owner`` is no name; none is a pattern. ``most`` is not 1 to 10,000.
        """
        for name, what in ((signal, "signal"), (owner, "owner: coordinator")):
            if name:
                valid_signal(name, what)
        return self._store.open_waits.all(signal=signal, owner=owner, most=valid_number(most, "most", MOST_ASKED))

    def explain(self, wait_id: str) -> WaitView:
        """One wait, also one that has ended in the last day; `NotFound` if there is none."""
        return self._store.open_waits.get(wait_id)

    def cancel(self, wait_id: str, *, by: str, reason: str) -> None:
        """End an open wait as `Cancelled`; `NotFound` if there is none, or it is over."""
        self._coordination.end(wait_id, how="cancelled", why=line(reason, "reason"), by=line(by, "by"))

    def release(self, wait_id: str, payload: Any = None, *, by: str, reason: str) -> None:
        """End an open wait as if its signal had come with ``payload``; `NotFound` if there is none, or it is over."""
        value = encoded_payload(payload, f"release of {wait_id}")
        why = line(reason, "reason")
        self._coordination.end(wait_id, how="released", why=why, by=line(by, "by"), value=value)

    def extend(self, wait_id: str, seconds: float, *, by: str, reason: str) -> int:
        """Give an open wait so many seconds more; answers its deadline, in milliseconds of the store's clock."""
        by_ms = round(valid_timeout(seconds, "seconds") * 1000)
        return self._store.waits.extend(wait_id, by_ms, why=line(reason, "reason"), by=line(by, "by"))

    def dead_letters(self) -> list[GivenUp]:
        """What was given up, the oldest first; it is kept for seven days."""
        return self._store.dead_letters.all()

    def retry(self, letter_id: str, *, by: str, reason: str) -> None:
        """Try once more what was given up: a `GivenUp` by its id; `NotFound` if it is none.

        The continuation of a wait has all of its starts again, a message all of its attempts.
        """
        kind, name = split_id(str(letter_id))
        why, who = line(reason, "reason"), line(by, "by")
        if kind == MAIL:
            self._mailing.retry(*split_mail(name), why=why, by=who)
        else:
            self._coordination.retry(name, why=why, by=who)

    def wait(
        self,
        on: Any,
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
        expects: str | None = None,
        on_death: OnDeath = "fail",
    ) -> Any:
        """Wait as a coordinator of no name of its own, which is complete when this returns or raises.

        Takes, answers and raises what `Coordinator.wait` does. Nobody comes back under that name: a wait that is
        interrupted, or whose program dies, stands until its deadline. Each leaves 3 KB in the store for a day; who
        waits many times a second had better be a `coordinator`.
        """
        alone = self.coordinator(nameless(on, timeout=timeout, expects=expects, on_death=on_death), kind="client")
        try:
            return alone.wait(on, timeout=timeout, expects=expects, on_death=on_death)
        finally:
            with suppress(StoreUnavailable):  # its silence will tell it; what the wait has given is not lost to that
                alone.complete(patience=0)

    def coordinator(
        self, name: str, *, kind: str = "process", doing: str = "", parent: str = "", progress: float = 0.0
    ) -> Coordinator:
        """Register as the coordinator ``name``, which supersedes whoever had that name; beats until it is left.

        ``parent`` is the coordinator whose mailbox hears of its death, ``progress`` the seconds within which
        `Coordinator.progress` has to be called, 0 for never.
        """
        return Coordinator(
            name,
            coordination=self._coordination,
            listener=self._listener,
            heart=self._heart,
            host=socket.gethostname(),
            kind=kind,
            doing=doing,
            parent=parent,
            progress=progress,
        )

    def coordinators(self, *, most: int = MOST_LISTED) -> list[CoordinatorView]:
        """Who has registered, ``most`` at most: the living by name, then who ended in the last day, the last first.

        Raises:
            InvalidWait: ``most`` is not 1 to 10,000.
        """
        return self._store.coordinators.all(valid_number(most, "most", MOST_ASKED))


def nameless(
    on: Any, *, timeout: float = DEFAULT_TIMEOUT_S, expects: str | None = None, on_death: OnDeath = "fail"
) -> str:
    """A name that nobody else has, for a coordinator with this one wait, which is refused before it registers."""
    name = f"client-{uuid.uuid4().hex}"
    valid_terms(Terms(on=node_of(on, expects), timeout=timeout, owner=name, on_death=on_death))
    return name


def _acks(acks: object) -> int:
    if isinstance(acks, int) and not isinstance(acks, bool) and 0 <= acks <= MOST_ACKS:
        return acks
    raise InvalidWait(f"acks={shown(acks)}: needs a whole number from 0 to {MOST_ACKS}, for example 3")


def _here() -> str:
    """Who sends when nobody says who: this process."""
    return f"{socket.gethostname()}:{os.getpid()}"
