"""The use cases of blocking coordination: send, release, go on, sweep. Store and engine meet here and nowhere else.

Rules:
- A signal is latched by one script, which releases a few waits itself; the others are released in slices, each handed
  to whoever goes on with it. What a killed process had in its hands comes back: by its claim's lease, or by a sweep.
- A run handles so many waits and then sends for another run, so that nothing else of its queue starves.
- Whoever can go on with a wait in place does so, which saves a way through the broker; others send its message.
"""

import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from supervision import telling
from supervision.continuing import Continuing, in_turns
from supervision.coordination.liveness import Patience
from supervision.coordination.signals import (
    DEFAULT_TTL_S,
    MAX_TTL_S,
    encoded_payload,
    valid_signal,
)
from supervision.coordination.waits import INSTEAD
from supervision.documents import told
from supervision.errors import InvalidWait, NotFound, StoreUnavailable
from supervision.model import shown
from supervision.saying import log as _log
from supervision.store.outbox import KINDS, Entry
from supervision.store.store import Store
from supervision.store.waits import Claimed

MOST_PER_RUN = 500
"""Waits that one run goes on with before it sends for the next: about half a second of a worker."""

MOST_MOURNED = 100
"""Dead coordinators whose deaths one run tells before it sends for the next."""

DEFAULT_PATIENCE = Patience()

KEEP_MS = 24 * 3_600_000
"""How long what has ended can be asked for."""

CLEARED_PER_SLICE = 50
"""Objects of each kind that one script forgets: 10 to 20 µs each and three kinds, which is 2 to 3 ms of the store."""

MOST_SLICES_CLEARED = 1000

MOST_TOLD = 10
"""Of those that one script forgets so many of each kind stand in the log, beside how many there were."""

_CLEARED = ("waits", "signals", "coordinators")

REDELIVERED_PER_SLICE = 50
"""Ends that one script hands out to be sent again: about 1 ms of the store."""


