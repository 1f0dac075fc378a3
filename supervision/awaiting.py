"""Asynchronous looks: side by side on one event loop, until one of them blocks it.

A coroutine that works or sleeps without awaiting stops everything else on its loop, and nothing can stop it. So each
loop is watched from outside: when it does not answer, whoever holds it is left alone with it, and all others begin
anew on another loop. The one that blocks holds one thread, as a look that does not come back always does.

One that ends its loop (it stops it, cancels what is not its own, leaves `sys.exit` to a task behind its back) does not
say who it is. Whoever was not done begins anew in two halves, each on a loop of its own, until it is alone.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial

from supervision.child import Child

STUCK_S = 0.5
"""A loop that has not answered for so long is blocked; a coroutine should never hold it for a tenth of that."""

_ASKED_EVERY_S = 0.1


def look_at(
    children: Iterable[Child],
    timeout_s: float,
    one: Callable[[Child, Callable[[], bool]], Awaitable[None]],
    start: Callable[[Callable[[], object]], None],
    lost: Callable[[Child], None],
) -> None:
    """Await ``one`` of each of ``children``, and again on another loop for those whose loop is blocked, or ends.

    ``one`` is given a question as well: whether its look still counts. ``start`` runs a function on a new thread.
    ``lost`` is told who has ended its loop, or was on one that ended when all had their time.
    """
    rest, deadline = list(children), time.monotonic() + timeout_s

    def ended(children: Sequence[Child], *, alone: bool) -> None:
        left_s = deadline - time.monotonic()
        if alone or left_s <= 0:
            for child in children:
                lost(child)
            return
        half = (len(children) + 1) // 2
        for some in filter(None, (children[:half], children[half:])):
            start(partial(look_at, some, left_s, one, start, lost))

    while rest:
        rest = _Loop(rest, one, ended).watched(start, deadline)


class _Loop:
    """One event loop on a thread of its own, and those who are not done on it yet."""

    def __init__(
        self,
        children: Iterable[Child],
        one: Callable[[Child, Callable[[], bool]], Awaitable[None]],
        ended: Callable[..., None],
    ) -> None:
        self._one = one
        self._ended = ended
        self._left = {child.name: child for child in children}
        self._moved: frozenset[str] = frozenset()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._done = threading.Event()

    def watched(self, start: Callable[[Callable[[], object]], None], deadline: float) -> list[Child]:
        """Run until all are done, or the deadline comes; answers those who have to begin anew elsewhere."""
        start(self._serve)
        while not self._done.wait(_ASKED_EVERY_S) and time.monotonic() < deadline:
            if blocker := self._blocker():
                return self._without(blocker)
        return []

    def _serve(self) -> None:
        alone = len(self._left) == 1
        try:
            # User code's: however it has ended the loop, those who are left are looked at, and nobody waits for them.
            with suppress(BaseException):
                asyncio.run(self._all())
        finally:
            self._done.set()
            if left := [child for name, child in tuple(self._left.items()) if name not in self._moved]:
                self._ended(left, alone=alone)

    async def _all(self) -> None:
        self._loop = asyncio.get_running_loop()
        for name, child in tuple(self._left.items()):
            self._tasks[name] = self._loop.create_task(self._its(child), name=name)
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _its(self, child: Child) -> None:
        await self._one(child, lambda: child.name not in self._moved)
        self._left.pop(child.name, None)

    def _blocker(self) -> str:
        """The name of who has kept the loop from answering; empty while it answers."""
        loop, answered = self._loop, threading.Event()
        if loop is None:
            return ""
        try:
            loop.call_soon_threadsafe(answered.set)
        except RuntimeError:  # it has just been closed
            return ""
        if answered.wait(STUCK_S):
            return ""
        holder = asyncio.current_task(loop)
        return holder.get_name() if holder and holder.get_name() in self._left else ""

    def _without(self, blocker: str) -> list[Child]:
        """Give up everybody but ``blocker``; whatever of them goes on here does not count any more."""
        others = [child for name, child in tuple(self._left.items()) if name != blocker]
        self._moved = frozenset(child.name for child in others)
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cancel)
        return others

    def _cancel(self) -> None:
        """Runs on the loop, should it ever answer again."""
        for name in self._moved:
            self._tasks[name].cancel()
