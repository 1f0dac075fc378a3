"""A permanently failing action waits out its backoff, whatever its end is: counted over an hour of simulated time."""

from itertools import pairwise

import pytest
from simulated import Engine, Part, Plant, Seen, running

from supervision.backoff import Backoff
from supervision.model import Phase
from supervision.orders import Mode, Orders

HOUR_S = 3600


def starts(plant: Plant) -> list[int]:
    return [given.at for given in plant.given if given.wish.action == "start"]


def failing_for(plant: Plant, seconds: int, outcome: str) -> None:
    """The part stays dead, whatever is tried, and each try ends within the second it was given in."""
    plant.truth["part"] = Seen(alive=False)
    for _ in range(seconds):
        plant.second()
        if "part" in plant.in_flight:
            plant.end("part", outcome, error="no fuse" if outcome == "failed" else "")


@pytest.mark.parametrize("outcome", ["failed", "succeeded"])
def test_an_action_without_effect_is_given_ever_more_rarely_and_never_given_up(outcome: str) -> None:
    plant = running(Part("part"), checks=())
    failing_for(plant, HOUR_S, outcome)
    pauses = [after - before for before, after in pairwise(starts(plant))]
    # 1, 2, 4, 8, 16, 32 s and then a minute each, up to a fifth shorter, and a second until the next look.
    assert 60 <= len(starts(plant)) <= 6 + (HOUR_S - 50) // 48
    assert all(shorter < longer for shorter, longer in pairwise(pauses[:6]))
    assert min(pauses[6:]) >= 48_000
    assert max(pauses) <= 62_000


def test_the_backoff_is_the_supervisors_and_no_retry_of_the_action_shortens_it() -> None:
    plant = running(Part("part"), checks=(), restart=Backoff(base=10, cap=10, jitter=0))
    failing_for(plant, HOUR_S, "failed")
    assert len(starts(plant)) in range(HOUR_S // 12, HOUR_S // 10 + 2)


def test_a_part_that_dies_again_right_after_each_start_is_no_hot_loop_either() -> None:
    plant = running(Part("part"), checks=())
    for _ in range(HOUR_S):
        plant.truth["part"] = Seen(alive=plant.records["part"].phase is not Phase.RUNNING and bool(plant.given))
        plant.second()
        if "part" in plant.in_flight:
            plant.end("part")
    assert 30 <= len(starts(plant)) <= 6 + (HOUR_S - 50) // 48


def test_what_would_be_done_is_no_hot_loop_after_the_clock_was_set_back() -> None:
    plant = running(Engine("part"), checks=())
    plant.orders = Orders(switched={"part": False})
    plant.seconds(1)
    plant.end("part", "failed", "stuck")
    plant.now -= 100_000
    plant.orders = Orders(switched={"part": False}, mode=Mode.OBSERVE)
    plant.seconds(30)
    assert 1 <= plant.kinds().count("would") <= 6
