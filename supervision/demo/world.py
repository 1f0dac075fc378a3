"""What the scenes of the demo look at, and how long they wait for it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import psutil

from supervision.client import Client
from supervision.demo.crew import Crew
from supervision.demo.facts import NotSeen, expect, until
from supervision.demo.inside import Event, Inside
from supervision.demo.outside import Outside, Stopwatch
from supervision.demo.plant import line, office, plant
from supervision.model import Phase

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
    client: Client
    outside: Outside
    since_start: Stopwatch

    @property
    def line(self) -> Inside:
        """The supervisor of broker, sink and data flow."""
        return Inside(self.client, line.path)

    @property
    def office(self) -> Inside:
        """The supervisor of the panel."""
        return Inside(self.client, office.path)

    @property
    def plant(self) -> Inside:
        """The supervisor above both."""
        return Inside(self.client, plant.path)

    def awaited(self, look: Callable[[], T | None], within: float) -> T:
        """What `until` gives; `NotSeen` at once when a process of the demo has ended, because then a check fails."""

        def look_again() -> T | None:
            self.crew_runs()
            return look()

        return until(look_again, within, self.summary)

    def running(self) -> set[str]:
        """The paths of all children, at any depth, in the phase running."""
        return {child.path for each in self.client.tree() for child in each.children if child.phase == Phase.RUNNING}

    def pid(self, path: str) -> int | None:
        """The pid that was last observed of a child."""
        above, _, name = path.rpartition("/")
        return Inside(self.client, above).pid(name)

    def summary(self) -> str:
        """One line about every supervisor and its children."""
        return "; ".join(inside.summary() for inside in (self.plant, self.line, self.office))

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


def alive(process: psutil.Process) -> bool:
    """Whether it is a process still, and not only the record of one that has ended."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def only_action(history: list[Event], name: str) -> str:
    """That the history holds one action and one run of it, which succeeded."""
    ids = {event.action for event in history}
    steps = [f"{event.before or 'wanted'} -> {event.after}" for event in history]
    expect(len(ids) == 1, f"{len(ids)} actions: {', '.join(steps)}")
    expect(history[0].reason.startswith(f"{name}:"), f"another action: {history[0].reason}")
    if [event.after for event in history] != ["queued", "running", "succeeded"]:
        raise NotSeen(", ".join(steps))
    return f"{name}, {', '.join(event.after for event in history)} in {history[-1].at - history[0].at} ms"
