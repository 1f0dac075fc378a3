"""Coordinators of a plain Python process: they beat, they wait, and what they wait for survives them.

    with client.coordinator("review") as review:
        verdict = review.wait("build/42/done", timeout=1800, expects="build")

Rules:
- The wait is a record in the store like any other; the thread only sleeps until it has ended. A process that crashes
  and comes back under the same name goes on with the wait it had, deadline included.
- The newest instance of a name owns it. An older one gets `Superseded` from its next call, or out of its wait.
- `wait` acknowledges when it returns; `waiting` when its ``with`` block ends well.
- A store that is away is waited for until the wait's own time is over, and for as long again to acknowledge.
"""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Final, Self

from supervision.beating import Heart
from supervision.coordinating import Coordination
from supervision.coordination.waits import DEFAULT_TIMEOUT_S, OnDeath, Terms, brief, described, node_of, valid_terms
from supervision.errors import InvalidWait, Lost, StoreUnavailable, Superseded, WaitEnded
from supervision.listening import Listener, driven
from supervision.presence import Presence
from supervision.repeating import AWAY_S, TOLD_S, patiently
from supervision.saying import log as _log
from supervision.store.claims import Claimed, answer
from supervision.store.coordinators import LOST
from supervision.store.happened import Happened

LONGEST_SLEEP_S: Final = 60.0
"""Seconds after which a waiting thread looks for itself, whatever it has heard."""


