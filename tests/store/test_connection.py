"""The connection: bounded in time, and never a second try that nobody asked for."""

import os
import signal
import socket
import socketserver
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from urllib.parse import urlsplit

import pytest
import redis
from lamps import Post, ask, counter, plant, reserved

from supervision.client import Client
from supervision.errors import InvalidDeclaration, StoreUnavailable
from supervision.ports import free_ports
from supervision.runtime import Runtime
from supervision.server import EmbeddedStore
from supervision.store.connection import READ_TIMEOUT_S, connect, ping
from supervision.store.scripts import Scripts
from supervision.store.store import Store
from supervision.view import Claim

WIDE_S = 20.0


class Proxy(socketserver.ThreadingTCPServer):
    """Stands before a server; once ``swallowing``, it passes requests on and drops the connection at their answer."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, target: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target, self.swallowing, self.swallowed = target, threading.Event(), 0

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(socketserver.BaseRequestHandler):
    server: Proxy
    request: socket.socket

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.target)) as upstream, suppress(OSError):
            threading.Thread(target=self._forward, args=(upstream,), daemon=True).start()
            while answer := upstream.recv(65_536):
                if self.server.swallowing.is_set():
                    self.server.swallowed += 1
                    self.request.shutdown(socket.SHUT_RDWR)
                    return
                self.request.sendall(answer)

    def _forward(self, upstream: socket.socket) -> None:
        with suppress(OSError):
            while data := self.request.recv(65_536):
                upstream.sendall(data)
            upstream.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(server: EmbeddedStore) -> Iterator[Proxy]:
    """A proxy before the test's server."""
    with Proxy(server.port) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def through(proxy: Proxy, server: EmbeddedStore, namespace: str) -> Iterator[Store]:
    """A store behind the proxy."""
    url = f"redis://:{urlsplit(server.url).password}@127.0.0.1:{proxy.port}/0"
    with closing(Store(url, namespace)) as found:
        yield found


@pytest.fixture
def nowhere() -> str:
    """The address of a store that is not there."""
    return f"redis://127.0.0.1:{next(free_ports())}/0"


def asked(store: Store) -> dict[str, Callable[[], object]]:
    """Every way of asking the store, by its name."""
    supervisor = plant()
    runtime = Runtime(store, Post(), {"plant": supervisor})
    return {
        "tick": lambda: runtime.tick("plant"),
        "collect": lambda: runtime.collect("plant"),
        "act": lambda: runtime.run_action("a"),
        "due": runtime.sweep_due,
        "outbox": runtime.sweep_outbox,
        "history": runtime.sweep_history,
        "declare": runtime.declare,
        "record": lambda: store.actions.get("a"),
        "events": lambda: list(store.history.since()),
        "latest": lambda: store.history.latest(1),
        "declared": store.registry.all,
        "children": lambda: store.ticks.load(supervisor, Claim(1, 1, 1)),
    }


@pytest.mark.parametrize("what", list(asked(Store("redis://127.0.0.1:1/0"))))
def test_a_store_that_is_not_there_is_said_so(nowhere: str, what: str) -> None:
    with closing(Store(nowhere)) as store, pytest.raises(StoreUnavailable, match="did not answer"):
        asked(store)[what]()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("rediss://u:SECRET@127.0.0.1:1/0?x=SECRET", ": 'x'; it is redis://"),
        ("redis://127.0.0.1:1/0?retry=1&decode_responses=true", "ssl_...: 'retry', 'decode_responses'; it is"),
        ("redis://u:SECRET@127.0.0.1:port/0", "address cannot be read"),
        ("rediss://:SECRET@h/0?ssl_cert_reqs=SECRET", "address cannot be read"),
        ("redis://h/0?max_connections=many&password=SECRET", "address cannot be read"),
        ("redis://:a?SECRET@h/0", "address cannot be read"),
        ("http://u:SECRET@h/", "address cannot be read"),
        ("redis://u:SECRET@[h/", "address cannot be read"),
    ],
)
def test_an_address_that_cannot_be_one_is_refused_with_what_may_be(url: str, why: str) -> None:
    with pytest.raises(
        InvalidDeclaration, match=r"it is redis://, rediss://, unix:// or sentinel://, for example"
    ) as told:
        connect(url)
    assert why in str(told.value)
    assert "SECRET" not in "".join(traceback.format_exception(told.value))


