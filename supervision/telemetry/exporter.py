"""/metrics, /healthz and /readyz on one port, with nothing but the server that prometheus_client brings.

``healthz`` says that this process works, ``readyz`` that the store answers it: a store that is away is no reason to
start the exporter anew, and the scrape says ``supervision_up 0`` by itself.
"""

import errno
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from supervision.errors import Conflict, InvalidDeclaration, StoreUnavailable
from supervision.store.keys import Keys
from supervision.store.meters import Meters
from supervision.telemetry.metrics import StoreCollector

REQUEST_TIMEOUT_S: Final = 10.0
"""Seconds for a request to arrive; whoever connects and says nothing holds a thread for so long and no longer."""

_Start = Callable[..., Any]
App = Callable[[dict[str, Any], _Start], Iterable[bytes]]


class _Handler(WSGIRequestHandler):
    timeout = REQUEST_TIMEOUT_S

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the name is the library's
        """Nothing: a scrape every few seconds is no news."""


def application(url: str, namespace: str, *, per_child: bool, with_queues: bool) -> App:
    """The three pages as one WSGI application; connects to the store at ``url`` when it is asked."""
    meters = Meters(url, Keys(namespace), with_queues=with_queues)
    registry = CollectorRegistry()
    registry.register(StoreCollector(meters, per_child=per_child))
    pages: dict[str, App] = {
        "/metrics": make_wsgi_app(registry),
        "/healthz": lambda _environ, start: _said(start, "200 OK", "ok"),
        "/readyz": lambda _environ, start: _ready(meters, start),
    }

    def dispatch(environ: dict[str, Any], start: _Start) -> Iterable[bytes]:
        page = pages.get(environ.get("PATH_INFO", "/"))
        return page(environ, start) if page else _said(start, "404 Not Found", "there are " + " ".join(pages))

    return dispatch


def _ready(meters: Meters, start: _Start) -> Iterable[bytes]:
    try:
        meters.now()
    except StoreUnavailable as error:
        # The address of the store may stand in the reason: who scrapes need not know it.
        return _said(start, "503 Service Unavailable", f"the store does not answer: {type(error.__cause__).__name__}")
    return _said(start, "200 OK", "ok")


def _said(start: _Start, status: str, text: str) -> Iterable[bytes]:
    start(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [text.encode() + b"\n"]


@contextmanager
def serving(app: App, address: str, port: int) -> Iterator[str]:
    """Serve ``app`` while inside; answers its URL. Raises `InvalidDeclaration` and `Conflict` about where to listen."""
    server = _bound(app, address, port)
    thread = threading.Thread(target=server.serve_forever, name="exporter", daemon=True)
    thread.start()
    try:
        host = f"[{address}]" if ":" in address else address
        yield f"http://{host}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _bound(app: App, address: str, port: int) -> ThreadingWSGIServer:
    try:
        family = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        of_family = type("Server", (ThreadingWSGIServer,), {"address_family": family})
        return make_server(address, port, app, of_family, _Handler)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                f"port {port} on {address} is taken by another program; end it, or choose another one with --port"
            ) from error
        raise InvalidDeclaration(
            f"cannot listen on {address!r} port {port}: {error.strerror}; "
            "needs an address of this machine and a port that this user may open, for example 127.0.0.1 and 9478"
        ) from error


def export(app: App, address: str, port: int, *, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; only in the main thread of a process. ``say`` hears where, once it listens."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with serving(app, address, port) as served:
        say(f"{served}/metrics")
        ended.wait()
