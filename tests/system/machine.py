"""A machine: ``machine.py FILE NAME`` writes its starts and its stops into FILE, in order, and else does nothing."""

import signal
import sys
from pathlib import Path

FILE, NAME = Path(sys.argv[1]), sys.argv[2]


def note(what: str) -> None:
    with FILE.open("a") as file:
        file.write(f"{what} {NAME}\n")


def stop(*_: object) -> None:
    note("stop")
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)
note("start")
while True:
    signal.pause()
