"""A real process of this machine that outlives whoever started it: the operating-system half of the kind ``process``.

Rules
1. A process is its pid *and* its start identity. A pid alone may belong to somebody else by now, and a zombie is not
   running.
2. Per child there is one record, in a file, written under one lock. It keeps the highest fence ever seen; a caller with
   a lower one gets `Superseded` and changes nothing.
3. The record of a living process is written by that process itself (see `launch`): there is none without a record.
4. No lock is held while waiting for anything, so that a paused caller delays nobody. A stop marks its record as ending
   before the first signal: a later start then finishes that stop instead of adopting a dying process.
5. Signals go to the whole process group, and right after the identity has been verified.
6. Nothing is started beside living processes of the same child, in its group or outside of it (see `strays`).

A service manager that ends a whole control group ends these processes too; with systemd, ``KillMode=mixed`` or
``process`` in the workers' unit keeps them.
"""

import os
import shlex
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGTERM

from supervision.errors import ActionFailed, Conflict, InvalidDeclaration, NotRetryable, Superseded
from supervision.kinds import launch
from supervision.kinds.files import ProcessFiles
from supervision.kinds.group import signal_group, some_member, wait_until_gone
from supervision.kinds.launch import Record
from supervision.kinds.launcher import HOPELESS, ask_launcher, find_program
from supervision.kinds.strays import child_mark, wait_for_strays
from supervision.model import valid_path

KILL_PATIENCE = 5.0
"""Seconds that a killed process may take to disappear; longer means it hangs inside the kernel."""

LOCK_PATIENCE = 5.0
"""Seconds that the second half of a stop waits for the lock, which others hold for milliseconds."""


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """What is known of a child's process right now. ``pid`` and ``started`` are None unless it is running."""

    running: bool
    pid: int | None
    started: str | None
    """The start identity: equal for the same process, different for any other that ever had this pid."""
    fence: int
    """The highest fence under which this process was started, adopted or stopped; 0 if never."""
    outdated: bool = False
    """It runs, and was started with another command than the one that is declared now."""


