"""The scenes: all running; the data flow killed; its connection lost while the broker is fine; `unhealable`; `waits`.

Each looks at its effect from outside too: at processes of the operating system, and at what arrives at the other end.
"""

from dataclasses import dataclass
from typing import ClassVar

from supervision.demo.facts import Scene, expect, step, until
from supervision.demo.inside import Event, Inside
from supervision.demo.outside import Stopwatch, pids
from supervision.demo.plant import PROCESSES, plant
from supervision.demo.unhealable import Unhealable
from supervision.demo.waits import CoordinatorsDie, SignalAwaited
from supervision.demo.world import GONE_S, HEAL_S, START_S, World, alive, only_action


@dataclass
class AllRunning(Scene):
    """Everything is started by beat, ticks and actions; nobody called a start."""

    title: ClassVar = "all running"
    world: World

    @step("every child is started and running")
    def children_run(self) -> str:
        """As the store has it."""
        wanted = {child.path for each in plant.tree() for child in each.children.values()}
        self.world.awaited(lambda: self.world.running() == wanted, START_S)
        below = len(plant.below)
        return f"{len(wanted) - below} children under {below} supervisors, {self.world.since_start} after the start"

    @step("each is one process of the OS, with the observed pid")
    def processes_exist(self) -> str:
        """As psutil has it."""
        names = {path.rpartition("/")[2]: path for path in PROCESSES}
        found = {name: self.world.outside.process(name) for name in names}
        observed = {name: self.world.pid(path) for name, path in names.items()}
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
        self.mark = self.world.line.mark()
        self.killed = self.world.outside.process("dataflow")
        self.watch = Stopwatch()
        self.killed.kill()
        until(lambda: not alive(self.killed), GONE_S, lambda: f"pid {self.killed.pid} is {self.killed.status()}")
        return f"pid {self.killed.pid} is gone"

    @step("it is started again and running")
    def healed(self) -> str:
        """As the store has it: running with another pid than before."""
        self.world.awaited(lambda: _healed(self.world.line, self.killed.pid), HEAL_S)
        return f"{self.watch} after the kill"

    @step("the OS has exactly one data flow, with a new pid")
    def one_process(self) -> str:
        """As psutil has it."""
        self.new = self.world.outside.process("dataflow")
        expect(self.new.pid == self.world.line.pid("dataflow") != self.killed.pid, f"pid {self.new.pid}")
        return f"pid {self.new.pid}, before {self.killed.pid}"

    @step("its messages arrive at the sink")
    def bytes_arrive(self) -> str:
        """As the sink has it."""
        return self.world.arrives(self.new.pid)

    @step("exactly one action was in flight, a start")
    def one_start(self) -> str:
        """As the history has it."""
        return only_action(self.world.line.actions("dataflow", self.mark), "start")


@dataclass
class ConnectionLost(Scene):
    """Each child looks fine by itself, together they contradict each other: the circuit's case."""

    title: ClassVar = "the broker is active, the data flow has 0 output connections"
    world: World

    @step("the broker cuts its connection, both processes live on")
    def cut(self) -> str:
        """Through the broker's control request; seen in what both programs answer."""
        outside = self.world.outside
        self.mark = self.world.line.mark()
        self.before, self.broker = outside.process("dataflow"), outside.process("broker")
        self.received = outside.broker().messages_in
        self.watch = Stopwatch()
        cut = outside.cut("dataflow")
        until(lambda: outside.dataflow().output_connections == 0, GONE_S, outside.dataflow)
        broker = outside.broker()
        expect(cut == 1 and broker.state == "active" and not broker.publishers, f"{cut} cut; {broker}")
        expect(alive(self.before), f"pid {self.before.pid} is gone")
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
        way = [change.after for change in self.world.line.circuit_changes(self.mark)]
        expect(way == ["open", "verifying", "closed"], f"it went {', '.join(way)}")
        return f"{self.watch} after the cut: {event.reason}; it went {', '.join(way)}"

    @step("exactly one action was in flight, a restart probe")
    def one_probe(self) -> str:
        """As the history has it."""
        return only_action(self.world.line.actions("dataflow", self.mark), "restart_child")

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
        actions = self.world.line.actions("broker", self.mark)
        expect(not actions, f"actions on it: {actions}")
        return f"pid {now.pid} as before the cut, its counter went on by {counted - self.received} messages"

    @step("the demo's own processes still run")
    def crew_runs(self) -> str:
        """As their guards have it."""
        return self.world.crew_runs()

    def _circuit(self, state: str) -> Event | None:
        changes = self.world.line.circuit_changes(self.mark)
        return next((event for event in changes if event.after == state), None)


SCENES = (AllRunning, DataflowKilled, ConnectionLost, Unhealable, SignalAwaited, CoordinatorsDie)


def _healed(inside: Inside, old_pid: int) -> bool:
    return "dataflow" in inside.running() and inside.pid("dataflow") not in {None, old_pid}
