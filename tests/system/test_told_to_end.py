"""A pool process that is told several times to end, as Celery does it, hears it once and is gone in any case."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from celery_processes import HERE
from waiting import until

from supervision.engine import shutdown

ORDERS = [signal.SIGQUIT, signal.SIGTERM]


def told(file: Path, what: str, last_words_s: float, order: signal.Signals) -> int:
    """The exit status of one that is told to end until it does."""
    command = [sys.executable, HERE / "told_to_end.py", file, what, str(last_words_s)]
    with subprocess.Popen(command) as process:
        until(lambda: file.exists() and file.read_text() == "begun", what="its begin")
        tell = threading.Event()
        while process.poll() is None:
            process.send_signal(order)
            tell.wait(0.02)
        return process.returncode


@pytest.mark.parametrize("order", ORDERS)
def test_who_is_told_again_and_again_can_finish_its_report(tmp_path: Path, order: signal.Signals) -> None:
    status = told(tmp_path / "file", "report", 60, order)
    assert (tmp_path / "file").read_text() == f"reported {order - 256}"
    assert abs(status) == order, "on leaving, it obeys the order"


def test_who_swallows_the_order_is_gone_after_its_last_words(tmp_path: Path) -> None:
    assert told(tmp_path / "file", "swallow", 0.5, signal.SIGQUIT) == 70
    assert (tmp_path / "file").read_text() == "begun"


def test_a_process_that_is_none_of_a_pool_keeps_its_own_handlers() -> None:
    before = [signal.getsignal(order) for order in ORDERS]
    with shutdown.heard_once():
        assert [signal.getsignal(order) for order in ORDERS] == before
