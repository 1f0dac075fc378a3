"""Clocks that jump and clocks that are wrong: nothing is restarted, reaped or doubled by one, and ticking goes on.

The server runs under a clock that is moved while actions run, circuits are open, retries and messages wait; after that,
whole workers and beats run with a clock of their own that is minutes off.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from celery_processes import CeleryProcess
from healing_system import ALL, BEAT, HealingSystem, overlapping_actions
from moved_clock import MovedClock, server_with_clock, wrong_by
from waiting import until

from supervision import (
    ActionFailed,
    Backoff,
    Child,
    Do,
    Go,
    Phase,
    Run,
    Seen,
    Snapshot,
    Stay,
    Supervisor,
    action,
    check,
    fail,
    ok,
    state,
)
from supervision.checks import Verdict
from supervision.circuit import State
from supervision.model import Move
from supervision.runtime import Runtime
from supervision.server import EmbeddedStore
from supervision.store.outbox import Entry
from supervision.store.store import Store
from supervision.view import Claim

pytestmark = [pytest.mark.servers, pytest.mark.timeout(400)]

JUMPS = {"an hour ahead": 3600, "an hour back": -3600, "five minutes ahead": 300, "five minutes back": -300}

WAIT_S = 40.0
"""Every wait in the plant that a jump could shorten or stretch."""

ENOUGH_TICKS = 40
"""After so many nothing is owed to the jump any more: four seconds, and the first ticks after it only look."""


@dataclass(frozen=True)
class Gauge:
    on: bool = True
    heat: int = 0


class Machine(Child):
    """Its reality is in the hands of the test; it notices when two actions are at work on it."""

    Observed = Gauge

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.gauge = Gauge()
        self.gate = threading.Event()
        self.gate.set()
        self.fails = self.dud = False
        self.runs: list[str] = []
        self.doubled = False
        self._alone = threading.Lock()

    def observe(self) -> Gauge:
        return self.gauge

    @state(Phase.STOPPED, initial=True)
    def off(self, seen: Snapshot) -> Move:
        return Go("lit", "it is on") if seen.observed.on else Do("switch_on", "it is off")

    @state(Phase.RUNNING)
    def lit(self, seen: Snapshot) -> Move:
        return Stay("it is on") if seen.observed.on else Go("off", "it went out")

    @action(timeout=30, retries=2, backoff=Backoff(base=WAIT_S, cap=WAIT_S, jitter=0))
    def switch_on(self, run: Run) -> None:
        self._run(run)
        self.gauge = replace(self.gauge, on=not self.dud)

    @action(timeout=30)
    def restart(self, run: Run) -> None:
        self._run(run)

    def _run(self, run: Run) -> None:
        self.runs.append(run.id)
        if not self._alone.acquire(blocking=False):
            self.doubled = True
            return
        try:
            assert self.gate.wait(60)
            if self.fails:
                raise ActionFailed("the test wants it so")
        finally:
            self._alone.release()


@check("first", "second", restart="second", trip_after=2)
def equally_warm(one: Seen, other: Seen) -> Verdict:
    return ok() if one.observed.heat == other.observed.heat else fail("one is warmer")


class Crew:
    """The real use cases over two machines: beat, collector, ticker and sweeps in one loop, actors in threads."""

    def __init__(self, url: str, stack: ExitStack) -> None:
        self.first, self.second = Machine("first"), Machine("second")
        self.plant = Supervisor(
            "plant",
            [self.first, self.second],
            checks=[equally_warm],
            interval=0.1,
            restart=Backoff(base=WAIT_S, cap=WAIT_S, jitter=0),
            max_attempts=3,
        )
        self.store = stack.enter_context(closing(Store(url)))
        self.runtime = Runtime(self.store, self, {"plant": self.plant})
        self.away = False
        self._actors: list[threading.Thread] = []
        self._wakes: list[str] = []
        stack.callback(self.come_to_an_end)

    def publish(self, entries: Iterable[Entry]) -> list[Entry]:
        offered = [] if self.away else list(entries)
        for entry in offered:
            if entry.kind == "tick":
                self._wakes.append(entry.subject)
            elif entry.kind == "act":
                actor = threading.Thread(target=self.runtime.run_action, args=(entry.subject,))
                self._actors.append(actor)
                actor.start()
        return offered

    def step(self) -> None:
        self.runtime.collect("plant")
        self.runtime.tick("plant")
        while self._wakes:
            self.runtime.tick(self._wakes.pop(), "dirty")
        self.runtime.sweep_due()
        self.runtime.sweep_outbox()
        self.runtime.sweep_wakes()

    def until(self, condition: Callable[[], object], what: str) -> None:
        def met() -> object:
            self.step()
            return condition()

        until(met, timeout=60, what=lambda: f"{what}; it went\n{self.story()}")

    def goes_on(self) -> None:
        """Time goes by: tick after tick."""
        enough = self.ticks() + ENOUGH_TICKS
        self.until(lambda: self.ticks() >= enough, "ticking to go on")
        assert not self.first.doubled
        assert not self.second.doubled
        assert overlapping_actions(self.store.history.latest(10_000)) == []

    def ticks(self) -> int:
        name = "supervisor_ticks_total|supervisor=plant|outcome=claimed"
        return int(self.store.client.hget(self.store.keys.counters, name) or 0)  # type: ignore[arg-type]  # it is the synchronous client

    def all_lit(self) -> bool:
        view = self.store.ticks.load(self.plant, Claim(1, self.now(), 0))
        return all(seen.record is not None and seen.record.state == "lit" for seen in view.children.values())

    def circuit(self) -> State:
        return self.store.ticks.load(self.plant, Claim(1, self.now(), 0)).circuit.state

    def now(self) -> int:
        seconds, micros = self.store.client.time()  # type: ignore[misc]  # it is the synchronous client
        return int(seconds) * 1000 + int(micros) // 1000

    def past(self, kind: str, *after: str) -> list[str]:
        return [p.subject for p in self.store.history.latest(10_000) if p.kind == kind and p.after in after]

    def story(self) -> str:
        latest = self.store.history.latest(30)
        return "\n".join(f"{p.at} {p.kind} {p.subject} {p.before}->{p.after} {p.reason[:200]}" for p in latest)

    def come_to_an_end(self) -> None:
        for machine in (self.first, self.second):
            machine.gate.set()
        for actor in self._actors:
            actor.join(60)


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EmbeddedStore, MovedClock]]:
    with server_with_clock(tmp_path_factory.mktemp("moved")) as found:
        yield found


@pytest.fixture(params=JUMPS.values(), ids=JUMPS)
def jump(request: pytest.FixtureRequest, moved: tuple[EmbeddedStore, MovedClock]) -> Callable[[], None]:
    """Moves the server's clock by this test's distance, from wherever it is."""
    return lambda: moved[1].jump(request.param)


@pytest.fixture
def crew(moved: tuple[EmbeddedStore, MovedClock]) -> Iterator[Crew]:
    with ExitStack() as stack:
        made = Crew(moved[0].url, stack)
        made.store.client.flushdb()  # a server of this module's own
        made.until(made.all_lit, "both to burn")
        yield made


def test_a_jump_while_all_is_well_restarts_nothing(crew: Crew, jump: Callable[[], None]) -> None:
    jump()
    crew.goes_on()
    assert crew.first.runs == crew.second.runs == []
    assert crew.circuit() is State.CLOSED
    assert crew.all_lit()
    assert crew.past("circuit", "open") == []


def test_a_jump_reaps_no_run_that_is_alive(crew: Crew, jump: Callable[[], None]) -> None:
    crew.first.gate.clear()
    crew.first.gauge = Gauge(on=False)
    crew.until(lambda: crew.first.runs, "the action to run")
    jump()
    crew.goes_on()
    assert len(crew.first.runs) == 1
    assert crew.past("action", "succeeded", "retrying", "failed") == []
    crew.first.gate.set()
    crew.until(crew.all_lit, "both to burn")
    crew.goes_on()
    assert len(crew.first.runs) == 1
    assert crew.past("action", "succeeded", "retrying", "failed") == ["plant/first"]


def test_a_retry_waits_as_long_as_it_would_have(crew: Crew, jump: Callable[[], None]) -> None:
    crew.first.fails = True
    crew.first.gauge = Gauge(on=False)
    crew.until(lambda: crew.past("action", "retrying"), "the first run to fail")
    jump()
    crew.goes_on()
    assert len(crew.first.runs) == 1
    ((_, due),) = crew.store.client.zrange(crew.store.keys.due, 0, -1, withscores=True)  # type: ignore[misc]  # it is the synchronous client
    assert 0 < due - crew.now() <= WAIT_S * 1000


def test_a_start_that_did_not_help_is_repeated_when_it_would_have_been(crew: Crew, jump: Callable[[], None]) -> None:
    crew.first.dud = True
    crew.first.gauge = Gauge(on=False)
    crew.until(lambda: crew.past("action", "succeeded"), "the first start to be over")
    crew.goes_on()
    jump()
    crew.goes_on()
    assert len(crew.first.runs) == 1, crew.story()
    view = crew.store.ticks.load(crew.plant, Claim(1, crew.now(), 0))
    record = view.children["first"].record
    assert record is not None
    assert 0 < record.not_before - crew.now() <= WAIT_S * 1000


def test_a_jump_under_an_open_circuit_restarts_nothing(crew: Crew, jump: Callable[[], None]) -> None:
    crew.second.gauge = Gauge(heat=1)
    crew.until(lambda: crew.past("action", "succeeded"), "the first restart to have been tried")
    crew.until(lambda: crew.circuit() is State.OPEN, "it not to have helped")
    jump()
    crew.goes_on()
    assert len(crew.second.runs) == 1, crew.story()
    assert crew.circuit() is State.OPEN
    crew.second.gauge = Gauge()
    crew.until(lambda: crew.circuit() is State.CLOSED, "the circuit to close")


def test_a_jump_while_a_restart_runs_is_not_the_end_of_it(crew: Crew, jump: Callable[[], None]) -> None:
    crew.second.gate.clear()
    crew.second.gauge = Gauge(heat=1)
    crew.until(lambda: crew.second.runs, "the restart to run")
    jump()
    crew.goes_on()
    assert (len(crew.second.runs), crew.circuit()) == (1, State.VERIFYING)
    crew.second.gauge = Gauge()
    crew.second.gate.set()
    crew.until(lambda: crew.circuit() is State.CLOSED, "the circuit to close")
    assert len(crew.second.runs) == 1


def test_what_waits_in_the_outbox_is_sent_and_takes_effect_once(crew: Crew, jump: Callable[[], None]) -> None:
    crew.away = True
    crew.first.gauge = Gauge(on=False)
    waiting = crew.store.keys.outbox
    crew.until(
        lambda: any(b"act:" in entry for entry in crew.store.client.zrange(waiting, 0, -1)),  # type: ignore[union-attr]  # it is the synchronous client
        "the action to be decided on",
    )
    jump()
    crew.goes_on()
    assert crew.first.runs == []
    crew.away = False
    crew.until(crew.all_lit, "both to burn")
    crew.goes_on()
    assert len(crew.first.runs) == 1
    assert crew.store.client.zcard(waiting) == 0


# Whole processes


class Skewed(HealingSystem):
    """A system of which some processes have a wrong clock: seconds ahead, by the names of the processes."""

    def __init__(self, folder: Path, server: EmbeddedStore, commands: dict[str, tuple[str, ...]], **ahead: int) -> None:
        self.ahead = ahead
        super().__init__(folder, server, commands, kills="child")

    def _starter(self, name: str, command: tuple[str, ...]) -> Callable[[], CeleryProcess]:
        clock = wrong_by(self.ahead[name]) if self.ahead.get(name) else {}

        def start() -> CeleryProcess:
            unique = f"{name}-{time.monotonic_ns()}"
            own = ("-s", str(self.folder / unique)) if command is BEAT else ("-n", f"{unique}@test")
            imports = {"SUPERVISION_IMPORTS": f"faketime_patience,{self.environment['SUPERVISION_IMPORTS']}"}
            environment = {**self.environment, **(clock and {**clock, **imports})}
            return CeleryProcess(self.folder, "tasks", *command, *own, "-l", "INFO", **environment)

        return start


def healthy(system: HealingSystem) -> None:
    """Whatever dies comes back, once, and whatever lives is left alone."""
    pid = system.healed_after(0)
    for _ in range(2):
        pid = system.healed_after(system.kill_lonely())
    settled(system, pid)


def settled(system: HealingSystem, pid: int) -> None:
    """Ticks go on, and leave the one that lives alone."""
    counters, name = system.store.keys.counters, "supervisor_ticks_total|supervisor=plant|outcome=claimed"

    def ticks() -> int:
        return int(system.store.client.hget(counters, name) or 0)  # type: ignore[arg-type]  # it is the synchronous client

    enough = ticks() + 8
    until(lambda: ticks() >= enough, timeout=60, what=lambda: f"ticking to go on: {system.story()}")
    assert [process.pid for process in system.lonely()] == [pid], system.story()
    assert overlapping_actions(system.history()) == []
    assert system.lines("overlaps") == []


def test_workers_and_beat_go_on_when_the_clock_of_the_store_jumps(tmp_path: Path) -> None:
    with server_with_clock(tmp_path / "moved") as (server, clock), ExitStack() as stack:
        system = HealingSystem(tmp_path, server, {"worker": ALL, "beat": BEAT}, kills="child")
        stack.callback(system.end)
        pid = system.healed_after(0)
        for seconds in JUMPS.values():
            clock.jump(seconds)
            settled(system, pid)
            pid = system.healed_after(system.kill_lonely())
            assert len(system.lines("starts")) == len(set(system.lines("starts")))


@pytest.mark.parametrize("seconds", [300, -300])
@pytest.mark.parametrize("who", ["worker_2", "beat"])
def test_a_worker_or_a_beat_with_a_wrong_clock_does_no_harm(tmp_path: Path, who: str, seconds: int) -> None:
    with EmbeddedStore(tmp_path / "store") as server, ExitStack() as stack:
        commands = {"worker_1": ALL, "worker_2": ALL, "beat": BEAT}
        system = Skewed(tmp_path, server, commands, **{who: seconds})
        stack.callback(system.end)
        healthy(system)


@pytest.mark.parametrize("seconds", [300, -300])
def test_nobody_but_the_store_needs_the_right_time(tmp_path: Path, seconds: int) -> None:
    """The worst pair: what a beat that is behind sends has long expired for a worker that is ahead."""
    with EmbeddedStore(tmp_path / "store") as server, ExitStack() as stack:
        system = Skewed(tmp_path, server, {"worker": ALL, "beat": BEAT}, worker=seconds, beat=-seconds)
        stack.callback(system.end)
        healthy(system)
