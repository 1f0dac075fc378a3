"""Ten coordinators, one killed with -9 every 10 s for three minutes while the others wait for their signals.

See `benchmarks.herd` for what is done to them, and `benchmarks.verdict` for what has to hold afterwards. The same with
restarts of the store is in a file of its own, so that both can run side by side; ten minutes of both are
``python -m benchmarks.endurance``.
"""

import pytest

from benchmarks.endurance import endured

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


def test_whatever_is_killed_each_wait_ends_once_and_each_death_is_declared_once() -> None:
    told = endured(180, kills=10, stops=25, restarts=0)
    assert told["broken"] == [], told
    assert (told["kills"], told["stops"]) == (18, 7)
    assert told["deaths"] >= 12 + 7
    assert told["died"] > 0, "somebody was told of a death"
