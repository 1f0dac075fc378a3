"""User code that decides (states, rules, `rest`, `dynamic`) and hangs is ended, and only that code is to blame.

It is to be pure, so microseconds are the rule; a loop without end, a lock or a regular expression gone wild would
otherwise hold the process for good, and one process after the other. An alarm looks while a tick lasts whether the same
call is still at work, and raises in it what is then that child's or that check's fault, like any exception.

- Each call has `LIMIT_S`. Once one has used it up, the next has half as long, down to `LEAST_S`, so that a tick ends
  though many hang: three faults quarantine each of them.
- What takes long all together is no fault: on a busy machine a tick over many children may take its time.
- Only the main thread hears an alarm; in a pool of threads nothing is bounded. What hears none either (a call into C
  that never returns) meets the hard limit of its task, and `claim` has others wait for it, see there.
- An alarm that somebody else has set goes on afterwards.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from supervision.contained import TookTooLong, asked

LIMIT_S = 1.0
"""Seconds that one call may take: with load and commit it stays within the lease of a tick, 1.5 s, so that what is
recorded about it is not refused."""

LEAST_S = 0.02
"""Seconds that a call may take at least, however many others hang; and between two looks."""


@contextmanager
def bounded() -> Iterator[None]:
    """Inside, each call of user code ends within its limit, with `TookTooLong`."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    begun = time.monotonic()
    handler = signal.signal(signal.SIGALRM, _Watch(LIMIT_S).alarm)
    left, every = signal.setitimer(signal.ITIMER_REAL, LEAST_S, LEAST_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler or signal.SIG_DFL)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - begun), LEAST_S), every)


class _Watch:
    """Which call was at work when the alarm came last, and since when."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._call: FrameType | None = None
        self._since = 0.0

    def alarm(self, _number: int, frame: FrameType | None) -> None:
        now, call = time.monotonic(), _call(frame)
        if call is None or call is not self._call:
            self._call, self._since = call, now
        elif now - self._since >= self._limit_s:
            limit_s, self._call = self._limit_s, None
            self._limit_s = max(limit_s / 2, LEAST_S)
            raise TookTooLong(f"no answer within {limit_s:g} s; what decides only looks at what it is given")


def _call(frame: FrameType | None) -> FrameType | None:
    """The call of user code that ``frame`` belongs to."""
    while frame is not None and frame.f_code is not asked.__code__:
        frame = frame.f_back
    return frame
