"""A master and a replica of Debian's Redis, and a sentinel that lets the replica take over."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
from celery_processes import free_port, until
from required import required


@dataclass
class WatchedStore:
    """``url`` is the store's for the library, ``celery_url`` the same for Celery alone."""

    sentinel: int
    name: str
    master: subprocess.Popen[bytes]

    @property
    def celery_url(self) -> str:
        return f"sentinel://127.0.0.1:{self.sentinel}"

    @property
    def url(self) -> str:
        # The first one is never there: whoever asks it goes on to the next.
        return f"sentinel://127.0.0.1:{free_port()};sentinel://127.0.0.1:{self.sentinel}/0?master={self.name}"

    def kill_master(self) -> None:
        self.master.kill()
        self.master.wait()

    def replicates(self) -> bool:
        """Whether the sentinel knows a replica that could take over."""
        with redis.Redis(port=self.sentinel) as client:
            try:
                replicas = client.sentinel_slaves(self.name)
            except redis.ConnectionError:
                return False
        return any(replica["master-link-status"] == "ok" for replica in replicas)


@contextmanager
def watched(folder: Path, name: str = "mymaster") -> Iterator[WatchedStore]:
    """The three servers while the block runs; the master is called ``name``."""
    master, replica, watcher = (free_port() for _ in range(3))
    (folder / "sentinel.conf").write_text(
        f"port {watcher}\nsentinel monitor {name} 127.0.0.1 {master} 1\n"
        f"sentinel down-after-milliseconds {name} 1000\nsentinel failover-timeout {name} 5000\n"
    )
    # At once: a master waits five seconds for more replicas by default.
    plain = ("--save", "", "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0")
    commands = (
        ["--port", str(master), *plain],
        ["--port", str(replica), "--replicaof", "127.0.0.1", str(master), *plain],
        [str(folder / "sentinel.conf"), "--sentinel"],
    )
    binary = required("redis-server", "redis-server")
    servers = [subprocess.Popen([binary, *command], cwd=folder, stdout=subprocess.DEVNULL) for command in commands]
    found = WatchedStore(watcher, name, servers[0])
    try:
        until(found.replicates, "the sentinel knows the replica", within=90)
        yield found
    finally:
        for server in servers:
            server.kill()
            server.wait()
