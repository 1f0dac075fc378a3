"""Signals are counted while workers and store are killed; `benchmarks/delivery.py` says what is done and counted."""

import pytest

from benchmarks.delivery import delivered

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


def test_every_signal_is_delivered_whatever_is_killed() -> None:
    told = delivered(1_500, kills=5, restarts=9)
    assert (told["missing"], told["ended"], told["delivered"]) == (0, 1_500, 1_500), told
    assert told["kills"] >= 2, told
    assert told["restarts"] >= 1, told
