"""Fixtures for everyone: real servers, a namespace per test, and a look at what a run leaves behind.

- A session has one server per kind. Tests share it and never flush it; each writes under its own `namespace`.
- A test that stops, kills or pauses a server makes one of its own with `make_store`.
- A server that is missing fails the test, it does not skip it.
"""

import itertools
import os
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from required import required
from waiting import until

from supervision.server import EmbeddedStore

SESSION_MARK = "TEST_SESSION_OF_SUPERVISION"
"""Every process that a test starts inherits this variable, unless it is started with an environment of its own."""

LEFT_BEHIND = pytest.StashKey[list[str]]()
LEFT_BEHIND_OUTPUT = "left_behind"

END_S = 10.0
"""Seconds for processes to be gone after the last test: guards notice within one that their parent let go."""

_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Mark this run's processes; a pytest that a test starts must not write into this run's report."""
    if not _hands_out(config):
        os.environ[SESSION_MARK] = uuid.uuid4().hex
    os.environ.pop("PYTEST_ADDOPTS", None)
    config.stash[LEFT_BEHIND] = []


def _hands_out(config: pytest.Config) -> bool:
    """Whether this process only hands the tests to others (`-n 2`), each of which is a run of its own."""
    return getattr(config.option, "dist", "no") != "no" and not hasattr(config, "workerinput")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when a process is still there that one of its tests started; end it, by its own pid."""
    config, left = session.config, session.config.stash[LEFT_BEHIND]
    if not _hands_out(config):
        left += _ended_by_force()
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if output := getattr(config, "workeroutput", None):  # of xdist: what it sends to the process that hands out
        output[LEFT_BEHIND_OUTPUT] = left


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:  # noqa: ARG001 # the hook's own
    """What was left behind by the tests of one worker fails the whole run; its own exit status is nobody's."""
    node.config.stash[LEFT_BEHIND] += getattr(node, "workeroutput", {}).get(LEFT_BEHIND_OUTPUT, [])


def _ended_by_force() -> list[str]:
    with suppress(AssertionError):
        until(lambda: not _marked_processes(), timeout=END_S)
    ended = []
    for process in _marked_processes():
        with suppress(psutil.Error):
            ended.append(f"{process.pid} {' '.join(process.cmdline())}")
            process.kill()
    return ended


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which processes were left behind."""
    if config.stash[LEFT_BEHIND]:
        terminalreporter.section("processes left behind by tests (the run fails, they were killed)", red=True)
        for line in config.stash[LEFT_BEHIND]:
            terminalreporter.line(line)


def _marked_processes() -> list[psutil.Process]:
    """What runs with this session's mark, this process and zombies aside."""
    mark, found = os.environ[SESSION_MARK], []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(SESSION_MARK) == mark:
                found.append(process)
    return found


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    """The session's Valkey: the server that the package brings."""
    with EmbeddedStore(tmp_path_factory.mktemp("valkey") / "store") as store:
        yield store


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    """The session's Redis: Debian's, 7.0, the oldest server that we promise to work with."""
    binary = required("redis-server", "redis-server")
    with EmbeddedStore(tmp_path_factory.mktemp("redis") / "store", binary=binary) as store:
        yield store


@pytest.fixture(scope="session", params=["valkey", pytest.param("redis", marks=pytest.mark.servers)])
def server(request: pytest.FixtureRequest) -> EmbeddedStore:
    """A server of each kind in turn: what holds on one must hold on the other."""
    store = request.getfixturevalue(f"{request.param}_server")
    assert isinstance(store, EmbeddedStore)
    return store


@pytest.fixture(scope="session")
def store_url(valkey_server: EmbeddedStore) -> str:
    """Where the session's Valkey answers; write under `namespace` only."""
    return valkey_server.url


@pytest.fixture
def namespace(request: pytest.FixtureRequest) -> str:
    """A prefix for keys that no other test has; readable, so that a left-over key tells whose it is."""
    return f"{re.sub(r'[^a-z0-9]+', '-', request.node.name.lower()).strip('-')[:40]}-{next(_numbers)}"


@pytest.fixture
def make_store(tmp_path: Path) -> Iterator[Callable[..., EmbeddedStore]]:
    """Makes started servers of the test's own, in folders of their own; they end with the test."""
    with ExitStack() as stack:

        def make(**options: Path | int) -> EmbeddedStore:
            folder = tmp_path / f"store-{next(_numbers)}"
            return stack.enter_context(EmbeddedStore(folder, **options))  # type: ignore[arg-type]  # the caller's

        yield make
