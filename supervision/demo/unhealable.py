"""The scene of a child that no restart can heal: it escalates to the parent, then to people, and a person heals it.

The panel's configuration is broken for real. Its supervisor has three attempts, the parent has one, and nobody but a
person can write the file. What people are told is read where they would read it: in the history and in a worker's log.
"""

from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import ClassVar

from supervision.demo.diary import Logged, logged
from supervision.demo.facts import Scene, expect, step, until
from supervision.demo.inside import Event, Inside
from supervision.demo.outside import Stopwatch
from supervision.demo.plant import PANEL_GOOD, office, plant
from supervision.demo.world import GONE_S, HEAL_S, World, only_action

CALL = "ESCALATION REQUIRED"
"""The line that calls people."""

BROKEN = '{"title": \n'
"""What somebody saved too early."""


@dataclass
class Unhealable(Scene):
    """Restarts cannot help: every level tries what it may, and then people are called, once."""

    title: ClassVar = "the panel's configuration is broken, which no restart heals"
    world: World
    call: Logged = field(default_factory=dict)

    @step("the page answers 503, its process lives on")
    def broken(self) -> str:
        """As any HTTP client has it."""
        world = self.world
        self.mark, self.watch = world.line.mark(), Stopwatch()
        self.before = world.outside.process("panel")
        world.crew.panel_file.write_text(BROKEN)
        status, said = until(lambda: _unless(HTTPStatus.OK, world), GONE_S, world.outside.page)
        expect(status == HTTPStatus.SERVICE_UNAVAILABLE, f"it answers {status}: {said}")
        expect(world.outside.process("panel") == self.before, f"pid {self.before.pid} is gone")
        return f"pid {self.before.pid} answers {status}: {said}"

    @step("its supervisor restarts it as often as it may")
    def tried(self) -> str:
        """As the history has it."""
        escalated = self._moved(self.world.office, "escalated")
        runs = [event for event in self.world.office.actions("panel", self.mark) if event.at <= escalated.at]
        ended = Counter(event.after for event in runs if event.after in {"succeeded", "failed"})
        expect(ended == {"succeeded": office.max_attempts}, f"its restarts: {dict(ended)}")
        return f"{ended['succeeded']} of {office.max_attempts} restarts, all succeeded, none helped, after {self.watch}"

    @step("every tick told how far it was")
    def heartbeats(self) -> str:
        """As the log has it: one line per tick while the circuit was open."""
        beats = logged(self._log, "circuit_open", office.path)
        said = Counter(beat["recovery_status"] for beat in beats)
        wanted = {"attempting_recovery", "escalation_imminent"}
        expect(wanted <= said.keys(), f"told: {dict(said)}")
        return f"{len(beats)} lines: {', '.join(f'{count} {status}' for status, count in said.items())}"

    @step("it escalates to its parent, and calls nobody itself")
    def handed_up(self) -> str:
        """As the log and the history have it."""
        line = self.world.awaited(lambda: next(iter(logged(self._log, "escalated", office.path)), None), HEAL_S)
        expect(line.get("escalated_to") == plant.path, f"escalated_to {line.get('escalated_to')}: {line}")
        opened = self._moved(self.world.plant, "open")
        return f"to {line['escalated_to']} after {line['total_downtime']:.1f} s: {opened.reason}"

    @step("the parent restarts all of it, once, without effect")
    def parent_tried(self) -> str:
        """As the history and the operating system have it."""
        self._moved(self.world.plant, "escalated")
        once = only_action(self.world.plant.actions("office", self.mark), "restart_child")
        now = self.world.outside.process("panel")
        expect(now != self.before, f"still pid {now.pid}")
        expect(self.world.outside.page()[0] != HTTPStatus.OK, "the page is served")
        return f"{once}; pid {now.pid}, before {self.before.pid}, the page is still not served, after {self.watch}"

    @step("people are called, once")
    def called(self) -> str:
        """As the history and the log have it."""
        self.call = self.world.awaited(lambda: next(iter(logged(self._log, CALL)), {}), HEAL_S)
        calls, lines = self.world.plant.calls(self.mark), logged(self._log, CALL)
        callers, logging = [event.subject for event in calls], [line["supervisor"] for line in lines]
        expect(callers == logging == [plant.path], f"called by {callers} in the history, by {logging} in the log")
        return f"{CALL} by {plant.path}, {self.call['level']}, downtime {self.call['total_downtime']:.1f} s"

    @step("they are told what to read")
    def runbook(self) -> str:
        """As the log has it."""
        expect(self.call["runbook_url"], f"no runbook in {self.call}")
        return str(self.call["runbook_url"])

    @step("they are told what to do")
    def steps(self) -> str:
        """As the log has it."""
        expect(self.call["manual_steps"], f"no steps in {self.call}")
        return "; ".join(f"{number}. {one}" for number, one in enumerate(self.call["manual_steps"], 1))

    @step("a person does step 1, and the page is served")
    def repaired(self) -> str:
        """By hand, from outside; as any HTTP client has it."""
        self.mended, self.repair = self.world.office.mark(), Stopwatch()
        self.pid = self.world.outside.process("panel").pid
        self.world.crew.panel_file.write_text(PANEL_GOOD)
        status, said = until(lambda: _if(HTTPStatus.OK, self.world), GONE_S, self.world.outside.page)
        return f"pid {self.pid} answers {status}: {said}"

    @step("its circuit closes by itself, without a restart")
    def closes(self) -> str:
        """As the history and the operating system have it."""
        event = self._moved(self.world.office, "closed", self.mended)
        now = self.world.outside.process("panel").pid
        expect(now == self.pid, f"pid {now}, before {self.pid}")
        return f"{self.repair} after the repair: {event.reason}; still pid {now}"

    @step("a person does step 3, and the parent's circuit closes")
    def confirmed(self) -> str:
        """The incident below is said to be over; without that the parent waits for a minute of calm."""
        incident = logged(self._log, "escalated", office.path)[0]["incident"]
        self.world.office.reset(incident, "its page is served again")
        event = self._moved(self.world.plant, "closed", self.mended)
        return f"{self.repair} after the repair: {event.reason}; {incident} was reset"

    @step("everything is as before, and nobody was called again")
    def as_before(self) -> str:
        """As the store, the history and the operating system have it."""
        world = self.world
        circuits = {inside.path: inside.circuit() for inside in (world.plant, world.line, world.office)}
        expect(set(circuits.values()) == {"closed"}, f"circuits: {circuits}")
        expect(len(world.plant.calls(self.mark)) == 1, f"calls: {world.plant.calls(self.mark)}")
        way = [change.after for change in world.line.circuit_changes(self.mark)]
        expect(not way, f"the circuit of {world.line.path} went {', '.join(way)}")
        return f"{len(circuits)} circuits closed, 1 call; {world.line.path} was left alone; {world.crew_runs()}"

    @property
    def _log(self) -> Path:
        return self.world.crew.logs / "ticker.log"

    def _moved(self, inside: Inside, state: str, since: str = "") -> Event:
        """The first move of a circuit to ``state`` since a mark, by default this scene's; awaited."""

        def first() -> Event | None:
            moves = inside.circuit_changes(since or self.mark)
            return next((event for event in moves if event.after == state), None)

        return self.world.awaited(first, HEAL_S)


def _if(wanted: HTTPStatus, world: World) -> tuple[int, str] | None:
    """What the page answers, if it has the status ``wanted``."""
    answer = world.outside.page()
    return answer if answer[0] == wanted else None


def _unless(unwanted: HTTPStatus, world: World) -> tuple[int, str] | None:
    """What the page answers, unless it has the status ``unwanted``."""
    answer = world.outside.page()
    return answer if answer[0] != unwanted else None
