"""The language of the demo's programs, and how others ask them: one JSON object per line, over TCP on 127.0.0.1.

    to the broker          answer
    {"op": "publish", "client": c, "topic": t}      {"ok": true}, then every further line is one message
    {"op": "subscribe", "client": c, "topic": t}    {"ok": true}, then the topic's messages
    {"op": "status"}                                a `BrokerStatus`
    {"op": "cut", "client": c}                      {"ok": true, "cut": connections closed}
    {"op": "refuse", "client": c}                   the same, and c stays out until {"op": "admit", "client": c}

The data flow and the sink know ``status`` only. What is refused is answered ``{"ok": false, "error": why}``.
"""

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from signal import SIGINT, SIGTERM
from typing import Any, Literal, TypeVar

import msgspec

HOST = "127.0.0.1"
"""The demo's programs listen nowhere else."""

LONGEST_LINE = 64 * 1024
"""Bytes of one line; whoever sends more is disconnected."""


class BrokerStatus(msgspec.Struct, frozen=True):
    """What the broker says of itself; counts are since its start, bytes are those of the messages' lines."""

    state: Literal["idle", "active"]
    """active while at least one client is connected"""
    publishers: tuple[str, ...]
    """names of the connected publishers, one per connection"""
    subscribers: tuple[str, ...]
    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int
    refused: tuple[str, ...]
    """names of the clients that are not let in"""


class DataflowStatus(msgspec.Struct, frozen=True):
    """What the data flow says of itself; counts are since its start."""

    state: Literal["connecting", "sending", "disconnected"]
    output_connections: int
    measured: int
    """measurements taken, whether they could be sent or not"""
    sent: int
    last_error: str | None


class SinkStatus(msgspec.Struct, frozen=True):
    """What has really arrived at the other end; counts are since the sink's start."""

    connected: bool
    messages: int
    bytes: int
    last_number: int | None
    """number of the newest measurement"""
    last_pid: int | None
    """process that sent it"""


_Status = TypeVar("_Status", BrokerStatus, DataflowStatus, SinkStatus)


def broker_status(port: int, timeout: float) -> BrokerStatus:
    """Ask the broker on ``port``; OSError (TimeoutError after ``timeout`` seconds) when it does not answer properly."""
    return _status(port, timeout, BrokerStatus)


def dataflow_status(port: int, timeout: float) -> DataflowStatus:
    """Ask the data flow on ``port``; errors as for `broker_status`."""
    return _status(port, timeout, DataflowStatus)


def sink_status(port: int, timeout: float) -> SinkStatus:
    """Ask the sink on ``port``; errors as for `broker_status`."""
    return _status(port, timeout, SinkStatus)


def cut(port: int, client: str, timeout: float) -> int:
    """Make the broker close all connections of ``client``, which may connect again; how many there were."""
    return int(_ask(port, {"op": "cut", "client": client}, timeout)["cut"])


def refuse(port: int, client: str, timeout: float) -> int:
    """Like `cut`, and let ``client`` in no more until `admit`; how many connections there were."""
    return int(_ask(port, {"op": "refuse", "client": client}, timeout)["cut"])


def admit(port: int, client: str, timeout: float) -> None:
    """End a `refuse`."""
    _ask(port, {"op": "admit", "client": client}, timeout)


def _status(port: int, timeout: float, kind: type[_Status]) -> _Status:
    try:
        return msgspec.json.decode(_exchange(port, {"op": "status"}, timeout), type=kind)
    except msgspec.DecodeError as error:
        raise ConnectionError(f"{HOST}:{port} answered something else than a {kind.__name__}: {error}") from error


def _ask(port: int, request: Mapping[str, object], timeout: float) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = json.loads(_exchange(port, request, timeout))
    except ValueError as error:
        raise ConnectionError(f"{HOST}:{port} answered {request} with something else than JSON: {error}") from error
    if not answer.get("ok"):
        raise ConnectionError(f"{HOST}:{port} refused {request}: {answer.get('error')}")
    return answer


def _exchange(port: int, request: Mapping[str, object], timeout: float) -> bytes:
    """One request, one line of answer, all within ``timeout`` seconds, however slowly the other side writes."""
    deadline = time.monotonic() + timeout
    answer = b""
    with socket.create_connection((HOST, port), timeout) as connection:
        connection.sendall(encode(request))
        while not answer.endswith(b"\n"):
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            part = connection.recv(LONGEST_LINE)
            if not part or len(answer) > LONGEST_LINE:
                raise ConnectionError(f"{HOST}:{port} gave no whole answer to {request}: {answer[:200]!r}")
            answer += part
    return answer


def encode(message: object) -> bytes:
    """One line."""
    return msgspec.json.encode(message) + b"\n"


async def read_object(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """The next line as an object, None at the end; ValueError when it is too long or is none."""
    line = await reader.readline()
    if not line:
        return None
    found = json.loads(line)
    if not isinstance(found, dict):
        raise ValueError(f"got {line[:80]!r}, expected one JSON object per line")  # noqa: TRY004 - bad input, not a bad call
    return found


async def answer_status(
    look: Callable[[], msgspec.Struct], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Serve one connection of a program that knows ``status`` only."""
    # The end of the program cancels this; passed on, Python 3.11 would print it as an error of its stream.
    with suppress(OSError, ValueError, asyncio.CancelledError):
        request = await read_object(reader)
        known = request is not None and request.get("op") == "status"
        writer.write(encode(look() if known else {"ok": False, "error": 'expected {"op": "status"}'}))
        await writer.drain()
    writer.close()


async def until_told_to_end(work: Awaitable[None]) -> None:
    """Run ``work`` until it ends, or until SIGTERM or SIGINT, which are a clean end."""
    running = asyncio.ensure_future(work)
    for number in (SIGTERM, SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    with suppress(asyncio.CancelledError):
        await running
