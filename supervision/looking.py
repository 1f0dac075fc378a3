"""Looking at many children at once, each within its own time, so that one that hangs delays no other.

Synchronous `observe` methods run on daemon threads, asynchronous ones on an event loop (see `awaiting`). Results are
handed on in batches as they come: the quick ones are stored while the slow ones are still looking. A look that does
not come back holds one thread; its child is not looked at again by this process until that thread returns. Whatever a
look raises, even `SystemExit`, is that child's failed look and nobody else's.
"""

import asyncio
import inspect
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from supervision import awaiting, documents
from supervision.child import Child
from supervision.store.observations import Look, Sight

MAX_THREADS = 32
"""Looks that wait for the network side by side in one process."""

BATCH_S = 0.02
"""How long the results of one batch are gathered: far below the second between two looks, and one write for many."""


LOST = "its event loop ended before its look did: it was stopped, its tasks were cancelled, or a task of it exited"

NOTE_S = 0.5
"""After so many seconds without any result, say what is under way, so that other processes do not begin it again."""


HUNG_TIMES = 10
"""A look that lasts so many times as long as it may is not slow: it hangs."""

MANY_HUNG = 8
"""A process that holds more hanging looks than that had better be replaced ..."""

LONG_HUNG_S = 300.0
"""... and so had one that holds a single one for so long: nothing else would look at that child here again."""


PARTS = 8
"""Each death of a collector leaves an eighth of those who may be the cause: of 10,000 children it is found after five.
Each part costs one script."""


@dataclass(frozen=True, slots=True)
class _Going:
    """A look that has not come back yet: when it began, and how long it may take."""

    begun: float
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Batch:
    """What has come in, which may be nothing yet; ``under_way`` are the children still being looked at."""

    sights: tuple[Sight, ...]
    under_way: tuple[str, ...]


class Looker:
    """Looks at children; one per process, because it remembers which looks have not come back."""

    def __init__(self) -> None:
        self._hanging: dict[str, _Going] = {}
        self._last_seen: dict[str, float] = {}
        self._lock = threading.Lock()

    def look(self, children: Sequence[Child], timeout_s: float, *, named: bool = False) -> Iterator[Batch]:
        """Look at ``children`` side by side; the last batch comes no later than ``timeout_s`` seconds (and a bit).

        ``named`` says who is under way before anybody is: should this process die of one, the next looks know of whom.
        """
        with self._lock:
            begun = time.monotonic()
            due = {child.name: child for child in children if child.path not in self._hanging}
            self._hanging.update((child.path, _Going(begun, timeout_s)) for child in due.values())
        results: queue.SimpleQueue[Sight] = queue.SimpleQueue()
        blocking: queue.SimpleQueue[Child] = queue.SimpleQueue()
        waiting = set(due)
        deadline = begun + timeout_s
        until = min(deadline, begun + NOTE_S)
        try:
            if named and due:
                yield Batch((), tuple(waiting))
            self._begin(self._in_turn(due.values()), blocking, timeout_s, results)
            while waiting and ((sights := _gathered(results, waiting, until)) or until < deadline):
                yield Batch(sights, tuple(waiting))
                until = deadline
        finally:
            left = self._withdrawn(blocking)
            self._last_seen |= {child.path: begun for name, child in due.items() if name not in waiting}
        late = tuple(Sight(name, error=_late(timeout_s, begun=name not in left)) for name in waiting)
        if late:
            yield Batch(late, ())

    def worn(self) -> str:
        """Why this process had better be replaced; empty when it need not."""
        now = time.monotonic()
        with self._lock:
            hung = [
                now - look.begun for look in self._hanging.values() if now - look.begun > HUNG_TIMES * look.timeout_s
            ]
        if len(hung) > MANY_HUNG or max(hung, default=0.0) > LONG_HUNG_S:
            return f"{len(hung)} looks hang, one of them for {max(hung):.0f} s"
        return ""

    def _in_turn(self, children: Iterable[Child]) -> list[Child]:
        """Who was not seen for longest begins, so that a crowd too slow for one look never shuts out the same ones."""
        return sorted(children, key=lambda child: self._last_seen.get(child.path, 0.0))

    def _begin(
        self,
        children: Sequence[Child],
        blocking: "queue.SimpleQueue[Child]",
        timeout_s: float,
        results: "queue.SimpleQueue[Sight]",
    ) -> None:
        def lost(child: Child) -> None:
            self._returned(child)
            results.put(Sight(child.name, error=LOST))

        awaited = [child for child in children if inspect.iscoroutinefunction(child.observe)]
        for child in children:
            if child not in awaited:
                blocking.put(child)
        for _ in range(min(MAX_THREADS, blocking.qsize())):
            _daemon(lambda: self._drain(blocking, results))
        if awaited:
            _daemon(lambda: awaiting.look_at(awaited, timeout_s, self._one(timeout_s, results), _daemon, lost))

    def _drain(self, children: "queue.SimpleQueue[Child]", results: "queue.SimpleQueue[Sight]") -> None:
        """One thread's work: look at one child after the other until none is left."""
        while child := _next(children):
            sight = _sight(child, child.observe)
            self._returned(child)
            results.put(sight)

    def _one(
        self, timeout_s: float, results: "queue.SimpleQueue[Sight]"
    ) -> Callable[[Child, Callable[[], bool]], Awaitable[None]]:
        async def one(child: Child, counts: Callable[[], bool]) -> None:
            sight = await _awaited(child, timeout_s)
            if counts():
                self._returned(child)
                results.put(sight)

        return one

    def _returned(self, child: Child) -> None:
        """Free to be looked at again; said before the result is handed on, whose receiver may want just that."""
        with self._lock:
            self._hanging.pop(child.path, None)

    def _withdrawn(self, children: "queue.SimpleQueue[Child]") -> set[str]:
        """The names of those whose turn did not come, because so many others hang; their turn is the next look."""
        left = set()
        while child := _next(children):
            self._returned(child)
            left.add(child.name)
        return left


