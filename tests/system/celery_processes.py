"""Celery programs as the operating system sees them: a process group, a log file, an exit status."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from celery import Celery

HERE = Path(__file__).parent
READY_S = 60.0
"""Generous: the machine may be doing a dozen other things."""


def until(condition: Callable[[], object], what: str, within: float = READY_S) -> None:
    """Wait for ``condition``, which is asked every 50 ms; say ``what`` did not happen when it never comes true."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within:g} s: {what() if callable(what) else what}"
        time.sleep(0.05)


class CeleryProcess:
    """``python -m celery -A app ...`` in a process group of its own."""

    def __init__(self, folder: Path, app: str, *arguments: str, **environment: str) -> None:
        self.log_file = folder / f"{app}-{time.monotonic_ns()}.log"
        inherited = {name: value for name, value in os.environ.items() if name != "REMAP_SIGTERM"}
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", app, *arguments],
                cwd=HERE,
                env={**inherited, "PYTHONUNBUFFERED": "1", **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def logged(self, pattern: str) -> int:
        """How many times ``pattern`` is in the log by now."""
        return len(re.findall(pattern, self.log))

    def await_log(self, pattern: str, *, times: int = 1, within: float = READY_S) -> Self:
        def seen() -> bool:
            assert self.alive or self.logged(pattern) >= times, f"ended with {self.process.returncode}:\n{self.log}"
            return self.logged(pattern) >= times

        until(seen, lambda: f"{pattern!r} in the log:\n{self.log}", within)
        return self

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, within: float) -> int:
        """The exit status."""
        until(lambda: not self.alive, lambda: f"the end of {self.process.args}:\n{self.log}", within)
        return self.process.returncode

    def kill_group(self) -> None:
        """Everything this program started, at once, as a power cut would; idempotent."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        finally:
            self.process.wait(timeout=READY_S)


class Worker(CeleryProcess):
    """A worker without the chatter between workers, which only slows a test down."""

    def __init__(  # noqa: PLR0913 - each is one option of the command
        self,
        folder: Path,
        url: str,
        queue: str,
        *,
        app: str = "hardened_app",
        slots: int = 2,
        pool: str = "prefork",
        **environment: str,
    ) -> None:
        super().__init__(
            folder,
            app,
            "worker",
            "-Q",
            queue,
            "-n",
            f"{queue}-{time.monotonic_ns()}@test",
            "-c",
            str(slots),
            "-P",
            pool,
            "-l",
            "INFO",
            SUPERVISION_STORE_URL=url,
            **environment,
        )

    def await_ready(self) -> Self:
        return self.await_log(r" ready\.")


def publish(app: Celery, task: str, *arguments: str, queue: str, **options: float) -> str:
    """The id of the task. Without a result, as our own messages are: waiting for results has its own connection."""
    return str(app.send_task(task, arguments, queue=queue, ignore_result=True, **options).id)


@contextmanager
def ended(*processes: CeleryProcess) -> Iterator[None]:
    """Whatever happens inside, nothing of ``processes`` is left afterwards."""
    try:
        yield
    finally:
        for process in processes:
            process.kill_group()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def database(url: str, number: int) -> str:
    """The same server's database ``number``."""
    return urlsplit(url)._replace(path=f"/{number}").geturl()


def lines(folder: Path, name: str) -> list[str]:
    """What a probe task has written so far."""
    file = folder / name
    return file.read_text().splitlines() if file.exists() else []
