"""How long until people are called: the bound by hand, and simulated plants that never exceed it (R4)."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import SECOND_MS, Engine, Part, Plant, Tree

from supervision.actions import HARD_LIMIT_EXTRA_S, Run, action
from supervision.backoff import Backoff
from supervision.checks import Fail, Ok, check, fail, ok
from supervision.circuit import PROBE_LEASE_MS, State
from supervision.strategy import Strategy
from supervision.supervisor import Supervisor

EVALUATION = 2 * 1000 + 2200
REAPED = round(HARD_LIMIT_EXTRA_S * 1000) + 2000
STEP = PROBE_LEASE_MS + 30_000 + REAPED + EVALUATION
"""One action of a restart at all its limits: until it starts, runs, is given up and its child was looked at."""


@check("a", restart="a")
def wired(a: Any) -> Ok | Fail:
    return ok() if a.observed.connected else fail("no connection")


@check("a", restart="a", name="other")
def another(a: Any) -> Ok | Fail:
    return ok() if a.observed.connected else fail("no connection", restart="slow")


FEW = settings(max_examples=settings().max_examples // 10)
"""Each example is many minutes of a plant's life."""


class Slow(Part):
    @action(timeout=300)
    def restart(self, run: Run) -> None: ...


@pytest.mark.parametrize(
    ("children", "options", "expected"),
    [
        (["a"], {"checks": [], "max_attempts": 5}, 0),
        (["a"], {"max_attempts": 1}, 2 * EVALUATION + STEP + EVALUATION),
        (["a"], {"max_attempts": 3}, 2 * EVALUATION + 1000 + 2000 + 3 * (STEP + EVALUATION)),
        (["a", "b"], {"max_attempts": 1, "strategy": "one_for_all"}, 2 * EVALUATION + 4 * STEP + EVALUATION),
        (["a", "b"], {"max_attempts": 1, "strategy": "rest_for_one"}, 2 * EVALUATION + 4 * STEP + EVALUATION),
    ],
)
def test_the_bound_by_hand(children: list[str], options: dict[str, Any], expected: int) -> None:
    declared = Supervisor(
        "plant", [Engine(name) for name in children], **{"checks": [wired], "restart": Backoff(1, 60), **options}
    )
    assert declared.worst_case_ms == expected


def test_a_check_that_may_restart_a_slower_child_counts_with_that_one() -> None:
    declared = Supervisor("plant", [Part("a"), Slow("slow")], checks=[another], max_attempts=1)
    assert declared.worst_case_ms == 2 * EVALUATION + (STEP + 270_000) + EVALUATION


def test_a_check_over_children_that_are_not_there_yet_counts_with_a_lease() -> None:
    declared = Supervisor("plant", dynamic=lambda _document: None, checks=[wired], max_attempts=1)
    assert declared.worst_case_ms == 2 * EVALUATION + PROBE_LEASE_MS + EVALUATION


@pytest.mark.parametrize(("response", "attempts"), [("restart", 2), ("escalate", 0), ("degrade", None)])
def test_a_parent_counts_with_what_is_below_it(response: str, attempts: int | None) -> None:
    below = Supervisor("line", [Part("a")], checks=[wired], max_attempts=1)
    above = Supervisor("plant", [below], on_escalation=response, max_attempts=2)
    own = 2 * EVALUATION + STEP + EVALUATION
    again = EVALUATION + STEP + own
    if attempts is None:
        assert above.worst_case_ms == 0
    else:
        delays = 1000 * (attempts > 1)
        assert above.worst_case_ms == EVALUATION + delays + attempts * (STEP + EVALUATION + again)


def test_a_thousand_attempts_are_counted_without_adding_them_one_by_one() -> None:
    declared = Supervisor(
        "plant", [Part("a")], checks=[wired], max_attempts=100, restart=Backoff(1, 60, 0), interval=0.5
    )
    evaluation = 2 * 500 + 2200
    delays = 1000 * (sum(min(60, 2**n) for n in range(6)) + 60 * 93)
    step = STEP - EVALUATION + evaluation
    assert declared.worst_case_ms == 2 * evaluation + delays + 100 * (step + evaluation)


def escalates_after(plant: Plant, lasts: list[int], *, fails: bool) -> int:
    """Milliseconds from the first failure that is seen to the escalation; every action lasts as long as ``lasts``."""
    plant.disconnect("a")
    begun, given_at, turn = plant.now, dict[str, int](), 0
    while plant.circuit.state is not State.ESCALATED:
        for child, wish in list(plant.in_flight.items()):
            given_at.setdefault(wish.id, plant.now)
            lasting = min(lasts[turn % len(lasts)] * SECOND_MS, PROBE_LEASE_MS + wish.timeout_ms + REAPED)
            if plant.now - given_at[wish.id] >= lasting:
                turn += 1
                plant.end(child, "failed" if fails else "succeeded")
        plant.second()
        assert plant.now - begun < 10**8
    return plant.now - begun


@FEW
@given(
    strategy=st.sampled_from(Strategy),
    attempts=st.integers(1, 4),
    trip_after=st.integers(1, 3),
    lasts=st.lists(st.integers(0, 66), min_size=1, max_size=4),
    fails=st.booleans(),
)
def test_no_plant_takes_longer_than_its_bound(
    strategy: Strategy, attempts: int, trip_after: int, lasts: list[int], *, fails: bool
) -> None:
    patient = check("a", restart="a", trip_after=trip_after, name="patient")(wired.rule)
    plant = Plant(
        Engine("a"), Engine("b"), checks=(patient,), strategy=strategy, max_attempts=attempts, restart=Backoff(1, 8, 0)
    )
    plant.seconds(3)
    assert escalates_after(plant, lasts, fails=fails) <= plant.supervisor.worst_case_ms


@FEW
@given(lasts=st.integers(0, 20), line=st.sampled_from(["restart", "escalate"]))
def test_no_tree_takes_longer_than_its_bound(lasts: int, line: str) -> None:
    steady = Backoff(1, 1, 0)
    below = Supervisor("line", [Part("a"), Part("b")], checks=[wired], max_attempts=2, restart=steady, window=1)
    above = Supervisor("plant", [below], on_escalation=line, max_attempts=2, restart=steady, window=1)
    made = Tree(above)
    made.seconds(4)
    made["plant/line"].disconnect("a")
    escalated = 0
    for second in range(10**4):
        if second % (lasts + 1) == lasts:
            made.end_all()
        made.second()
        if made["plant/line"].circuit.state is State.ESCALATED:
            escalated = escalated or made["plant"].now
        if made["plant"].circuit.state is State.ESCALATED:
            break
    assert made["plant"].circuit.state is State.ESCALATED
    assert made["plant"].now - escalated <= above.worst_case_ms
    assert made.told("escalation") == ["plant"]
