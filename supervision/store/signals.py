"""Signals as stored: latched by one script, from where those who wait are released in slices."""

from typing import NamedTuple

import msgspec

from supervision.coordination.signals import Progress, Receipt
from supervision.errors import NotFound, SignalAlreadySent
from supervision.moments import moment
from supervision.store.claims import news
from supervision.store.connection import translated
from supervision.store.happened import Happened, Heard
from supervision.store.keys import Keys
from supervision.store.scripts import Scripts
from supervision.store.waits import LEASE_MS, SLICE, Claimed, handed

MOST_AT_ONCE = 4
"""Waits that the script which latches a signal releases itself: a bound, so that it takes constant time."""


MOST_NAMED = 100
"""Waits that a receipt names of those that were not released yet."""


class Sent(NamedTuple):
    """What became of a signal: ``repeated`` if it stood already; ``left`` still wait to be released."""

    repeated: bool
    left: int
    released: list[Claimed]


class Signals:
    """The store's side of signals."""

    def __init__(self, scripts: Scripts, keys: Keys, heard: Heard | None = None) -> None:
        self._scripts = scripts
        self._heard = heard or Heard()
        self._keys = keys
        self._first = [keys.outbox, keys.entries, keys.events, keys.counters]

    def send(  # noqa: PLR0913 # one signal; all but its name are named
        self,
        name: str,
        *,
        signal_id: str,
        payload: str,
        sender: str,
        ttl_ms: int,
        replace: bool = False,
        channel: str = "",
        claim: bool = False,
    ) -> Sent:
        """Latch the signal; ``channel`` hears of its acknowledgements. `SignalAlreadySent` if another one stands."""
        arguments = [name, signal_id, payload, sender, ttl_ms, int(replace), channel]
        answer = self._scripts.run("send", self._first, [*arguments, MOST_AT_ONCE, LEASE_MS if claim else 0])
        if answer[0] == b"other":
            _, known, at, by, why = (part.decode() for part in answer)
            raise SignalAlreadySent(
                f"{name!r} {_STANDS[why].format(id=known, at=moment(int(at)), by=by or 'somebody')}"
            )
        sent = Sent(answer[0] == b"same", int(answer[1]), handed(answer[2:]))
        if not sent.repeated:
            self._heard.tell(Happened("signal", name, "", answer[0].decode(), signal_id, sender))
        self._heard.tell(*news(sent.released))
        return sent

    def release(self, name: str, *, claim: bool, most: int = SLICE) -> tuple[int, list[Claimed]]:
        """Release some of those who wait for a signal that stands; answers how many are left, and those released."""
        answer = self._scripts.run("release", self._first, [name, most, LEASE_MS if claim else 0])
        released = handed(answer[1:])
        self._heard.tell(*news(released))
        return int(answer[0]), released

    def releasing(self, most: int) -> list[str]:
        """Signals of which some who wait have not been released yet, the oldest first."""
        with translated("signals"):
            return [name.decode() for name in self._scripts.client.zrange(self._keys.releasing, 0, most - 1)]  # type: ignore[union-attr] # the sync client answers the list itself

    def receipt(self, name: str) -> Receipt:
        """How far the signal has got; `NotFound` if none stands or stood under that name."""
        pipeline = self._scripts.client.pipeline(transaction=True)
        pipeline.hmget(self._keys.signal(name), "id", "sender", "at", "until")
        pipeline.hgetall(self._keys.receipt(name))
        pipeline.zcard(self._keys.waiters(name))
        pipeline.zrange(self._keys.waiters(name), 0, MOST_NAMED - 1)
        with translated("receipt"):
            (signal_id, sender, at, until), progress, pending, first = pipeline.execute()
        if signal_id is None:
            waiting = f"; {pending} wait for it" if pending else ""
            raise NotFound(f"no signal {name!r} was sent, or it is a day beyond its time to live{waiting}")
        return Receipt(
            signal=name,
            id=signal_id.decode(),
            sender=sender.decode(),
            at=int(at),
            until=int(until),
            pending=pending,
            waiters={who.decode(): Progress(state.decode()) for who, state in progress.items()},
            pending_waiters=tuple(member.decode().partition("#")[2] for member in first),
        )

    def payload(self, name: str) -> object:
        """What a signal that stands says; `NotFound` if none does."""
        pipeline = self._scripts.client.pipeline(transaction=True)
        pipeline.hmget(self._keys.signal(name), "payload", "until")
        pipeline.time()
        with translated("signal"):
            (found, until), (seconds, micros) = pipeline.execute()
        if found is None or int(until) <= seconds * 1000 + micros // 1000:
            raise NotFound(f"no signal {name!r} stands: none was sent, or its time to live is over")
        return msgspec.json.decode(found)


_STANDS = {
    "stands": "was sent already, as {id!r} by {by} (at {at}); a signal happens once: put the round into its name, or "
    "send the same id again to learn how far it has got",
    "received": "was sent as {id!r} by {by} and received already, so nothing replaces it any more; use another name",
    "owed": "was sent as {id!r} by {by}, and some who waited for it have not received it yet; use another name",
}
