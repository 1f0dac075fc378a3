"""What our own store says, asked through the client as any other program would."""

from collections.abc import Iterator
from typing import NamedTuple

from supervision.client import Client
from supervision.errors import NotFound
from supervision.model import Phase


class Event(NamedTuple):
    """What a scene needs of one record of the history; ``at`` in milliseconds of the store's clock."""

    at: int
    kind: str
    before: str
    after: str
    reason: str
    action: str


class Inside:
    """One supervisor as the store has it; every question raises `StoreUnavailable` within seconds."""

    def __init__(self, client: Client, supervisor: str) -> None:
        self._client = client
        self._supervisor = supervisor

    def running(self) -> set[str]:
        """The names of the children in the phase running."""
        return {name for name, phase, _ in self._children() if phase == Phase.RUNNING}

    def summary(self) -> str:
        """One line: the circuit, and each child with the reason of its state."""
        children = ", ".join(f"{name} {phase} ({reason})" for name, phase, reason in self._children())
        circuits = (found.circuit for found in self._client.tree() if found.path == self._supervisor)
        return f"circuit {next(circuits, 'unknown')}; {children or 'no worker has declared a child yet'}"

    def pid(self, child: str) -> int | None:
        """The pid that was last observed, None when there was none."""
        described = self._client.describe(f"{self._supervisor}/{child}", events=0)
        observed = getattr(described, "observed", None) or {}
        pid: int | None = observed.get("pid")
        return pid

    def mark(self) -> str:
        """The present end of the history."""
        return self._client.last_event_id()

    def circuit_changes(self, since: str) -> list[Event]:
        """How the circuit has changed since a `mark`."""
        return [event for event in self._events(self._supervisor, since) if event.kind == "circuit"]

    def actions(self, child: str, since: str) -> list[Event]:
        """What became of the actions on ``child`` since a `mark`."""
        return [event for event in self._events(f"{self._supervisor}/{child}", since) if event.kind == "action"]

    def _events(self, subject: str, since: str) -> Iterator[Event]:
        for past in self._client.events(since=since, subject=subject):
            yield Event(past.at, past.kind, past.before, past.after, past.reason, past.action)

    def _children(self) -> list[tuple[str, str, str]]:
        """Name, phase and reason of each; none until a worker has declared the supervisor."""
        try:
            found = self._client.tree()
        except NotFound:
            return []
        children = [
            child for supervisor in found if supervisor.path == self._supervisor for child in supervisor.children
        ]
        return [
            (child.path.removeprefix(f"{self._supervisor}/"), child.phase or "not yet ticked", child.reason)
            for child in children
        ]
