"""A server whose clock is moved while it runs, and what makes any other program start with a wrong one."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from supervision.server import EmbeddedStore, find_server

LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/local/lib")


FORKING, THREADED = "libfaketime.so.1", "libfaketimeMT.so.1"
"""The second locks what the first lets threads overwrite, where one in 600 readings of a file that changes is the true
time. A program that forks, as a worker does, could leave that lock taken in its child."""


def library(name: str = FORKING) -> Path:
    """libfaketime, which says another time to the program that it is loaded into."""
    found = [path for place in LIBRARIES for path in Path(place).glob(f"**/faketime/{name}")]
    if not shutil.which("faketime") or not found:
        pytest.fail("faketime is not installed; tests marked `servers` need it: apt-get install faketime")
    return found[0]


def wrong_by(seconds: int) -> dict[str, str]:
    """The environment of a program whose clock is ``seconds`` ahead; what it waits for is as long as it is.

    A Python program has to import `faketime_patience`, too.
    """
    return {"LD_PRELOAD": str(library()), "FAKETIME": f"{seconds:+d}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


class MovedClock:
    """The clock of one program; ``by`` how many seconds it is ahead of everybody else's."""

    def __init__(self, folder: Path, name: str = "clock") -> None:
        self._file = folder / name
        self.by = 0
        self.jump(0)

    def jump(self, seconds: int) -> None:
        """Set it ``seconds`` ahead of what it says now, or back."""
        self.by += seconds
        following = self._file.with_suffix(".next")
        following.write_text(f"{self.by:+d}s\n")
        following.rename(self._file)

    def hasten(self, seconds: int, *, each: Callable[[], object], step: int = 5) -> None:
        """Let so much time go by in steps, with ``each`` done after every one of them: as fast as that is done."""
        for _ in range(seconds // step):
            self.jump(step)
            each()

    def environment(self, name: str = FORKING) -> dict[str, str]:
        """That of a program under this clock; as with `wrong_by`."""
        return {
            "LD_PRELOAD": str(library(name)),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def program(self, server: Path) -> Path:
        """A program that is ``server`` under this clock."""
        path = self._file.with_name("server")
        exported = " ".join(f"{name}='{value}'" for name, value in self.environment(THREADED).items())
        path.write_text(f"#!/bin/sh\nexport {exported}\nexec '{server}' \"$@\"\n")
        path.chmod(0o700)
        return path


@contextmanager
def server_with_clock(folder: Path) -> Iterator[tuple[EmbeddedStore, MovedClock]]:
    """A Valkey of its own; Debian's Redis does not run under faketime, its allocator asks for the time too early."""
    folder.mkdir(parents=True, exist_ok=True)
    clock = MovedClock(folder)
    with EmbeddedStore(folder / "store", binary=clock.program(find_server())) as server:
        assert os.access(folder / "clock", os.R_OK)
        yield server, clock
