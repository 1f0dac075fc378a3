"""The other end of the data flow: it subscribes to the broker and counts what really arrives.

    python -m supervision.demo.sink --broker 7001 --port 7003

Unlike the data flow it connects again whenever its connection is lost: it is the measuring instrument of the demo.
"""

import argparse
import asyncio
import json
from functools import partial

from supervision.demo import wire
from supervision.demo.wire import SinkStatus

CONNECT_EVERY = 0.2
"""Seconds between two tries to connect."""


class Sink:
    """Counts messages and bytes."""

    def __init__(self, name: str, topic: str, broker_port: int) -> None:
        self.name = name
        self.topic = topic
        self.broker_port = broker_port
        self.connected = False
        self.messages = 0
        self.bytes = 0
        self.last_number: int | None = None
        self.last_pid: int | None = None

    def status(self) -> SinkStatus:
        """What has arrived until now."""
        return SinkStatus(
            connected=self.connected,
            messages=self.messages,
            bytes=self.bytes,
            last_number=self.last_number,
            last_pid=self.last_pid,
        )

    async def receive(self) -> None:
        """Count for ever."""
        while True:
            try:
                await self._receive_once()
            except (OSError, ValueError) as error:
                print(f"{self.name}: {error}", flush=True)  # noqa: T201 - its output file
            await asyncio.sleep(CONNECT_EVERY)

    async def _receive_once(self) -> None:
        reader, writer = await asyncio.open_connection(wire.HOST, self.broker_port)
        try:
            writer.write(wire.encode({"op": "subscribe", "client": self.name, "topic": self.topic}))
            answer = await wire.read_object(reader)
            if answer != {"ok": True}:
                raise ConnectionError(f"the broker answered {answer}")
            self.connected = True
            while line := await reader.readline():
                self._count(line)
        finally:
            self.connected = False
            writer.close()

    def _count(self, line: bytes) -> None:
        self.messages += 1
        self.bytes += len(line)
        message = json.loads(line)
        self.last_number, self.last_pid = int(message["n"]), int(message["pid"])


async def run(sink: Sink, port: int) -> None:
    """Receive and answer until told to end."""
    await asyncio.start_server(partial(wire.answer_status, sink.status), wire.HOST, port, limit=wire.LONGEST_LINE)
    await sink.receive()


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(description="Receives and counts what the demo's data flow sends.")
    parser.add_argument("--broker", type=int, required=True, help="port of the broker")
    parser.add_argument("--port", type=int, required=True, help="port of its own status")
    parser.add_argument("--name", default="sink")
    parser.add_argument("--topic", default="measurements")
    given = parser.parse_args()
    asyncio.run(wire.until_told_to_end(run(Sink(given.name, given.topic, given.broker), given.port)))


if __name__ == "__main__":
    main()
