"""Signals to the process group of a record, and waiting for its end, without ever touching somebody else's process.

Rules
1. A group belongs to us while its leader is the process of the record, or, after the leader's death, through those of
   its members that carry the record's mark in their environment. A group's number cannot be given away while it has
   members. (A program that overwrites its environment hides from the second test; so does one of another user.)
2. Waiting is waiting for the kernel's word (a pidfd on Linux), not asking again and again.
"""

import os
import signal
import sys
import time
from contextlib import suppress
from select import POLLIN, poll

import psutil

from supervision.kinds.launch import MARK, Record, start_identity

_TO_GROUP = 1 << 2
"""``PIDFD_SIGNAL_PROCESS_GROUP`` of Linux 6.9: the signal goes to the group of exactly that process."""


def some_member(record: Record) -> int | None:
    """The pid of a living process of the record's group, its leader first; None if nobody is left."""
    if record.pid is None or record.alive:
        return record.pid
    return next((pid for pid in psutil.pids() if _left_over(pid, record)), None)


def _left_over(pid: int, record: Record) -> bool:
    with suppress(ProcessLookupError, PermissionError, psutil.Error):
        if os.getpgid(pid) == record.pid and start_identity(pid) is not None:
            return bool(record.mark) and psutil.Process(pid).environ().get(MARK) == record.mark
    return False


def signal_group(record: Record, *signals: signal.Signals) -> None:
    """Send the signals to the record's whole group, one after the other; nothing if nobody is left."""
    with suppress(ProcessLookupError):
        if not record.alive or not _signal_by_leader(record, signals):
            _signal_by_number(record, signals)


def _signal_by_leader(record: Record, signals: tuple[signal.Signals, ...]) -> bool:
    """Through a descriptor of the leader: it cannot come to mean another process. False where there is no such call."""
    if sys.platform != "linux" or record.pid is None:
        return False
    try:
        leader = os.pidfd_open(record.pid)
    except OSError:  # the process is gone, or the kernel is older than 5.3
        return False
    try:
        if not record.alive:  # only now is the descriptor known to be our process
            return False
        for number in signals:
            signal.pidfd_send_signal(leader, number, None, _TO_GROUP)
    except ProcessLookupError:
        return True
    except OSError:  # before Linux 6.9
        return False
    finally:
        os.close(leader)
    return True


def _signal_by_number(record: Record, signals: tuple[signal.Signals, ...]) -> None:
    for number in signals:
        if record.pid is None or some_member(record) is None:
            return
        os.killpg(record.pid, number)


def wait_until_gone(record: Record, deadline: float) -> bool:
    """Whether the whole group has ended by ``deadline`` (monotonic seconds)."""
    while (pid := some_member(record)) is not None:
        if not _wait_for_end(pid, record, deadline):
            return False
    return True


def _wait_for_end(pid: int, record: Record, deadline: float) -> bool:
    remaining = max(0.0, deadline - time.monotonic())
    if sys.platform == "linux" and hasattr(os, "pidfd_open"):
        return _wait_by_descriptor(pid, record, remaining)
    try:
        psutil.Process(pid).wait(remaining)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


def _wait_by_descriptor(pid: int, record: Record, seconds: float) -> bool:
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if not (record.alive if pid == record.pid else _left_over(pid, record)):
            return True
        poller = poll()
        poller.register(process, POLLIN)
        return bool(poller.poll(seconds * 1000))
    finally:
        os.close(process)
