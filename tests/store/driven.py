"""Steps on a plant of two lamps through the real runtime, and what its history says that must have been counted.

Also run as a process, beside others of its kind: ``python driven.py URL NAMESPACE SEED STEPS``.
"""

import random
import sys
from collections import Counter
from collections.abc import Iterable, Mapping

from lamps import (
    Lamp,
    LampSeen,
    Post,
    ask,
    equally_warm,
    expire_lease,
    forget_slot,
    settled,
    wish,
)

from supervision.actions import Run, action
from supervision.backoff import Backoff
from supervision.errors import NotRetryable
from supervision.runtime import Runtime
from supervision.store.actions import Record
from supervision.store.history import Past
from supervision.store.store import Store
from supervision.supervisor import Supervisor
from supervision.view import Claim

NAME = "plant"


class Bulb(Lamp):
    """A lamp whose reality, and what becomes of its actions, is in the hands of a test."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.real = LampSeen(on=True)
        self.error: Exception | None = None

    def observe(self) -> LampSeen:
        return self.real

    @action(timeout=5, retries=1, backoff=Backoff(base=0.001, cap=0.001))
    def switch_on(self, _run: Run) -> None:
        if self.error:
            raise self.error
        self.real = LampSeen(on=True, heat=self.real.heat)

    @action(timeout=5)
    def restart(self, _run: Run) -> None:
        if self.error:
            raise self.error


class Driven:
    """The plant, its runtime, and one method per step; each does what a process would do next, or dies doing it."""

    def __init__(self, store: Store) -> None:
        self.store, self.post = store, Post()
        self.bulbs = [Bulb("lamp-0"), Bulb("lamp-1")]
        self.plant = Supervisor(
            NAME,
            self.bulbs,
            checks=[equally_warm],
            interval=0.01,
            max_attempts=2,
            restart=Backoff(base=0.001, cap=0.001),
        )
        self.runtime = Runtime(store, self.post, {NAME: self.plant})
        self.abandoned: list[Record] = []
        self.asked = 0

    def look(self) -> None:
        ask(self.store).hdel(self.store.keys.of(NAME, "control"), "look_slot")
        self.runtime.collect(NAME)

    def tick(self) -> None:
        forget_slot(self.store, self.plant)
        self.runtime.tick(NAME)

    def tick_again(self) -> None:
        self.runtime.tick(NAME)

    def wake(self) -> None:
        self.runtime.tick(NAME, "dirty")

    def be_overtaken(self) -> None:
        """A tick that loses its lease to another one, and commits too late."""
        forget_slot(self.store, self.plant)
        expire_lease(self.store)
        late = self.store.ticks.claim(self.plant, "slot")
        if not isinstance(late, Claim):
            return  # another process is at work
        expire_lease(self.store)
        self.tick()
        settled(self.store, self.plant, late)

    def go_dark(self) -> None:
        self._toggle(self.bulbs[1], on=not self.bulbs[1].real.on)

    def warm_up(self) -> None:
        self._toggle(self.bulbs[0], heat=1 - self.bulbs[0].real.heat)

    def break_down(self) -> None:
        for bulb in self.bulbs:
            bulb.error = None if bulb.error else RuntimeError("it stays dark")

    def refuse(self) -> None:
        for bulb in self.bulbs:
            bulb.error = NotRetryable("never")

    def act(self) -> None:
        """Run what was sent last, whether or not it was run before."""
        for action_id in self._sent()[-1:]:
            self.runtime.run_action(action_id)

    def act_early(self) -> None:
        for action_id in self._sent()[:1]:
            self.runtime.run_action(action_id)

    def die(self) -> None:
        """Start what was sent last, and never end it."""
        for action_id in self._sent()[-1:]:
            record = self.store.actions.start(action_id)
            self.abandoned += [record] if isinstance(record, Record) else []

    def come_late(self) -> None:
        for record in self.abandoned:
            self.store.actions.finish(record, outcome="succeeded")

    def sweep(self) -> None:
        """As if every time had come."""
        for action_id in ask(self.store).zrange(self.store.keys.due, 0, -1):
            ask(self.store).zadd(self.store.keys.due, {action_id: 1}, xx=True)
        self.runtime.sweep_due()

    def ask_for(self) -> None:
        self.asked += 1
        self.store.actions.reserve(NAME, "ann", wish("lamp-1", f"asked-{id(self)}-{self.asked}"))

    def _toggle(self, bulb: Bulb, *, on: bool | None = None, heat: int | None = None) -> None:
        now = bulb.real
        bulb.real = LampSeen(now.on if on is None else on, now.heat if heat is None else heat)

    def _sent(self) -> list[str]:
        return [entry.subject for entry in self.post.taken if entry.kind == "act"]


STEPS = (
    *("look", "tick", "look", "tick", "act", "act", "tick_again", "wake", "go_dark", "warm_up", "break_down"),
    *("refuse", "act_early", "die", "come_late", "sweep", "ask_for", "be_overtaken"),
)


def told(history: Iterable[Past]) -> Mapping[str, int]:
    """What the history says that must have been counted, as fields of the counts."""
    events, counts, escalated = list(history), Counter[str](), False
    for event in events:
        if event.kind == "state":
            counts[f"supervisor_transitions_total|supervisor={NAME}|state={event.after}"] += 1
        elif event.kind == "incident_ended":
            escalated = False
        elif event.kind == "circuit" and event.after in _CIRCUIT:
            if event.after == "escalated" and escalated:
                continue  # counted once per incident
            escalated |= event.after == "escalated"
            counts[f"{_CIRCUIT[event.after]}|supervisor={NAME}"] += 1
        elif event.kind == "action":
            _count_action(event, events, counts)
    return counts


_CIRCUIT = {
    "open": "supervisor_infrastructure_check_failures_total",
    "closed": "supervisor_circuit_breaker_recoveries_total",
    "escalated": "supervisor_escalations_total",
}


def _count_action(event: Past, events: list[Past], counts: Counter[str]) -> None:
    labels = f"|supervisor={NAME}|action_type={event.reason.split(':')[0]}"
    if event.before == "":
        counts[f"supervisor_actions_enqueued_total{labels}"] += 1
    if event.after not in {"succeeded", "failed"}:
        return
    counts[f"supervisor_actions_completed_total{labels}|status={event.after}"] += 1
    own = [each for each in events if each.action == event.action]
    for began in [each.at for each in own if each.after == "running"][-1:]:
        _measure(counts, f"supervisor_action_duration_seconds{labels}", (0.1, 0.5, 1, 5, 10, 30, 60), event.at - began)
    past = events[: events.index(event)]  # in the stream's order: one millisecond may hold both
    opened = [each.at for each in past if each.kind == "circuit" and each.before == "closed"]
    if opened and opened[-1] > own[0].at:
        counts[f"supervisor_actions_during_circuit_total{labels}"] += 1
        lasted = event.at - opened[-1]
        _measure(counts, f"supervisor_action_post_circuit_duration_seconds{labels}", (1, 5, 10, 30, 60), lasted)


def _measure(counts: Counter[str], name: str, bounds: tuple[float, ...], milliseconds: int) -> None:
    bucket = next((f"{bound:g}" for bound in bounds if milliseconds <= bound * 1000), "+Inf")
    counts[f"{name}|le={bucket}"] += 1
    counts[f"{name}|sum=ms"] += milliseconds


if __name__ == "__main__":
    url, namespace, seed, steps = sys.argv[1:]
    driven, dice = Driven(Store(url, namespace)), random.Random(seed)  # noqa: S311 # no secret hangs on it
    for _ in range(int(steps)):
        getattr(driven, dice.choice(STEPS))()
