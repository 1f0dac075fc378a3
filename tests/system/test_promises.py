"""R1 to R9 on a running system: two workers, two beats, a store; what happens to them is a kill -9, a pause, a restart.

`docs/promises.md` says which tests keep which promise; here is what the other files do not kill, pause or restart for.
"""

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from healing_system import ALL, BEAT, HealingSystem, overlapping_actions
from replayed import COUNTED, Replayed
from waiting import until

from supervision.client import ChildView, Client, SupervisorView
from supervision.errors import Conflict, NotFound
from supervision.model import ChildRecord
from supervision.server import EmbeddedStore
from supervision.store.history import Past

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

PRESS, MINE, YARD, SHED = "press", "mine", "yard", "yard/shed"
ALL_OF_THEM = (PRESS, MINE, YARD, SHED)
PAUSE_S = 5.0
"""Longer than the lease of a tick and than any observation counts."""

PROBE_STEPS = (
    *("after claim", "before commit", "after commit", "before publish act", "after publish act"),
    *("before start", "after start", "before finish", "after finish"),
)
"""Where a ticker or an actor dies while a restart probe is decided, sent and run."""


class Promised(HealingSystem):
    """The press and the mine, and what is known of them."""

    def __init__(self, folder: Path, server: EmbeddedStore) -> None:
        commands = {"worker-1": ALL, "worker-2": ALL, "beat-1": BEAT, "beat-2": BEAT}
        super().__init__(folder, server, commands, kills="child", plant="promises_plant")
        self.client = Client(server.url)
        self.bare: Any = self.store.client
        """Its types are those of the synchronous and the asynchronous client at once, so here it has none."""

    def end(self) -> None:
        self.client.close()
        super().end()

    def wait(self, what: str, condition: Callable[[], object], timeout: float = 90) -> None:
        until(condition, timeout=timeout, what=lambda: f"{what}:\n{self.story()}")

    def put(self, *files: str) -> None:
        for file in files:
            (self.folder / file).touch()

    def take(self, *files: str) -> None:
        for file in files:
            (self.folder / file).unlink(missing_ok=True)

    def press(self) -> SupervisorView:
        return self.supervisor(PRESS)

    def supervisor(self, path: str) -> SupervisorView:
        found = self.client.get(path)
        assert isinstance(found, SupervisorView)
        return found

    def child(self, path: str) -> ChildView:
        found = self.client.get(path)
        assert isinstance(found, ChildView)
        return found

    def circuit(self, state: str) -> None:
        self.wait(f"the circuit to be {state}", lambda: self.press().circuit == state)

    def heal(self) -> None:
        """Everything is well from now on, and the incident is over."""
        self.take("hopeless", "torn", "raises", "belt.gone", "pump.hang", "shed.hopeless", "shed.torn", "at")
        for path in (PRESS, SHED, YARD):
            self.wait(f"{path} to be well again", lambda path=path: self.is_over(path))  # type: ignore[misc]  # bound at once
        self.wait("rest", lambda: self.store.client.zcard(self.store.keys.due) == 0)

    def epoch(self, path: str) -> int:
        return int(self.bare.hget(self.store.keys.of(path, "control"), "epoch"))

    def is_over(self, path: str) -> bool:
        """Whether there is no incident any more; one that has closed, and that of the yard, is ended by a person."""
        found = self.supervisor(path)
        if found.incident and (found.circuit == "closed" or path == YARD):
            with suppress(Conflict, NotFound):  # it is over by now
                self.client.reset(path, incident=found.incident, by="test", reason="the next test begins anew")
        return not found.incident and found.circuit == "closed"

    def looks(self, child: str) -> int:
        return len(self.lines(f"{child}.looks"))

    def seen_at(self, path: str) -> int:
        above, _, name = path.rpartition("/")
        mark = self.bare.hget(self.store.keys.of(above, "seen"), name)
        return int(mark.split(b":")[1]) if mark else 0

    def now(self) -> int:
        return self.client.now()

    def since(self, moment: int, kind: str) -> list[Past]:
        return [past for past in self.history() if past.at >= moment and past.kind == kind]

    def restart_store(self, number: signal.Signals) -> None:
        process = psutil.Process(self.server.pid)
        process.send_signal(number)
        psutil.wait_procs([process], timeout=30)
        self.server.start()

    @contextmanager
    def store_paused(self) -> Iterator[None]:
        os.kill(self.server.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.server.pid, signal.SIGCONT)

    def deaths(self, steps: Iterator[str], *, until_: Callable[[], object], most: int = 1000) -> list[str]:
        """Kill whoever comes to the next of ``steps``, ``most`` times, until the time has come; answers where."""
        died: list[str] = []

        def another_dies() -> object:
            if len(died) < most and not (self.folder / "at").exists():
                died.append(next(steps))
                (self.folder / "at").write_text(died[-1])
            return until_()

        self.wait("the end of all this dying", another_dies)
        self.take("at")
        return died


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Promised]:
    folder = tmp_path_factory.mktemp("promises")
    with EmbeddedStore(folder / "store") as server:
        system = Promised(folder, server)
        try:
            paths = [f"{PRESS}/belt", f"{PRESS}/motor", f"{MINE}/pump", f"{MINE}/wagon", f"{MINE}/lift"]
            system.wait("all to be seen", lambda: all(system.seen_at(path) for path in paths), timeout=120)
            yield system
        finally:
            system.end()


