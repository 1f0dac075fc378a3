"""What `http` and `tcp` share: an address that answers as it should, answers otherwise, or does not answer.

An endpoint only observes. What to restart when it does not answer is said by a check:

    @check("api", restart="server")
    def the_server_answers(api):
        return ok() if api.observed.reachable else fail(api.observed.reason)

An observation holds no value that changes by itself: latency is slow or not, reasons name no port of ours and no time,
so that an endpoint that goes on as before costs no write and wakes nobody.
"""

import socket
import ssl
from collections.abc import Sequence
from http.client import HTTPException
from typing import ClassVar, Protocol, Unpack

from supervision.child import Child, Common, Undocumented, state
from supervision.errors import InvalidDeclaration
from supervision.model import Go, Move, Phase, Snapshot, Stay, shown, valid_seconds

DEFAULT_TIMEOUT_S = 1.0
"""Seconds for one whole look; below the supervisor's own 2.2 s, so that the reason is ours and not "timed out"."""

MAX_PORT = 65_535


class Answer(Protocol):
    """What every endpoint's observed document has; ``reason`` is why it is not well, empty when it is."""

    @property
    def reachable(self) -> bool:
        """Whether it answered at all."""

    @property
    def reason(self) -> str:
        """What is wrong, in a sentence that stays the same while it stays wrong."""


class Endpoint(Child):
    """An address that should answer; ``timeout`` bounds a whole look, ``slow_after`` makes it slow (seconds)."""

    kind = "endpoint"
    Desired: ClassVar[type] = Undocumented

    def __init__(self, name: str, *, timeout: float, slow_after: float | None, **common: Unpack[Common]) -> None:
        super().__init__(name, **common)
        self.timeout = valid_seconds(timeout, f"{self!r}: timeout", "timeout=1.0")
        if slow_after is not None:
            valid_seconds(slow_after, f"{self!r}: slow_after", "slow_after=0.5")
            if slow_after >= timeout:
                raise InvalidDeclaration(
                    f"{self!r}: slow_after={slow_after} is not below timeout={timeout}, so nothing could ever be slow; "
                    f"try slow_after={timeout / 2:g}"
                )
        self.slow_after = slow_after

    def slowness(self, seconds: float) -> str:
        """Why an answer that took ``seconds`` is too slow; empty when it is not."""
        late = self.slow_after is not None and seconds > self.slow_after
        return f"took longer than {self.slow_after:g} s" if late else ""

    @state(Phase.STARTING, initial=True)
    def unknown(self, seen: Snapshot) -> Move:
        """Not looked at yet."""
        return _go(seen.observed)

    @state(Phase.RUNNING)
    def running(self, seen: Snapshot) -> Move:
        """Answers as it should."""
        return _stay_or_go("running", seen.observed)

    @state(Phase.DEGRADED)
    def degraded(self, seen: Snapshot) -> Move:
        """Answers, but not as it should, or too slowly."""
        return _stay_or_go("degraded", seen.observed)

    @state(Phase.DEGRADED)
    def unreachable(self, seen: Snapshot) -> Move:
        """Does not answer. Not `stopped`, which is neutral: nobody said that it should be down."""
        return _stay_or_go("unreachable", seen.observed)


def _go(answer: Answer) -> Go:
    if not answer.reachable:
        return Go("unreachable", answer.reason)
    return Go("degraded", answer.reason) if answer.reason else Go("running", "answers as it should")


def _stay_or_go(present: str, answer: Answer) -> Move:
    move = _go(answer)
    return Stay(move.reason) if move.state == present else move


def valid_host(host: object, what: str) -> str:
    """``host`` if it is a name or an address, else `InvalidDeclaration`; what stands before an @ is not repeated."""
    if isinstance(host, str) and host and host.isprintable() and not set(host) & set(" /@?#"):
        return host
    told = host.rpartition("@")[2] if isinstance(host, str) else host
    raise InvalidDeclaration(f"{what}: host {shown(told)}: needs a name or an address, for example '127.0.0.1'")


def valid_port(port: object, what: str) -> int:
    """``port`` if it is one, else `InvalidDeclaration`."""
    if isinstance(port, int) and not isinstance(port, bool) and 1 <= port <= MAX_PORT:
        return port
    raise InvalidDeclaration(f"{what}: port {shown(port)}: needs a whole number from 1 to {MAX_PORT}, for example 5432")


def why(error: Exception, timeout: float) -> str:
    """Why there was no answer, in words that do not change from one look to the next."""
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout:g} s"
    words = next((words for kind, words in _WORDS if isinstance(error, kind)), "")
    detail = (
        getattr(error, "verify_message", None) or getattr(error, "reason", None) or getattr(error, "strerror", None)
    )
    return words.format(detail=detail or type(error).__name__)


_WORDS: Sequence[tuple[type[Exception], str]] = (
    (ConnectionRefusedError, "connection refused"),
    (ConnectionError, "closed the connection without an answer"),
    (socket.gaierror, "its host is not found ({detail})"),
    (ssl.SSLCertVerificationError, "its certificate is refused ({detail})"),
    (ssl.SSLError, "TLS failed ({detail})"),
    (HTTPException, "answers something that is not HTTP"),
    (Exception, "{detail}"),
)
"""The first that fits counts; `RemoteDisconnected` is both a ConnectionError and an HTTPException."""