@dataclass(frozen=True)
class ManagedProcess:
    """One child's process: how it is started and stopped, and where its record and output are kept. Holds no state.

    Args:
        path: The child's path, from which the file names derive.
        command: The program and its arguments; no shell.
        folder: Where lock, record and output live. Made with mode 0700; an existing one must be private.
        env: The whole environment, as for `subprocess.Popen`; None is that of the starter.
        cwd: The working folder; None is that of the starter.

    Raises:
        InvalidDeclaration: The path or the command cannot be used.
    """

    path: str
    command: Sequence[str]
    folder: Path = field(kw_only=True)
    env: Mapping[str, str] | None = field(default=None, kw_only=True)
    cwd: Path | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        valid_path(self.path, "process")
        if isinstance(self.command, str) or not self.command or not _are_texts(self.command):
            raise InvalidDeclaration(
                f"process {self.path!r}: the command is {self.command!r}; give a list of texts, "
                f"for example ['nginx', '-g', 'daemon off;']"
            )
        if self.env is not None and not _are_texts([*self.env, *self.env.values()]):
            raise InvalidDeclaration(
                f"process {self.path!r}: a name or value in env is not a text; give for example {{'PORT': '8080'}}"
            )
        object.__setattr__(self, "command", tuple(self.command))
        object.__setattr__(self, "folder", Path(self.folder).absolute())

    @property
    def output_file(self) -> Path:
        """Where the process's standard output and standard error are appended."""
        return self.files.output

    @property
    def files(self) -> ProcessFiles:
        """Where its lock, record and output are."""
        return ProcessFiles(self.folder, self.path)

    @property
    def _environment(self) -> Mapping[str, str]:
        return os.environ if self.env is None else self.env

    def status(self) -> ProcessStatus:
        """Look, and change nothing. Takes no lock."""
        record = self.files.read_record()
        if record.alive:
            outdated = record.command not in ((), self.command)
            return ProcessStatus(True, record.pid, record.started, record.fence, outdated)
        return ProcessStatus(running=False, pid=None, started=None, fence=record.fence)

    def start(self, fence: int, *, timeout: float, action: str = "") -> ProcessStatus:
        """Make sure that it runs: a living process is adopted, else one is started.

        What a dead leader left of its process group, and what a stop has left half done, is ended first. The status
        is looked up after the start; a program that ends at once may already be gone in it.

        Args:
            fence: This run's fence.
            timeout: Seconds for all of it.
            action: The id of the action that wants it; noted when a process is started, not when one is adopted.

        Raises:
            Superseded: A higher fence has been here.
            Conflict: The lock was not free in time.
            NotRetryable: The command, its working folder or our folder cannot be used.
            ActionFailed: The process could not be started for another reason; strays are one.
        """
        deadline = time.monotonic() + timeout
        program = find_program(self.path, self.command[0], self._environment, self.cwd)
        self.files.make_folder()
        while True:
            half = (time.monotonic() + deadline) / 2  # the other half is for the start
            self._end(fence, half, only_if=_needs_ending)
            wait_for_strays(self.files, half)
            if self._launch(self._request(fence, program, deadline, action)):
                return self.status()
            if time.monotonic() >= deadline:
                raise Conflict(f"process {self.path!r}: somebody else is stopping it; try again when that has ended")

    def stop(self, fence: int, *, timeout: float) -> ProcessStatus:
        """Make sure that it does not run: SIGTERM to its group, and SIGKILL after ``timeout`` seconds.

        Raises:
            Superseded: A higher fence has been here, also between the two signals: then the second is not sent.
            Conflict: The lock was not free in time.
            ActionFailed: It is still there after SIGKILL.
        """
        self.files.make_folder()
        self._end(fence, time.monotonic() + timeout, only_if=lambda _record: True)
        return self.status()

    def restart(self, fence: int, *, action: str, stop_timeout: float, start_timeout: float) -> ProcessStatus:
        """`stop`, then `start`; a living process that an earlier run of the same ``action`` has started is kept."""
        self.files.make_folder()
        deadline = time.monotonic() + stop_timeout
        self._end(fence, deadline, only_if=lambda record: not (record.alive and action and record.action == action))
        return self.start(fence, timeout=start_timeout, action=action)

    def _end(self, fence: int, deadline: float, *, only_if: Callable[[Record], bool]) -> None:
        if not only_if(self.files.read_record()):
            return
        with self._claimed(fence, deadline) as record:
            if not only_if(record):  # somebody else was faster
                return
            launch.write_record(self.files.record, record._replace(fence=fence, ending=True))
            # A stopped process handles SIGTERM only when it is continued.
            signal_group(record, SIGTERM, SIGCONT)
        if not wait_until_gone(record, deadline):
            self._kill(fence, record)

    def _kill(self, fence: int, record: Record) -> None:
        with self._claimed(fence, time.monotonic() + LOCK_PATIENCE):
            signal_group(record, SIGKILL)
        if not wait_until_gone(record, time.monotonic() + KILL_PATIENCE):
            raise ActionFailed(
                f"process {self.path!r}: pid {some_member(record)} is still there {KILL_PATIENCE:g} s after SIGKILL; "
                f"it hangs inside the kernel (often on a disk or a network file system)"
            )

    @contextmanager
    def _claimed(self, fence: int, deadline: float) -> Iterator[Record]:
        lock = launch.take_lock(self.files.lock, deadline)
        if lock is None:
            raise self._locked()
        try:
            record = self.files.read_record()
            if fence < record.fence:
                raise self._superseded(fence, record.fence)
            yield record
        finally:
            launch.release_lock(lock)

    def _launch(self, request: Mapping[str, object]) -> bool:
        """Whether the launcher adopted or started; False if it met a process that is being stopped."""
        answer = ask_launcher(request, self.path)
        match answer:
            case {"outcome": "started" | "adopted"}:
                return True
            case {"outcome": "ending"}:
                return False
            case {"outcome": "locked"}:
                raise self._locked()
            case {"outcome": "superseded", "fence": int(newer)}:
                raise self._superseded(request["fence"], newer)
            case {"outcome": "failed", "reason": reason, "errno": number}:
                kind = NotRetryable if number in HOPELESS else ActionFailed
                raise kind(f"process {self.path!r}: {shlex.join(self.command)} could not be started: {reason}")
            case _:
                raise ActionFailed(f"process {self.path!r}: the launcher answered {answer!r}, which is no outcome")

    def _request(self, fence: int, program: str, deadline: float, action: str) -> dict[str, object]:
        return {
            "fence": fence,
            "file": program,
            "command": self.command,
            "env": dict(self._environment),
            "cwd": None if self.cwd is None else str(self.cwd),
            "mark": f"{child_mark(self.files)}{uuid.uuid4().hex}",
            "action": action,
            "patience": max(0.0, deadline - time.monotonic()),
            "lock": str(self.files.lock),
            "record": str(self.files.record),
            "output": str(self.files.output),
        }

    def _locked(self) -> Conflict:
        return Conflict(
            f"process {self.path!r}: the lock {self.files.lock} was not free in time; somebody else starts or stops "
            f"this process, or was paused while doing so; try again"
        )

    def _superseded(self, fence: object, newer: int) -> Superseded:
        return Superseded(f"process {self.path!r}: fence {fence} is old, fence {newer} has been here; nothing was done")


def _needs_ending(record: Record) -> bool:
    """Whether a stop was left half done, or a dead leader left others of its group."""
    return record.ending if record.alive else some_member(record) is not None


def _are_texts(values: Sequence[object]) -> bool:
    return all(isinstance(value, str) and "\0" not in value for value in values)
