"""Loaded into processes that run under faketime, by ``SUPERVISION_IMPORTS``: waiting that works there.

Python sleeps until a moment of the monotonic clock, which libfaketime refuses; waiting for an event does the same.
"""

import threading
import time


def wait(seconds: float) -> None:
    """What `time.sleep` does."""
    threading.Event().wait(seconds)


time.sleep = wait
