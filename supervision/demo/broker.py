"""A small, real message broker: what publishers send to a topic reaches every subscriber of it. Nothing is kept.

    python -m supervision.demo.broker --port 7001

Rules
1. A client introduces itself with its name; the broker can be told to cut or to refuse a client by name.
2. A subscriber that does not read is disconnected: it may delay nobody else.
"""

import argparse
import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from supervision.demo import wire
from supervision.demo.wire import BrokerStatus

MOST_WAITING = 1024 * 1024
"""Bytes that may wait for one subscriber."""


@dataclass(eq=False)
class Client:
    """One connection that has introduced itself."""

    name: str
    topic: str
    writer: asyncio.StreamWriter


@dataclass
class Broker:
    """All connections, and what has gone through."""

    publishers: set[Client] = field(default_factory=set)
    subscribers: set[Client] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    messages_in: int = 0
    messages_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0

    def status(self) -> BrokerStatus:
        """What there is now."""
        return BrokerStatus(
            state="active" if self.publishers or self.subscribers else "idle",
            publishers=tuple(sorted(client.name for client in self.publishers)),
            subscribers=tuple(sorted(client.name for client in self.subscribers)),
            messages_in=self.messages_in,
            messages_out=self.messages_out,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            refused=tuple(sorted(self.refused)),
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either side ends it."""
        try:
            with suppress(OSError, asyncio.CancelledError):  # see wire.answer_status
                await self._serve(reader, writer)
        except ValueError as error:
            writer.write(wire.encode({"ok": False, "error": str(error)}))
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await wire.read_object(reader)
        match request:
            case None:
                return
            case {"op": "status"}:
                writer.write(wire.encode(self.status()))
            case {"op": "cut" | "refuse" | "admit" as op, "client": str(name)}:
                writer.write(wire.encode(self._control(op, name)))
            case {"op": "publish" | "subscribe" as op, "client": str(name), "topic": str(topic)}:
                await self._attend(op, Client(name, topic, writer), reader)
            case _:
                raise ValueError(f"unknown request {request}")
        await writer.drain()

    def _control(self, op: str, name: str) -> dict[str, Any]:
        if op == "admit":
            self.refused.discard(name)
            return {"ok": True}
        if op == "refuse":
            self.refused.add(name)
        theirs = [client for client in self.publishers | self.subscribers if client.name == name]
        for client in theirs:
            client.writer.transport.abort()
        return {"ok": True, "cut": len(theirs)}

    async def _attend(self, op: str, client: Client, reader: asyncio.StreamReader) -> None:
        if client.name in self.refused:
            raise ValueError(f"client {client.name!r} is refused here")
        clients = self.publishers if op == "publish" else self.subscribers
        clients.add(client)
        try:
            client.writer.write(wire.encode({"ok": True}))
            while (line := await reader.readline()).endswith(b"\n"):  # a torn line at the end is no message
                if op == "publish":
                    self._pass_on(client.topic, line)
        finally:
            clients.discard(client)

    def _pass_on(self, topic: str, line: bytes) -> None:
        self.messages_in += 1
        self.bytes_in += len(line)
        for subscriber in [client for client in self.subscribers if client.topic == topic]:
            if subscriber.writer.transport.get_write_buffer_size() > MOST_WAITING:
                subscriber.writer.transport.abort()
                continue
            subscriber.writer.write(line)
            self.messages_out += 1
            self.bytes_out += len(line)


async def run(port: int) -> None:
    """Serve until told to end."""
    await asyncio.start_server(Broker().serve, wire.HOST, port, limit=wire.LONGEST_LINE)
    print(f"broker on {wire.HOST}:{port}", flush=True)  # noqa: T201 - its output file
    await asyncio.Event().wait()  # not serve_forever: from Python 3.12 its end waits for every client's goodbye


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(description="A small message broker on 127.0.0.1.")
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(wire.until_told_to_end(run(parser.parse_args().port)))


if __name__ == "__main__":
    main()
