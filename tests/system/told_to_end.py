"""A pool process as billiard makes one, whose task is told to end: ``python told_to_end.py FILE report|swallow``."""

import sys
import time
from pathlib import Path

from billiard.common import reset_signals

from supervision.engine import shutdown

file, what = Path(sys.argv[1]), sys.argv[2]
shutdown.LAST_WORDS_S = float(sys.argv[3])


def report() -> None:
    """As our task: the order is heard once, and takes a while to be reported."""
    try:
        time.sleep(60)
    except SystemExit as order:
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            time.sleep(0.01)
        file.write_text(f"reported {order.code}")


def swallow() -> None:
    """As a task that no order gets out of its loop."""
    while True:
        try:
            time.sleep(60)
        except SystemExit:
            continue


reset_signals(full=True)
with shutdown.heard_once():
    file.write_text("begun")
    {"report": report, "swallow": swallow}[what]()
file.write_text("went on")
