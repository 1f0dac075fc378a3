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
    subject: str
    before: str
    after: str
    reason: str
    action: str


class Inside:
    """One supervisor as the store has it; every question raises `StoreUnavailable` within seconds."""

    def __init__(self, client: Client, supervisor: str) -> None:
        self._client = client
        self.path = supervisor

    def running(self) -> set[str]:
        """The names of the children in the phase running."""
        return {name for name, phase, _ in self._children() if phase == Phase.RUNNING}

    def summary(self) -> str:
        """One line: the circuit, and each child with the reason of its state."""
        children = ", ".join(f"{name} {phase} ({reason})" for name, phase, reason in self._children())
        circuits = (found.circuit for found in self._client.tree() if found.path == self.path)
        told = children or "no worker has declared a child yet"
        return f"{self.path}: circuit {next(circuits, 'unknown')}; {told}"

    def pid(self, child: str) -> int | None:
        """The pid that was last observed, None when there was none."""
        described = self._client.describe(f"{self.path}/{child}", events=0)
        observed = getattr(described, "observed", None) or {}
        pid: int | None = observed.get("pid")
        return pid

    def mark(self) -> str:
        """The present end of the history."""
        return self._client.last_event_id()

    def circuit(self) -> str:
        """Where the circuit is."""
        return next(found.circuit for found in self._client.tree() if found.path == self.path)

    def circuit_changes(self, since: str) -> list[Event]:
        """How the circuit has changed since a `mark`."""
        return [event for event in self._events(self.path, since) if event.kind == "circuit"]

    def calls(self, since: str) -> list[Event]:
        """Everybody's calls for help since a `mark`, whichever supervisor made them."""
        return [event for event in self._events("", since) if event.kind == "escalation"]

    def reset(self, incident: str, reason: str) -> None:
        """Say, as a person does, that ``incident`` is over."""
        self._client.reset(self.path, incident=incident, by="demo", reason=reason)

    def actions(self, child: str, since: str) -> list[Event]:
        """What became of the actions on ``child`` since a `mark`."""
        return [event for event in self._events(f"{self.path}/{child}", since) if event.kind == "action"]

    def _events(self, subject: str, since: str) -> Iterator[Event]:
        """Those of exactly this ``subject``, not of what is below it; of all when it is empty."""
        for past in self._client.events(since=since, subject=subject):
            if past.subject == (subject or past.subject):
                yield Event(past.at, past.kind, past.subject, past.before, past.after, past.reason, past.action)

    def _children(self) -> list[tuple[str, str, str]]:
        """Name, phase and reason of each; none until a worker has declared the supervisor."""
        try:
            found = self._client.tree()
        except NotFound:
            return []
        children = [child for supervisor in found if supervisor.path == self.path for child in supervisor.children]
        return [
            (child.path.removeprefix(f"{self.path}/"), child.phase or "not yet ticked", child.reason)
            for child in children
        ]
