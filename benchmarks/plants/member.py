"""One coordinator of `benchmarks.herd`: ``python -m benchmarks.plants.member URL NAME NEIGHBOUR FOLDER PACE``.

In each round it works for PACE seconds, sends a signal, and waits for the neighbour's of the same round. What it has
got stands in FOLDER/NAME, one line for each, written in one step: it may be killed between any two instructions, and
goes on from there when it is started again. Ends with 0 when it was told which round is the last and has done it, with
`SUPERSEDED` when another one has its name.
"""

import itertools
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from supervision.client import Client
from supervision.errors import CoordinatorDied, StoreUnavailable, Superseded
from supervision.participant import Coordinator

GO = "herd/go"
LAST = "last"
SUPERSEDED = 3
TIMEOUT_S = 180.0
"""Longer than any stall: several deaths in a row, an outage of the store and a lease."""

AGAIN_S = 0.1

_T = TypeVar("_T")


def signal_of(name: str, number: int) -> str:
    """What ``name`` sends in round ``number``."""
    return f"herd/{name}/{number}"


def noted(folder: Path, name: str) -> list[list[str]]:
    """The words of each line that ``name`` has noted."""
    file = folder / name
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def done(folder: Path, name: str) -> list[list[str]]:
    """The rounds done under ``name``, each as its number and what was got.

    Not what a zombie notes when it goes on: one that was stopped between its word to the store, which counted, and its
    note here does not know that another one has done that round again.
    """
    found, last = [], ""
    for words in noted(folder, name):
        if words[0] == "began":
            last = words[1]
        elif words[0] == "got" and words[-1] == last:
            found.append(words[1:-1])
    return found


def main(url: str, name: str, neighbour: str, folder: Path, pace: float) -> int:
    """Take part until the last round; answers the exit status."""
    with Client(url) as client:
        coordinator = insisting(lambda: client.coordinator(name))
        note(folder, name, f"began {os.getpid()} {coordinator.incarnation}")
        try:
            coordinator.wait(GO, timeout=TIMEOUT_S)
            for number in itertools.count(1 + len(done(folder, name))):
                if number > _last(folder):
                    break
                threading.Event().wait(pace)
                _round(client, coordinator, neighbour, folder, number)
        except Superseded:
            coordinator.complete()  # which must not end the one that has the name now
            note(folder, name, f"superseded {os.getpid()} {coordinator.incarnation}")
            return SUPERSEDED
        insisting(coordinator.complete)
    return 0


def _round(client: Client, coordinator: Coordinator, neighbour: str, folder: Path, number: int) -> None:
    mine, name = signal_of(coordinator.name, number), coordinator.name
    insisting(lambda: client.send(mine, [name, number], id=f"{name}-{number}", sender=name))
    signal = signal_of(neighbour, number)
    try:
        got = insisting(lambda: coordinator.wait(signal, timeout=TIMEOUT_S, expects=neighbour))
    except CoordinatorDied:  # somebody will come under its name
        got = insisting(lambda: coordinator.wait(signal, timeout=TIMEOUT_S))
    note(folder, name, f"got {number} {got[0]} {got[1]} {os.getpid()}")


def insisting(call: Callable[[], _T]) -> _T:
    """What ``call`` answers as soon as the store does."""
    while True:
        try:
            return call()
        except StoreUnavailable:
            threading.Event().wait(AGAIN_S)


def note(folder: Path, name: str, line: str) -> None:
    """One line, whole or not at all, whatever happens to this process."""
    descriptor = os.open(folder / name, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


def _last(folder: Path) -> float:
    file: Any = folder / LAST
    return int(file.read_text()) if file.exists() else float("inf")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4], Path(sys.argv[4]), float(sys.argv[5])))  # type: ignore[arg-type] # three words
