"""Results of pool processes: one that was read in part when the broker's connection broke is read on afterwards.

A prefork worker reads what its processes say on its event loop, and leaves off in the middle of a result when the rest
is not there yet; results above 16 KiB, such as most errors with their traceback, and what a task that begins to wait
answers, come in two pieces at least. When the broker is lost meanwhile, Celery clears its loop and begins to read in
the middle of that result: "Unrecoverable error: UnpicklingError", and the worker is gone, or hangs in its shutdown.

Rules:
- The difference from Celery: a result handler asks here for the reader of a pipe, and gets the one that has not come to
  its end, unless the pipe is another process's by now. What reads, and how, is Celery's.
- `tests/system/test_results_in_pieces.py` proves need and cure, and fails when upstream needs no cure.
"""

from collections.abc import Callable, Generator
from inspect import GEN_CLOSED, getgeneratorstate
from typing import Any

from celery import bootsteps

Reader = Generator[None, None, None]


class WholeResults(bootsteps.StartStopStep):
    """Has a worker read on where it left off."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """See to it that readers are remembered; called after each connect, before the loop begins."""
        handler = getattr(getattr(consumer.pool, "_pool", None), "_result_handler", None)
        if hasattr(handler, "_recv_message"):  # other pools have no pipes that are read on the loop
            remember(handler)


def remember(handler: Any) -> None:
    """Have an asynchronous pool's result handler go on with readers that have not come to their end. Idempotent."""
    if not isinstance(handler._recv_message, _Readers):  # noqa: SLF001 - Celery has no other way in
        handler._recv_message = _Readers(handler)  # noqa: SLF001 - likewise


class _Readers:
    """The readers of a handler's pipes; each is asked for when its pipe has something and nobody reads it."""

    def __init__(self, handler: Any) -> None:
        self._read: Callable[..., Reader] = handler._recv_message  # noqa: SLF001 - see `remember`
        self._processes: dict[int, Any] = handler.fileno_to_outq
        self._latest: dict[int, tuple[Any, Reader]] = {}

    def __call__(self, add_reader: Callable[..., object], fd: int, callback: Callable[[Any], object]) -> Reader:
        """The reader of a pipe, which calls ``callback`` with what it has read."""
        process = self._processes.get(fd)
        whose, reader = self._latest.get(fd, (None, None))
        if reader is None or whose is not process or getgeneratorstate(reader) == GEN_CLOSED:
            reader = self._read(add_reader, fd, callback)
            self._latest[fd] = process, reader
        return reader
