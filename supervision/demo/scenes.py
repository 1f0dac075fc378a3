"""The three scenes: all running; the data flow is killed; the data flow loses its connection while the broker is fine.

Each looks at its effect from outside too: at processes of the operating system, and at what arrives at the other end.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import psutil

from supervision.demo.crew import Crew
from supervision.demo.facts import NotSeen, Scene, expect, step, until
from supervision.demo.inside import Event, Inside
from supervision.demo.outside import Outside, Stopwatch, pids
from supervision.demo.plant import plant

START_S = 90.0
"""Until everything runs: it takes less than ten seconds, on a machine that does ten other things much longer."""

HEAL_S = 45.0
"""Until something is healed: it takes two to ten seconds."""

ARRIVE_S = 20.0
"""Until messages are seen to arrive: they are sent ten times a second."""

GONE_S = 5.0
"""Until a killed process is gone, or a cut connection noticed."""

T = TypeVar("T")


@dataclass(slots=True)
class World:
    """What every scene looks at."""

    crew: Crew
    inside: Inside
    outside: Outside
    since_start: Stopwatch

    def awaited(self, look: Callable[[], T | None], within: float) -> T:
        """What `until` gives; `NotSeen` at once when a process of the demo has ended, because then a check fails."""

        def look_again() -> T | None:
            self.crew_runs()
            return look()

        return until(look_again, within, self.inside.summary)

    def arrives(self, sender: int) -> str:
        """Wait for five more messages at the sink of which the newest is from process ``sender``."""
        before, watch = self.outside.sink(), Stopwatch()

        def more() -> str:
            now = self.outside.sink()
            came, size = now.messages - before.messages, now.bytes - before.bytes
            return f"{came} messages, {size} bytes in {watch}" if came >= 5 and now.last_pid == sender else ""  # noqa: PLR2004 # as said above

        return until(more, ARRIVE_S, lambda: f"{self.outside.sink()}, expected more from pid {sender}") + (
            f" from pid {sender}"
        )

    def crew_runs(self) -> str:
        """Whether all processes of the demo itself are there."""
        ended = self.crew.ended()
        expect(not ended, f"ended: {', '.join(ended)}; logs in {self.crew.logs}")
        return f"{len(self.crew.members)} of {len(self.crew.members)}: {', '.join(self.crew.members)}"


@dataclass
class AllRunning(Scene):
    """Everything is started by beat, ticks and actions; nobody called a start."""

    title: ClassVar = "all running"
    world: World

    @step("every child is started and running")
    def children_run(self) -> str:
        """As the store has it."""
        self.world.awaited(lambda: self.world.inside.running() == set(plant.children), START_S)
        return f"{len(plant.children)} of {len(plant.children)}, {self.world.since_start} after the demo's start"

    @step("each is one process of the OS, with the observed pid")
    def processes_exist(self) -> str:
        """As psutil has it."""
        found = {name: self.world.outside.process(name) for name in plant.children}
        observed = {name: self.world.inside.pid(name) for name in found}
        expect(observed == {name: process.pid for name, process in found.items()}, f"{pids(found)}; {observed}")
        return f"pids {pids(found)}"

    @step("what the data flow sends arrives at the sink")
    def bytes_arrive(self) -> str:
        """As the sink has it."""
        return self.world.arrives(self.world.outside.process("dataflow").pid)

    @step("the demo's own processes run")
    def crew_runs(self) -> str:
        """As their guards have it; Flower only counts once it answers."""
        if self.world.crew.flower_url:
            until(self.world.crew.flower_answers, HEAL_S, lambda: f"no answer on {self.world.crew.flower_url}")
        return self.world.crew_runs()


@dataclass
class DataflowKilled(Scene):
    """Kill -9; its own state machine starts it again."""

    title: ClassVar = "the data flow is killed and comes back"
    world: World

    @step("kill -9 ends the data flow's process")
    def kill(self) -> str:
        """From outside, behind everybody's back."""
        self.mark = self.world.inside.mark()
        self.killed = self.world.outside.process("dataflow")
        self.watch = Stopwatch()
        self.killed.kill()
        until(lambda: not _alive(self.killed), GONE_S, lambda: f"pid {self.killed.pid} is {self.killed.status()}")
        return f"pid {self.killed.pid} is gone"

    @step("it is started again and running")
    def healed(self) -> str:
        """As the store has it: running with another pid than before."""
        self.world.awaited(lambda: _healed(self.world.inside, self.killed.pid), HEAL_S)
        return f"{self.watch} after the kill"

    @step("the OS has exactly one data flow, with a new pid")
    def one_process(self) -> str:
        """As psutil has it."""
        self.new = self.world.outside.process("dataflow")
        expect(self.new.pid == self.world.inside.pid("dataflow") != self.killed.pid, f"pid {self.new.pid}")
        return f"pid {self.new.pid}, before {self.killed.pid}"

    @step("its messages arrive at the sink")
    def bytes_arrive(self) -> str:
        """As the sink has it."""
        return self.world.arrives(self.new.pid)

    @step("exactly one action was in flight, a start")
    def one_start(self) -> str:
        """As the history has it."""
        return _only_action(self.world.inside.actions("dataflow", self.mark), "start")


