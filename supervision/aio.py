"""The client for asyncio programs: everything of `supervision.Client`, awaited.

    async with aio.Client() as client, client.coordinator("review") as review:
        verdict = await review.wait("build/42/done", timeout=1800)

It shares all but the waiting with the other client: a call takes a millisecond of one of the event loop's threads, and
a wait takes none of them, only a future that the client's one listener wakes. Any number of them wait at once.

Rules:
- A thread that talks to the store cannot be cancelled. A wait or a registration that is cancelled meanwhile ends when
  the store has answered, or has been silent for as long as any call lets it (5 s). What it brought is not lost: the
  coordinator has failed, and how the wait ended is for whoever waits for the same next.
- That a coordinator is complete is told for as long as the other client tells it (25 s), also when that is cancelled.
"""

import asyncio
import contextvars
import functools
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from supervision import client as blocking
from supervision.coordination.mailboxes import LEASE_S, Message
from supervision.coordination.waits import DEFAULT_TIMEOUT_S, OnDeath
from supervision.errors import StoreUnavailable, WaitEnded
from supervision.mail_client import TAKE_POLL_S, valid_wait
from supervision.mail_client import Mailbox as BlockingMailbox
from supervision.participant import Coordinator as Blocking
from supervision.store.claims import Claimed, answer
from supervision.waits_client import nameless

_T = TypeVar("_T")


class Client:
    """As `supervision.Client`; every method of it is here and has to be awaited."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.blocking = blocking.Client(*arguments, **options)

    @classmethod
    def from_app(cls, app: Any) -> Self:
        """A client for what a Celery ``app`` is configured with; it sends through that app."""
        made = cls.__new__(cls)
        made.blocking = blocking.Client.from_app(app)
        return made

    def __getattr__(self, name: str) -> Any:
        """The method ``name`` of the other client, run in a thread; what it answers has to be awaited."""
        return _in_a_thread(getattr(self.blocking, name))

    @asynccontextmanager
    async def coordinator(self, name: str, **options: Any) -> AsyncIterator["Coordinator"]:
        """Register as the coordinator ``name``; it is complete when the block ends well, and failed when it raises."""
        made, cancelled = await _whole(self.blocking.coordinator, name, **options)
        try:
            _raised(cancelled)
            yield Coordinator(made)
        except BaseException as error:
            await _to_its_end(made.__exit__, type(error), error, None)
            raise
        await _to_its_end(made.complete)

    async def wait(self, on: Any, **options: Any) -> Any:
        """As `supervision.Client.wait`, with what that takes."""
        made, cancelled = await _whole(self.blocking.coordinator, nameless(on, **options), kind="client")
        try:
            _raised(cancelled)
            return await Coordinator(made).wait(on, **options)
        finally:
            with suppress(StoreUnavailable):  # as there
                await _to_its_end(made.complete, 0)

    def mailbox(self, name: str) -> "Mailbox":
        """The mailbox of the coordinator ``name``; asks the store nothing, so it need not be awaited."""
        return Mailbox(self.blocking.mailbox(name))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.blocking.close)


class Mailbox:
    """As `supervision.mail_client.Mailbox`; every method of it is here and has to be awaited."""

    def __init__(self, made: BlockingMailbox) -> None:
        self.blocking, self.name = made, made.name
        self._kept: tuple[list[Message], float] = [], 0.0

    def __getattr__(self, name: str) -> Any:
        """The method ``name`` of the other mailbox, run in a thread; what it answers has to be awaited."""
        return _in_a_thread(getattr(self.blocking, name))

    async def take(self, n: int = 1, *, lease: float = LEASE_S, wait: float = 0.0) -> list[Message]:
        """As the other one's; who waits for a message holds no thread.

        What came when this was cancelled is the next call's, as long as half of its lease is left.
        """
        deadline = time.monotonic() + valid_wait(wait)
        while True:
            (kept, until), self._kept = self._kept, ([], 0.0)
            if 0 < len(kept) <= n and time.monotonic() < until:
                return kept
            messages, cancelled = await _whole(self.blocking.take, n, lease=lease)
            if cancelled:
                self._kept = messages, time.monotonic() + lease / 2
            _raised(cancelled)
            left = deadline - time.monotonic()
            if messages or left <= 0:
                return messages
            await asyncio.sleep(min(TAKE_POLL_S, left))

    @asynccontextmanager
    async def taking(self, n: int = 1, *, lease: float = LEASE_S, wait: float = 0.0) -> AsyncIterator[list[Message]]:
        """As `take`; done when the block ends well, failed when it raises."""
        messages = await self.take(n, lease=lease, wait=wait)
        try:
            yield messages
        except BaseException as error:
            await asyncio.to_thread(self.blocking.raised, messages, error)
            raise
        await asyncio.to_thread(self.blocking.done, *messages)


class Coordinator:
    """As `supervision.participant.Coordinator`, with waits that are awaited."""

    def __init__(self, made: Blocking) -> None:
        self.blocking = made
        self.name, self.incarnation = made.name, made.incarnation
        self.doing, self.progress = made.doing, made.progress

    async def wait(
        self,
        on: Any,
        *,
        timeout: float = DEFAULT_TIMEOUT_S,  # noqa: ASYNC109 # the store's clock ends it, not the event loop's
        expects: str | None = None,
        on_death: OnDeath = "fail",
    ) -> Any:
        """As `supervision.participant.Coordinator.wait`."""
        async with self.waiting(on, timeout=timeout, expects=expects, on_death=on_death) as value:
            return value

    @asynccontextmanager
    async def waiting(
        self,
        on: Any,
        *,
        timeout: float = DEFAULT_TIMEOUT_S,  # noqa: ASYNC109 # as above
        expects: str | None = None,
        on_death: OnDeath = "fail",
    ) -> AsyncIterator[Any]:
        """As `supervision.participant.Coordinator.waiting`."""
        woken, loop = asyncio.Event(), asyncio.get_running_loop()
        with self.blocking.in_hand(on, timeout=timeout, expects=expects, on_death=on_death) as wait:
            claim = await _driven(self.blocking.course(*wait, _waker(loop, woken)), woken)
            try:
                value = answer(claim)
            except WaitEnded:
                await _driven(self.blocking.telling(claim, timeout), woken)
                raise
            try:
                yield value
            except BaseException:
                await _to_its_end(self.blocking.failed, claim)
                raise
            await _driven(self.blocking.telling(claim, timeout), woken)


def _in_a_thread(method: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def awaited(*arguments: Any, **options: Any) -> Any:
        return await asyncio.to_thread(method, *arguments, **options)

    return awaited


def _waker(loop: asyncio.AbstractEventLoop, woken: asyncio.Event) -> Callable[[], object]:
    """Sets ``woken`` from the listener's thread, unless the loop has ended meanwhile."""

    def wake() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(woken.set)

    return wake


