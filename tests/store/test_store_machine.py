"""Anything in any order: tickers, collectors, workers, sweeps and people, some slow, some twice, some with old news.

Hypothesis chooses the order; after every step what must always hold is looked up in the store. Time is the server's;
that a time has come is simulated by moving it into the past. `HYPOTHESIS_PROFILE=ci` makes a longer search.
"""

import itertools
import os
import uuid
from collections import defaultdict
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from lamps import (
    Post,
    ask,
    control,
    equally_warm,
    everything,
    expire_lease,
    forget_slot,
    now,
    plant,
    set_control,
    sight,
    wish,
)

from supervision.actions import TRANSITIONS as ACTION_MOVES
from supervision.backoff import Backoff
from supervision.circuit import TRANSITIONS as CIRCUIT_MOVES
from supervision.circuit import Circuit, State
from supervision.decide import Plan, decide
from supervision.model import ChildRecord
from supervision.runtime import Runtime
from supervision.server import EmbeddedStore
from supervision.store.actions import Record
from supervision.store.history import Past
from supervision.store.observations import Look, Sight
from supervision.store.outbox import Entry
from supervision.store.store import Store
from supervision.view import Claim, Mode, View

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "ci"

SEARCH = settings(
    max_examples=400 if LONG else 40,
    stateful_step_count=80 if LONG else 50,
    derandomize=not LONG,  # a plain test run says the same about the same code each time
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

HOUR_MS = 3_600_000
LAMPS = ("lamp-0", "lamp-1")
LIVE = {"queued", "running", "retrying"}

which = st.integers(0, 99)
lamp = st.sampled_from(LAMPS)
heat = st.integers(0, 1)
warmths = st.sampled_from(
    ((0, 0), (0, 0), (0, 0), (1, 1), (0, 1))
)  # mostly alike: a circuit that is open lets little happen
rarely = st.sampled_from((False, False, False, True))


class StoreMachine(RuleBasedStateMachine):
    """One namespace, three tickers, and what they and the broker and the workers have in their hands."""

    url = ""

    @initialize()
    def begin(self) -> None:
        self.store = Store(self.url, f"machine-{uuid.uuid4().hex}")
        self.plant = plant(checks=[equally_warm], restart=Backoff(base=0.001, cap=0.001), stale_after=60)
        self.post = Post()
        self.runtime = Runtime(self.store, self.post, {"plant": self.plant})
        self.ticks: dict[int, tuple[Claim, View, Plan]] = {}
        self.looks: list[Look] = []
        self.runs: list[Record] = []
        self.ids = itertools.count()
        self.ended: dict[str, Record] = {}
        self.known: set[str] = set()
        self.epoch = self.fence = self.clean = 0
        self.last = "-"
        self.history: dict[tuple[str, str], list[Past]] = defaultdict(list)
        self.tick()  # a child is born in its first tick; what is interesting comes after it

    # Tickers

    @rule(ticker=st.integers(0, 2), mode=st.sampled_from(("slot", "dirty")), takeover=st.booleans())
    def claim(self, ticker: int, mode: Mode, *, takeover: bool) -> None:
        """As the first one in this slot; ``takeover`` when whoever holds the lease was silent for too long."""
        forget_slot(self.store, self.plant)
        if takeover:
            expire_lease(self.store)
        claim = self.store.ticks.claim(self.plant, mode)
        if isinstance(claim, Claim):
            assert claim.epoch > self.epoch
            assert claim.epoch >= claim.now
            view = self.store.ticks.load(self.plant, claim)
            self.ticks[ticker] = claim, view, decide(view, claim.now)

    @precondition(lambda self: self.ticks)
    @rule(ticker=which, published=st.booleans())
    def commit(self, ticker: int, *, published: bool) -> None:
        """Whoever claimed, however long ago; the process may die before it has published anything."""
        claim, view, plan = self.ticks.pop(sorted(self.ticks)[ticker % len(self.ticks)])
        old = int(control(self.store)[b"epoch"]) != claim.epoch
        before = everything(self.store) if old else {}
        committed = self.store.ticks.commit(view, plan, claim)
        if old:
            assert (committed.outcome, committed.entries) == ("superseded", ())
            assert everything(self.store) == before
        else:
            assert committed.outcome in {"done", "again"}
            assert (control(self.store)[b"clean"] == control(self.store).get(b"dirty", b"0")) == (
                committed.outcome == "done"
            )
            if published:
                self.send(committed.entries)

    @rule(child=lamp, meanwhile=st.sampled_from(("nothing", "a person", "a look", "another tick", "a dead worker")))
    def tick_while(self, child: str, meanwhile: str) -> None:
        """A whole tick, with something else between what it saw and what it writes."""
        self.ticks.clear()
        self.claim(0, "slot", takeover=True)
        if meanwhile == "a person":
            self.a_person_restarts(child, again=False)
        elif meanwhile == "a look":
            self.look((False, False), (0, 1), came_back=2)
        elif meanwhile == "another tick":
            self.claim(1, "slot", takeover=True)
        elif meanwhile == "a dead worker":
            self.a_worker_dies(child)
        self.commit(0, published=True)

    def tick(self) -> None:
        self.ticks.clear()
        self.claim(0, "slot", takeover=True)
        self.commit(0, published=True)

    @rule(what=st.sampled_from(("a clock set back", "scripts flushed")))
    def trouble(self, what: str) -> None:
        """The server forgot its scripts, or what was written before its clock was set back lies in the future."""
        if what == "scripts flushed":
            ask(self.store).script_flush()
        else:
            ahead = now(self.store) + HOUR_MS
            set_control(self.store, epoch=max(ahead, self.epoch), slot=ahead // 1000, lease_until=ahead)
            set_control(self.store, look_slot=ahead // 1000)
            ask(self.store).set(self.store.keys.fence, max(ahead, self.fence))

    # Collectors

    @rule(on=st.tuples(rarely, rarely), warmth=warmths, came_back=st.sampled_from((2, 2, 2, 1, 0)))
    def look(self, on: tuple[bool, bool], warmth: tuple[int, int], *, came_back: int) -> None:
        """A look at both lamps, of which not all come back in time."""
        found = self.store.observations.look(self.plant, periodic=False)
        assert found is not None
        assert all(found.sequence > earlier.sequence for earlier in self.looks)
        self.looks.append(found)
        sights = [sight(name, on=on[i], heat=warmth[i]) for i, name in enumerate(LAMPS[:came_back])]
        self.send(self.store.observations.seen(self.plant, found, sights))

    @precondition(lambda self: self.looks)
    @rule(look=which, child=lamp, on=st.booleans(), warmth=heat, failed=st.booleans())
    def see(self, look: int, child: str, *, on: bool, warmth: int, failed: bool) -> None:
        """What any look saw, also one that began long ago."""
        begun = self.looks[look % len(self.looks)]
        what = Sight(child, error="dark") if failed else sight(child, on=on, heat=warmth)
        before, newest = self.seen(child), max(self.mark("seen", child), self.mark("errors", child))
        self.send(self.store.observations.seen(self.plant, begun, [what]))
        if newest >= begun.sequence:
            assert self.seen(child) == before

    # Workers

    @precondition(lambda self: any(entry.kind == "act" for entry in self.post.taken))
    @rule(message=which)
    def deliver(self, message: int) -> None:
        """Any message, also one that was delivered before."""
        acts = [entry for entry in self.post.taken if entry.kind == "act"]
        self.start(acts[message % len(acts)].subject)

    def start(self, action: str) -> None:
        run = self.store.actions.start(action)
        if isinstance(run, Record):
            assert run.fence > self.fence
            assert run.attempt <= run.retries + 1
            self.fence = run.fence
            self.runs.append(run)

    @precondition(lambda self: self.runs)
    @rule(run=which, outcome=st.sampled_from(("succeeded", "failed")), retry=st.booleans())
    def finish(self, run: int, outcome: str, *, retry: bool) -> None:
        """One of the last runs, also one that was reaped or has ended before."""
        record = self.runs[-1 - run % min(len(self.runs), 4)]
        stored = self.store.actions.get(record.id)
        assert stored is not None
        ended = self.store.actions.finish(record, outcome=outcome, error="by chance", retry=retry)
        same_run = stored.fence == record.fence
        heard_before = same_run and stored.state in ({outcome, "retrying"} if outcome == "failed" else {outcome})
        assert (ended.outcome == "late") == (not heard_before and (stored.state != "running" or not same_run))
        assert not (heard_before and ended.entries)
        self.send(ended.entries)

    @rule(child=lamp)
    def a_worker_dies(self, child: str) -> None:
        """The run is reaped, its backoff is over, and another worker takes it; the first one may still finish late."""
        if action := self.flight().get(child):
            self.start(action)
            for _ in range(2):
                ask(self.store).zadd(self.store.keys.due, {action: 1}, xx=True)
                self.runtime.sweep_due()
            self.start(action)

    # Sweeps, people, and the server

    @rule(action=which)
    def sweep_due(self, action: int) -> None:
        """When some action's time has come."""
        waiting = ask(self.store).zrange(self.store.keys.due, 0, -1)
        if waiting:
            ask(self.store).zadd(self.store.keys.due, {waiting[action % len(waiting)]: 1})
        assert self.runtime.sweep_due() >= len(waiting[:1])

    def sweep_outbox(self) -> None:
        waiting = ask(self.store).zrange(self.store.keys.outbox, 0, -1)
        if waiting:
            ask(self.store).zadd(self.store.keys.outbox, dict.fromkeys(waiting, 1))
        sent = self.runtime.sweep_outbox()
        assert sent == (0 if self.post.broken else len(waiting))

    @rule(broken=st.booleans())
    def the_broker_is_away_or_back(self, *, broken: bool) -> None:
        self.post.broken = broken
        self.sweep_outbox()

    @rule(child=lamp, again=st.booleans())
    def a_person_restarts(self, child: str, *, again: bool) -> None:
        number = next(self.ids)
        name = f"by-ann-{number - 1 if again else number}"
        taken = ask(self.store).hget(self.store.keys.of("plant", "flight"), child)
        exists = self.store.actions.get(name)
        outcome, sent = self.store.actions.reserve("plant", "ann", wish(child, name))
        assert outcome == ("duplicate" if exists else "busy" if taken else "reserved")
        self.send(sent)

    # What must always hold

    @invariant()
    def one_action_per_child_is_in_flight(self) -> None:
        live = {record.child: record.id for record in self.actions() if record.state in LIVE}
        assert live == self.flight()
        assert len(live) == sum(record.state in LIVE for record in self.actions())
        assert sum(record.state in LIVE and record.incident != "" for record in self.actions()) <= 1

    @invariant()
    def every_live_action_will_be_looked_after(self) -> None:
        due = {name.decode() for name in ask(self.store).zrange(self.store.keys.due, 0, -1)}
        assert due == {record.id for record in self.actions() if record.state in LIVE}

    @invariant()
    def every_entry_is_whole(self) -> None:
        waiting = set(ask(self.store).zrange(self.store.keys.outbox, 0, -1))
        assert waiting == set(ask(self.store).hkeys(self.store.keys.entries))

    @invariant()
    def what_only_grows_has_not_shrunk(self) -> None:
        marks = control(self.store)
        epoch, clean = int(marks.get(b"epoch", 0)), int(marks.get(b"clean", 0))
        fence = int(ask(self.store).get(self.store.keys.fence) or 0)
        assert epoch >= self.epoch
        assert fence >= self.fence
        assert self.clean <= clean <= int(marks.get(b"dirty", 0))
        self.epoch, self.fence, self.clean = epoch, fence, clean

    @invariant()
    def what_ended_stays_as_it_ended(self) -> None:
        for record in self.actions():
            assert self.ended.get(record.id, record) == record
            if record.state not in LIVE:
                self.ended[record.id] = record

    @invariant()
    def every_transition_is_in_the_history(self) -> None:
        for event in self.store.history.since(self.last):
            self.last = event.id
            self.history[event.kind, event.action or event.subject].append(event)
        for record in self.actions():
            assert path(self.history["action", record.id], "", ACTION_MOVES) == record.state
        for child, stored in self.records().items():
            assert path(self.history["state", f"plant/{child}"], "") == stored.state
        circuit = msgspec.json.decode(control(self.store).get(b"circuit", b"{}"), type=Circuit)
        moves = {before.value: {after.value for after in moves} for before, moves in CIRCUIT_MOVES.items()}
        assert path(self.history["circuit", "plant"], State.CLOSED, moves) == circuit.state
        assert (ask(self.store).hget(self.store.keys.incidents, "plant") is not None) == (circuit.incident != "")

    def teardown(self) -> None:
        """When all comes to rest every change was settled by a tick, and every action has ended."""
        if not hasattr(self, "store"):
            return
        self.the_broker_is_away_or_back(broken=False)
        for _ in range(20):  # what a tick changes may be what the next one goes on from, but not for ever
            self.tick()
        marks = control(self.store)
        assert marks[b"clean"] == marks.get(b"dirty", b"0")
        for _ in range(10):
            for action in self.flight().values():
                ask(self.store).zadd(self.store.keys.due, {action: 1}, xx=True)
                self.runtime.sweep_due()
                self.store.actions.start(action)
        assert self.flight() == {}
        self.one_action_per_child_is_in_flight()
        self.every_live_action_will_be_looked_after()
        self.store.close()

    # What is stored

    def send(self, entries: tuple[Entry, ...]) -> None:
        self.store.outbox.published(self.post.publish(entries))

    def flight(self) -> dict[str, str]:
        found = ask(self.store).hgetall(self.store.keys.of("plant", "flight"))
        return {child.decode(): action.decode() for child, action in found.items()}

    def actions(self) -> list[Record]:
        """Every action that there ever was."""
        self.known |= {name for kind, name in self.history if kind == "action"} | set(self.flight().values())
        found = [self.store.actions.get(name) for name in sorted(self.known)]
        assert all(found)
        return [record for record in found if record]

    def records(self) -> dict[str, ChildRecord]:
        found = ask(self.store).hgetall(self.store.keys.of("plant", "records"))
        return {name.decode(): msgspec.json.decode(text, type=ChildRecord) for name, text in found.items()}

    def mark(self, what: str, child: str) -> int:
        """The sequence of the last good or failed look."""
        found: bytes = ask(self.store).hget(self.store.keys.of("plant", what), child) or b"0"
        return int(found.split(b":")[0])

    def seen(self, child: str) -> list[bytes | None]:
        """All that observers have written about a child."""
        return [
            ask(self.store).hget(self.store.keys.of("plant", what), child) for what in ("seen", "errors", "observed")
        ]


def path(events: list[Past], start: str, moves: Any = None) -> str:
    """Where the recorded transitions lead, each beginning where the one before it ended, and each of them allowed."""
    at = start
    for event in events:
        assert event.before == at, [(e.before, e.after) for e in events]
        assert moves is None or event.after in moves[at]
        at = event.after
    return at


@pytest.mark.timeout(900)  # finding the shortest way to a failure takes minutes; without one it is seconds
def test_nothing_that_can_happen_breaks_what_must_hold(server: EmbeddedStore) -> None:
    StoreMachine.url = server.url
    run_state_machine_as_test(StoreMachine, settings=SEARCH)