class Coordination:
    """Signals and waits over one store, gone on with by ``continuing``."""

    def __init__(
        self,
        store: Store,
        continuing: Continuing,
        publish: Callable[[Iterable[Entry]], object],
        patience: Patience = DEFAULT_PATIENCE,
    ) -> None:
        self.store = store
        store.heard.by = telling.heard
        self.patience = patience
        self._continuing = continuing
        self._publish = publish

    @property
    def here(self) -> bool:
        """Whether this process can go on with waits itself."""
        return self._continuing.here

    def send(  # noqa: PLR0913 # one signal; all but its name and payload are named
        self,
        name: str,
        payload: Any = None,
        *,
        signal_id: str | None = None,
        sender: str = "",
        ttl: float = DEFAULT_TTL_S,
        replace: bool = False,
        channel: str = "",
    ) -> bool:
        """Latch a signal and release who waits for it; answers whether it stood already.

        Raises:
            SignalAlreadySent: another one stands under that name.
            InvalidWait, InvalidDocument: name, id, sender, ttl, replace or payload are not what they may be.
        """
        valid_signal(name)
        if not isinstance(replace, bool):
            raise InvalidWait(f"replace={shown(replace)}: needs True or False")
        sent = self.store.signals.send(
            name,
            signal_id=valid_signal(signal_id or uuid.uuid4().hex, "id"),
            payload=encoded_payload(payload, f"signal {name!r}"),
            sender=valid_signal(sender, "sender") if sender else "",
            ttl_ms=round(valid_ttl(ttl) * 1000),
            replace=replace,
            channel=channel,
            claim=self._continuing.here,
        )
        self.go_on(sent.released)
        if sent.left:
            self._publish([Entry(f"release:{name}", KINDS.release, name)])
        return sent.repeated

    def release(self, name: str) -> int:
        """Release who waits for a signal that stands, `MOST_PER_RUN` at most; answers how many."""
        left, released = self._slices(lambda: self.store.signals.release(name, claim=self._continuing.here))
        if left:
            self._publish([Entry(f"release:{name}", KINDS.release, name)])
        return released

    def _slices(self, some: Callable[[], tuple[int, list[Claimed]]]) -> tuple[int, int]:
        """Go on with slice after slice, `MOST_PER_RUN` waits at most; answers how many are left, and how many ended."""
        left, handled, ended = 1, 0, 0
        while left and handled < MOST_PER_RUN:
            left, claims = some()
            self.go_on(claims)
            handled += max(len(claims), 1)
            ended += len(claims)
        return left, ended

    def go_on(self, claims: Sequence[Claimed]) -> None:
        """Go on with waits that have just ended; what fails here is made up for by a sweep."""
        if claims and self._continuing.here:
            self._contained(lambda: in_turns(self._continuing, self.store.waits, claims), waits=len(claims))
        elif claims:
            self._contained(lambda: self._continuing.send(claims), waits=len(claims))

    def end(self, wait_id: str, *, how: str, why: str, by: str, value: str = "") -> None:
        """End an open wait for a person; raises `NotFound` if it is over."""
        here = self._continuing.here
        claims, refused = self.store.waits.end(wait_id, how=how, why=why, by=by, value=value, claim=here)
        self.go_on(claims)
        if refused:
            raise NotFound(refused)

    def retry(self, wait_id: str, *, why: str, by: str) -> None:
        """Go on with a wait once more that was given up; raises `NotFound` if it is no dead letter."""
        self.go_on(self.store.waits.retry(wait_id, why=why, by=by, claim=self._continuing.here))

    def revoke(self, wait_id: str) -> bool:
        """Cancel the wait of a task that was revoked, if it is one and waits; answers whether it was.

        It is gone on with by its message, which whoever gets it throws away as Celery does. Where another wait takes
        its place on timeout, that one is cancelled, or will be when it begins, and the task fails with it; for one that
        is still to begin the history says `revoked`, and the answer is False.
        """
        why = "its task was revoked"
        try:
            claims, refused = self.store.waits.end(wait_id, how="cancelled", why=why, by="revoke", instead=INSTEAD)
        except NotFound:
            return False
        self._continuing.send(claims)
        return not refused

    def sweep_deadlines(self) -> int:
        """End the waits whose time is over, `MOST_PER_RUN` at most."""
        return self._slices(lambda: self.store.waits.expire(claim=self._continuing.here))[1]

    def sweep_liveness(self, patience: Patience | None = None) -> int:
        """Judge all coordinators, and tell those who expect a dead one; answers how many died."""
        died = self.store.coordinators.judge(patience or self.patience)
        self.store.coordinators.replace_again()
        self.mourn()
        return len(died)

    def mourn(self) -> None:
        """Tell those who expect a dead coordinator, `MOST_PER_RUN` of each at most; another run tells the others."""
        dead = self.store.coordinators.mourning(MOST_MOURNED + 1)
        left = max(len(dead) - MOST_MOURNED, 0)
        for name in dead[:MOST_MOURNED]:
            left += self._slices(lambda name=name: self.store.coordinators.mourn(name, claim=self._continuing.here))[0]  # type: ignore[misc] # mypy: no type for a default
        if left:
            self._publish([Entry("mourn", KINDS.sweep, "liveness")])

    def bury(self, process: str, why: str) -> list[str]:
        """Declare the coordinators of a process dead that is known to have ended; answers them."""
        died = self.store.coordinators.bury(process, why)
        self.mourn()
        return died

    def sweep_cleared(self) -> int:
        """Forget waits, signals and coordinators that ended over a day ago; answers how many."""
        removed = 0
        for _ in range(MOST_SLICES_CLEARED):
            some = self.store.waits.clear(CLEARED_PER_SLICE, KEEP_MS)
            if any(some):
                names = dict(zip(_CLEARED, (each[:MOST_TOLD] for each in some), strict=True))
                _log.info("cleared", **names, removed=sum(map(len, some)))
            removed += sum(map(len, some))
            if not any(some):  # not at the first that is no whole slice: joins of many signals fill one, too
                break
        return removed

    def sweep_undelivered(self) -> int:
        """Send again what nobody has gone on with, and go on where a release was broken off."""
        again = 0
        while again < MOST_PER_RUN and (some := self.store.waits.redeliver(REDELIVERED_PER_SLICE)):
            again += len(some)
            if not self._contained(lambda some=some: self._continuing.send(some), waits=len(some)):  # type: ignore[misc] # mypy: no type for a default
                break  # a broker that is gone: it is not asked for each of them
        for name in self.store.signals.releasing(MOST_PER_RUN):
            self._contained(lambda name=name: self.release(name), signal=name)  # type: ignore[misc] # likewise
        return again

    def _contained(self, do: Callable[[], object], **about: object) -> bool:
        """Do it, and answer whether it went well; what is wrong with one keeps nobody from the others."""
        try:
            do()
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 # see above
            _log.warning("not_gone_on_with", **about, error=told(error))
            return False
        return True


def valid_ttl(seconds: object) -> float:
    """``seconds`` if a signal can stand so long, else `InvalidWait`."""
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 < seconds <= MAX_TTL_S:
        return float(seconds)
    raise InvalidWait(f"ttl={shown(seconds)}: needs seconds above 0, {MAX_TTL_S:.0f} at most, for example 86400")
