"""The scenes of coordination: a chord that waits for a signal, and coordinators that die while others wait for them."""

import os
import signal
import sys
from dataclasses import dataclass
from typing import Any, ClassVar

import psutil

from supervision.coordination.signals import Progress
from supervision.demo.canvases import BEGIN, BUILDER, BUILT, Canvases
from supervision.demo.facts import NotSeen, Scene, expect, step, until
from supervision.demo.keeper import NAME, SIGNAL, SUPERSEDED
from supervision.demo.outside import Stopwatch
from supervision.demo.world import GONE_S, HEAL_S, World
from supervision.errors import SignalAlreadySent
from supervision.guarded import Guarded

NUMBER = 3
"""Waits in the header of the chord, and acknowledgements that the sender asks for."""

WAITING = ["WAITING"] * NUMBER


@dataclass
class SignalAwaited(Scene):
    """A wait is a record: nothing runs until its signal comes."""

    title: ClassVar = "a chord waits for a signal, and holds no worker meanwhile"
    world: World

    @step("its header waits, and nothing of it runs")
    def waits(self) -> str:
        """As Celery's results and the store have it."""
        self.canvases = Canvases(self.world.crew.store.url)
        self.result = self.canvases.waiting_chord(NUMBER)
        self.world.awaited(lambda: len(self.world.client.waits(signal=BEGIN)) == NUMBER, HEAL_S)
        states = until(self._all_waiting, GONE_S, lambda: self.canvases.states(self.result))
        busy = self.canvases.at_work()
        expect(busy == [], f"workers are at work on {busy}")
        return f"{len(states)} tasks are {states[0]}, workers are at work on {len(busy)} of them"

    def _all_waiting(self) -> list[str] | None:
        found = self.canvases.states(self.result)
        return found if found == WAITING else None

    @step(f"one signal releases them, and {NUMBER} acknowledge it")
    def signalled(self) -> str:
        """As the signal's receipt has it."""
        watch = Stopwatch()
        receipt = self.world.client.send(
            BEGIN, {"lights": "on"}, id="morning", acks=NUMBER, level=Progress.PROCESSED, timeout=HEAL_S
        )
        expect(receipt.acknowledged(Progress.PROCESSED) == NUMBER, f"missing: {receipt.missing(Progress.PROCESSED)}")
        return f"{len(receipt.waiters)} of {NUMBER} processed in {watch}"

    @step("the chord's body gets the payload of each")
    def body(self) -> str:
        """As Celery's result has it."""
        got = self.result.get(timeout=HEAL_S)
        self.canvases.close()
        expect(got == [{"lights": "on"}] * NUMBER, f"it got {got}")
        return f"{len(got)} payloads: {got[0]}"

    @step("sent again it changes nothing, and another one is refused")
    def once(self) -> str:
        """As the client answers."""
        again = self.world.client.send(BEGIN, {"lights": "off"}, id="morning")
        expect(again.repeated and len(again.waiters) == NUMBER, f"{again}")
        try:
            self.world.client.send(BEGIN, {"lights": "off"}, id="evening")
        except SignalAlreadySent as error:
            return str(error).split(";", maxsplit=1)[0]
        raise NotSeen("another signal of that name was taken")


@dataclass
class CoordinatorsDie(Scene):
    """Whoever is expected is watched: the dead are replaced, and the undead refused."""

    title: ClassVar = "coordinators die while others wait for them"
    world: World

    @step("a task waits for the signal of another, which runs")
    def begun(self) -> str:
        """As the store has it."""
        self.canvases = Canvases(self.world.crew.store.url)
        self.canvases.first_builder()
        self.pid = int(self.world.awaited(lambda: self._process(BUILDER), HEAL_S))
        self.result = self.canvases.waiting_for_the_builder()
        self.world.awaited(lambda: self.world.client.waits(signal=BUILT), HEAL_S)
        return f"{BUILDER} is pid {self.pid}, 1 wait expects it"

    @step("kill -9 of its process is known at once")
    def killed(self) -> str:
        """As the store has it: by its worker, long before its silence would tell."""
        watch = Stopwatch()
        psutil.Process(self.pid).kill()
        found = self.world.awaited(lambda: self._ended(BUILDER), HEAL_S)
        return f"dead after {watch}: {found}"

    @step("its replacement is started once, and sends the signal")
    def replaced(self) -> str:
        """As Celery's result and the history have it."""
        got = self.result.get(timeout=HEAL_S)
        expect(got == {"by": "replacement"}, f"the wait ended with {got}")
        began = [past for past in self._past(BUILDER) if past.after == "registered"]
        expect(len(began) == 2, f"{len(began)} builders have begun")  # noqa: PLR2004 # the first and the second
        self.canvases.close()
        return f"the wait got {got}; builders begun in all: {len(began)}"

    @step("one that is only paused is declared dead, too")
    def paused(self) -> str:
        """As the store has it: by its silence."""
        environment = {**os.environ, "SUPERVISION_STORE_URL": self.world.crew.store.url}
        command = [sys.executable, "-P", "-m", "supervision.demo.keeper"]
        with (self.world.crew.logs / "keeper.log").open("wb") as log:
            self.keeper = Guarded(command, env=environment, stdout=log, grace=1)
        self.paused_pid = int(self.world.awaited(lambda: self._process(NAME), HEAL_S))
        self.world.awaited(lambda: self.world.client.waits(signal=SIGNAL), HEAL_S)
        watch = Stopwatch()
        os.kill(self.paused_pid, signal.SIGSTOP)
        found = self.world.awaited(lambda: self._ended(NAME), HEAL_S)
        return f"pid {self.paused_pid} stopped; after {watch}: {found}"

    @step("when it goes on, whatever it writes is refused")
    def refused(self) -> str:
        """As its own exit status has it; its wait is kept for whoever comes under its name."""
        os.kill(self.paused_pid, signal.SIGCONT)
        status = self.world.awaited(self.keeper.poll, HEAL_S)
        expect(status == SUPERSEDED, f"it ended with {status}")
        kept = self.world.client.waits(signal=SIGNAL)
        expect(len(kept) == 1, f"{len(kept)} waits for {SIGNAL}")
        self.world.client.cancel(kept[0].id, by="demo", reason="nobody comes under that name any more")
        return f"pid {self.paused_pid} was told that it is superseded; its wait was kept"

    def _find(self, name: str) -> Any:
        return next((each for each in self.world.client.coordinators() if each.id == name), None)

    def _process(self, name: str) -> str:
        found = self._find(name)
        return found.process.rpartition(":")[2] if found and found.state not in {"dead", "failed"} else ""

    def _ended(self, name: str) -> str:
        """Why it is dead, as its last death in the history says."""
        deaths = [past for past in self._past(name) if past.after == "dead"]
        return deaths[-1].reason if deaths else ""

    def _past(self, name: str) -> list[Any]:
        return [past for past in self.world.client.latest_events(500, subject=name) if past.kind == "coordinator"]
