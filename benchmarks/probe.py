"""A probe of the store: a process of its own PINGs it all the while, so that whatever holds the store up is seen.

It is no thread of the benchmark, which would measure Python's interpreter lock, too.
"""

import subprocess
import sys
import threading
from typing import Any, Self

import msgspec

from benchmarks.figures import timed
from benchmarks.stage import ROOT, Stage
from supervision.store.connection import connect

PAUSE_S = 0.001
"""Seconds between two PINGs: a stall of 10 ms meets one of them."""


class Probe:
    """PINGs during the ``with`` block; `took` has the milliseconds of each."""

    def __init__(self, stage: Stage) -> None:
        self.took: list[float] = []
        self._url = stage.server.url

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.probe"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("a probe without pipes")
        stdin.write(f"{self._url}\n")
        stdin.flush()
        stdout.readline()
        return self

    def __exit__(self, *_exception: object) -> None:
        told, _ = self._process.communicate()
        self.took = msgspec.json.decode(told, type=list[float])


def probe(url: str) -> list[float]:
    """PING until the standard input ends."""
    client: Any = connect(url)
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    client.ping()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    took = timed(client.ping, 1)
    while not over.wait(PAUSE_S):
        took += timed(client.ping, 1)
    return took


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(probe(sys.stdin.readline().strip())).decode())