class Coordinator:
    """One live participant; made by `Client.coordinator`, registered when it is made."""

    def __init__(
        self, name: str, *, coordination: Coordination, listener: Listener, heart: Heart, host: str, **said: Any
    ) -> None:
        self._coordination, self._listener, self._heart = coordination, listener, heart
        self._waits = coordination.store.waits
        self._in_hand: dict[str, object] = {}
        self._told: set[str] = set()
        self._refused, self._left = "", False
        self._presence = presence = Presence(name, coordination.store.coordinators, host=host, **said)
        self.name: Final = presence.name
        self.incarnation: Final = presence.incarnation
        try:
            heart.begin(self.name, presence.beat, self._refuse, heard=presence.heard, every=presence.every)
        except BaseException as error:  # nobody has it, and nobody would beat for it
            self.__exit__(type(error), error, None)
            raise

    def wait(
        self,
        on: Any,
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
        expects: str | None = None,
        on_death: OnDeath = "fail",
    ) -> Any:
        """Block until ``on`` (a signal's name, or `all_of`, `any_of`, `k_of`) has come; answers as a signature would.

        Raises:
            SignalTimeout, CoordinatorDied, Cancelled: how it ended without the signal.
            WaitEnded: it has ended, and five instances of this coordinator that got its end have died over it.
            Superseded: another instance of this coordinator has come, or this one was declared dead.
            InvalidWait, NotFound: it could not work; nothing was registered.
            StoreUnavailable: the store was away for so long; whoever waits for the same next gets how it ended.
        """
        with self.waiting(on, timeout=timeout, expects=expects, on_death=on_death) as value:
            return value

    @contextmanager
    def waiting(
        self,
        on: Any,
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
        expects: str | None = None,
        on_death: OnDeath = "fail",
    ) -> Iterator[Any]:
        """As `wait`; the signal counts as processed when the block ends well, as failed when it raises.

        Nobody else of this coordinator can wait for the same before that.
        """
        woken = threading.Event()
        with self.in_hand(on, timeout=timeout, expects=expects, on_death=on_death) as wait:
            claim = driven(self.course(*wait, woken.set), woken)
            try:
                value = answer(claim)
            except WaitEnded:
                driven(self.telling(claim, timeout), woken)
                raise
            try:
                yield value
            except BaseException:
                self.failed(claim)
                raise
            driven(self.telling(claim, timeout), woken)

    @contextmanager
    def in_hand(
        self, on: Any, *, timeout: float, expects: str | None, on_death: OnDeath
    ) -> Iterator[tuple[str, Terms]]:
        """A wait is one caller's, from its first step until what came of it is told; both clients wait inside.

        Another caller of this instance would be given the same claim again, and both would go on with it.
        """
        node = node_of(on, expects)
        wait = valid_terms(Terms(on=node, timeout=timeout, owner=self.name, on_death=on_death))
        wait_id, mine = f"{self.name}>{brief(node)}", object()
        try:  # already here: an interrupt between having it in hand and `try` would leave it there
            if self._in_hand.setdefault(wait_id, mine) is not mine:
                raise InvalidWait(
                    f"{self.name} waits for {described(node)!r} already, or goes on with it: in another thread, which "
                    "can share what it gets, or in a block of `waiting` around this one, which has it"
                )
            yield wait_id, wait
        finally:
            if self._in_hand.get(wait_id) is mine:
                del self._in_hand[wait_id]

    def course(self, wait_id: str, wait: Terms, wake: Callable[[], object]) -> Generator[float, None, Claimed]:
        """A wait in hand as steps, which both clients drive: yields how long to sleep at most; ends with the claim."""
        deadline = time.monotonic() + wait.timeout
        try:
            self._listener.watch(wait_id, wake)
            while True:
                if self._listener.closed:
                    raise StoreUnavailable(f"{self.name}: its client is closed; the wait is kept for its name")
                try:
                    claim = self._enter(wait_id, wait)
                except StoreUnavailable:
                    if time.monotonic() >= deadline:
                        raise
                    yield AWAY_S
                    continue
                if claim.state == "received":
                    return claim
                deadline = time.monotonic() + claim.left
                yield min(max(claim.left, 0.01), LONGEST_SLEEP_S)
        finally:
            self._listener.forget(wait_id, wake)

    def telling(self, claim: Claimed, patience: float) -> Generator[float, None, Claimed]:
        """That this one has gone on with ``claim``, told as steps: again while the store is away, for so long."""
        deadline = time.monotonic() + patience
        self._told.discard(claim.id)  # now: where the answer is lost, the next claim may be another wait's
        while True:
            try:
                told = self._waits.processed([(claim.id, claim.start, "processed")], self.incarnation)
            except StoreUnavailable:
                if self._listener.closed or time.monotonic() >= deadline:
                    raise
                yield AWAY_S
            else:
                if not told:
                    raise Superseded(f"{self.name}: another instance of it has got how {claim.id} ended, and goes on")
                return claim

    def failed(self, claim: Claimed) -> None:
        """Tell that going on with ``claim`` has failed; while the store is away whoever waits next gets it again."""
        self._told.discard(claim.id)
        try:
            self._waits.processed([(claim.id, claim.start, "failed")], self.incarnation)
        except StoreUnavailable as error:
            _log.warning("failure_not_heard", wait=claim.id, error=str(error))

    def doing(self, text: str) -> None:
        """Say what it is at; the next heartbeat tells it."""
        self._presence.doing(text)

    def progress(self) -> None:
        """Say that it moves, for one that was made with ``progress``; the next heartbeat tells it."""
        self._presence.progress()

    def complete(self, patience: float = TOLD_S) -> None:
        """Say that it is done; it beats no longer. `StoreUnavailable` if the store is ``patience`` seconds away."""
        self._leave(failed=False, why="", patience=patience)

    def fail(self, why: str) -> None:
        """Say that it has failed: whoever waits for a signal of its is told at once. Raises as `complete`."""
        self._leave(failed=True, why=why, patience=TOLD_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.complete()
        elif not isinstance(error, Superseded):
            try:
                self._leave(failed=True, why=f"{type(error).__name__}: {error}", patience=0)
            except StoreUnavailable as away:  # its silence will tell it; what is raised is what went wrong
                _log.warning("failure_not_heard", coordinator=self.name, error=str(away))

    def _enter(self, wait_id: str, wait: Terms) -> Claimed:
        if self._refused:
            raise Superseded(f"{self.name}: {self._refused}; whatever this one still writes is refused")
        try:
            told, channel = wait_id in self._told, self._listener.channel
            claim = self._waits.enter(wait_id, wait, channel=channel, incarnation=self.incarnation, told=told)
        except Lost:
            self._refuse(LOST)
            return self._enter(wait_id, wait)
        if claim.state == "dead_letter":
            again = f"`supervision retry 'wait:{wait_id}'` lets the next call have what it waited for"
            raise WaitEnded(f"{self.name}: its wait has ended, and whoever got that never ended well; {again}")
        (self._told.add if claim.state == "received" else self._told.discard)(wait_id)
        return claim

    def _refuse(self, why: str) -> None:
        if why == LOST:
            if self._presence.come_back():
                return
            why = "another instance has registered"
            self._heart.end(self.name, self._presence.beat)
        if not self._left:  # a beat that was on its way when this one left is refused, too
            self._coordination.store.heard.tell(Happened("coordinator", self.name, "", "superseded", why))
        self._refused = why
        self._listener.call_all()

    def _leave(self, *, failed: bool, why: str, patience: float) -> None:
        self._heart.end(self.name, self._presence.beat)
        if self._left:
            return
        self._left = True
        try:
            patiently(lambda: self._presence.leave(failed=failed, why=why), patience)
        except StoreUnavailable:
            self._left = False
            raise
        with suppress(StoreUnavailable):  # a sweep tells it, too
            self._coordination.mourn()