@pytest.fixture
def system(running: Promised) -> Iterator[Promised]:
    yield running
    running.heal()


def one_probe_at_a_time(system: Promised, since: int) -> list[Past]:
    """The attempts since then, each of which sent one action, whoever ticked and whoever died."""
    assert overlapping_actions(system.history()) == []
    attempts = [past for past in system.since(since, "circuit") if past.after == "verifying"]
    queued = [p for p in system.since(since, "action") if p.after == "queued" and p.before == "" and p.actor == "tick"]
    queued = [past for past in queued if past.subject == f"{PRESS}/motor"]
    assert len(queued) == len(attempts), system.story()
    assert len({past.epoch for past in attempts}) == len(attempts)
    begun = [line.split() for line in system.lines("runs") if line.startswith("motor begin")]
    assert max(Counter(line[2] for line in begun).values(), default=0) <= 1, "a probe is one run"
    return attempts


def test_r3_one_restart_probe_is_out_whoever_of_two_tickers_and_two_actors_dies(system: Promised) -> None:
    began = system.now()
    steps, died = cycle(PROBE_STEPS), list[str]()
    for _ in range(6):
        system.put("torn")
        died += system.deaths(steps, until_=lambda: mended_or_given_up(system))
        system.wait("it to close", lambda: system.press().circuit in {"closed", "escalated"})
        if len(died) > len(PROBE_STEPS):
            break
        system.heal()
    sys.stdout.write(f"\n{len(died)} deaths: {died}\n")
    assert len(died) > len(PROBE_STEPS), died
    assert one_probe_at_a_time(system, began)


def mended_or_given_up(system: Promised) -> bool:
    """Whether a probe did its work, or every attempt of the incident had its actor killed: both are an end."""
    return not (system.folder / "torn").exists() or system.press().circuit == "escalated"


def test_r4_it_escalates_within_the_bound_that_was_computed(system: Promised) -> None:
    bound = system.press().worst_case_ms
    began = system.now()
    system.put("hopeless", "torn")
    system.deaths(
        cycle(("after claim", "before commit", "after start")), until_=lambda: system.press().circuit == "escalated"
    )
    (escalated,) = [past for past in system.since(began, "circuit") if past.after == "escalated"]
    attempts = one_probe_at_a_time(system, began)
    assert [past.attempt for past in attempts] == [1, 2, 3]
    took = escalated.at - began
    sys.stdout.write(f"\nescalated after {took} ms; the bound is {bound} ms\n")
    assert 3 * 1_000 < took <= bound, "three restarts at their limit of a second, and no more than promised"
    assert [past.attempt for past in system.since(began, "escalation_near")] == [2]


def gone_belt(system: Promised) -> None:
    """The child that the check reads cannot be seen: the check knows nothing any more."""
    system.put("belt.gone")
    seen = system.seen_at(f"{PRESS}/belt")
    system.wait("the belt to be stale", lambda: system.now() - seen > 3_000)
    system.take("belt.gone")


