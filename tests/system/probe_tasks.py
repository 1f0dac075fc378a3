"""Tasks whose effects are files: they can be read while the store is down, and survive whoever wrote them."""

import os
import time
from pathlib import Path

from billiard.connection import Connection
from celery import shared_task

HOLD_LIMIT_S = 120.0


def note(folder: str, name: str, line: str) -> None:
    """One line, appended in one write, so that concurrent tasks do not mix."""
    file = os.open(Path(folder) / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, f"{line}\n".encode())
    finally:
        os.close(file)


@shared_task(name="probe.mark")
def mark(folder: str, name: str) -> None:
    note(folder, name, "marked")


@shared_task(name="probe.hold")
def hold(folder: str, name: str, until: str) -> None:
    """Run until the file ``until`` is there."""
    note(folder, name, f"started {os.getpid()}")
    deadline = time.monotonic() + HOLD_LIMIT_S
    while not (Path(folder) / until).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    note(folder, name, f"finished {os.getpid()}")


@shared_task(name="probe.falter")
def falter(folder: str, name: str, until: str) -> None:
    """End, and tell the worker of it in two pieces, as if it were long; the second comes with the file ``until``."""
    whole = Connection._send

    def in_pieces(connection: Connection, told: bytes) -> None:
        Connection._send = whole
        whole(connection, told[:4])
        hold(folder, name, until)
        whole(connection, told[4:])

    Connection._send = in_pieces
