"""Wait for a condition, never for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

TIMEOUT_S = 60.0
"""Wide on purpose: a test ends as soon as the condition holds, so the bound only matters when it never will."""

POLL_S = 0.02
"""Seconds between two looks; a look at the store takes well under one millisecond."""


def until(condition: Callable[[], T], *, timeout: float = TIMEOUT_S, what: str | Callable[[], str] = "") -> T:
    """The first true value of ``condition``; fails after ``timeout`` seconds and shows the last value it had.

    Args:
        condition: called again and again; what it raises passes through.
        timeout: seconds.
        what: what was awaited, as it should read in the failure; called then, when it has to look for it (a log, say).
    """
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            awaited = what() if callable(what) else what or condition
            raise AssertionError(f"waited {timeout:g} s for {awaited}, which was {value!r} to the end")
        time.sleep(POLL_S)
    return value