def raising_check(system: Promised) -> None:
    before = len(system.since(0, "check_broken"))
    system.put("raises")
    system.wait("it to be told", lambda: len(system.since(0, "check_broken")) > before)
    system.take("raises")


def restarted_store(system: Promised) -> None:
    system.restart_store(signal.SIGKILL)


def paused_store(system: Promised) -> None:
    with system.store_paused():
        time.sleep(PAUSE_S)  # the length of the pause is the disturbance; there is nothing to await


def killed_workers(system: Promised) -> None:
    for name in ("worker-1", "worker-2", "beat-1", "beat-2"):
        system.kept[name].kill()


@pytest.mark.parametrize("state", ["open", "escalated"])
@pytest.mark.parametrize("fault", [gone_belt, raising_check, restarted_store, paused_store, killed_workers])
def test_r6_a_circuit_closes_again_after(fault: Callable[[Promised], None], state: str, system: Promised) -> None:
    system.put("hopeless", "torn")
    if state == "open":
        system.wait("it to open", lambda: system.press().circuit in {"open", "verifying"})
    else:
        system.circuit("escalated")
    fault(system)
    system.take("hopeless", "torn")
    system.circuit("closed")


def test_r6_a_circuit_closes_when_its_check_and_its_child_left_the_code(system: Promised) -> None:
    system.put("hopeless", "torn")
    system.wait("it to open", lambda: system.press().circuit in {"open", "verifying"})
    system.put("small")
    try:
        for name in ("worker-1", "worker-2"):
            system.kept[name].kill()
        system.circuit("closed")
        (closed,) = [past for past in system.history() if past.reason == "check no longer declared"]
        assert (closed.subject, closed.after) == (PRESS, "closed")
    finally:
        system.take("small", "hopeless", "torn")
        for name in ("worker-1", "worker-2"):
            system.kept[name].kill()
        system.wait("the belt to be there again", lambda: system.now() - system.seen_at(f"{PRESS}/belt") < 1_500)


@pytest.mark.parametrize("outage", ["killed", "ended", "paused"])
def test_r7_no_restart_is_caused_by_an_outage_of_the_store(outage: str, system: Promised) -> None:
    began = system.now()
    epochs = {path: system.epoch(path) for path in (PRESS, MINE)}
    if outage == "paused":
        paused_store(system)
    else:
        system.restart_store(signal.SIGKILL if outage == "killed" else signal.SIGTERM)
    back = system.now()
    paths = [f"{PRESS}/belt", f"{PRESS}/motor", f"{MINE}/pump", f"{MINE}/wagon", f"{MINE}/lift"]
    system.wait("all to be seen again", lambda: all(system.seen_at(path) > back + 2_000 for path in paths))
    assert system.since(began, "action") == []
    assert system.since(began, "circuit") == []
    assert system.since(began, "unobservable") == []
    assert all(system.epoch(path) > epoch for path, epoch in epochs.items())


def siblings_go_on(system: Promised) -> None:
    """They are looked at, and what breaks is repaired."""
    system.put("wagon.broken")
    system.wait("the wagon to be repaired", lambda: not (system.folder / "wagon.broken").exists())
    system.wait("it to be seen", lambda: system.child(f"{MINE}/wagon").state == "running")
    seen = system.seen_at(f"{MINE}/lift")
    system.wait("the lift to be seen", lambda: system.seen_at(f"{MINE}/lift") > seen + 1_000)


def test_r9_a_look_that_hangs_freezes_no_sibling(system: Promised) -> None:
    before = system.looks("pump")
    system.put("pump.hang")
    system.wait("a look that hangs", lambda: system.looks("pump") > before)
    seen = system.seen_at(f"{MINE}/pump")
    system.wait("it to be silent", lambda: system.now() - seen > 2_500)
    siblings_go_on(system)
    system.take("pump.hang")
    system.wait("the pump to be seen again", lambda: system.seen_at(f"{MINE}/pump") > seen + 2_500)