async def _whole(call: Callable[..., _T], *arguments: Any, **options: Any) -> tuple[_T, asyncio.CancelledError | None]:
    """Run ``call`` in a thread to its end; answers what it brought, and the cancellation that came meanwhile.

    The caller raises that once it has put away what was brought.
    """
    work = functools.partial(contextvars.copy_context().run, call, *arguments, **options)
    running = asyncio.get_running_loop().run_in_executor(None, work)
    cancelled = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:
            cancelled = error
    if running.exception():
        _raised(cancelled)
    return running.result(), cancelled


def _raised(cancelled: asyncio.CancelledError | None) -> None:
    if cancelled:
        raise cancelled


async def _to_its_end(call: Callable[..., _T], *arguments: Any) -> _T:
    """Run ``call`` in a thread to its end, and only then be cancelled."""
    brought, cancelled = await _whole(call, *arguments)
    _raised(cancelled)
    return brought


async def _driven(course: Generator[float, None, Claimed], woken: asyncio.Event) -> Claimed:
    """Drive ``course``, whose steps talk to the store, with this event loop."""
    try:
        while True:
            woken.clear()
            (seconds, claim), cancelled = await _whole(_step, course)
            _raised(cancelled)  # what was claimed is given out again to whoever waits for the same next
            if claim is not None:
                return claim
            with suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), seconds)
    finally:
        course.close()  # a task that is cancelled stops listening; its wait stays, for when it comes back


def _step(course: Generator[float, None, Claimed]) -> tuple[float, Claimed | None]:
    """The next pause, or the claim at the end: a `StopIteration` cannot leave a future."""
    try:
        return next(course), None
    except StopIteration as end:
        return 0.0, end.value
