"""Whatever happens, in whatever order: a simulated plant under Hypothesis.

Children die, observations and probes come, go and lie about the time, code raises, ticks are doubled, the clock jumps,
guests come and go, and people, and a parent, order whatever they like. One machine for each strategy.

The plant itself (`simulated.py`) refuses illegal moves and actions that should not have been given; this machine adds
what must hold over time, and at the end of every run that the circuit can still be closed.
"""

from collections import Counter
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from msgspec.structs import replace
from simulated import Engine, Part, Plant, Seen, connected

from supervision.backoff import Backoff
from supervision.checks import check, fail, ok, unknown
from supervision.circuit import State
from supervision.derive import quarantined
from supervision.model import LastAction, Observation
from supervision.orders import WHOLE, Forced, Mode, Orders, Pause, Silence
from supervision.strategy import Strategy

CHILDREN = ("broker", "flow", "lonely")
MAX_ATTEMPTS = 3
WINDOW_S = 120.0
ROUNDS_TO_CLOSE = 60
"""Seconds of health until the circuit is closed: 10 until a past clock is forgotten, the rest for a restart of all."""

GUESTS = ("guest-0", "guest-1")
STEPS = 10_000

children = st.sampled_from(CHILDREN)
anybody = st.sampled_from((*CHILDREN, *GUESTS, WHOLE))
outcomes = st.sampled_from(["succeeded", "failed"])


def guests(desired: dict[str, Any]) -> list[Engine] | None:
    names = desired.get("guests")
    return None if names is None else [Engine(name) for name in names]


class Machine(RuleBasedStateMachine):
    strategy: ClassVar[str] = Strategy.ONE_FOR_ONE
    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.verdict: Any = None
        """What the second check says instead of the truth."""
        parts = [Engine(name) if name == "lonely" else Part(name) for name in CHILDREN]
        second = check("flow", restart="broker", trip_after=1, affects=("broker", "flow"), name="second")(self._second)
        self.plant = Plant(
            *parts,
            checks=(connected, second),
            max_attempts=MAX_ATTEMPTS,
            window=WINDOW_S,
            restart=Backoff(1, 20, 0.2),
            strategy=self.strategy,
            dynamic=guests,
        )
        self.ordered = 0
        """How many restarts the parent has ordered."""
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

    @rule(names=st.sets(st.sampled_from((*CHILDREN, *GUESTS)), min_size=1))
    def look(self, names: set[str]) -> None:
        if there := sorted(names & set(self.plant.observable())):
            self.plant.look(*there)

    # orders

    @rule(names=st.none() | st.sets(st.sampled_from(GUESTS)))
    def want(self, names: set[str] | None) -> None:
        self.plant.want(guests=names and sorted(names))

    @rule()
    def reset(self) -> None:
        self._order(reset=self.plant.circuit.incident or "plant@1")

    @rule()
    def force_open(self) -> None:
        self._order(forced=Forced("ann", "to see", "r"))

    @rule()
    def restart_everything(self) -> None:
        self.ordered += 1
        self._order(restart=f"above~{self.ordered}")

    @rule(mode=st.sampled_from(Mode))
    def switch_mode(self, mode: Mode) -> None:
        self._order(mode=mode)

    @rule(whom=anybody, seconds=st.integers(0, 90))
    def pause(self, whom: str, seconds: int) -> None:
        until = self.plant.now + seconds * 1000
        self._order(pauses={**self.plant.orders.pauses, whom: Pause(until, "ann", "to see")})

    @rule(seconds=st.integers(0, 90))
    def silence(self, seconds: int) -> None:
        self._order(silence=Silence(self.plant.now + seconds * 1000, "ann", "to see"))

    @rule(whom=anybody, on=st.booleans())
    def switch(self, whom: str, *, on: bool) -> None:
        self._order(switched={**self.plant.orders.switched, whom: on})

    @rule()
    def take_back_all_orders(self) -> None:
        self.plant.orders = Orders()

    def _order(self, **orders: Any) -> None:
        self.plant.orders = replace(self.plant.orders, **orders)

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
    def it_is_a_step(self) -> None:
        type(self).steps += 1

    @invariant()
    def documents_are_of_those_that_are_there(self) -> None:
        known = {*CHILDREN, *self.plant.members}
        for kept in (self.plant.records, self.plant.observations, self.plant.last, self.plant.in_flight):
            assert set(kept) <= known

    @invariant()
    def people_are_called_once_per_incident(self) -> None:
        calls = Counter(event.after for event in self.plant.events if event.kind == "escalation")
        assert max(calls.values(), default=0) <= 1

    @invariant()
    def nobody_waits_for_a_turn_that_does_not_come(self) -> None:
        if self.plant.circuit.errands:
            assert self.plant.circuit.state in {State.VERIFYING, State.ESCALATED}

    @invariant()
    def one_probe_at_most_is_out(self) -> None:
        assert sum(bool(wish.incident) for wish in self.plant.in_flight.values()) <= 1

    @invariant()
    def attempts_are_bounded(self) -> None:
        sent = Counter(event.subject for event in self.plant.events if event.after == "verifying")
        incidents = {given.wish.incident for given in self.plant.probes()}
        assert sent["plant"] <= MAX_ATTEMPTS * len(incidents) + self.ordered * (MAX_ATTEMPTS + 1)
        if self.plant.circuit.state is State.VERIFYING:
            assert self.plant.circuit.attempt <= MAX_ATTEMPTS
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
        plant.orders = Orders(reset=plant.circuit.incident if plant.circuit.forced else "")
        plant.want(guests=[])
        plant.heal()
        for part in plant.supervisor.children.values():
            assert isinstance(part, Part)
            part.raises = None
        if any(quarantined(record, plant.now) for record in plant.records.values()):
            plant.pass_time(300)  # what reads a child in quarantine knows nothing, and closes nothing
        for _ in range(ROUNDS_TO_CLOSE):
            for child in list(plant.in_flight):
                plant.end(child)
            plant.second()
        assert plant.circuit.state is State.CLOSED
        plant.pass_time(300)  # quarantines end, calm is reached
        for _ in range(10):
            for child in list(plant.in_flight):
                plant.end(child)
            plant.second()
        assert plant.circuit.incident == ""
        assert (plant.members, plant.sources) == ({}, {})
        assert {record.state for record in plant.records.values()} == {"running"}
        assert plant.in_flight == {}


class AllMachine(Machine):
    strategy = Strategy.ONE_FOR_ALL


class RestMachine(Machine):
    strategy = Strategy.REST_FOR_ONE


MACHINES = (Machine, AllMachine, RestMachine)
TestMachine = Machine.TestCase
TestAllMachine = AllMachine.TestCase
TestRestMachine = RestMachine.TestCase
SHORT = settings(max_examples=settings().max_examples // 5)
TestMachine.settings = TestAllMachine.settings = TestRestMachine.settings = SHORT


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.parametrize("machine", MACHINES)
def test_ten_thousand_steps_and_more(machine: type[Machine]) -> None:
    machine.steps = 0
    while machine.steps < STEPS:
        run_state_machine_as_test(machine, settings=settings(max_examples=100, stateful_step_count=100))