async def _awaited(child: Child, timeout_s: float) -> Sight:
    try:
        async with asyncio.timeout(timeout_s) as limit:
            seen = await child.observe()
    except BaseException as error:  # user code: not even its SystemExit may end the loop of all
        if isinstance(error, asyncio.CancelledError) and not limit.expired() and _cancelled():
            raise  # by somebody else, which says nothing about this child
        return Sight(child.name, error=_late(timeout_s, begun=True) if limit.expired() else documents.told(error))
    return _sight(child, lambda: seen)


def _cancelled() -> bool:
    """Whether somebody has cancelled the task that is at work, instead of something that it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _sight(child: Child, observe: Callable[[], object]) -> Sight:
    """What one look gives: a document that fits, or the reason why not."""
    try:
        document = documents.encode(observe(), child.Observed, f"{child.path}: observed")
    except BaseException as error:  # noqa: BLE001 - user code: not even its SystemExit may end a thread of others
        return Sight(child.name, error=documents.told(error))
    return Sight(child.name, document.decode())


def _late(timeout_s: float, *, begun: bool) -> str:
    return f"timed out after {timeout_s:g} s" if begun else f"not begun within {timeout_s:g} s: too many others hang"


def _next(children: "queue.SimpleQueue[Child]") -> Child | None:
    try:
        return children.get_nowait()
    except queue.Empty:
        return None


def _gathered(results: "queue.SimpleQueue[Sight]", waiting: set[str], deadline: float) -> tuple[Sight, ...]:
    """The next batch: wait for one result, then for `BATCH_S` more; empty when the deadline comes first."""
    sights: list[Sight] = []
    until = deadline
    while waiting:
        try:
            sight = results.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            break
        if not sights:
            until = min(deadline, time.monotonic() + BATCH_S)
        if sight.child in waiting:  # one that began anew elsewhere may come back twice
            sights.append(sight)
            waiting.discard(sight.child)
    return tuple(sights)


def in_turns(children: list[Child], look: Look) -> Iterator[tuple[list[Child], bool]]:
    """Who is looked at together, and whether they are to be named before: last come those who may kill this process."""
    doubtful = {child.name for child in children if look.cautious or child.name in look.doubtful}
    yield [child for child in children if child.name not in doubtful], False
    for some in divided([child for child in children if child.name in doubtful]):
        yield some, True


def divided(children: list[Child]) -> Iterator[list[Child]]:
    """``children``, one of whom may kill whoever looks at it, in `PARTS` parts at most."""
    size = -(-len(children) // PARTS) or 1
    for first in range(0, len(children), size):
        yield children[first : first + size]


def _daemon(work: Callable[[], object]) -> None:
    """A thread that never keeps its process from ending, as pool threads would."""
    threading.Thread(target=work, daemon=True, name="supervision-look").start()
