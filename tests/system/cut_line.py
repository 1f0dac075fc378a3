"""A line to a server that can be cut: nothing comes through any more, or nobody is there, until it is mended.

What was sent into a silent line arrives when it is mended, as a kernel's repeated segments do, also from a client that
has given up on it: a command that comes half a minute late is what the store has to put up with.
"""

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

CHUNK = 65536
BACKLOG = 512
CALL_S = 30.0
"""Generous: the thread of the line has nothing else to do, but the machine may."""


class CutLine:
    """Listens on a port of its own and carries what comes there to ``port`` and back."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._carried: set[asyncio.Task[None]] = set()
        self._listening: socket.socket | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = 0
        self.mend()

    def silence(self) -> None:
        """Nothing comes through, and no connection is told: what is sent gets no answer."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def cut(self) -> None:
        """Every connection is broken, and new ones are refused."""
        self._in_loop(self._cut())

    def mend(self) -> None:
        """Everything comes through again."""
        self._in_loop(self._mend())

    def close(self) -> None:
        """No longer there; idempotent it is not."""
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_S)
        self._loop.close()

    def _in_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_S)

    async def _mend(self) -> None:
        if self._listening is None:
            self._listening = socket.create_server(("127.0.0.1", self.port), backlog=BACKLOG)
            self._listening.setblocking(False)
            self._loop.add_reader(self._listening, self._accept, self._listening)
            self.port = self._listening.getsockname()[1]
        self._open.set()

    async def _cut(self) -> None:
        self._open.clear()
        if self._listening is not None:
            self._loop.remove_reader(self._listening)
            self._listening.close()
            self._listening = None
        await ended(*self._carried)

    def _accept(self, listening: socket.socket) -> None:
        with suppress(BlockingIOError, ConnectionAbortedError):
            near, _ = listening.accept()
            near.setblocking(False)
            carried = self._loop.create_task(self._carry(near))
            self._carried.add(carried)
            carried.add_done_callback(self._carried.discard)
            carried.add_done_callback(lambda _: near.close())  # also of one that was cut before it began

    async def _carry(self, near: socket.socket) -> None:
        await self._open.wait()
        with socket.socket() as far, suppress(OSError):
            far.setblocking(False)
            await self._loop.sock_connect(far, self._to)
            ways = [self._loop.create_task(self._pump(*way)) for way in ((near, far), (far, near))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await ended(*ways)

    async def _pump(self, source: socket.socket, to: socket.socket) -> None:
        while data := await self._loop.sock_recv(source, CHUNK):
            await self._open.wait()
            await self._loop.sock_sendall(to, data)


async def ended(*tasks: asyncio.Task[None]) -> None:
    """Cancel them, and wait until they are over and have closed what they held."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def cut_line(url: str) -> Iterator[tuple[CutLine, str]]:
    """A line to the server at ``url``, and its address by that line."""
    parts = urlsplit(url)
    line = CutLine(parts.port or 0)
    try:
        yield line, url.replace(f":{parts.port}", f":{line.port}")
    finally:
        line.close()
