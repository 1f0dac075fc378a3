"""A herd of coordinators, each a real process, that are killed while others wait for their signals.

Member `i` waits for what member `i - 1` sends, round after round, so all stand still as long as one of them is dead.
What is done to them (`Herd.strike`): kill -9, and another one comes when the death was declared, or at once, before
anybody has noticed; or one is stopped until it was declared dead and replaced, and then goes on, as a zombie.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count, takewhile
from pathlib import Path
from typing import NamedTuple, Self

import psutil

from benchmarks.plants.member import GO, LAST, SUPERSEDED, done, noted, signal_of
from benchmarks.stage import ROOT, Stage, until
from supervision.client import Client
from supervision.engine.canvas import wait_for
from supervision.errors import StoreUnavailable

HASTY = {
    "SUPERVISION_HEARTBEAT": "1",
    "SUPERVISION_HEARTBEAT_WARNING": "2",
    "SUPERVISION_HEARTBEAT_CRITICAL": "3",
    "SUPERVISION_HEARTBEAT_DEAD": "5",
}
"""Hastier than the defaults, so that a death is known before the next one; with time enough for a busy machine."""

DOWN_S = 1.0
"""Seconds that the store stays away when it is restarted."""

PACE_S = 0.5
STEP_S = 0.1
WITHIN_S = 120.0
AHEAD = 3
"""Rounds that a task waits ahead of whoever is to be killed."""


class Start(NamedTuple):
    """One process that had a name: its incarnation, and how often its death may be declared.

    A death that another one follows at once is declared if that one needs longer to start than others have patience.
    """

    name: str
    incarnation: int
    deaths: tuple[int, int]


class Member:
    """One of them: the process that has its name now, and those that had it."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], folder: Path) -> None:
        self.name, self.folder = name, folder
        self._command, self._environment = command, environment
        self._errors = folder / f"{name}.errors"
        self.process = self._started()
        self.next = self.process
        self.awaits = ""
        self.struck = 0.0

    def _started(self) -> "subprocess.Popen[bytes]":
        with self._errors.open("ab") as errors:
            return subprocess.Popen(  # noqa: S603 # our own program
                self._command, cwd=ROOT, env=self._environment, stdout=errors, stderr=errors
            )

    def incarnation(self, process: "subprocess.Popen[bytes]") -> int:
        """Under which ``process`` has registered, 0 as long as it has not."""
        began = [words for words in noted(self.folder, self.name) if words[:2] == ["began", str(process.pid)]]
        return int(began[-1][2]) if began else 0

    @property
    def up(self) -> bool:
        """Whether nothing is being done to it."""
        return not self.awaits and self.incarnation(self.process) > 0 and self.process.poll() is None

    @property
    def round(self) -> int:
        """The last one that it has done."""
        return len(done(self.folder, self.name))

    def begin(self) -> None:
        """Start another one under the name."""
        self.next, self.awaits = self._started(), "successor"

    def errors(self) -> str:
        """The end of what its processes have complained of."""
        return self._errors.read_text(errors="replace")[-2000:]

    def end(self) -> None:
        """End all that is left of it."""
        for process in {self.process, self.next}:
            if process.poll() is None:
                process.kill()
            process.wait()


