"""Results of pool processes: one that was read in part when the broker's connection broke is read on afterwards.

A prefork worker reads what its processes say on its event loop, and leaves off in the middle of a result when the rest
is not there yet; results above 16 KiB, such as most errors with their traceback, and what a task that begins to wait
answers, come in two pieces at least. When the broker is lost meanwhile, Celery clears its loop and begins to read in
the middle of that result: "Unrecoverable error: UnpicklingError", and the worker is gone. One that is told to end
before it has its broker again waits half a minute for the beginning of a result, and calls a task that has succeeded
lost.

Rules:
- The difference from Celery: a result handler asks here for the reader of a pipe, and gets the one that has not come to
  its end, unless the pipe is another process's by now; and what a worker that ends finishes to read is that one, too.
  What reads, and how, is Celery's.
- `tests/system/test_results_in_pieces.py` proves need and cure, and fails when upstream needs no cure.
"""

from collections.abc import Callable, Generator
from inspect import GEN_SUSPENDED, getgeneratorstate
from typing import Any

from celery import bootsteps

Reader = Generator[None, None, None]


class WholeResults(bootsteps.StartStopStep):
    """Has a worker read on where it left off."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """See to it that readers are remembered; called after each connect, before the loop begins."""
        handler = getattr(getattr(consumer.pool, "_pool", None), "_result_handler", None)
        # Other pools have no pipes that are read on the loop.
        if hasattr(handler, "_recv_message") and hasattr(handler, "_finish_partial_read"):
            remember(handler)


def remember(handler: Any) -> None:
    """Have an asynchronous pool's result handler go on with readers that have not come to their end. Idempotent."""
    if not isinstance(handler._recv_message, _Readers):  # noqa: SLF001 - Celery has no other way in
        handler._recv_message = readers = _Readers(handler)  # noqa: SLF001 - likewise
        handler._finish_partial_read = readers.finish  # noqa: SLF001 - likewise


class _Readers:
    """The readers of a handler's pipes; each is asked for when its pipe has something and nobody reads it."""

    def __init__(self, handler: Any) -> None:
        self._handler = handler
        self._read: Callable[..., Reader] = handler._recv_message  # noqa: SLF001 - see `remember`
        self._finish: Callable[[int, Any], bool] = handler._finish_partial_read  # noqa: SLF001 - likewise
        self._processes: dict[int, Any] = handler.fileno_to_outq
        self._latest: dict[int, tuple[Any, Reader]] = {}

    def __call__(self, add_reader: Callable[..., object], fd: int, callback: Callable[[Any], object]) -> Reader:
        """The reader of a pipe, which calls ``callback`` with what it has read."""
        process = self._processes.get(fd)
        reader = self._left_off(fd, process)
        if reader is None:
            reader = self._read(add_reader, fd, callback)
            self._latest[fd] = process, reader
        return reader

    def finish(self, fd: int, process: Any) -> bool:
        """Read a pipe's result to its end, for a worker that ends; answers whether that can never be.

        Celery takes the reader from its loop, which has forgotten it where the broker was lost.
        """
        loop, reader = self._handler._hub, self._left_off(fd, process)  # noqa: SLF001 - see `remember`
        if loop is not None and reader is not None:
            loop.readers[fd] = reader, ()
        return self._finish(fd, process)

    def _left_off(self, fd: int, process: Any) -> Reader | None:
        whose, reader = self._latest.get(fd, (None, None))
        return reader if reader and whose is process and getgeneratorstate(reader) == GEN_SUSPENDED else None
