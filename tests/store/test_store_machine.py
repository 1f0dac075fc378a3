"""Anything in any order: tickers, collectors, workers, sweeps and people, some slow, some twice, some with old news.

Hypothesis chooses the order; after every step what must always hold is looked up in the store. Time is the server's;
that a time has come is simulated by moving it into the past. What the tests search is the same each time, but for the
milliseconds that pass; `HYPOTHESIS_PROFILE=ci` makes a longer search that is another one each time.

What is supervised: ``site``, and ``site/plant`` below it, with two lamps and as many more as its document wants. The
steps of a process come one by one, so each of them may be the last one: what a ticker, an actor or a looker still has
in its hands may be dropped, come late, come twice, or come in another order.
"""

import itertools
import os
import sys
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from lamps import (
    Lamp,
    Post,
    ask,
    control,
    equally_warm,
    everything,
    expire_lease,
    forget_slot,
    now,
    plant,
    sight,
    wish,
)
from replayed import COUNTED, Replayed

from supervision import freshness
from supervision.backoff import Backoff
from supervision.circuit import Circuit, State
from supervision.decide import Plan, decide
from supervision.model import ChildRecord
from supervision.orders import WHOLE, Forced, Mode, Pause, Silence
from supervision.runtime import Runtime
from supervision.server import EmbeddedStore
from supervision.store.actions import Record, _record
from supervision.store.observations import Look, Sight
from supervision.store.orders import Asked
from supervision.store.outbox import Entry
from supervision.store.registry import DOCUMENTS
from supervision.store.store import Store
from supervision.supervisor import Supervisor
from supervision.view import Claim, View
from supervision.view import Mode as Why

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "ci"

PLENTY = 10_000
"""Steps of a long search, at least."""

