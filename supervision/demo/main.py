"""``supervision demo``: runs the stage below a guard and hands on what it is told.

    this process ── guard ── stage ──┬─ guard ── store
                                     ├─ guard ── actor ── (launcher) ── broker, data flow, sink
                                     └─ guard ── ticker, collector, beats, Flower, one each

Supervised processes outlive the worker that started them, on purpose. Here they come to the guards as orphans, so that
also after kill -9 of any process in this picture nothing is left.
"""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Never

from supervision.demo.stage import INTERRUPTED
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
    128 + its number. `SupervisionError` when not even a guard can be started.
    """
    flags = [*(["--once"] if once else []), *(["--json"] if as_json else [])]
    command = [sys.executable, "-P", "-m", "supervision.demo.stage", *flags, str(folder.absolute())]
    with _signals_raise(), Guarded(command, grace=END_S, tree=True) as stage:
        try:
            while (status := stage.poll()) is None:
                time.sleep(POLL_S)
        except _Told as told:
            status = stage.stop()
            # The guard ends it by SIGTERM, also before it can answer that in its own way.
            return 128 + told.number if status in {INTERRUPTED, 128 + signal.SIGTERM} else status
        return status


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
