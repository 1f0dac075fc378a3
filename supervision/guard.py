"""A guardian for one command: when the parent is gone, so is the command, with everything that it started.

    python -m supervision.guard [--grace SECONDS] [--tree] -- COMMAND [ARGUMENT ...]

Its rules:

1. Standard input is the leash. Whoever holds its other end never writes to it: end of file means that the holder is
   gone, however it went. A holder that forked may leave copies of that end behind, so a change of parent counts too.
2. On end of file, SIGTERM, SIGINT or SIGHUP everything ends: first the command alone, so that it can put its own house
   in order and starts nothing anew; then whatever it left. Each gets SIGTERM, ``--grace`` seconds, then SIGKILL.
3. A command that ends by itself ends the guard with the same status (128 + n for signal n, as shells say it). What it
   left behind stays, unless ``--tree`` asks to end that as well.
4. On Linux orphans come to the guard, also those with sessions of their own, and the command dies with the guard, even
   with one that is killed by SIGKILL. Elsewhere the guard sees what was below it when the end began.
5. The guard has a session of its own where it can, so that a terminal's Ctrl-C reaches neither it nor the command.

It imports nothing of the project: it must start fast, from a path, whatever else is installed.
"""

import argparse
import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn

import psutil

GRACE_S = 5.0
"""Seconds between SIGTERM and SIGKILL: a store writes its last file in well under one, a worker may need a few."""

KILL_WAIT_S = 5.0
"""Seconds to wait for what got SIGKILL; only one stuck inside the kernel needs longer, and nobody can end it."""

PARENT_CHECK_S = 0.5
"""Seconds between two looks at the parent; only needed where a fork of the parent still holds the leash."""

POLL_S = 0.05
"""Seconds between two looks at grandchildren while ending them; only children announce their end to us."""

CANNOT_RUN = 127
"""The status of a command that could not be started, as shells say it."""

LEASH = 0
"""Standard input's descriptor."""

RELEASING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""The signals that say the same as the end of the leash."""

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


class Guardian:
    """The running command, the leash, and how both end."""

    def __init__(self, pid: int, grace: float) -> None:
        self.status: int | None = None
        self.asked = False
        self._pid = pid
        self._grace = grace
        self._childless = False
        self._parent = os.getppid()
        self._wake = self._listen()

    def watch(self) -> None:
        """Return when the command has ended, or is to be ended."""
        self._reap()
        while self.status is None and not self.asked:
            self._pause(PARENT_CHECK_S)
            self.asked = self.asked or os.getppid() != self._parent

    def end(self) -> None:
        """End the command, then everything that it left; bounded by two times the grace and two times `KILL_WAIT_S`."""
        # Looked at before the command goes, since without a subreaper its orphans then move out of sight.
        seen = descendants()
        if self.status is None:
            command = {psutil.Process(self._pid)}
            self._end(lambda: command, lambda: self.status is not None)

        def left() -> set[psutil.Process]:
            seen.update(descendants())
            return {process for process in seen if is_alive(process)}

        # Reading the process table is not atomic: one that forks and ends while we read can be missed. Having no
        # children is, and below a subreaper it means having no descendants.
        self._end(left, lambda: self._childless and not left())

    def close(self) -> None:
        """Hear nothing more: an interpreter that shuts down gives handled signals their deadly default back."""
        for signum in RELEASING:
            signal.signal(signum, signal.SIG_IGN)

    def _end(self, targets: Callable[[], set[psutil.Process]], gone: Callable[[], bool]) -> None:
        for signum, seconds in ((signal.SIGTERM, self._grace), (signal.SIGKILL, KILL_WAIT_S)):
            deadline = time.monotonic() + seconds
            told: set[psutil.Process] = set()
            while not gone() and time.monotonic() < deadline:
                fresh = targets() - told
                for process in fresh:
                    tell(process, signum)
                told |= fresh
                self._pause(POLL_S)

    def _listen(self) -> int:
        wake, wakened = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(wakened, False)
        signal.set_wakeup_fd(wakened, warn_on_full_buffer=False)
        for signum in RELEASING:
            signal.signal(signum, self._ask)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler it would not wake us
        return wake

    def _ask(self, _signum: int, _frame: FrameType | None) -> None:
        self.asked = True

    def _pause(self, seconds: float) -> None:
        # Once the leash is at its end it stays readable, and waiting for it would turn into a busy loop.
        leash = [] if self.asked else [LEASH]
        ready, _, _ = select.select([self._wake, *leash], [], [], seconds)
        if self._wake in ready:
            os.read(self._wake, 4096)
        if LEASH in ready and not os.read(LEASH, 4096):
            self.asked = True
        self._reap()

    def _reap(self) -> None:
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self._pid:
                    self.status = shell_status(status)
        except ChildProcessError:
            self._childless = True


def descendants() -> set[psutil.Process]:
    """Every process below this one that can be seen."""
    return set(psutil.Process().children(recursive=True))


def is_alive(process: psutil.Process) -> bool:
    """Whether the very process runs or could run again: neither gone, nor a zombie, nor another one with its pid."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def tell(process: psutil.Process, signum: signal.Signals) -> None:
    """Send ``signum``, and wake a stopped process so that it can act on it."""
    with suppress(psutil.Error):
        process.send_signal(signum)
        process.send_signal(signal.SIGCONT)


