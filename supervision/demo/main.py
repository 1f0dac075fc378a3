"""``supervision demo``: runs the stage below a guard and hands on what it is told.

    this process ── guard ── stage ──┬─ guard ── store
                                     ├─ guard ── actor ── (launcher) ── broker, data flow, sink, panel
                                     └─ guard ── ticker, collector, beats, Flower, one each

Supervised processes outlive the worker that started them, on purpose. Here they come to the guards as orphans, so that
also after kill -9 of any process in this picture nothing is left.
"""

import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Never

import psutil

from supervision.demo.stage import HOME, INTERRUPTED
from supervision.errors import Conflict
from supervision.guarded import Guarded

END_S = 30.0
"""Seconds that the stage may take to end everything in order; it needs three."""

POLL_S = 0.1

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Told(BaseException):
    """A signal that means: end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run(*, once: bool, as_json: bool, folder: Path) -> int:
    """Play the demo in ``folder``; answers the exit status: 0 when all its checks passed, 1 when one did not.

    On a terminal it stays up until Ctrl-C, unless ``once`` or ``as_json``; a signal before the last check answers
    128 + its number. `Conflict` when a demo runs there already; another `SupervisionError` when not even a guard can be
    started.
    """
    flags = [*(["--once"] if once else []), *(["--json"] if as_json else [])]
    _refuse_a_second(folder.absolute())
    command = [sys.executable, "-P", "-m", "supervision.demo.stage", *flags, str(folder.absolute())]
    with _signals_raise(), Guarded(command, grace=END_S, tree=True) as stage:
        try:
            while (status := stage.poll()) is None:
                time.sleep(POLL_S)
        except _Told as told:
            print("ending...", file=sys.stderr, flush=True)  # noqa: T201 - who pressed Ctrl-C waits for some seconds
            status = stage.stop()
            # The guard ends it by SIGTERM, also before it can answer that in its own way.
            return 128 + told.number if status in {INTERRUPTED, 128 + signal.SIGTERM} else status
        return status


def _refuse_a_second(folder: Path) -> None:
    """At once, when a demo is alive in ``folder``; one that was killed is waited for where its remains are cleared."""
    path = folder / HOME / "store" / "lock"
    try:
        lock = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        store, stage = (*map(int, os.pread(lock, 64, 0).split()), 0, 0)[:2]
        if _has_its_program(stage):
            raise Conflict(
                f"a demo runs here already (pid {stage}): {path.parent} is in use by the server with pid {store}"
            ) from None
    finally:
        os.close(lock)


def _has_its_program(stage: int) -> bool:
    """Whether ``stage`` plays for somebody: below a guard, below the program that was called. A killed one ends it."""
    try:
        above = psutil.Process(stage).parents()
        return len(above) > 1 and "demo" in above[1].cmdline()
    except (psutil.Error, ValueError):
        return False


@contextmanager
def _signals_raise() -> Iterator[None]:
    """Turn the first ending signal into `_Told`; further ones are ignored, because the end is under way and bounded."""
    if threading.current_thread() is not threading.main_thread():  # signals are not ours to handle there
        yield
        return
    before = {number: signal.signal(number, _raise) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, _frame: FrameType | None) -> Never:
    for ending in _ENDING:
        signal.signal(ending, signal.SIG_IGN)
    raise _Told(number)
