"""The examples of docs/circuit-open.md, second by second on a simulated clock; the page's tables are what they give."""

import re
from pathlib import Path

from simulated import Part, Plant, Seen, running

from supervision.actions import DEFAULT_RETRIES, DEFAULT_TIMEOUT_S, HARD_LIMIT_EXTRA_S
from supervision.backoff import Backoff
from supervision.circuit import State
from supervision.store.actions import GRACE_MS, PROBE_LEASE_MS

PAGE = (Path(__file__).parents[2] / "docs" / "circuit-open.md").read_text()
LIMIT_S = 60
RESTART_S = 2


class Told:
    """A plant whose flow was just given an action of 30 s or for ever, and what was told since, by the second."""

    def __init__(self) -> None:
        self.plant = running(Part("broker"), Part("flow"))
        self.plant.truth["flow"] = Seen(alive=False)
        self.plant.second()
        assert "flow" in self.plant.in_flight
        self.begin = self.plant.now
        self.plant.truth["flow"] = Seen()
        self.told: dict[str, int] = {}

    @property
    def seconds(self) -> int:
        return (self.plant.now - self.begin) // 1000

    def until(self, second: int) -> None:
        """Looks and ticks every second; nothing is ever given beside the action in flight."""
        while self.seconds < second:
            self.plant.second()
            self.note()

    def note(self) -> None:
        state = self.plant.circuit.state
        if state is State.OPEN:
            self.told.setdefault("circuit open", self.seconds)
        if state is State.VERIFYING:
            self.told.setdefault("probe sent", self.seconds)
        if state is State.CLOSED and self.told:
            self.told.setdefault("circuit closed", self.seconds)

    def ends(self, outcome: str) -> None:
        """The action in flight ends, which has its child looked at and wakes a tick."""
        self.told.setdefault("action ends", self.seconds)
        self.plant.end("flow", outcome)
        self.plant.pass_time(0.01)
        self.plant.look("flow")
        self.plant.tick()
        self.note()


def example(ends_after: int, outcome: str) -> Told:
    told = Told()
    told.until(8)
    told.plant.disconnect()
    told.until(ends_after)
    given = len(told.plant.given)
    told.ends(outcome)
    assert [given.wish.action for given in told.plant.given[given:]] == ["restart_child"]
    told.until(ends_after + RESTART_S)
    told.plant.heal()
    told.ends("succeeded")
    told.until(ends_after + RESTART_S + 3)
    return told


def table(title: str) -> dict[str, int]:
    """The bold words of one example's table, and their seconds."""
    section = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\d+) s \|(.*)\|$", section, re.MULTILINE)
    return {word: int(second) for second, text in rows for word in re.findall(r"\*\*(.*?)\*\*", text)}


def test_the_first_example_is_what_happens() -> None:
    told = example(30, "succeeded")
    assert table("An action of 30 s that the circuit overtakes at 10 s") == told.told
    assert f"{told.told['action ends'] - told.told['circuit open']} s in\n" in PAGE


def test_the_second_example_is_what_happens() -> None:
    deadline = LIMIT_S + GRACE_MS // 1000
    told = example(deadline, "failed")
    assert table("An action with a limit of 60 s that never ends") == told.told
    assert f"{told.told['action ends'] - told.told['circuit open']} s beyond its opening" in PAGE
    assert f"notes its deadline: {deadline} s" in PAGE
    assert f"| {LIMIT_S + HARD_LIMIT_EXTRA_S:g} s | the hard limit, {HARD_LIMIT_EXTRA_S:g} s later" in PAGE
    assert f"| {deadline} s | the deadline, {GRACE_MS / 1000 - HARD_LIMIT_EXTRA_S:g} s later" in PAGE


def test_what_the_page_says_besides_is_what_the_code_says() -> None:
    grace, pauses = GRACE_MS // 1000, [Backoff(jitter=0).delay_ms(n, "") // 1000 for n in range(1, DEFAULT_RETRIES + 1)]
    one_run = round(DEFAULT_TIMEOUT_S) + grace
    longest = (DEFAULT_RETRIES + 1) * one_run + sum(pauses)
    sum_of_it = f"{DEFAULT_RETRIES + 1} * {one_run} s + {' + '.join(map(str, pauses))} s = {longest} s"
    for said in (
        f"(`retries` + 1) * (`timeout` + {grace} s)",
        f"With the defaults, {DEFAULT_TIMEOUT_S:g} s and {DEFAULT_RETRIES} retries, that is {sum_of_it}",
        f"within\n  {PROBE_LEASE_MS / 1000:g} s is a failed attempt",
    ):
        assert said in PAGE


def test_while_it_is_open_nobody_but_the_probe_gets_an_action() -> None:
    told = Told()
    told.until(8)
    told.plant.disconnect()
    told.plant.truth["broker"] = Seen(alive=True)
    told.until(12)
    told.plant.truth["broker"] = Seen(alive=False)
    before = len(told.plant.given)
    told.until(29)
    assert told.plant.given[before:] == []
    assert isinstance(told.plant, Plant)
