"""A hundred coordinators, each a process of its own, blocked and then signalled at once: what their processes cost.

As many programs as the figures say register, and wait for one signal; one worker, whose part is not in the figures,
releases them. *Blocked* is the processor time that each took meanwhile, heartbeats and questions to the store included;
memory is what one has for itself alone (USS). Then the signal is sent once: the time is from before that until its
receipt says that all of them have processed it, the processor time of each from then until its process has ended.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Self

import psutil

from benchmarks.figures import Figure, expect
from benchmarks.plants.member import GO, LAST, noted
from benchmarks.stage import ROOT, Stage, until
from supervision.client import Client

MANY, FEW = 100, 10
BLOCKED_S, QUICK_S = 20.0, 2.0
WITHIN_S = 300.0


def measure(*, quick: bool) -> Iterator[Figure]:
    """The figures of this benchmark."""
    number, seconds = (FEW, QUICK_S) if quick else (MANY, BLOCKED_S)
    with Stage() as stage, ExitStack() as stack, Client(stage.server.url) as client:
        stage.worker("waits", "sweeps", slots=1).ready()
        (stage.folder / LAST).write_text("0")  # all that they do is to wait for the signal
        programs = [stack.enter_context(_Program(stage, i)) for i in range(number)]
        until(lambda: len(client.waits(signal=GO)) == number, "all to wait", within=WITHIN_S, every=0.2)
        before = [each.cpu() for each in programs]
        threading.Event().wait(seconds)
        shares = [(each.cpu() - spent) / seconds * 100 for each, spent in zip(programs, before, strict=True)]
        memory = [each.memory() for each in programs]
        begun, before = time.perf_counter(), [each.cpu() for each in programs]
        client.send(GO)
        until(lambda: client.receipt(GO).acknowledged("processed") == number, "all to go on", within=WITHIN_S)
        took = (time.perf_counter() - begun) * 1000
        spent = [each.ended() - already for each, already in zip(programs, before, strict=True)]
        expect(sum(each.state == "complete" for each in client.coordinators()), number, "coordinators that completed")
    yield Figure(f"hundred, share of a core that one of {number} processes takes", "%", shares)
    yield Figure(f"hundred, memory of one of {number} processes", "MiB", memory)
    yield Figure(f"hundred, from one signal until {number} processes have gone on", "ms", [took])
    yield Figure("hundred, processor time of one from the signal to its end", "ms", [each * 1000 for each in spent])


class _Program:
    """One of them."""

    def __init__(self, stage: Stage, number: int) -> None:
        name, url = f"b{number}", stage.server.url
        command = [sys.executable, "-m", "benchmarks.plants.member", url, name, name, str(stage.folder), "0"]
        self._process = subprocess.Popen(command, cwd=ROOT)  # noqa: S603 # our own program
        self._seen = psutil.Process(self._process.pid)
        self._began = (stage.folder, name)

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        used = self._seen.cpu_times()
        return float(used.user + used.system)

    def memory(self) -> float:
        """MiB that it has for itself."""
        return float(self._seen.memory_full_info().uss) / 2**20

    def ended(self) -> float:
        """Seconds of processor time that it has taken altogether, when it has ended well."""
        _, status, used = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        expect(self._process.returncode, 0, f"the end of {noted(*self._began)}")
        return used.ru_utime + used.ru_stime

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()
