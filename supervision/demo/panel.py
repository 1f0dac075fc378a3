"""An operator's panel, a small HTTP service: it shows what its configuration file says, read anew for each request.

    python -m supervision.demo.panel --port 7004 --file panel.json

While the file cannot be used it answers 503 with the reason, as real services do, and goes on running: starting it
again changes nothing. That is the case for people.
"""

import argparse
import asyncio
import json
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

from supervision.demo import wire

PATIENCE_S = 5.0
"""Seconds that a client may take for its request; nobody holds a connection for longer."""


class Panel:
    """Answers with the title that the configuration ``file`` gives."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def page(self) -> tuple[HTTPStatus, str]:
        """The answer to every request."""
        try:
            return HTTPStatus.OK, f"{json.loads(self._file.read_text())['title']}\n"
        except (OSError, ValueError, KeyError, TypeError) as error:
            return HTTPStatus.SERVICE_UNAVAILABLE, f"cannot use {self._file.name}: {type(error).__name__}: {error}\n"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection: one request, one answer."""
        with suppress(OSError, ValueError, asyncio.CancelledError):  # see wire.answer_status
            async with asyncio.timeout(PATIENCE_S):
                while (await reader.readline()).strip():
                    pass  # what is asked for makes no difference
            writer.write(_answer(*self.page()))
            await writer.drain()
        writer.close()


def _answer(status: HTTPStatus, text: str) -> bytes:
    body = text.encode()
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


async def run(panel: Panel, port: int) -> None:
    """Serve until told to end."""
    await asyncio.start_server(panel.serve, wire.HOST, port, limit=wire.LONGEST_LINE)
    print(f"panel on {wire.HOST}:{port}", flush=True)  # noqa: T201 - its output file
    await asyncio.Event().wait()  # see supervision.demo.broker


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(description="A small HTTP service on 127.0.0.1 that shows its configuration.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--file", type=Path, required=True, help='its configuration, for example {"title": "Line 1"}')
    given = parser.parse_args()
    asyncio.run(wire.until_told_to_end(run(Panel(given.file), given.port)))


if __name__ == "__main__":
    main()
