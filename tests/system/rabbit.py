"""A RabbitMQ of the test's own, Debian's, in a temporary folder and on free ports, with everything it starts."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from celery_processes import free_port, until
from required import required

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The server itself: what stands on PATH wants to be another user."""


@contextmanager
def rabbitmq(folder: Path) -> Iterator[str]:
    """Its address while the block runs."""
    required("rabbitmq-server", "rabbitmq-server")
    folder.mkdir()
    port, mark = free_port(), f"rabbit-{os.getpid()}"
    (folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\n")
    (folder / "plugins").write_text("[].\n")
    environment = {
        **os.environ,
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"{mark}@localhost",
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "ERL_EPMD_PORT": str(free_port()),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([SERVER], env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        until(lambda: _answers(port), lambda: (folder / "log").read_text()[-2000:], within=120)
        yield f"amqp://guest:guest@127.0.0.1:{port}//"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        for process in psutil.process_iter():  # Erlang's port mapper makes itself a daemon
            with suppress(psutil.Error):
                if process.environ().get("ERL_EPMD_PORT") == environment["ERL_EPMD_PORT"]:
                    process.kill()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