@pytest.mark.parametrize(
    "url", ["unix:///nowhere.sock", "unix:///nowhere.sock?db=2", "rediss://127.0.0.1:1/0?ssl_cert_reqs=none"]
)
def test_local_sockets_and_encryption_are_connected_to(url: str) -> None:
    with closing(connect(url)) as client, pytest.raises(redis.ConnectionError):
        client.ping()


def test_a_database_that_the_server_has_not_is_named(store_url: str) -> None:
    with Client(store_url.rpartition("/")[0] + "/999") as client, pytest.raises(StoreUnavailable, match="DB index"):
        client.waits()


def test_nobody_answers_a_ping_where_no_store_is(nowhere: str, store_url: str) -> None:
    assert ping(nowhere) is False
    assert ping(store_url) is True


def test_a_server_that_hangs_is_given_up_within_the_read_timeout(make_store: Callable[..., EmbeddedStore]) -> None:
    server = make_store()
    with closing(connect(server.url, timeout=0.5)) as client:
        run = Scripts(client).run
        run("published", ["{n}:outbox", "{n}:entries"], ["nobody"])
        os.kill(server.pid, signal.SIGSTOP)
        try:
            begun = time.monotonic()
            with pytest.raises(StoreUnavailable):
                run("published", ["{n}:outbox", "{n}:entries"], ["nobody"])
            assert 0.4 < time.monotonic() - begun < WIDE_S
            assert ping(server.url, timeout=0.2) is False
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert run("published", ["{n}:outbox", "{n}:entries"], ["nobody"]) == 0


def test_the_stores_own_connections_have_the_documented_timeouts(store: Store) -> None:
    settings = store.client.connection_pool.connection_kwargs
    assert settings["socket_timeout"] == READ_TIMEOUT_S
    assert settings["socket_connect_timeout"] <= READ_TIMEOUT_S


def test_a_call_whose_answer_got_lost_was_made_exactly_once(store: Store, through: Store, proxy: Proxy) -> None:
    through.actions.start("nobody")
    assert counter(store, "supervisor_actions_duplicate_total") == 1
    proxy.swallowing.set()
    for calls in range(1, 4):
        with pytest.raises(StoreUnavailable):
            through.actions.start("nobody")
        assert proxy.swallowed == calls
    proxy.swallowing.clear()
    through.actions.start("nobody")
    # A connection that is made while answers are swallowed fails at its greeting: of the three calls one arrived.
    assert counter(store, "supervisor_actions_duplicate_total") == 3


def test_a_command_whose_answer_got_lost_was_made_exactly_once(store: Store, through: Store, proxy: Proxy) -> None:
    key = through.keys.counters
    ask(through).hincrby(key, "n", 1)
    proxy.swallowing.set()
    with pytest.raises(redis.ConnectionError):
        ask(through).hincrby(key, "n", 1)
    assert ask(store).hget(key, "n") == b"2"


def test_a_start_whose_answer_got_lost_is_not_started_twice(store: Store, through: Store, proxy: Proxy) -> None:
    reserved(store)
    through.actions.get("a")
    proxy.swallowing.set()
    with pytest.raises(StoreUnavailable):
        through.actions.start("a")
    proxy.swallowing.clear()
    assert through.actions.start("a") == "running"


def test_the_store_is_used_again_once_it_is_back(make_store: Callable[..., EmbeddedStore]) -> None:
    server = make_store()
    with closing(Store(server.url)) as store:
        reserved(store)
        server.stop()
        with pytest.raises(StoreUnavailable):
            store.actions.get("a")
        server.start()
        assert server.url == store_url(store)
        record = store.actions.get("a")
        assert record is not None
        assert record.state == "queued"


def store_url(store: Store) -> str:
    found = store.client.connection_pool.connection_kwargs
    return f"redis://:{found['password']}@{found['host']}:{found['port']}/{found['db']}"