def shell_status(wait_status: int) -> int:
    """The exit status a shell would report: the command's own, or 128 + n when signal n ended it."""
    code = os.waitstatus_to_exitcode(wait_status)
    return code if code >= 0 else 128 - code


def prctl(option: int, value: int) -> None:
    """Linux' ``prctl`` with one argument; nothing elsewhere. Raises OSError when the kernel refuses."""
    if not sys.platform.startswith("linux"):
        return
    if ctypes.CDLL(None, use_errno=True).prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}, {value})")


def launch(command: list[str]) -> int:
    """Start ``command`` so that it dies with this process; returns its pid."""
    guard = os.getpid()
    # A fork by hand: what has to happen in the child must happen in it, and we are one thread with no lock to inherit.
    pid = os.fork()
    if pid == 0:
        become(command, guard)
    return pid


def become(command: list[str], guard: int) -> NoReturn:
    """Turn this fresh fork into ``command``."""
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:
            os._exit(CANNOT_RUN)  # the guard died before the line above could tie us to it
        for signum in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(signum, signal.SIG_DFL)  # Python ignores these, and that would be inherited
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.execvp(command[0], command)  # noqa: S606 - no shell on purpose: the command is a list, and runs as given
    except OSError as error:
        os.write(2, f"guard: cannot run {command[0]!r}: {error}\n".encode(errors="replace"))
    finally:
        os._exit(CANNOT_RUN)


def report(descriptor: int, pid: int) -> None:
    """Write ``pid`` to whoever reads ``descriptor``, if they are still there, and close it."""
    with suppress(BrokenPipeError):
        os.write(descriptor, f"{pid}\n".encode())
    os.close(descriptor)


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(
        "supervision.guard", description="Run a command that ends with whoever started it."
    )
    parser.add_argument("--grace", type=float, default=GRACE_S, help="seconds between SIGTERM and SIGKILL")
    parser.add_argument("--tree", action="store_true", help="end what a command that ended by itself left behind")
    parser.add_argument("--report", type=int, metavar="FD", help="write the command's pid to this descriptor")
    parser.add_argument("command", nargs="+", help="the command and its arguments, after --")
    options = parser.parse_args(argv)
    if not options.grace >= 0:
        parser.error(f"argument --grace: {options.grace} is not a number of seconds from 0 up")
    return options


def main(argv: list[str] | None = None) -> int:
    """Run a command until it ends or its parent is gone; returns its status."""
    options = arguments(argv)
    with suppress(PermissionError):  # a process group's leader cannot have a new session; a Ctrl-C then ends it all
        os.setsid()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    if options.report is not None:
        os.set_inheritable(options.report, False)  # whoever reads it waits for its end, which the command must not hold
    pid = launch(options.command)
    guardian = Guardian(pid, options.grace)
    if options.report is not None:
        report(options.report, pid)  # not earlier: from now on we may be told to stop, and must be listening
    guardian.watch()
    if guardian.asked or options.tree:
        guardian.end()
    guardian.close()
    # Without a status the command has outlived SIGKILL: say what happened to it as far as we know.
    return 128 + signal.SIGKILL if guardian.status is None else guardian.status


if __name__ == "__main__":
    sys.exit(main())
