"""Processes that left the process group of their child, as a program does that puts itself into the background.

Rules
1. They are found by the mark in their environment. It names the child and the folder of its record, so that the same
   child of another system is somebody else. (Who clears or hides its environment is not found.)
2. They are found and named, never signalled: a stop reaches the group of its record and nobody beyond.
3. Beside them nothing is started: a program that goes into the background would multiply with every start.
"""

import os
import time
from contextlib import suppress
from hashlib import sha256

import psutil

from supervision.errors import ActionFailed, NotRetryable
from supervision.kinds.files import ProcessFiles
from supervision.kinds.group import some_member
from supervision.kinds.launch import MARK, start_identity

FOLDER_ID_LENGTH = 16
"""Hexadecimal digits that tell the folders of different systems apart."""

STRAY_PATIENCE = 1.0
"""Seconds for what left the process group to end by itself, as many helpers do when their leader is gone."""

_POLL = 0.05


def child_mark(files: ProcessFiles) -> str:
    """What the mark of every process of this child begins with, and no other mark does."""
    whose = f"{files.folder.resolve()}/{files.path}"
    return f"{files.path}@{sha256(whose.encode()).hexdigest()[:FOLDER_ID_LENGTH]}:"


def strays(files: ProcessFiles) -> list[int]:
    """The pids of living processes that an ended process of this child left outside of its process group."""
    mark = child_mark(files)
    found = [pid for pid in psutil.pids() if _has_mark(pid, mark)]
    record = files.read_record()  # only now: what was started meanwhile wrote its record before it showed its mark
    return [] if record.alive else [pid for pid in found if _is_outside(pid, record.pid)]


def wait_for_strays(files: ProcessFiles, deadline: float) -> None:
    """Wait until there are none, up to `STRAY_PATIENCE` and not beyond ``deadline`` (monotonic seconds).

    Raises:
        ActionFailed: There are still some. Not for good: they may be helpers that take their time to end.
    """
    deadline = min(deadline, time.monotonic() + STRAY_PATIENCE)
    while left := strays(files):
        if time.monotonic() >= deadline:
            raise ActionFailed(_in_background(files.path, left))
        time.sleep(_POLL)


def why_it_ended(files: ProcessFiles) -> ActionFailed:
    """What to raise when a process has ended although it was only just started."""
    deadline = time.monotonic() + STRAY_PATIENCE
    while True:
        member = some_member(files.read_record())  # before the search: it may leave the group in between
        if left := strays(files):
            return NotRetryable(_in_background(files.path, left))
        if member is None or time.monotonic() >= deadline:
            said = files.last_words() or "nothing"
            return ActionFailed(
                f"process {files.path!r}: it ended right after it was started; {files.output} ends with: {said}"
            )
        time.sleep(_POLL)


def _has_mark(pid: int, mark: str) -> bool:
    with suppress(ProcessLookupError, PermissionError, psutil.Error):
        process = psutil.Process(pid)
        if os.geteuid() in process.uids():
            return process.environ().get(MARK, "").startswith(mark) and start_identity(pid) is not None
    return False


def _is_outside(pid: int, group: int | None) -> bool:
    with suppress(ProcessLookupError):
        return os.getpgid(pid) != group
    return False


def _in_background(path: str, pids: list[int]) -> str:
    return (
        f"process {path!r}: it goes into the background; run it in the foreground (the option is often called "
        f"--foreground or --nodaemon), and end what it left: pids {', '.join(map(str, pids))}"
    )