SEARCH = settings(
    max_examples=45,
    stateful_step_count=40,
    derandomize=True,  # a plain test run says the same about the same code each time
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

LONG_SEARCH = settings(SEARCH, max_examples=400, stateful_step_count=80, derandomize=False)

HOUR_MS = 3_600_000
SITE, PLANT = "site", "site/plant"
LAMPS = ("lamp-0", "lamp-1")
ANN = Asked("ann", "as it came to her mind")
LIVE = {"queued", "running", "retrying"}

which = st.integers(0, 99)
lamp = st.sampled_from(LAMPS)
anybody = st.sampled_from((*LAMPS, "extra-0", "extra-1"))
heat = st.integers(0, 1)
warmths = st.sampled_from(
    ((0, 0), (0, 0), (0, 0), (1, 1), (0, 1))
)  # mostly alike: a circuit that is open lets little happen
rarely = st.sampled_from((False, False, False, True))


def only_if(condition: Callable[[Any], object]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A rule that does nothing unless ``condition``: which may hang on the server's clock, as no precondition may."""

    def decorated(step: Callable[..., None]) -> Callable[..., None]:
        @wraps(step)
        def taken(self: Any, *given: Any, **choices: Any) -> None:
            if condition(self):
                step(self, *given, **choices)

        return taken

    return decorated


@dataclass(frozen=True)
class Wanted:
    extra: int | None = 0


def extras(wanted: Wanted) -> list[Lamp] | None:
    return None if wanted.extra is None else [Lamp(f"extra-{i}") for i in range(wanted.extra)]


def declared(lamps: int = 2) -> tuple[Supervisor, Supervisor]:
    """The site and its plant, as one version of the code has them."""
    quick: dict[str, Any] = {"restart": Backoff(base=0.001, cap=0.001), "max_attempts": 2, "stale_after": 60}
    own: dict[str, Any] = {"dynamic": extras, "Desired": Wanted, "observe_timeout": 0.001, "window": 0.5}
    line = plant(lamps, checks=[equally_warm] if lamps > 1 else [], **quick, **own)
    return Supervisor("site", [line], **quick), line


class StoreMachine(RuleBasedStateMachine):
    """One namespace, three tickers, and what they and the broker and the workers have in their hands."""

    url = ""
    steps = 0
    seen_to_happen: ClassVar[Counter[str]] = Counter()

    @initialize()
    def begin(self) -> None:
        self.store = Store(self.url, f"machine-{uuid.uuid4().hex}")
        self.site, self.plant = declared()
        self.before = declared(1)[1]
        """The plant in an earlier version of the code, which does not know the second lamp."""
        self.post = Post()
        self.runtime = Runtime(self.store, self.post, {each.path: each for each in self.site.tree()})
        self.runtime.declare()
        self.ticks: dict[int, tuple[Claim, View, Plan]] = {}
        self.reports: list[tuple[View, Plan, Claim]] = []
        self.looks: list[Look] = []
        self.alone: list[tuple[str, Look]] = []
        self.runs: list[Record] = []
        self.ids = itertools.count()
        self.ended: dict[str, Record] = {}
        self.fence = 0
        self.marks: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        """The last epoch and the last settled version, by supervisor."""
        self.delivered: set[int] = set()
        self.may_have_lost = {SITE: False, PLANT: False}
        """Whether a wake-up, or who was to tick, may be lost: then only a sweep brings a tick before the next slot."""
        self.removed_at: dict[str, int] = {}
        self.last, self.told = "-", Replayed()
        self.tick()  # a child is born in its first tick; what is interesting comes after it

    # Tickers

    @rule(ticker=st.integers(0, 2), why=st.sampled_from(("slot", "dirty")), takeover=st.booleans())
    def claim(self, ticker: int, why: Why, *, takeover: bool) -> None:
        """As the first one in this slot; ``takeover`` when whoever holds the lease was silent for too long."""
        forget_slot(self.store, self.plant)
        if takeover:
            expire_lease(self.store, PLANT)
        claim = self.store.ticks.claim(self.plant, why)
        if isinstance(claim, Claim):
            assert claim.epoch > self.marks[PLANT][0]
            assert claim.epoch >= claim.now
            self.forget_ticker(ticker)
            view = self.store.ticks.load(self.plant, claim)
            self.ticks[ticker] = claim, view, decide(view, claim.now)

    @rule(ticker=which, published=st.booleans(), reported=st.booleans())
    @only_if(lambda self: self.ticks)
    def commit(self, ticker: int, *, published: bool, reported: bool) -> None:
        """Whoever claimed, however long ago; the process may die before it has published or reported anything."""
        claim, view, plan = self.ticks.pop(sorted(self.ticks)[ticker % len(self.ticks)])
        old = int(control(self.store, PLANT).get(b"epoch", 0)) != claim.epoch
        before = everything(self.store) if old else {}
        committed = self.store.ticks.commit(view, plan, claim)
        if old:
            assert (committed.outcome, committed.entries) == ("superseded", ())
            assert everything(self.store) == before
            self.seen_to_happen["commit superseded"] += 1
            return
        assert committed.outcome in {"done", "again"}
        marks = control(self.store, PLANT)
        assert (marks[b"clean"] == marks.get(b"dirty", b"0")) == (committed.outcome == "done")
        self.seen_to_happen[f"commit {committed.outcome}"] += 1
        self.reports.append((view, plan, claim))
        if published:
            self.send(committed.entries)
        if reported:
            self.report(-1)

    @rule(ticker=which)
    @only_if(lambda self: self.who_enrols())
    def a_ticker_dies_while_members_come_and_go(self, ticker: int) -> None:
        """After it has enrolled them and before it has committed anything."""
        enrol = self.who_enrols()
        claim, view, plan = self.ticks.pop(enrol[ticker % len(enrol)])
        self.dies(PLANT, claim)
        self.seen_to_happen["died between enrol and commit"] += 1
        self.store.ticks._enrolled(view, plan, claim)

    @rule(ticker=which)
    @only_if(lambda self: self.ticks)
    def a_ticker_dies(self, ticker: int) -> None:
        self.forget_ticker(sorted(self.ticks)[ticker % len(self.ticks)])

    @rule(
        child=lamp,
        meanwhile=st.sampled_from(
            ("another tick", "a person", "a look", "another tick", "a dead worker", "an order", "another document")
        ),
    )
    def tick_while(self, child: str, meanwhile: str) -> None:
        """A whole tick, with something else between what it saw and what it writes."""
        self.forget_tickers()
        if meanwhile == "a person":
            self.look((False, False), (0, 0), came_back=4)  # so that the tick has something to give
        elif meanwhile == "another tick":
            self.want(0 if self.wanted() else 1)  # and somebody to enrol
        self.claim(0, "slot", takeover=True)
        if meanwhile == "a person":
            self.a_person_restarts(child, again=False)
        elif meanwhile == "a look":
            self.look((False, False), (0, 1), came_back=2)
        elif meanwhile == "another tick":
            self.claim(1, "slot", takeover=True)
        elif meanwhile == "a dead worker":
            self.a_worker_dies(child)
        elif meanwhile == "an order":
            self.force_open()
        elif meanwhile == "another document":
            self.want(1)
        self.commit(0, published=True, reported=True)

    def tick(self) -> None:
        self.forget_tickers()
        self.claim(0, "slot", takeover=True)
        self.commit(0, published=True, reported=True)

    @rule(died=rarely)
    def tick_above(self, *, died: bool) -> None:
        """A whole tick of the site, or one that dies in the middle."""
        forget_slot(self.store, self.site)
        expire_lease(self.store, SITE)
        claim = self.store.ticks.claim(self.site, "slot")
        assert isinstance(claim, Claim)
        assert claim.epoch > self.marks[SITE][0]
        view = self.store.ticks.load(self.site, claim)
        plan = decide(view, claim.now)
        if died:
            self.dies(SITE, claim)
        else:
            self.send(self.store.ticks.commit(view, plan, claim).entries)

    @rule(report=which)
    @only_if(lambda self: self.reports)
    def report(self, report: int) -> None:
        """What a tick has to say to the site, in any order and again; what is older than that is void."""
        view, plan, claim = self.reports[report % len(self.reports) if report >= 0 else report]
        newest, before = self.mark("seen", SITE, "plant"), self.seen(SITE, "plant")
        self.runtime._report(view, plan, claim)
        if newest >= claim.epoch:
            assert self.seen(SITE, "plant") == before

    @rule(message=which)
    @only_if(lambda self: self.on_their_way())
    def a_wake_up_comes(self, message: int) -> None:
        """In any order; what it brings is a tick unless one is at work, or has been."""
        entry = self.taken_off(message)
        above = entry.subject == SITE
        outcome = self.store.ticks.claim(self.site if above else self.plant, "dirty")
        self.seen_to_happen[f"woken {'to tick' if isinstance(outcome, Claim) else outcome}"] += 1
        if not isinstance(outcome, Claim):
            return
        view = self.store.ticks.load(self.site if above else self.plant, outcome)
        plan = decide(view, outcome.now)
        if above:
            self.send(self.store.ticks.commit(view, plan, outcome).entries)
        else:
            self.forget_ticker(0)
            self.ticks[0] = outcome, view, plan

    @rule(message=which)
    @only_if(lambda self: self.on_their_way())
    def a_wake_up_is_lost(self, message: int) -> None:
        entry = self.taken_off(message)
        self.may_have_lost[entry.subject] = True

    @rule()
    def sweep_wakes(self) -> None:
        """When patience is over: whoever has something to settle is woken, whatever was lost before."""
        self.forget_tickers()
        for path in (SITE, PLANT):
            expire_lease(self.store, path)
            fields = {name: "1" for name in ("claimed", "woken") if control(self.store, path).get(name.encode())}
            ask(self.store).hset(self.store.keys.of(path, "control"), mapping={"rewoken": "", **fields})
        self.runtime.sweep_wakes()
        waiting = {entry.subject for entry in self.on_their_way()} | self.unsent()
        for path in (SITE, PLANT):
            dirty, clean = self.versions(path)
            assert dirty == clean or path in waiting, f"{path} is never woken again: {control(self.store, path)}"
            # With nothing to settle it sends nothing, and who was lost stays lost: the change after it waits for the
            # next sweep or slot. See test_wakes.py for that.
            self.may_have_lost[path] &= dirty == clean

    @rule(what=st.sampled_from(("a clock set back", "scripts flushed")))
    def trouble(self, what: str) -> None:
        """The server forgot its scripts, or what was written before its clock was set back lies in the future."""
        if what == "scripts flushed":
            ask(self.store).script_flush()
            return
        ahead = now(self.store) + HOUR_MS
        self.forget_tickers()
        marks = {"epoch": max(ahead, self.marks[PLANT][0]), "slot": ahead // 1000, "lease_until": ahead}
        ask(self.store).hset(self.store.keys.of(PLANT, "control"), mapping={**marks, "look_slot": ahead // 1000})
        ask(self.store).set(self.store.keys.fence, max(ahead, self.fence))
        self.may_have_lost[PLANT] = True

    # Collectors

    @rule(late=which)
    def a_member_comes_and_goes(self, late: int) -> None:
        """And when it is gone, what an earlier look saw of it comes in."""
        self.want(1)
        for extra in (1, 0, 0, 0):
            if extra != self.wanted():
                self.want(extra)
            self.tick()
            self.look((True, True), (0, 0), came_back=4)
        self.tick()
        self.see(-1 - late % 5, "extra-0", on=True, warmth=0, failed=False)

    @rule(on=st.tuples(rarely, rarely), warmth=warmths, came_back=st.sampled_from((4, 4, 4, 2, 1, 0)))
    def look(self, on: tuple[bool, bool], warmth: tuple[int, int], *, came_back: int) -> None:
        """A look at all children, of which not all come back in time."""
        children = list(self.store.ticks.loading.children(self.plant))
        found = self.store.observations.look(self.plant, periodic=False)
        assert found is not None
        assert all(found.sequence > earlier.sequence for earlier in self.looks)
        self.looks.append(found)
        sights = [sight(name, on=on[i % 2], heat=warmth[i % 2]) for i, name in enumerate(children[:came_back])]
        self.send(self.store.observations.seen(self.plant, found, sights))

    @rule(look=which, child=anybody, on=st.booleans(), warmth=heat, failed=st.booleans())
    @only_if(lambda self: self.looks)
    def see(self, look: int, child: str, *, on: bool, warmth: int, failed: bool) -> None:
        """What any look saw, also one that began long ago, and of a child that has left since."""
        self.hear()
        begun = self.looks[look % len(self.looks)]
        if child not in self.there() and child not in self.removed_at:
            return  # nobody looks at what was never there
        self.sees(begun, child, Sight(child, error="dark") if failed else sight(child, on=on, heat=warmth))

    def sees(self, begun: Look, child: str, what: Sight) -> None:
        before, newest = self.seen(PLANT, child), max(self.mark(name, PLANT, child) for name in ("seen", "errors"))
        self.send(self.store.observations.seen(self.plant, begun, [what]))
        if newest >= begun.sequence or child not in self.there():
            assert self.seen(PLANT, child) == before

    @rule(child=anybody)
    def a_child_falls_silent(self, child: str) -> None:
        """For so long that it is looked at alone."""
        found = self.store.ticks.loading.children(self.plant)
        if mark := ask(self.store).hget(self.store.keys.of(PLANT, "seen"), child) if child in found else None:
            sequence = mark.split(b":")[0].decode()
            long_ago = now(self.store) - 3 * self.plant.dead_after_ms
            ask(self.store).hset(self.store.keys.of(PLANT, "seen"), child, f"{sequence}:{long_ago}")

    @rule(message=which, end=st.sampled_from(("seen", "failed", "slow", "dies")))
    @only_if(lambda self: any(entry.kind == "look" for entry in self.post.taken))
    def look_alone(self, message: int, end: str) -> None:
        """Any look that was sent, also again; its process may die, or come back later than all others."""
        sent = [entry.subject for entry in self.post.taken if entry.kind == "look"]
        child = sent[message % len(sent)].rpartition("/")[2]
        begun = self.store.observations.look_alone(self.plant, child)
        if begun is None or end == "dies":
            return
        self.seen_to_happen[f"looked alone: {end}"] += 1
        if end == "slow":
            self.alone.append((child, begun))
        else:
            self.sees(begun, child, Sight(child, error="dark") if end == "failed" else sight(child))

    @rule(look=which, failed=st.booleans())
    @only_if(lambda self: self.alone)
    def see_alone(self, look: int, *, failed: bool) -> None:
        child, begun = self.alone[look % len(self.alone)]
        self.sees(begun, child, Sight(child, error="dark") if failed else sight(child))

    # Workers

    @rule(message=which)
    @only_if(lambda self: any(entry.kind == "act" for entry in self.post.taken))
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

    @rule(run=which, outcome=st.sampled_from(("succeeded", "failed")), retry=st.booleans())
    @only_if(lambda self: self.runs)
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

    @rule(run=which, ended=st.booleans())
    @only_if(lambda self: any(run.supervisor == SITE for run in self.runs))
    def restart_below(self, run: int, *, ended: bool) -> None:
        """What a run of the site's action does, once or more; its process may die between the order and its end."""
        runs = [record for record in self.runs if record.supervisor == SITE]
        record = runs[-1 - run % len(runs)]
        stored = self.store.actions.get(record.id)
        assert stored is not None
        over = (stored.state, stored.fence) != ("running", record.fence)
        before = everything(self.store)
        asked_before = self.orders().get("asked:restart") == record.id
        self.send(self.store.orders.restart_all(PLANT, record.id, record.actor, record.reason, fence=record.fence))
        assert not (over or asked_before) or everything(self.store) == before
        self.seen_to_happen["restart below, " + ("too late" if over else "again" if asked_before else "once")] += 1
        if ended:
            self.send(self.store.actions.finish(record, outcome="succeeded").entries)

    @rule(child=st.sampled_from((*LAMPS, "plant")))
    def a_worker_dies(self, child: str) -> None:
        """The run is reaped, its backoff is over, and another worker takes it; the first one may still finish late."""
        if action := self.flight().get((SITE if child == "plant" else PLANT, child)):
            self.start(action)
            for _ in range(2):
                ask(self.store).zadd(self.store.keys.due, {action: 1}, xx=True)
                self.runtime.sweep_due()
            self.start(action)

    @rule(
        rounds=st.integers(1, 6),
        outcome=st.sampled_from(("succeeded", "failed", "failed")),
        warmth=st.sampled_from(((0, 1), (0, 1), (0, 0))),
    )
    def live(self, rounds: int, outcome: str, warmth: tuple[int, int]) -> None:
        """As nearly all of the time: looks, ticks, and actions that are run as soon as they are sent."""
        for _ in range(rounds):
            self.look((True, True), warmth, came_back=4)
            self.tick()
            self.act(outcome)
            self.tick_above(died=False)

    def act(self, outcome: str) -> None:
        """Every action that waits is run, and ends."""
        for (above, _child), action in self.flight().items():
            self.start(action)
            if not self.runs or self.runs[-1].id != action:
                continue
            if above == SITE:
                self.restart_below(0, ended=False)
                self.tick()  # which hears it
                self.restart_below(0, ended=True)
            else:
                self.send(self.store.actions.finish(self.runs[-1], outcome=outcome, retry=False).entries)

    @rule(child=lamp, end=st.sampled_from(("seen", "failed", "slow", "dies")))
    def climb(self, child: str, end: str) -> None:
        """A child falls silent, and ticks come by until it is looked at alone."""
        self.a_child_falls_silent(child)
        for _ in range(2):
            self.tick()
        self.look_alone(-1, end)

    # Sweeps, and the server

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

    @rule()
    def another_version_forgets_a_lamp(self) -> None:
        """Workers with the code from before the second lamp miss it, and remove it; then the newer code is back."""
        in_flight = (PLANT, "lamp-1") in self.flight()
        known = "lamp-1" in self.records(PLANT)
        assert self.store.registry.prune(self.before, keep_ms=HOUR_MS) == []
        orphans = self.store.keys.of(PLANT, "orphans")
        if ask(self.store).hexists(orphans, "lamp-1"):
            ask(self.store).hset(orphans, "lamp-1", "1")
        removed = self.store.registry.prune(self.before, keep_ms=HOUR_MS)
        assert removed == (["lamp-1"] if known and not in_flight else [])
        if removed:
            self.forget_tickers()  # a tick that is at work belongs to code that has the child
            self.leaves_nothing("lamp-1")
        self.store.registry.prune(self.plant, keep_ms=HOUR_MS)
        assert not ask(self.store).hexists(orphans, "lamp-1")

    @rule(declared_again=st.sampled_from((True, True, False)), long=rarely)
    def nobody_declares_the_plant(self, *, declared_again: bool, long: bool) -> None:
        """For long, and nothing of it is left; unless something is in flight, or it is declared again in time."""
        ahead = self.marks[PLANT][0] > now(self.store)  # a week later nothing is
        if ahead or not long:  # rarely, so that there is something to forget
            assert self.store.registry.forget(HOUR_MS) == []
            return
        self.forget_tickers()
        ask(self.store).hset(self.store.keys.declared, PLANT, "1")
        if declared_again:
            self.runtime.declare()
        kept = declared_again or any(path == PLANT for path, _ in self.flight())
        assert self.store.registry.forget(HOUR_MS) == ([] if kept else [PLANT])
        if not kept:
            assert not [key for key in everything(self.store) if f"s:{PLANT}:" in key]
            assert not [name for name in self.counts() if f"|supervisor={PLANT}|" in f"{name}|"]
            self.seen_to_happen["forgotten"] += 1
            self.marks.pop(PLANT, None)
            self.may_have_lost[PLANT] = True
            self.reports.clear()
            self.removed_at.clear()
            self.looks.clear()
            self.alone.clear()
        self.runtime.declare()

    # People

    @rule(child=lamp, again=st.booleans())
    def a_person_restarts(self, child: str, *, again: bool) -> None:
        number = next(self.ids)
        name = f"by-ann-{number - 1 if again else number}"
        taken = self.flight().get((PLANT, child))
        exists = self.store.actions.get(name)
        outcome, sent = self.store.actions.reserve(PLANT, "ann", wish(child, name))
        there = child in self.records(PLANT) or not ask(self.store).hexists(self.store.keys.of(PLANT, "gone"), child)
        assert outcome == ("duplicate" if exists else "gone" if not there else "busy" if taken else "reserved")
        self.send(sent)

    @rule(extra=st.sampled_from((None, 0, 0, 1, 2)))
    def want(self, extra: int | None) -> None:
        """As many members as that, whatever was wanted before; from an old revision nothing is."""
        self.hear()
        before = self.told.revisions.get(PLANT, "0")
        document = msgspec.json.encode(Wanted(extra)).decode()
        done, _ = self.store.orders.desire(PLANT, WHOLE, document, expected=int(before) + 7, asked=self.asked())
        assert not done
        done, revision = self.store.orders.desire(PLANT, WHOLE, document, expected=int(before), asked=self.asked())
        assert (done, revision) == (True, int(before) + 1)
        self.may_have_lost[PLANT] = True  # `desire` hands no message to whoever asks: the outbox has it

    @rule(what=st.sampled_from(("force-open", "reset", "reset", "reset above", "a reset that comes too late")))
    def move_the_circuit(self, what: str) -> None:
        """By order: open until it is reset, or at an end with the incident that there is."""
        if what == "force-open":
            self.force_open()
            return
        path = SITE if what == "reset above" else PLANT
        before, incident = everything(self.store), self.circuit(path).incident
        late = what == "a reset that comes too late" or not incident
        stands = self.store.orders.reset(path, "long-over" if late else incident, ANN)
        assert (stands is not None) == late
        if late:
            assert everything(self.store) == before

    def wanted(self) -> int | None:
        """What the document of the plant says."""
        stored = ask(self.store).hget(self.store.keys.of(PLANT, "desired"), WHOLE)
        return msgspec.json.decode(stored)["document"]["extra"] if stored else 0  # type: ignore[no-any-return]  # as written

    def force_open(self) -> None:
        """Once per request."""
        forced = Forced("ann", "to see what happens", self.request())
        self.store.orders.force_open(PLANT, forced)
        before = everything(self.store)
        self.store.orders.force_open(PLANT, forced)
        assert everything(self.store) == before

    @rule(
        child=st.sampled_from((WHOLE, *LAMPS)),
        what=st.sampled_from(("pause", "silence", "end of silence", "off", "on", "observe", *("as before",) * 6)),
    )
    def order(self, child: str, what: str) -> None:
        """What people want of a child or of all, and then again not."""
        ahead, book = now(self.store) + HOUR_MS, self.store.orders
        if what == "pause":
            book.pause(PLANT, child, Pause(ahead, "ann", "r", self.request()))
        elif what == "silence":
            book.silence(PLANT, Silence(ahead, "ann", "r", self.request()))
        elif what == "end of silence":
            book.end_silence(PLANT, ANN)
        elif what in {"off", "on"}:
            book.switch(PLANT, child, on=what == "on", declared=True, asked=ANN)
        elif what == "observe":
            book.set_mode(PLANT, Mode.OFF if child else Mode.OBSERVE, ANN)
        else:
            self.undo_orders()

    # What must always hold

    @invariant()
    def actions_are_what_is_promised_of_them(self) -> None:
        StoreMachine.steps += 1
        actions = self.actions()
        self.one_per_child_is_in_flight(actions)
        due = {name.decode() for name in ask(self.store).zrange(self.store.keys.due, 0, -1)}
        assert due == {record.id for record in actions if record.state in LIVE}, "every live one will be looked after"
        for record in actions:
            assert self.ended.get(record.id, record) == record, "what ended stays as it ended"
            if record.state not in LIVE:
                self.ended[record.id] = record
        assert {record.id: record.state for record in actions} == self.told.actions

    def one_per_child_is_in_flight(self, actions: list[Record]) -> None:
        live = {(record.supervisor, record.child): record.id for record in actions if record.state in LIVE}
        assert live == self.flight()
        assert len(live) == sum(record.state in LIVE for record in actions)
        for path in (SITE, PLANT):
            probes = [each for each in actions if each.supervisor == path and each.incident]
            assert sum(record.state in LIVE for record in probes) <= 1

    @invariant()
    def every_entry_is_whole(self) -> None:
        waiting = set(ask(self.store).zrange(self.store.keys.outbox, 0, -1))
        assert waiting == set(ask(self.store).hkeys(self.store.keys.entries))

    @invariant()
    def what_only_grows_has_not_shrunk(self) -> None:
        fence = int(ask(self.store).get(self.store.keys.fence) or 0)
        assert fence >= self.fence
        self.fence = fence
        for path in (SITE, PLANT):
            marks = control(self.store, path)
            epoch, clean = int(marks.get(b"epoch", 0)), int(marks.get(b"clean", 0))
            known_epoch, known_clean = self.marks[path]
            assert epoch >= known_epoch
            assert known_clean <= clean <= int(marks.get(b"dirty", 0))
            self.marks[path] = epoch, clean

    @invariant()
    def what_is_not_settled_will_be_looked_at(self) -> None:
        """By a wake-up that is on its way, or by a tick at work whose commit will answer `again`."""
        for path in (SITE, PLANT):
            dirty, clean = self.versions(path)
            marks = control(self.store, path)
            held = int(marks.get(b"lease_until", 0)) > now(self.store) and not self.at_work(path)
            if dirty == clean and marks.get(b"waking") != b"1" and not held:
                self.may_have_lost[path] = False
            waiting = {entry.subject for entry in self.on_their_way()} | self.unsent()
            assert dirty == clean or path in waiting or self.at_work(path) or self.may_have_lost[path]

    @invariant()
    def every_transition_is_in_the_history(self) -> None:
        self.hear()
        for path in (SITE, PLANT):
            stored = {f"{path}/{child}": record for child, record in self.records(path).items()}
            told = {name: at for name, at in self.told.states.items() if name.rpartition("/")[0] == path}
            assert {name: record.state for name, record in stored.items()} == told
            unseen = {
                name: each.unseen.incident for name, each in stored.items() if each.unseen and each.unseen.incident
            }
            assert unseen == {name: at for name, at in self.told.unobservable.items() if name in stored}
            circuit = self.circuit(path)
            assert self.told.circuits.get(path, State.CLOSED) == circuit.state
            assert (ask(self.store).hget(self.store.keys.incidents, path) is not None) == (circuit.incident != "")

    @invariant()
    def every_member_is_in_the_history(self) -> None:
        for child in self.members():
            assert self.told.members.get(f"{PLANT}/{child}") in {"joined", "leaving", "stays"}
        known = {name for name, at in self.told.members.items() if at != "removed"}
        assert {name.rpartition("/")[2] for name in known} == set(self.members())

    @invariant()
    def the_counts_are_what_the_history_says(self) -> None:
        assert self.counts() == {name: count for name, count in self.told.counts.items() if count}

    @invariant()
    def what_people_have_ordered_is_in_the_history(self) -> None:
        book = self.orders()
        told = self.told.switches
        assert book.get("mode", "act") == told.get(f"{PLANT} mode", "act")
        assert ("silence" in book) == (told.get(f"{PLANT} silenced", "") == "silenced")
        for child in (WHOLE, *LAMPS):
            subject = f"{PLANT}/{child}" if child else PLANT
            assert (f"pause:{child}" in book) == (told.get(f"{subject} paused", "") == "paused")
            assert (book.get(f"enabled:{child}", "1") == "1") == (
                told.get(f"{subject} switched", "enabled") == "enabled"
            )

    @invariant()
    def who_was_removed_leaves_nothing(self) -> None:
        for child in self.removed_at:
            if child not in self.there():
                self.leaves_nothing(child)

    def leaves_nothing(self, child: str) -> None:
        for what in (*DOCUMENTS, "flight", "members", "orphans"):
            assert not ask(self.store).hexists(self.store.keys.of(PLANT, what), child), (child, what)
        assert not ask(self.store).hexists(self.store.keys.incidents, f"{PLANT}/{child}")

    def teardown(self) -> None:
        """When all comes to rest every change was settled, every action has ended, and every circuit can be closed."""
        StoreMachine.seen_to_happen += self.told.kinds if hasattr(self, "told") else Counter()
        if not hasattr(self, "store"):
            return
        self.the_broker_is_away_or_back(broken=False)
        self.end_all_orders()
        for path in (PLANT, SITE):
            self.brought_to_rest(path)
        assert self.flight() == {}
        self.actions_are_what_is_promised_of_them()
        self.every_transition_is_in_the_history()
        self.store.close()

    def undo_orders(self) -> None:
        for child in (WHOLE, *LAMPS):
            self.store.orders.resume(PLANT, child, ANN)
            self.store.orders.switch(PLANT, child, on=True, declared=True, asked=ANN)
        self.store.orders.set_mode(PLANT, Mode.ACT, ANN)

    def end_all_orders(self) -> None:
        self.undo_orders()
        if self.circuit(PLANT).forced or b"force-open" in ask(self.store).hgetall(self.store.keys.of(PLANT, "orders")):
            self.tick()
            self.store.orders.reset(PLANT, self.circuit(PLANT).incident, ANN)

    def brought_to_rest(self, path: str) -> None:
        """Ticks and looks that find everything well, and actions that succeed: no circuit stays open for ever."""
        for _ in range(40):
            for action in self.flight().values():
                ask(self.store).zadd(self.store.keys.due, {action: 1}, xx=True)
            self.runtime.sweep_due()
            self.act("succeeded")
            self.look((True, True), (0, 0), came_back=4)
            self.tick()
            self.tick_above(died=False)
            if path == SITE and self.circuit(PLANT).incident:  # its calm of a minute, made short
                self.store.orders.reset(PLANT, self.circuit(PLANT).incident, ANN)
            closed = self.circuit(path).state is State.CLOSED and not self.flight()
            if closed and all(dirty == clean for dirty, clean in map(self.versions, (SITE, PLANT))):
                return
        raise AssertionError(f"{path} does not come to rest: {self.circuit(path)}")

    # What is stored, and who has what in hand

    def send(self, entries: tuple[Entry, ...]) -> None:
        self.store.outbox.published(self.post.publish(entries))

    def hear(self) -> None:
        for event in self.news():
            self.told.play([event])
            child = event.subject.rpartition("/")[2]
            if event.kind == "member" and event.after == "removed":
                self.removed_at[child] = event.at
            elif event.kind == "member" and event.after == "joined":
                self.removed_at.pop(child, None)

    def news(self) -> Iterator[Any]:
        for event in self.store.history.since(self.last):
            self.last = event.id
            yield event

    def asked(self) -> Asked:
        return Asked("ann", "as it came to her mind", self.request())

    def request(self) -> str:
        return f"request-{next(self.ids)}"

    def forget_tickers(self) -> None:
        for ticker in list(self.ticks):
            self.forget_ticker(ticker)

    def forget_ticker(self, ticker: int) -> None:
        if ticker in self.ticks:
            self.dies(PLANT, self.ticks.pop(ticker)[0])

    def who_enrols(self) -> list[int]:
        return [ticker for ticker, (_, _, plan) in sorted(self.ticks.items()) if plan.members.members]

    def dies(self, path: str, claim: Claim) -> None:
        """Nobody notices but a sweep, if it was the one who was to tick."""
        if int(control(self.store, path).get(b"epoch", 0)) == claim.epoch:
            self.may_have_lost[path] = True

    def at_work(self, path: str) -> bool:
        epoch = int(control(self.store, path).get(b"epoch", 0))
        return path == PLANT and any(claim.epoch == epoch for claim, _, _ in self.ticks.values())

    def on_their_way(self) -> list[Entry]:
        taken = enumerate(self.post.taken)
        return [entry for number, entry in taken if entry.kind == "tick" and number not in self.delivered]

    def taken_off(self, message: int) -> Entry:
        waiting = [number for number, entry in enumerate(self.post.taken) if entry.kind == "tick"]
        waiting = [number for number in waiting if number not in self.delivered]
        number = waiting[message % len(waiting)]
        self.delivered.add(number)
        return self.post.taken[number]

    def unsent(self) -> set[str]:
        """Supervisors for whom a wake-up waits in the outbox."""
        entries = [msgspec.json.decode(text, type=Entry) for text in ask(self.store).hvals(self.store.keys.entries)]
        return {entry.subject for entry in entries if entry.kind == "tick"}

    def versions(self, path: str) -> tuple[int, int]:
        marks = control(self.store, path)
        return int(marks.get(b"dirty", 0)), int(marks.get(b"clean", 0))

    def orders(self) -> dict[str, str]:
        found = ask(self.store).hgetall(self.store.keys.of(PLANT, "orders"))
        return {field.decode(): value.decode() for field, value in found.items()}

    def circuit(self, path: str) -> Circuit:
        return msgspec.json.decode(control(self.store, path).get(b"circuit", b"{}"), type=Circuit)

    def flight(self) -> dict[tuple[str, str], str]:
        return {
            (path, child.decode()): action.decode()
            for path in (SITE, PLANT)
            for child, action in ask(self.store).hgetall(self.store.keys.of(path, "flight")).items()
        }

    def actions(self) -> list[Record]:
        """Every action that there ever was."""
        self.hear()
        pipeline = ask(self.store).pipeline(transaction=False)
        for name in self.told.actions:
            pipeline.hgetall(self.store.keys.action(name))
        found = pipeline.execute()
        assert all(found)
        return [_record([part for pair in flat.items() for part in pair]) for flat in found]

    def records(self, path: str) -> dict[str, ChildRecord]:
        found = ask(self.store).hgetall(self.store.keys.of(path, "records"))
        return {name.decode(): msgspec.json.decode(text, type=ChildRecord) for name, text in found.items()}

    def members(self) -> list[str]:
        return [name.decode() for name in ask(self.store).hkeys(self.store.keys.of(PLANT, "members"))]

    def there(self) -> set[str]:
        return {*LAMPS, *self.members()}

    def counts(self) -> dict[str, int]:
        found = ask(self.store).hgetall(self.store.keys.counters)
        return {name.decode(): int(n) for name, n in found.items() if name.decode().split("|")[0] in COUNTED}

    def mark(self, what: str, path: str, child: str) -> int:
        """The sequence of the last good or failed look."""
        found: bytes = ask(self.store).hget(self.store.keys.of(path, what), child) or b"0"
        return int(found.split(b":")[0])

    def seen(self, path: str, child: str) -> list[bytes | None]:
        """All that observers have written about a child."""
        return [ask(self.store).hget(self.store.keys.of(path, what), child) for what in ("seen", "errors", "observed")]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks alone follow each other at once."""
    monkeypatch.setattr(freshness, "PAUSES_MS", (1, 1, 1))


@pytest.fixture(autouse=True)
def nothing_seen_yet() -> None:
    StoreMachine.steps, StoreMachine.seen_to_happen = 0, Counter()


def searched(server: EmbeddedStore, how: settings, number: int | None = None) -> None:
    """One search: that ``number`` of them, or whichever ``how`` says."""

    def machine() -> StoreMachine:
        return StoreMachine()

    StoreMachine.url = server.url
    run_state_machine_as_test(machine if number is None else seed(number)(machine), settings=how)
    found = [f"{times:7} {what}" for what, times in sorted(StoreMachine.seen_to_happen.items())]
    sys.stdout.write("\n".join((f"\n{StoreMachine.steps} steps", *found, "")))


@pytest.mark.timeout(900)  # finding the shortest way to a failure takes minutes; without one it is seconds
def test_nothing_that_can_happen_breaks_what_must_hold(server: EmbeddedStore) -> None:
    searched(server, LONG_SEARCH if LONG else SEARCH)


NEVER_TO_BE_MISSED = (
    *("circuit open", "circuit verifying", "circuit escalated", "circuit closed", "escalation_near", "incident_ended"),
    *(
        "member joined",
        "member leaving",
        "member stays",
        "member removed",
        "forgotten",
        "died between enrol and commit",
    ),
    *("looked_alone", "unobservable", "observable", "looked alone: seen", "looked alone: slow"),
    *("commit again", "commit superseded", "escalation", "unobservable"),
    *(
        "restart below, once",
        "restart below, again",
        "restart below, too late",
        "woken to tick",
        "woken duplicate",
        "woken busy",
    ),
)
"""What a long search has to come across: one that does not says nothing about it, and goes on."""

MOST_SEARCHES = 4
"""In one of them something rare may not happen; one takes two to three minutes."""


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_ten_thousand_steps_break_nothing_and_miss_nothing(valkey_server: EmbeddedStore) -> None:
    for number in range(MOST_SEARCHES):
        # The same ones each time: what fails once in a hundred is not to be met by whoever has changed something else.
        searched(valkey_server, LONG_SEARCH, number)
        assert StoreMachine.steps >= PLENTY
        missed = [what for what in NEVER_TO_BE_MISSED if not StoreMachine.seen_to_happen[what]]
        if not missed:
            break
    assert missed == []
