"""A line to a server that can be cut: nothing comes through any more, or nobody is there, until it is mended.

What was sent into a silent line arrives when it is mended, as a kernel's repeated segments do, also from a client that
has given up on it: a command that comes half a minute late is what the store has to put up with.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

CHUNK = 65536
CALL_S = 30.0
"""Generous: the thread of the line has nothing else to do, but the machine may."""


class CutLine:
    """Listens on a port of its own and carries what comes there to ``port`` and back."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._carried: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
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
        if self._server is None:
            self._server = await asyncio.start_server(self._come, "127.0.0.1", self.port, backlog=512)
            self.port = self._server.sockets[0].getsockname()[1]
        self._open.set()

    async def _cut(self) -> None:
        self._open.clear()
        if self._server is not None:
            self._server.close()
            self._server = None
        for each in self._carried:
            each.cancel()
        await asyncio.gather(*self._carried, return_exceptions=True)

    def _come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carried = self._loop.create_task(self._carry(reader, writer))
        self._carried.add(carried)
        carried.add_done_callback(self._carried.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing_writer(writer), suppress(OSError):
            await self._open.wait()
            back, out = await asyncio.open_connection("127.0.0.1", self._to)
            with closing_writer(out):
                ways = [asyncio.ensure_future(self._pump(*way)) for way in ((reader, out), (back, writer))]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            await self._open.wait()
            writer.write(data)
            await writer.drain()


@contextmanager
def closing_writer(writer: asyncio.StreamWriter) -> Iterator[None]:
    """At the end without waiting: whoever is on the other side may be gone."""
    try:
        yield
    finally:
        writer.transport.close()


@contextmanager
def cut_line(url: str) -> Iterator[tuple[CutLine, str]]:
    """A line to the server at ``url``, and its address by that line."""
    parts = urlsplit(url)
    line = CutLine(parts.port or 0)
    try:
        yield line, url.replace(f":{parts.port}", f":{line.port}")
    finally:
        line.close()
