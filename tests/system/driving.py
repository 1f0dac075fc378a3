"""A runtime without Celery around it: what beat and workers would call, called in a loop, on a real store."""

from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue

from waiting import until

from supervision.model import ChildRecord
from supervision.runtime import Runtime
from supervision.store.history import Past
from supervision.store.outbox import Entry
from supervision.store.store import Store
from supervision.supervisor import Supervisor
from supervision.view import Claim


class Driven:
    """Collects, ticks and acts on ``supervisor`` in turn, and is its own publisher."""

    def __init__(self, store: Store, supervisor: Supervisor) -> None:
        self.store, self.supervisor = store, supervisor
        self.runtime = Runtime(store, self, {supervisor.path: supervisor})
        self._actions: SimpleQueue[str] = SimpleQueue()

    def publish(self, entries: Iterable[Entry]) -> list[Entry]:
        offered = list(entries)
        for entry in offered:
            if entry.kind == "act":
                self._actions.put(entry.subject)
        return offered

    def step(self) -> None:
        """What a second brings."""
        self.runtime.collect(self.supervisor.path)
        self.runtime.tick(self.supervisor.path)
        while True:
            try:
                self.runtime.run_action(self._actions.get_nowait())
            except Empty:
                break
        self.runtime.sweep_due()

    def until(self, condition: Callable[[], object], *, timeout: float = 60.0) -> None:
        """Drive until ``condition`` holds."""

        def met() -> object:
            self.step()
            return condition()

        until(met, timeout=timeout, what=self.story)

    def record(self, child: str) -> ChildRecord | None:
        return self.store.ticks.load(self.supervisor, Claim(1, self.now(), 0)).children[child].record

    def state(self, child: str) -> str:
        found = self.record(child)
        return found.state if found else ""

    def observed(self, child: str) -> object:
        found = self.store.ticks.load(self.supervisor, Claim(1, self.now(), 0)).children[child].observation
        return found.document if found else None

    def now(self) -> int:
        seconds, micros = self.store.client.time()
        return int(seconds) * 1000 + int(micros) // 1000

    def past(self, subject: str, kind: str) -> list[Past]:
        return [p for p in self.store.history.latest(1000) if p.subject == subject and p.kind == kind]

    def story(self) -> str:
        latest = self.store.history.latest(40)
        return "what it should come to; it went\n" + "\n".join(
            f"{p.at} {p.kind} {p.subject} {p.before}->{p.after} {p.reason[:300]}" for p in latest
        )
