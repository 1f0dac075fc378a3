"""A server whose clock is moved while it runs, and what makes any other program start with a wrong one."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from supervision.server import EmbeddedStore, find_server

LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/local/lib")


def library() -> Path:
    """libfaketime, which says another time to the program that it is loaded into."""
    found = [path for place in LIBRARIES for path in Path(place).glob("**/faketime/libfaketime.so.1")]
    if not shutil.which("faketime") or not found:
        pytest.fail("faketime is not installed; tests marked `servers` need it: apt-get install faketime")
    return found[0]


def wrong_by(seconds: int) -> dict[str, str]:
    """The environment of a program whose clock is ``seconds`` ahead; what it waits for is as long as it is.

    A Python program has to import `faketime_patience`, too.
    """
    return {"LD_PRELOAD": str(library()), "FAKETIME": f"{seconds:+d}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


class MovedClock:
    """The clock of one server; ``by`` how many seconds it is ahead of everybody else's."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.by = 0
        self.jump(0)

    def jump(self, seconds: int) -> None:
        """Set it ``seconds`` ahead of what it says now, or back."""
        self.by += seconds
        following = self._file.with_suffix(".next")
        following.write_text(f"{self.by:+d}s\n")
        following.rename(self._file)

    def program(self, server: Path) -> Path:
        """A program that is ``server`` under this clock."""
        path = self._file.with_name("server")
        path.write_text(
            "#!/bin/sh\n"
            f"export LD_PRELOAD='{library()}' FAKETIME_TIMESTAMP_FILE='{self._file}'\n"
            "export FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1\n"
            f"exec '{server}' \"$@\"\n"
        )
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