def test_r9_a_stopped_process_freezes_no_sibling(system: Promised) -> None:
    """The pool process in which the pump was looked at last does nothing any more, as a machine that is suspended."""
    before = system.looks("pump")
    system.put("pump.hang")
    system.wait("a look that hangs", lambda: system.looks("pump") > before)
    pid = int(system.lines("pump.looks")[-1])
    os.kill(pid, signal.SIGSTOP)
    try:
        system.take("pump.hang")
        siblings_go_on(system)
        seen = system.seen_at(f"{MINE}/pump")
        system.wait("the pump to be seen by others", lambda: system.seen_at(f"{MINE}/pump") > seen)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_what_is_below_reaches_its_parent_though_tickers_die_before_they_report(system: Promised) -> None:
    began = system.now()
    system.put("shed.hopeless", "shed.torn")

    def heard() -> bool:
        """Whether the yard knows that the shed has escalated."""
        told = [past for past in system.since(began, "state") if past.subject == SHED]
        return any(past.after == "escalated" for past in told)

    died = system.deaths(cycle(("after commit", "after commit", "before observed")), until_=heard, most=9)
    sys.stdout.write(f"\n{len(died)} deaths: {died}\n")
    assert died.count("after commit") > 1


def test_an_order_to_a_subtree_is_carried_out_once_though_its_actor_dies_before_its_end(system: Promised) -> None:
    began = system.now()
    (system.folder / "fired").unlink(missing_ok=True)
    (system.folder / "at").write_text("after order")
    system.put("shed.hopeless", "shed.torn")
    system.wait("an actor to die", (system.folder / "fired").exists)
    system.take("shed.hopeless")
    system.wait("the shed to be restarted, and well", lambda: system.supervisor(SHED).circuit == "closed")
    ordered = [past for past in system.since(began, "order") if past.after == "restart"]
    assert [past.subject for past in ordered] == [SHED]
    from_above = [past for past in system.since(began, "circuit") if past.reason.startswith("the parent restarts")]
    assert [past.after for past in from_above] == ["verifying"]
    system.wait("the end of the action above", lambda: system.bare.hlen(system.store.keys.of(YARD, "flight")) == 0)
    assert overlapping_actions(system.history()) == []


def test_a_restart_of_several_goes_on_though_tickers_and_actors_die_between_them(system: Promised) -> None:
    began = system.now()
    system.put("shed.torn")
    steps = ("after finish", "before commit", "after claim", "before finish", "after commit", "before start")
    died = system.deaths(cycle(steps), until_=lambda: not (system.folder / "shed.torn").exists(), most=12)
    sys.stdout.write(f"\n{len(died)} deaths: {died}\n")
    system.wait("the shed to be well", lambda: system.supervisor(SHED).circuit == "closed")
    assert overlapping_actions(system.history()) == []
    steps_of = [past for past in system.since(began, "action") if past.subject.startswith(SHED)]
    queued = [past for past in steps_of if (past.before, past.after) == ("", "queued")]
    assert {past.subject for past in queued} == {f"{SHED}/box-1", f"{SHED}/box-2"}
    for past in queued:
        if past.subject.endswith("box-2"):  # its turn comes when the one before it has succeeded
            (one,) = [each.action for each in queued if each.subject.endswith("box-1") and each.at < past.at][-1:]
            assert any(each.action == one and each.after == "succeeded" and each.at <= past.at for each in steps_of)


def test_r8_the_history_of_all_this_leads_to_what_is(system: Promised) -> None:
    system.heal()
    keys, client = system.store.keys, system.bare

    def agrees() -> bool:
        """Once nothing moves: states, circuits, actions and counts are what the history says."""
        told, history = Replayed(), system.history()
        told.play(history)
        records = {
            f"{path}/{name.decode()}": msgspec.json.decode(text, type=ChildRecord).state
            for path in ALL_OF_THEM
            for name, text in client.hgetall(keys.of(path, "records")).items()
        }
        found = [system.store.actions.get(name) for name in told.actions]
        counts = {name.decode(): int(count) for name, count in client.hgetall(keys.counters).items()}
        circuits = {path: system.supervisor(path).circuit for path in (PRESS, SHED, YARD)}
        if system.history() != history:
            return False
        assert records == told.states
        assert circuits == {path: told.circuits.get(path, "closed") for path in circuits}
        assert {each.id: each.state for each in found if each} == told.actions
        assert {name: n for name, n in counts.items() if name.split("|")[0] in COUNTED} == dict(told.counts)
        return True

    system.wait("a moment in which nothing happens", agrees)
    assert len(system.since(0, "circuit")) > 4, "there was something to tell"
