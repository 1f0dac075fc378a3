"""The kind ``http``: an address that should answer with a certain status.

    HttpEndpoint("api", "http://127.0.0.1:8000/healthz", expect=200, timeout=1.0)

A redirect is an answer like any other and is not followed: what it points at is another endpoint. No proxy is used.
Credentials in the address are sent as basic authentication; they, and what stands behind ``?``, are shown nowhere.
"""

import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import ClassVar, Unpack
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from supervision.child import Common
from supervision.errors import InvalidDeclaration
from supervision.kinds.endpoint import DEFAULT_TIMEOUT_S, Endpoint, valid_host, valid_port, why
from supervision.model import shown

MAX_BODY_BYTES = 64 * 1024
"""What is read of an answer at most: enough to see that the server goes on after the headers."""

_STATUSES = range(100, 600)


class HttpObserved(msgspec.Struct, frozen=True):
    """What came back; ``reason`` is empty when all is well."""

    reachable: bool
    status: int | None = None
    slow: bool = False
    reason: str = ""


class HttpEndpoint(Endpoint):
    """An HTTP or HTTPS address, asked with GET on a connection of its own.

    Args:
        name: the child's name.
        url: where; ``http`` or ``https``.
        expect: the status, or statuses, that mean well.
        timeout: seconds for the whole look, from the connection to the last byte that is read.
        slow_after: seconds after which an answer is slow, and the child degraded; None for never.
        headers: sent along.
        tls: how certificates are checked; by default as the system does.

    Raises:
        InvalidDeclaration: names the argument, its value and an example; never the credentials.
    """

    kind = "http"
    Observed: ClassVar[type] = HttpObserved

    def __init__(  # noqa: PLR0913 - the whole declaration of an endpoint; all but the first two are named
        self,
        name: str,
        url: str,
        *,
        expect: int | Collection[int] = 200,
        timeout: float = DEFAULT_TIMEOUT_S,
        slow_after: float | None = None,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(name, timeout=timeout, slow_after=slow_after, **common)
        parts = _split(url, repr(self))
        host = valid_host(parts.hostname, repr(self))
        self._secure = parts.scheme == "https"
        self._tls = (tls or ssl.create_default_context()) if self._secure else None
        port = parts.port if parts.port is not None else 443 if self._secure else 80
        self._place = (host, valid_port(port, repr(self)))
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = {"Connection": "close", **_authorization(parts), **(headers or {})}
        self.expect = _expected(expect, repr(self))
        self.address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path or '/'}"

    def observe(self) -> object:
        """Ask once."""
        begun = time.monotonic()
        try:
            status = self._status(begun + self.timeout)
        except (OSError, HTTPException) as error:
            late = time.monotonic() - begun >= self.timeout  # cut off by us, whatever that looked like
            return HttpObserved(reachable=False, reason=why(TimeoutError() if late else error, self.timeout))
        slow = self.slowness(time.monotonic() - begun)
        if status not in self.expect:
            listed = " or ".join(map(str, sorted(self.expect)))
            return HttpObserved(
                reachable=True, status=status, slow=bool(slow), reason=f"answered {status}, not {listed}"
            )
        return HttpObserved(reachable=True, status=status, slow=bool(slow), reason=slow)

    def _status(self, deadline: float) -> int:
        host, port = self._place
        connection = (
            HTTPSConnection(host, port, timeout=self.timeout, context=self._tls)
            if self._tls
            else HTTPConnection(host, port, timeout=self.timeout)
        )
        try:
            connection.connect()
            with _cut_off(connection.sock, deadline):
                connection.request("GET", self._target, headers=self._headers)
                response = connection.getresponse()
                _read(response)
            if time.monotonic() >= deadline:
                raise TimeoutError
            return response.status
        finally:
            connection.close()


def _read(response: HTTPResponse) -> None:
    """Read on until the end or the bound; `ConnectionResetError` when the server stops in the middle."""
    got = response.read(MAX_BODY_BYTES)
    if len(got) < MAX_BODY_BYTES and response.length:
        raise ConnectionResetError


@contextmanager
def _cut_off(connected: socket.socket, deadline: float) -> Iterator[None]:
    """End the connection at ``deadline``: a socket's own timeout begins again with every byte that drips in."""
    timer = threading.Timer(max(0.0, deadline - time.monotonic()), _shut, [connected])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut(connected: socket.socket) -> None:
    with suppress(OSError):  # it may have ended by itself
        # Not SSLSocket's, which is not made to be called while another thread reads.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


def _split(url: object, what: str) -> SplitResult:
    right = "needs http:// or https://, a host and a path, for example 'http://127.0.0.1:8000/healthz'"
    if not isinstance(url, str):
        raise InvalidDeclaration(f"{what}: url is a {type(url).__name__}: {right}")
    told = shown(url.rpartition("@")[2].partition("?")[0])
    try:
        parts = urlsplit(url)
        known = parts.scheme in {"http", "https"} and parts.port != 0
    except ValueError:
        # Without its cause, whose text repeats what may be secret.
        raise InvalidDeclaration(f"{what}: url ending in {told} cannot be read: {right}") from None
    if not known or not url.isprintable() or not url.isascii() or " " in url:
        raise InvalidDeclaration(f"{what}: url ending in {told}: {right}")
    return parts


def _authorization(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {b64encode(credentials.encode()).decode()}"}


def _expected(expect: object, what: str) -> frozenset[int]:
    wanted = frozenset(expect) if isinstance(expect, Collection) and not isinstance(expect, str) else {expect}
    if wanted and all(type(status) is int and status in _STATUSES for status in wanted):
        return frozenset(status for status in wanted if isinstance(status, int))
    raise InvalidDeclaration(f"{what}: expect={shown(expect)}: needs statuses from 100 to 599, for example 200")
