"""A program that notices when it is not alone: it holds a lock for as long as it lives.

python lonely.py FOLDER: appends its pid to ``starts``, and to ``overlaps`` when another one holds the lock.
"""

import fcntl
import os
import signal
import sys
from pathlib import Path


def main(folder: Path) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        note(folder / "overlaps")
    note(folder / "starts")
    signal.pause()


def note(file: Path) -> None:
    """One line, written in one step, so that two writers never mix theirs."""
    descriptor = os.open(file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    os.close(descriptor)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
