"""The kinds http and tcp against servers that answer wrongly, hang, drip, close and refuse."""

import re
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from driving import Driven

from supervision import InvalidDeclaration, Supervisor, check, fail, ok
from supervision.checks import Seen, Verdict
from supervision.child import Child
from supervision.kinds.http import HttpEndpoint, HttpObserved
from supervision.kinds.process import Process
from supervision.kinds.tcp import TcpEndpoint, TcpObserved
from supervision.model import Identity, Snapshot, Stay
from supervision.ports import free_ports
from supervision.store.store import Store

Behaviour = Callable[[socket.socket], None]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """A listening socket; what it does with a connection is given, and what was sent to it is kept."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.behaviour, self.connections, self.asked = behaviour, list[socket.socket](), list[bytes]()
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        with suppress(OSError):  # closed at the end
            while True:
                connected, _ = self.listener.accept()
                self.connections.append(connected)
                with suppress(OSError):  # the other side may have gone
                    self.behaviour(connected)

    def end(self) -> None:
        # A closed socket does not wake who accepts from it; one that is shut down does.
        self.listener.shutdown(socket.SHUT_RDWR)
        for connected in self.connections:
            connected.close()
        self.thread.join()
        self.listener.close()


@contextmanager
def served(behaviour: Behaviour) -> Iterator[Server]:
    server = Server(behaviour)
    try:
        yield server
    finally:
        server.end()


def says(answer: bytes, *, pause: float = 0.0) -> Behaviour:
    """Answers every request with the same bytes, after a pause, and closes."""

    def behaviour(connected: socket.socket) -> None:
        connected.recv(65_536)
        time.sleep(pause)  # what the server is: slow
        connected.sendall(answer)
        connected.close()

    return behaviour


def hangs(_connected: socket.socket) -> None:
    """Accepts, and does nothing more."""


def closes(connected: socket.socket) -> None:
    connected.recv(65_536)
    connected.close()


def drips(connected: socket.socket) -> None:
    """Never silent for as long as a second, and never done: a timeout per read would wait for ever."""
    connected.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while True:
        connected.sendall(b"x")
        time.sleep(0.05)  # what the server is: slow


def floods(connected: socket.socket) -> None:
    connected.recv(65_536)
    connected.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connected.sendall(b"x" * 65_536)


def seen(child: Child) -> HttpObserved | TcpObserved:
    observed = child.observe()
    assert isinstance(observed, (HttpObserved, TcpObserved))
    return observed


def looked(child: Child) -> tuple[str, str]:
    """The state in which the child rests after one look, and the reason that the look gave."""
    observed = seen(child)
    snapshot = Snapshot(Identity("p/c", child.kind), {}, observed, "unknown", 0, 0)
    move = child.states["unknown"].rule(child, snapshot)
    assert isinstance(child.states[move.state].rule(child, snapshot), Stay)
    return move.state, observed.reason


@pytest.mark.parametrize(
    ("behaviour", "state", "reason"),
    [
        (says(OK), "running", ""),
        (says(b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno"), "degraded", "answered 500, not 200"),
        (
            says(b"HTTP/1.1 302 Go\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"),
            "degraded",
            "answered 302, not 200",
        ),
        (says(OK, pause=0.3), "degraded", "took longer than 0.2 s"),
        (floods, "running", ""),
        (hangs, "unreachable", "no answer within 0.4 s"),
        (drips, "unreachable", "no answer within 0.4 s"),
        (closes, "unreachable", "closed the connection without an answer"),
        (says(OK.replace(b"2\r", b"9\r")), "unreachable", "closed the connection without an answer"),
        (says(b"SSH-2.0-OpenSSH_9\r\n"), "unreachable", "answers something that is not HTTP"),
    ],
)
def test_an_http_endpoint_tells_how_its_server_answers(behaviour: Behaviour, state: str, reason: str) -> None:
    with served(behaviour) as server:
        child = HttpEndpoint("api", f"http://127.0.0.1:{server.port}/healthz", timeout=0.4, slow_after=0.2)
        assert looked(child) == (state, reason)


def test_looking_again_at_an_endpoint_shows_nothing_new() -> None:
    with served(says(OK)) as server:
        child = HttpEndpoint("api", f"http://127.0.0.1:{server.port}/")
        assert seen(child) == seen(child)


def test_an_endpoint_that_nobody_listens_at_is_unreachable() -> None:
    port = next(free_ports())
    for child in (HttpEndpoint("api", f"http://127.0.0.1:{port}/"), TcpEndpoint("db", "127.0.0.1", port)):
        assert looked(child) == ("unreachable", "connection refused")


def test_a_host_that_does_not_exist_is_unreachable() -> None:
    child = TcpEndpoint("db", "nowhere.invalid", 5432)
    assert looked(child)[0] == "unreachable"
    assert seen(child).reason.startswith("its host is not found")


def test_a_status_that_is_expected_is_well_whatever_it_is() -> None:
    with served(says(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")) as server:
        child = HttpEndpoint("api", f"http://127.0.0.1:{server.port}", expect=(200, 401))
        assert seen(child) == HttpObserved(reachable=True, status=401)
        assert looked(child)[0] == "running"


def test_credentials_are_sent_and_shown_nowhere() -> None:
    with served(says(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")) as server:
        child = HttpEndpoint(
            "api", f"http://ann:s3cr%23t@127.0.0.1:{server.port}/x?token=t0ken", headers={"X-Who": "us"}
        )
        shown = f"{child!r} {child.address} {seen(child)}"
    shown += str(seen(child))  # now that nobody listens
    assert not re.search("s3cr|t0ken|ann", shown)


def test_what_is_asked_is_what_was_declared() -> None:
    asked = list[bytes]()

    def keeps(connected: socket.socket) -> None:
        asked.append(connected.recv(65_536))
        connected.sendall(OK)

    with served(keeps) as server:
        HttpEndpoint("api", f"http://ann:s3cr%23t@127.0.0.1:{server.port}/x?token=t", headers={"X-Who": "us"}).observe()
    (request,) = asked
    assert request.startswith(b"GET /x?token=t HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Basic YW5uOnMzY3IjdA==\r\n" in request  # ann:s3cr#t
    assert b"\r\nX-Who: us\r\n" in request


def test_a_server_that_speaks_no_tls_is_unreachable_over_https() -> None:
    with served(says(OK)) as server:
        child = HttpEndpoint("api", f"https://127.0.0.1:{server.port}/", tls=ssl.create_default_context())
        assert looked(child)[0] == "unreachable"
        assert seen(child).reason.startswith("TLS failed")


@pytest.mark.parametrize(
    ("behaviour", "state", "reason"),
    [
        (says(b"+PONG\r\n"), "running", ""),
        (says(b"-ERR who\r\n"), "degraded", "closed the connection without b'+PONG'"),
        (says(b"x" * 10_000), "degraded", "answers, but not with b'+PONG'"),
        (says(b"+PONG", pause=0.3), "degraded", "took longer than 0.2 s"),
        (hangs, "unreachable", "no answer within 0.4 s"),
        (drips, "unreachable", "no answer within 0.4 s"),
        (closes, "unreachable", "closed the connection without an answer"),
    ],
)
def test_a_tcp_endpoint_tells_how_its_server_answers(behaviour: Behaviour, state: str, reason: str) -> None:
    with served(behaviour) as server:
        child = TcpEndpoint(
            "db", "127.0.0.1", server.port, timeout=0.4, slow_after=0.2, send=b"PING\r\n", expect=b"+PONG"
        )
        assert looked(child) == (state, reason)


def test_a_port_that_is_open_is_enough_when_nothing_else_is_said() -> None:
    with served(hangs) as server:
        assert looked(TcpEndpoint("db", "127.0.0.1", server.port)) == ("running", "")


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (lambda: HttpEndpoint("a", "ftp://u:s3cret@h/"), "needs http:// or https://"),
        (lambda: HttpEndpoint("a", "http://u:s3cret@h:port/"), "cannot be read"),
        (lambda: HttpEndpoint("a", "http://u:s3cret@h:0/"), "needs http:// or https://"),
        (lambda: HttpEndpoint("a", "http:///s3cret@"), "needs a name or an address"),
        (lambda: HttpEndpoint("a", "http://h/a b\r\nX: y"), "needs http:// or https://"),
        (lambda: HttpEndpoint("a", None), "url is a NoneType"),  # type: ignore[arg-type]  # what it is about
        (lambda: HttpEndpoint("a", "http://h", expect=20), "for example 200"),
        (lambda: HttpEndpoint("a", "http://h", expect=()), "for example 200"),
        (lambda: HttpEndpoint("a", "http://h", timeout=0), "timeout=1.0"),
        (lambda: HttpEndpoint("a", "http://h", timeout=1, slow_after=1), "slow_after=0.5"),
        (lambda: TcpEndpoint("a", "u:s3cret@h", 1), "host 'h'"),
        (lambda: TcpEndpoint("a", "h", 65_536), "from 1 to 65535"),
        (lambda: TcpEndpoint("a", "h", 1, send="x"), "send='x'"),  # type: ignore[arg-type]  # what it is about
    ],
)
def test_a_declaration_that_could_not_work_is_refused_without_its_secrets(
    declare: Callable[[], Child], words: str
) -> None:
    with pytest.raises(InvalidDeclaration) as refused:
        declare()
    assert words in str(refused.value)
    assert "s3cret" not in "".join(str(error) for error in (refused.value, refused.value.__cause__))


@pytest.fixture
def driven(tmp_path: Path, store_url: str, namespace: str) -> Iterator[Driven]:
    """A web server that is a supervised process, an endpoint that observes it, and a check that holds them together."""
    port = next(free_ports())
    server = Process("server", [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"], folder=tmp_path)
    api = HttpEndpoint("api", f"http://127.0.0.1:{port}/", timeout=0.4)

    @check("server", "api", restart="server")
    def the_server_answers(server: Seen, api: Seen) -> Verdict:
        return fail(api.observed.reason) if server.observed.running and not api.observed.reachable else ok()

    plant = Supervisor("plant", [server, api], checks=[the_server_answers], interval=0.2)
    with ExitStack() as stack:
        store = stack.enter_context(closing(Store(store_url, namespace)))
        stack.callback(server._managed.stop, 2**60, timeout=5)
        yield Driven(store, plant)


def test_a_server_that_hangs_is_restarted_by_a_check_over_its_endpoint(driven: Driven) -> None:
    driven.until(lambda: driven.state("api") == "running")
    hung = driven.observed("server").pid  # type: ignore[attr-defined]  # the Process's document
    psutil.Process(hung).send_signal(signal.SIGSTOP)

    driven.until(lambda: driven.state("api") == "running" and driven.observed("server").pid != hung)  # type: ignore[attr-defined]  # as above
    assert not psutil.pid_exists(hung) or psutil.Process(hung).status() == psutil.STATUS_ZOMBIE


def test_the_samples_of_the_page_declare_what_they_say() -> None:
    page = Path(__file__).parents[2] / "docs" / "kinds.md"
    samples = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    scope: dict[str, object] = {}
    exec(compile("\n".join(samples), str(page), "exec"), scope)  # noqa: S102 - the page's own code
    declared = {value.kind: value.name for value in scope.values() if isinstance(value, Child)}
    assert set(declared) == {"process", "http", "tcp", "celery_queue", "server", "worker"}
    assert {name for name, value in scope.items() if isinstance(value, Supervisor)} == {"plant", "post"}