class Herd:
    """``size`` members over a stage's store, with a worker and a beat; ends with the ``with`` block."""

    def __init__(self, stage: Stage, size: int) -> None:
        self.stage, self.folder = stage, stage.folder / "herd"
        self.starts: list[Start] = []
        self.told: list[float] = []
        self.tasks: list[str] = []
        self.done: Counter[str] = Counter()
        self.zombies = 0
        self.folder.mkdir()
        self.client = Client(stage.server.url)
        self._app = stage.app()
        self._size = size
        self._turn = count(0, 3)

    def __enter__(self) -> Self:
        environment = {**os.environ, **HASTY}
        names = [f"m{i}" for i in range(self._size)]
        self.members = [
            Member(
                name,
                [
                    *(sys.executable, "-m", "benchmarks.plants.member", self.stage.server.url, name),
                    *(names[i - 1], str(self.folder), str(PACE_S)),
                ],
                environment,
                self.folder,
            )
            for i, name in enumerate(names)
        ]
        until(lambda: all(each.up for each in self.members), "all to register", within=WITHIN_S)
        self.client.send(GO)
        return self

    def __exit__(self, *_exception: object) -> None:
        for member in self.members:
            member.end()
        self.client.close()

    def run(self, seconds: float, *, kills: float, stops: float = 0, restarts: float = 0) -> None:
        """For so many seconds: a kill each ``kills`` s, one stopped each ``stops`` s, a restart each ``restarts`` s."""
        plan = [(kills, self.kill), (stops, self.stop), (restarts, self.restart_store)]
        steps = [
            (t, what) for every, what in plan if every for t in takewhile(lambda t: t <= seconds, count(every, every))
        ]
        began = time.monotonic()
        for due, what in [*sorted(steps, key=lambda step: step[0]), (seconds, self.keep)]:
            while time.monotonic() - began < due:
                self.keep()
                time.sleep(STEP_S)
            what()

    def kill(self) -> None:
        """Kill -9 of one, whose death is declared, or for every third one is not, since another comes at once."""
        at_once = self.done["kills"] % 3 == 2  # noqa: PLR2004 # every third
        member = self._next()
        self._waited_for(member)
        self._struck(member, signal.SIGKILL, (0, 1) if at_once else (1, 1))
        self.done["kills"] += 1
        member.process.wait()
        if at_once:
            member.begin()

    def stop(self) -> None:
        """SIGSTOP of one for longer than the others have patience."""
        self._struck(self._next(), signal.SIGSTOP, (1, 1))
        self.done["stops"] += 1

    def restart_store(self) -> None:
        """Kill -9 of the store, which comes back with its file."""
        restart(self.stage)
        self.done["restarts"] += 1

    def keep(self) -> None:
        """Start another one where a death was declared, let the zombie go on where another one has come."""
        for member in self.members:
            if member.awaits == "death" and self._dead(member):
                self.told.append(time.monotonic() - member.struck)
                member.begin()
            if member.awaits == "successor" and member.incarnation(member.next):
                self._succeeded(member)
            if not member.awaits and member.process.poll() is not None:
                raise RuntimeError(f"{member.name} ended with {member.process.poll()}: {member.errors()}")

    def finish(self) -> None:
        """Have all of them do the same last round, and end."""
        until(lambda: self.keep() or all(each.up for each in self.members), "all to be up", within=WITHIN_S)  # type: ignore[func-returns-value] # kept while it is asked
        (self.folder / "last.new").write_text(str(max(each.round for each in self.members) + AHEAD + 5))
        (self.folder / "last.new").rename(self.folder / LAST)
        until(lambda: all(each.process.poll() == 0 for each in self._ending()), "all to end", within=WITHIN_S)
        self.starts += [Start(each.name, each.incarnation(each.process), (0, 0)) for each in self.members]

    def _ending(self) -> Iterator[Member]:
        for member in self.members:
            if member.process.poll() not in {0, None}:
                raise RuntimeError(f"{member.name} ended with {member.process.poll()}: {member.errors()}")
            yield member

    def _next(self) -> Member:
        """Whose turn it is, of those that nothing is being done to."""
        until(lambda: self.keep() or any(each.up for each in self.members), "one to be up", within=WITHIN_S)  # type: ignore[func-returns-value] # as above
        turns = (self.members[next(self._turn) % self._size] for _ in count())
        return next(member for member in turns if member.up)

    def _struck(self, member: Member, number: signal.Signals, deaths: tuple[int, int]) -> None:
        self.starts.append(Start(member.name, member.incarnation(member.process), deaths))
        member.process.send_signal(number)
        member.struck, member.awaits = time.monotonic(), "death"

    def _waited_for(self, member: Member) -> None:
        """Two tasks that wait for what it will send: one that wants to hear of its death, and one that does not.

        They have begun to wait when this returns: until then they are messages like any other, and kombu loses one of
        these when the server is killed while a worker takes it.
        """
        name = signal_of(member.name, member.round + AHEAD)
        terms = [{"expects": member.name}, {}]
        ids = [wait_for(name, app=self._app, timeout=600, **each).apply_async().id for each in terms]
        until(lambda: len(self.stage.store.open_waits.some(ids)) == len(ids), "two tasks to wait", within=WITHIN_S)
        self.tasks += ids

    def _dead(self, member: Member) -> bool:
        try:
            return self.stage.store.coordinators.get(member.name).state == "dead"
        except StoreUnavailable:
            return False

    def _succeeded(self, member: Member) -> None:
        before, member.process, member.awaits = member.process, member.next, ""
        if before.poll() is None:  # a zombie
            before.send_signal(signal.SIGCONT)
            self.zombies += until(before.poll, "a zombie to be told", within=WITHIN_S) == SUPERSEDED  # type: ignore[arg-type] # its exit status


def durable(stage: Stage) -> None:
    """What the store has answered stands, whenever it is killed: with ``everysec`` a slow disk may lose a second."""
    stage.ask().config_set("appendfsync", "always")


def restart(stage: Stage) -> None:
    """Kill -9 of the store, which comes back with its file after `DOWN_S`."""
    server = psutil.Process(stage.server.pid)
    server.kill()
    psutil.wait_procs([server], timeout=30)
    time.sleep(DOWN_S)
    stage.server.start()
    durable(stage)
