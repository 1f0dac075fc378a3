"""The same as `test_herd_under_kills`, while the store is killed with -9 and restarted on its file every 20 s."""

import pytest

from benchmarks.endurance import endured

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


def test_whatever_is_killed_and_restarted_each_wait_ends_once() -> None:
    told = endured(180, kills=10, stops=25, restarts=20)
    assert told["broken"] == [], told
    assert (told["kills"], told["stops"], told["restarts"]) == (18, 7, 9)
    assert told["deaths"] >= 12 + 7
