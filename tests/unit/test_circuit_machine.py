"""Whatever happens, in whatever order: a simulated plant under Hypothesis.

Children die, observations and probes come, go and lie about the time, code raises, ticks are doubled, the clock jumps.
The plant itself (`simulated.py`) refuses illegal moves and actions that should not have been given; this machine adds
what must hold over time, and at the end of every run that the circuit can still be closed.
"""

from collections import Counter
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from simulated import Part, Plant, Seen, connected

from supervision.backoff import Backoff
from supervision.checks import check, fail, ok, unknown
from supervision.circuit import State
from supervision.model import LastAction, Observation

CHILDREN = ("broker", "flow", "lonely")
MAX_ATTEMPTS = 3
WINDOW_S = 120.0
ROUNDS_TO_CLOSE = 25
"""Seconds of health until the circuit is closed: 10 until a past clock is forgotten, the rest for two good looks."""

children = st.sampled_from(CHILDREN)
outcomes = st.sampled_from(["succeeded", "failed"])


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.verdict: Any = None
        """What the second check says instead of the truth."""
        parts = [Part(name) for name in CHILDREN]
        second = check("flow", restart="broker", trip_after=1, affects=("broker", "flow"), name="second")(self._second)
        self.plant = Plant(
            *parts, checks=(connected, second), max_attempts=MAX_ATTEMPTS, window=WINDOW_S, restart=Backoff(1, 20, 0.2)
        )
        self.begun: dict[str, tuple[int, int, Seen]] = {}

    def _second(self, flow: Any) -> Any:
        if self.verdict is ValueError:
            raise ValueError("bug")
        return self.verdict if self.verdict is not None else self._truth(flow)

    def _truth(self, flow: Any) -> Any:
        return ok() if flow.observed.alive else fail("dead")

    # what happens to the plant

    @rule(child=children, alive=st.booleans(), wired=st.booleans())
    def become(self, child: str, *, alive: bool, wired: bool) -> None:
        self.plant.truth[child] = Seen(alive, wired)

    @rule(child=children, error=st.sampled_from([None, ValueError, RecursionError]))
    def code(self, child: str, error: type[Exception] | None) -> None:
        part = self.plant.supervisor.children[child]
        assert isinstance(part, Part)
        part.raises = error

    @rule(verdict=st.sampled_from([None, ok(), fail("odd", restart="lonely"), unknown("?"), 7, ValueError]))
    def opinion(self, verdict: Any) -> None:
        self.verdict = verdict

    # time

    @rule(ms=st.integers(0, 20_000))
    def pass_time(self, ms: int) -> None:
        self.plant.now += ms

    @rule(ms=st.sampled_from([50, 3_000, 100_000, 10**9]))
    def set_back(self, ms: int) -> None:
        self.plant.now -= ms

    @rule(ms=st.sampled_from([60_000, 10**9]))
    def jump_forward(self, ms: int) -> None:
        self.plant.now += ms

    # observations

    @rule(names=st.sets(children, min_size=1))
    def look(self, names: set[str]) -> None:
        self.plant.look(*sorted(names))

    @rule(child=children)
    def begin_look(self, child: str) -> None:
        self.plant.seq += 1
        self.begun[child] = (self.plant.now, self.plant.seq, self.plant.truth[child])

    @rule(child=children)
    def end_look(self, child: str) -> None:
        """A slow look comes in; the store takes it only when it is newer than what it has."""
        if child in self.begun:
            at, sequence, seen = self.begun.pop(child)
            last = self.plant.observations.get(child)
            if last is None or sequence > last.seq:
                self.plant.observations[child] = Observation(seen, at, sequence)

    # ticks

    @rule()
    def tick(self) -> None:
        self.plant.tick()

    @rule()
    def tick_until_nothing_changes(self) -> None:
        self.plant.settle()

    @rule(count=st.integers(1, 15))
    def live(self, count: int) -> None:
        self.plant.seconds(count)

    @rule(count=st.integers(1, 15), outcome=outcomes)
    def live_while_actions_end(self, count: int, outcome: str) -> None:
        for _ in range(count):
            for child in list(self.plant.in_flight):
                self.plant.end(child, outcome)
            self.plant.second()

    # actions

    @rule(child=children, outcome=outcomes)
    def end(self, child: str, outcome: str) -> None:
        if child in self.plant.in_flight:
            self.plant.end(child, outcome, error="why")

    @rule(child=children)
    def vanish(self, child: str) -> None:
        """The store lost what it knew of the action."""
        self.plant.in_flight.pop(child, None)

    @rule(child=children, outcome=outcomes)
    def by_hand(self, child: str, outcome: str) -> None:
        """A person had an action run, and it has ended."""
        if child not in self.plant.in_flight:
            self.plant.last[child] = LastAction("by-hand", "restart_child", outcome, self.plant.now)

    # what must hold

    @invariant()
    def one_probe_at_most_is_out(self) -> None:
        assert sum(bool(wish.incident) for wish in self.plant.in_flight.values()) <= 1

    @invariant()
    def attempts_are_bounded(self) -> None:
        sent = Counter(event.subject for event in self.plant.events if event.after == "verifying")
        incidents = {given.wish.incident for given in self.plant.probes()}
        assert sent["plant"] <= MAX_ATTEMPTS * len(incidents)
        if self.plant.circuit.state is State.VERIFYING:
            assert 1 <= self.plant.circuit.attempt <= MAX_ATTEMPTS
        recent = [at for at in self.plant.circuit.restarts if 0 <= self.plant.now - at < WINDOW_S * 1000]
        if self.plant.circuit.state is State.OPEN:
            assert len(recent) <= MAX_ATTEMPTS

    @invariant()
    def warnings_come_once_per_incident(self) -> None:
        incidents = {given.wish.incident for given in self.plant.probes()}
        assert self.plant.kinds().count("escalation_near") <= len(incidents)

    @invariant()
    def nobody_is_derived_while_their_code_is_left_alone(self) -> None:
        for record in self.plant.records.values():
            assert len(record.faults) < 3

    def teardown(self) -> None:
        """R6: with everything well and looked at, the circuit closes, the incident ends, and everyone runs."""
        plant, self.verdict = self.plant, None
        plant.heal()
        for part in plant.supervisor.children.values():
            assert isinstance(part, Part)
            part.raises = None
        for _ in range(ROUNDS_TO_CLOSE):
            for child in list(plant.in_flight):
                plant.end(child)
            plant.second()
        assert plant.circuit.state is State.CLOSED
        plant.pass_time(300)  # quarantines end, calm is reached
        plant.seconds(3)
        assert plant.circuit.incident == ""
        assert {record.state for record in plant.records.values()} == {"running"}
        assert plant.in_flight == {}


TestMachine = Machine.TestCase
TestMachine.settings = settings()
