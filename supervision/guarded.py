"""A command that ends together with this process: the parent's side of `supervision.guard`.

The object is the leash. While it lives the command may live; once it is stopped, collected, or gone with its process
(by Ctrl-C, SIGTERM or kill -9, it does not matter), the guard ends the command and everything below it.
"""

import os
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final, Self

from supervision.errors import SupervisionError

GRACE_S: Final = 5.0
"""Seconds a command has between SIGTERM and SIGKILL; the same default as the guard's own."""

GUARD: Final = Path(__file__).with_name("guard.py")
"""Run by path, not by module name: the command's folder may hold another package called ``supervision``."""

START_TIMEOUT_S: Final = 30.0
"""Seconds until the guard must have said the command's pid. It needs 0.05; a machine under full load needs more."""

KILLS_S: Final = 15.0
"""Seconds that the guard may need beyond its two graces: two waits for SIGKILL of 5 s, and its own work."""


class Guarded:
    """``cmd``, started under a guard.

    Args:
        cmd: the command and its arguments.
        env: its whole environment; None means this process's.
        cwd: its working folder; None means this process's.
        stdout: where its output and errors go, as for `subprocess.Popen`; None means to this process's own.
        grace: seconds between SIGTERM and SIGKILL, once for the command and once for what it leaves behind.
        tree: end what the command leaves behind also when it ends by itself.
        pass_fds: descriptors that the guard and the command inherit.

    Raises:
        SupervisionError: the guard itself could not start. A command that cannot be run is no error here: it ends
            with status 127 and a line in its output.
    """

    def __init__(  # noqa: PLR0913 - each is one property of a process, keyword-only, with a default
        self,
        cmd: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdout: int | IO[bytes] | None = None,
        grace: float = GRACE_S,
        tree: bool = False,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self._cmd = [str(part) for part in cmd]
        self._bound = 2 * grace + KILLS_S
        reading, writing = os.pipe()
        options = [f"--grace={grace}", f"--report={writing}", *(["--tree"] if tree else [])]
        try:
            self._guard = subprocess.Popen(  # noqa: S603 - our own program, and a list instead of a shell
                [sys.executable, "-P", GUARD, *options, "--", *self._cmd],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=None if stdout is None else subprocess.STDOUT,
                env=env,
                cwd=cwd,
                pass_fds=(writing, *pass_fds),
                start_new_session=True,  # already here: a Ctrl-C must not find the guard before it can do so itself
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        self.pid: Final = self._reported_pid(reading)

    def poll(self) -> int | None:
        """None while the command (and what is being ended with it) runs, else its status: 128 + n for signal n."""
        if self._guard.poll() is not None:
            self._let_go()
        return self._guard.returncode

    def stop(self) -> int:
        """End the command and everything below it, wait for that, and return the command's status; idempotent."""
        if self.poll() is None:
            self._let_go()
            # The end of the leash says the same, but a fork of this process may still hold a copy of it.
            self._guard.terminate()
        try:
            return self._guard.wait(self._bound)
        except subprocess.TimeoutExpired:
            self._guard.kill()  # on Linux the command dies with it
            return self._guard.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Guarded {self._cmd[0]!r} pid={self.pid} status={self._guard.returncode}>"

    def _let_go(self) -> None:
        if self._guard.stdin is not None:
            self._guard.stdin.close()

    def _reported_pid(self, reading: int) -> int:
        waiting = select.poll()  # not select(): a large application has descriptors beyond its limit of 1024
        waiting.register(reading, select.POLLIN)
        with os.fdopen(reading) as pipe:
            said = pipe.readline() if waiting.poll(START_TIMEOUT_S * 1000) else ""
        if said:
            return int(said)
        status = self.stop()
        raise SupervisionError(
            f"the guard of {self._cmd[0]!r} said no pid within {START_TIMEOUT_S:g} s and ended with status {status}; "
            f"its output says why, it runs as {sys.executable} {GUARD}"
        )