@dataclass
class ConnectionLost(Scene):
    """Each child looks fine by itself, together they contradict each other: the circuit's case."""

    title: ClassVar = "the broker is active, the data flow has 0 output connections"
    world: World

    @step("the broker cuts its connection, both processes live on")
    def cut(self) -> str:
        """Through the broker's control request; seen in what both programs answer."""
        outside = self.world.outside
        self.mark = self.world.inside.mark()
        self.before, self.broker = outside.process("dataflow"), outside.process("broker")
        self.received = outside.broker().messages_in
        self.watch = Stopwatch()
        cut = outside.cut("dataflow")
        until(lambda: outside.dataflow().output_connections == 0, GONE_S, outside.dataflow)
        broker = outside.broker()
        expect(cut == 1 and broker.state == "active" and not broker.publishers, f"{cut} cut; {broker}")
        expect(_alive(self.before), f"pid {self.before.pid} is gone")
        return f"{cut} connection cut, broker {broker.state}, data flow pid {self.before.pid} with 0 connections"

    @step("the circuit opens")
    def opens(self) -> str:
        """As the history has it."""
        event = self.world.awaited(lambda: self._circuit("open"), HEAL_S)
        return f"{self.watch} after the cut: {event.reason}"

    @step("the circuit closes again")
    def closes(self) -> str:
        """As the history has it."""
        event = self.world.awaited(lambda: self._circuit("closed"), HEAL_S)
        way = [change.after for change in self.world.inside.circuit_changes(self.mark)]
        expect(way == ["open", "verifying", "closed"], f"it went {', '.join(way)}")
        return f"{self.watch} after the cut: {event.reason}; it went {', '.join(way)}"

    @step("exactly one action was in flight, a restart probe")
    def one_probe(self) -> str:
        """As the history has it."""
        return _only_action(self.world.inside.actions("dataflow", self.mark), "restart_child")

    @step("the OS has exactly one data flow, with a new pid")
    def one_process(self) -> str:
        """As psutil has it."""
        self.new = self.world.outside.process("dataflow")
        expect(self.new != self.before, f"still pid {self.new.pid}")
        return f"pid {self.new.pid}, before {self.before.pid}"

    @step("messages arrive at the sink again")
    def bytes_arrive(self) -> str:
        """As the sink has it."""
        return self.world.arrives(self.new.pid)

    @step("the broker was never restarted")
    def broker_untouched(self) -> str:
        """As the operating system, its own counter and the history have it."""
        now, counted = self.world.outside.process("broker"), self.world.outside.broker().messages_in
        expect(now == self.broker, f"pid {now.pid}, before {self.broker.pid}")
        expect(counted > self.received, f"it has counted {counted} messages, before {self.received}")
        actions = self.world.inside.actions("broker", self.mark)
        expect(not actions, f"actions on it: {actions}")
        return f"pid {now.pid} as before the cut, its counter went on by {counted - self.received} messages"

    @step("the demo's own processes still run")
    def crew_runs(self) -> str:
        """As their guards have it."""
        return self.world.crew_runs()

    def _circuit(self, state: str) -> Event | None:
        changes = self.world.inside.circuit_changes(self.mark)
        return next((event for event in changes if event.after == state), None)


SCENES = (AllRunning, DataflowKilled, ConnectionLost)


def _healed(inside: Inside, old_pid: int) -> bool:
    return "dataflow" in inside.running() and inside.pid("dataflow") not in {None, old_pid}


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _only_action(history: list[Event], name: str) -> str:
    """That the history holds one action and one run of it, which succeeded."""
    ids = {event.action for event in history}
    steps = [f"{event.before or 'wanted'} -> {event.after}" for event in history]
    expect(len(ids) == 1, f"{len(ids)} actions: {', '.join(steps)}")
    expect(history[0].reason.startswith(f"{name}:"), f"another action: {history[0].reason}")
    if [event.after for event in history] != ["queued", "running", "succeeded"]:
        raise NotSeen(", ".join(steps))
    return f"{name}, {', '.join(event.after for event in history)} in {history[-1].at - history[0].at} ms"
