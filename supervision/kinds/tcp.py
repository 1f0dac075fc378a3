"""The kind ``tcp``: a port that should accept connections.

    TcpEndpoint("db", "127.0.0.1", 5432, timeout=1.0)

The system accepts connections for a program that hangs, too, until its backlog is full. Where that matters, and the
protocol allows it, say what to send and what must come back, with ``send`` and ``expect``, as bytes.
"""

import socket
import time
from typing import ClassVar, Unpack

import msgspec

from supervision.child import Common
from supervision.errors import InvalidDeclaration
from supervision.kinds.endpoint import DEFAULT_TIMEOUT_S, Endpoint, valid_host, valid_port, why
from supervision.model import shown

MAX_ANSWER_BYTES = 4096
"""What is read at most while looking for what is expected."""


class TcpObserved(msgspec.Struct, frozen=True):
    """Whether the port was open and answered; ``reason`` is empty when all is well."""

    reachable: bool
    slow: bool = False
    reason: str = ""


class TcpEndpoint(Endpoint):
    """A port, connected to once per look.

    Args:
        name: the child's name.
        host: a name or an address.
        port: 1 to 65535.
        timeout: seconds for the whole look.
        slow_after: seconds after which it is slow, and the child degraded; None for never.
        send: bytes to send once connected.
        expect: bytes that must come within the first `MAX_ANSWER_BYTES`; empty if connecting is enough.

    Raises:
        InvalidDeclaration: names the argument, its value and an example.
    """

    kind = "tcp"
    Observed: ClassVar[type] = TcpObserved

    def __init__(  # noqa: PLR0913 - the whole declaration of an endpoint; all but the first three are named
        self,
        name: str,
        host: str,
        port: int,
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
        slow_after: float | None = None,
        send: bytes = b"",
        expect: bytes = b"",
        **common: Unpack[Common],
    ) -> None:
        super().__init__(name, timeout=timeout, slow_after=slow_after, **common)
        self._place = (valid_host(host, repr(self)), valid_port(port, repr(self)))
        for what, value in (("send", send), ("expect", expect)):
            if not isinstance(value, bytes) or len(value) > MAX_ANSWER_BYTES:
                raise InvalidDeclaration(
                    f"{self!r}: {what}={shown(value)}: needs at most {MAX_ANSWER_BYTES} bytes, "
                    f"for example {what}=b'PING\\r\\n'"
                )
        self._send, self._expect = send, expect
        self.address = f"{host}:{port}"

    def observe(self) -> object:
        """Connect once, and talk if there is something to say."""
        begun = time.monotonic()
        try:
            reason = self._talk(begun + self.timeout)
        except OSError as error:
            return TcpObserved(reachable=False, reason=why(error, self.timeout))
        slow = self.slowness(time.monotonic() - begun)
        return TcpObserved(reachable=True, slow=bool(slow), reason=reason or slow)

    def _talk(self, deadline: float) -> str:
        """What is wrong with the answer; raises when there is none."""
        with socket.create_connection(self._place, self.timeout) as connected:
            connected.settimeout(_left(deadline))
            connected.sendall(self._send)
            got = b""
            while self._expect not in got:
                if len(got) >= MAX_ANSWER_BYTES:
                    return f"answers, but not with {shown(self._expect)}"
                connected.settimeout(_left(deadline))
                more = connected.recv(MAX_ANSWER_BYTES - len(got))
                if not more:
                    return self._ended(got)
                got += more
        return ""

    def _ended(self, got: bytes) -> str:
        if not got:
            raise ConnectionResetError
        return f"closed the connection without {shown(self._expect)}"


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
