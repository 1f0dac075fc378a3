"""Looking at many children at once, each within its own time, so that one that hangs delays no other.

Synchronous `observe` methods run on daemon threads, asynchronous ones on one event loop of their own. Results are
handed on in batches as they come: the quick ones are stored while the slow ones are still looking. A look that does
not come back holds one thread; its child is not looked at again by this process until that thread returns.
"""

import asyncio
import inspect
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from supervision import documents
from supervision.child import Child
from supervision.store.observations import Sight

MAX_THREADS = 32
"""Looks that wait for the network side by side in one process."""

BATCH_S = 0.02
"""How long the results of one batch are gathered: far below the second between two looks, and one write for many."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What has come in; ``under_way`` are the children still being looked at."""

    sights: tuple[Sight, ...]
    under_way: tuple[str, ...]


class Looker:
    """Looks at children; one per process, because it remembers which looks have not come back."""

    def __init__(self) -> None:
        self._hanging: set[str] = set()
        self._lock = threading.Lock()

    def look(self, children: Sequence[Child], timeout_s: float) -> Iterator[Batch]:
        """Look at ``children`` side by side; the last batch comes no later than ``timeout_s`` seconds (and a bit)."""
        with self._lock:
            due = {child.name: child for child in children if child.path not in self._hanging}
            self._hanging.update(child.path for child in due.values())
        results: queue.SimpleQueue[Sight] = queue.SimpleQueue()
        self._begin(list(due.values()), timeout_s, results)
        deadline = time.monotonic() + timeout_s
        waiting = set(due)
        while waiting and (sights := _gathered(results, waiting, deadline)):
            yield Batch(sights, tuple(waiting))
        late = tuple(Sight(name, error=f"timed out after {timeout_s:g} s") for name in waiting)
        if late:
            yield Batch(late, ())

    def _begin(self, children: Sequence[Child], timeout_s: float, results: "queue.SimpleQueue[Sight]") -> None:
        awaited = [child for child in children if inspect.iscoroutinefunction(child.observe)]
        blocking: queue.SimpleQueue[Child] = queue.SimpleQueue()
        for child in children:
            if child not in awaited:
                blocking.put(child)
        for _ in range(min(MAX_THREADS, blocking.qsize())):
            _daemon(lambda: self._drain(blocking, results))
        if awaited:
            _daemon(lambda: asyncio.run(self._await_all(awaited, timeout_s, results)))

    def _drain(self, children: "queue.SimpleQueue[Child]", results: "queue.SimpleQueue[Sight]") -> None:
        """One thread's work: look at one child after the other until none is left."""
        while True:
            try:
                child = children.get_nowait()
            except queue.Empty:
                return
            results.put(_sight(child, child.observe))
            self._returned(child)

    async def _await_all(
        self, children: Sequence[Child], timeout_s: float, results: "queue.SimpleQueue[Sight]"
    ) -> None:
        async def one(child: Child) -> None:
            try:
                seen = await asyncio.wait_for(child.observe(), timeout_s)
            except Exception as error:  # noqa: BLE001 # user code: recorded as the reason of a failed look
                results.put(Sight(child.name, error=_why(error)))
            else:
                results.put(_sight(child, lambda: seen))
            self._returned(child)

        await asyncio.gather(*(one(child) for child in children))

    def _returned(self, child: Child) -> None:
        with self._lock:
            self._hanging.discard(child.path)


def _sight(child: Child, observe: Callable[[], object]) -> Sight:
    """What one look gives: a document that fits, or the reason why not."""
    try:
        document = documents.encode(observe(), child.Observed, f"{child.path}: observed")
    except Exception as error:  # noqa: BLE001 # user code: recorded as the reason of a failed look
        return Sight(child.name, error=_why(error))
    return Sight(child.name, document.decode())


def _why(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


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
        sights.append(sight)
        waiting.discard(sight.child)
    return tuple(sights)


def _daemon(work: Callable[[], object]) -> None:
    """A thread that never keeps its process from ending, as pool threads would."""
    threading.Thread(target=work, daemon=True, name="supervision-look").start()
