"""A folder that only its owner can read, and that one server at a time may use.

The lock is an ``flock`` on an open file that the server inherits: the kernel drops it when the last process that holds
it ends, so it needs no clean-up and cannot be stale. The pids inside it are for messages, never for decisions about
whether it is held.
"""

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from supervision.errors import Conflict, InvalidDeclaration

RELEASE_WAIT_S: Final = 10.0
"""Seconds to wait for a lock whose owner is gone: the owner's guard is ending the server at this very moment."""

SETTLE_S: Final = 1.0
"""Seconds a holder must be seen alive to count as such: what just got SIGKILL still looks alive for a moment."""

POLL_S: Final = 0.02
"""Seconds between two tries to get the lock."""

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600


def make_private(folder: Path, *, ours: str) -> None:
    """Make ``folder`` if it is missing, and refuse one that others own or can enter.

    One that holds a file named ``ours`` was made by us: it is tightened instead of refused.
    """
    try:
        folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
    except FileExistsError as error:
        raise InvalidDeclaration(
            f"{folder} is not a folder; name one that is, or one that is yet to be made"
        ) from error
    found = folder.stat()
    if found.st_uid != os.geteuid():
        raise InvalidDeclaration(
            f"{folder} belongs to user {found.st_uid}, this is user {os.geteuid()}; choose a folder of your own"
        )
    if not found.st_mode & 0o077:
        return
    if not (folder / ours).exists():
        raise InvalidDeclaration(
            f"{folder} is open to others (mode {stat.S_IMODE(found.st_mode):o}); "
            f"choose a new folder, or say: chmod 700 {folder}"
        )
    folder.chmod(FOLDER_MODE)


def write_private(path: Path, text: str) -> None:
    """Replace ``path`` as a whole, readable by its owner only: a reader sees the old text or the new one."""
    fresh = path.with_name(path.name + ".new")
    with os.fdopen(open_private(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "w") as file:
        file.write(text)
    fresh.replace(path)


def open_private(path: Path, flags: int) -> int:
    """A descriptor for ``path``; a new file is readable by its owner only from its first moment on."""
    return os.open(path, flags, FILE_MODE)


@contextmanager
def claimed(path: Path) -> Iterator[int]:
    """Hold the lock at ``path`` while inside, and longer in every process that inherits the yielded descriptor.

    Raises:
        Conflict: somebody alive holds it; the message names the pids they noted.
    """
    lock = open_private(path, os.O_RDWR | os.O_CREAT)
    try:
        _acquire(lock, path.parent)
        yield lock
    finally:
        os.close(lock)


def note_holders(lock: int, server: int, owner: int) -> None:
    """Write down who holds the lock: the server's pid, and that of the process it belongs to."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{server} {owner}\n".encode(), 0)


def _acquire(lock: int, folder: Path) -> None:
    began = last_gone = time.monotonic()
    while not _locked(lock):
        now = time.monotonic()
        holders = [int(pid) for pid in os.pread(lock, 64, 0).split()]
        if not holders or not all(_is_alive(pid) for pid in holders):
            last_gone = now
        if now - last_gone > SETTLE_S or now - began > RELEASE_WAIT_S:
            server, owner = holders or ("unknown", "unknown")
            raise Conflict(
                f"{folder} is in use by the server with pid {server}, started by pid {owner}; connect to that one with "
                f"the url in {folder / 'url'}, or choose another folder"
            )
        time.sleep(POLL_S)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
