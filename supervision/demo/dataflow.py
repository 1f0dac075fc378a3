"""A data flow: it measures several times a second, and sends what it measured to the broker over its output connection.

    python -m supervision.demo.dataflow --broker 7001 --port 7002

It has the defect that many real clients have: it tries patiently to connect when it starts, but when an established
connection is lost it only writes that down. The process lives on, measures on, answers on its status port, and sends
nothing until it is restarted. No look at the process alone would find that.
"""

import argparse
import asyncio
import os
from functools import partial

from supervision.demo import wire
from supervision.demo.wire import DataflowStatus

MEASURE_EVERY = 0.1
"""Seconds between two measurements."""

CONNECT_EVERY = 0.5
"""Seconds between two tries to connect, at the start."""


class Dataflow:
    """Measures, and sends as long as its only connection lasts."""

    def __init__(self, name: str, topic: str, broker_port: int) -> None:
        self.name = name
        self.topic = topic
        self.broker_port = broker_port
        self.measured = 0
        self.sent = 0
        self.ever_connected = False
        self.output: asyncio.StreamWriter | None = None
        self.last_error: str | None = None

    def status(self) -> DataflowStatus:
        """What there is now."""
        return DataflowStatus(
            state="sending" if self.output else "disconnected" if self.ever_connected else "connecting",
            output_connections=1 if self.output else 0,
            measured=self.measured,
            sent=self.sent,
            last_error=self.last_error,
        )

    async def measure(self) -> None:
        """Measure for ever: the load of this machine, numbered."""
        while True:
            self.measured += 1
            if self.output:
                self.output.write(wire.encode(self._measurement()))
                self.sent += 1
            await asyncio.sleep(MEASURE_EVERY)

    def _measurement(self) -> dict[str, object]:
        return {"from": self.name, "pid": os.getpid(), "n": self.measured, "load": os.getloadavg()[0]}

    async def hold_connection(self) -> None:
        """Connect, and note the loss. Here is the defect: after that nobody connects again."""
        reader, self.output = await self._connect()
        self.ever_connected = True
        self._say(f"connected to the broker on port {self.broker_port}")
        try:
            await reader.read()
            self.last_error = "the broker closed the output connection"
        except OSError as error:
            self.last_error = f"the output connection was lost: {error}"
        self.output.close()
        self.output = None
        self._say(self.last_error)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while True:
            try:
                return await self._introduce()
            except (OSError, ValueError) as error:
                self.last_error = f"no output connection: {error}"
                self._say(self.last_error)
            await asyncio.sleep(CONNECT_EVERY)

    async def _introduce(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(wire.HOST, self.broker_port)
        try:
            writer.write(wire.encode({"op": "publish", "client": self.name, "topic": self.topic}))
            answer = await wire.read_object(reader)
        except BaseException:
            writer.close()
            raise
        if answer != {"ok": True}:
            writer.close()
            raise ConnectionError(f"the broker answered {answer}")
        return reader, writer

    def _say(self, what: str) -> None:
        print(f"{self.name}[{os.getpid()}]: {what}", flush=True)  # noqa: T201 - its output file


async def run(dataflow: Dataflow, port: int) -> None:
    """Measure, send and answer until told to end."""
    await asyncio.start_server(partial(wire.answer_status, dataflow.status), wire.HOST, port, limit=wire.LONGEST_LINE)
    await asyncio.gather(dataflow.measure(), dataflow.hold_connection())


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(description="A data flow that sends measurements to the demo's broker.")
    parser.add_argument("--broker", type=int, required=True, help="port of the broker")
    parser.add_argument("--port", type=int, required=True, help="port of its own status")
    parser.add_argument("--name", default="dataflow")
    parser.add_argument("--topic", default="measurements")
    given = parser.parse_args()
    asyncio.run(wire.until_told_to_end(run(Dataflow(given.name, given.topic, given.broker), given.port)))


if __name__ == "__main__":
    main()
