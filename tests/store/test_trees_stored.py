"""Supervisors under supervisors on the real store: what is told above, and what comes down as an order."""

from collections.abc import Callable
from typing import Any

import pytest
from lamps import Lamp, LampSeen, Post, ask, everything, forget_slot, past, record_of

from supervision.actions import Run, action
from supervision.backoff import Backoff
from supervision.branch import Summary
from supervision.checks import Fail, Ok, check, fail, ok
from supervision.decide import decide
from supervision.model import Phase, Reservation
from supervision.orders import Forced, Mode, Pause
from supervision.runtime import Runtime
from supervision.store.actions import Record
from supervision.store.orders import Asked
from supervision.store.store import Store
from supervision.supervisor import Supervisor
from supervision.view import Claim

QUICK = Backoff(base=0.001, cap=0.001)
ABOVE, BELOW = "plant", "plant/line"
ASKED = Asked("ann", "to see")


class Warm(Lamp):
    """A lamp whose heat is in the hands of a test; a restart heals it unless it is stubborn."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.heat, self.stubborn, self.restarts = 0, True, 0

    def observe(self) -> LampSeen:
        return LampSeen(on=True, heat=self.heat)

    @action(timeout=5)
    def restart(self, _run: Run) -> None:
        self.restarts += 1
        self.heat = self.heat if self.stubborn else 0


@check("lamp", restart="lamp", trip_after=1)
def cool(lamp: Any) -> Ok | Fail:
    return fail("it is hot") if lamp.observed.heat else ok()


class Tree:
    """Two levels, their runtime, and a worker that runs what is sent."""

    def __init__(self, store: Store, **options: Any) -> None:
        self.store, self.post, self.ran = store, Post(), 0
        self.lamp, self.other = Warm("lamp"), Warm("other")
        line = Supervisor("line", [self.lamp, self.other], checks=[cool], max_attempts=1, window=0.001, restart=QUICK)
        self.top = Supervisor(ABOVE, [line], max_attempts=1, window=0.001, restart=QUICK, **options)
        self.line = line
        self.runtime = Runtime(store, self.post, {each.path: each for each in self.top.tree()})

    def tick(self, supervisor: Supervisor) -> str:
        forget_slot(self.store, supervisor)
        return self.runtime.tick(supervisor.path)

    def sent(self) -> list[str]:
        found = [entry.subject for entry in self.post.taken if entry.kind == "act"]
        new, self.ran = found[self.ran :], len(found)
        return new

    def rounds(self, count: int = 1, *, work: bool = True) -> None:
        for _ in range(count):
            ask(self.store).hdel(self.store.keys.of(BELOW, "control"), "look_slot")
            self.runtime.collect(BELOW)
            self.tick(self.line)
            self.tick(self.top)
            for action_id in self.sent() if work else ():
                self.runtime.run_action(action_id)

    def circuit(self, supervisor: Supervisor) -> str:
        return self.store.ticks.loading.view(supervisor, _claim(self.store)).circuit.state.value

    def seen(self) -> Summary:
        view = self.store.ticks.loading.view(self.top, _claim(self.store))
        observation = view.children["line"].observation
        assert observation is not None
        found = observation.document
        assert isinstance(found, Summary)
        return found

    def state(self) -> str:
        record = self.store.ticks.loading.view(self.top, _claim(self.store)).children["line"].record
        assert record is not None
        return record.state


def _claim(store: Store) -> Claim:
    seconds, micros = ask(store).time()
    return Claim(epoch=1, now=seconds * 1000 + micros // 1000, dirty=0)


@pytest.fixture
def tree(store: Store) -> Tree:
    made = Tree(store)
    made.rounds(3)
    return made


def escalate(tree: Tree, *, stop: str = ABOVE) -> str:
    """Until the line has escalated, and the parent has sent its order; answers the action's id."""
    tree.lamp.heat = 1
    for _ in range(12):
        tree.rounds(1, work=False)
        for action_id in tree.sent():
            record = tree.store.actions.get(action_id)
            assert isinstance(record, Record)
            if record.supervisor == stop:
                return action_id
            tree.runtime.run_action(action_id)
    raise AssertionError("the parent sent nothing")


def test_each_tick_tells_the_parent(tree: Tree) -> None:
    assert tree.seen() == Summary("closed", Phase.RUNNING, {"running": 2})
    assert tree.state() == "running"
    tree.lamp.heat = 1
    tree.rounds(1, work=False)
    assert tree.seen().circuit == "open"
    assert tree.state() == "degraded"


def test_what_stays_the_same_is_written_once_and_wakes_nobody(tree: Tree) -> None:
    key = tree.store.keys.of(ABOVE, "control")
    before = ask(tree.store).hget(key, "dirty")
    for _ in range(3):
        ask(tree.store).hdel(tree.store.keys.of(BELOW, "control"), "slot")
        tree.runtime.tick(BELOW)
    assert ask(tree.store).hget(key, "dirty") == before


def test_nobody_looks_at_a_branch(tree: Tree) -> None:
    ask(tree.store).hdel(tree.store.keys.of(ABOVE, "control"), "look_slot")
    assert tree.runtime.collect(ABOVE) == 0


def test_an_escalation_below_makes_the_parent_order_a_restart_and_the_tree_recovers(tree: Tree) -> None:
    order = escalate(tree)
    assert tree.circuit(tree.line) == "escalated"
    assert tree.state() == "escalated"
    assert past(tree.store, "escalation") == []
    tree.lamp.stubborn = False
    restarts = (tree.lamp.restarts, tree.other.restarts)
    assert tree.runtime.run_action(order) == "succeeded"
    tree.rounds(8)
    assert (tree.lamp.restarts, tree.other.restarts) == (restarts[0] + 1, restarts[1] + 1)
    assert tree.circuit(tree.line) == "closed"
    assert tree.state() == "running"
    assert past(tree.store, "escalation") == []


def test_an_order_that_is_run_twice_restarts_once(tree: Tree) -> None:
    order = escalate(tree)
    tree.lamp.stubborn = False
    restarts = tree.other.restarts
    record = tree.store.actions.start(order)
    assert isinstance(record, Record)
    tree.runtime._acting.run(record)  # its process dies right before it reports the end
    tree.rounds(6)
    tree.runtime.store.orders.restart_all(BELOW, order, "tick", "run again")
    tree.rounds(6)
    assert tree.other.restarts == restarts + 1
    assert [after for subject, _, after in past(tree.store, "order") if subject == BELOW] == ["restart"]


def test_a_run_that_died_after_its_order_is_run_again_and_orders_nothing_new(tree: Tree) -> None:
    order = escalate(tree)
    tree.lamp.stubborn = False
    restarts = tree.other.restarts
    record = tree.store.actions.start(order)
    assert isinstance(record, Record)
    tree.store.orders.restart_all(BELOW, order, "tick", "everything below")
    tree.rounds(6)  # it is heard, while the action is still running
    assert tree.other.restarts == restarts + 1
    ended = tree.store.actions.finish(record, outcome="failed", error="died", retry=False)
    assert ended.outcome == "failed"
    assert tree.runtime.run_action(order) == "failed"  # a message that comes twice
    tree.rounds(4)
    assert tree.other.restarts == restarts + 1


def test_a_parent_that_could_not_help_calls_once(tree: Tree) -> None:
    tree.lamp.heat = 1
    tree.rounds(30)
    assert tree.circuit(tree.line) == "escalated"
    assert tree.circuit(tree.top) == "escalated"
    assert [subject for subject, _, _ in past(tree.store, "escalation")] == [ABOVE]


@pytest.mark.parametrize("mode", [Mode.OBSERVE, Mode.OFF])
def test_a_parent_that_does_not_act_swallows_no_call(tree: Tree, mode: Mode) -> None:
    tree.store.orders.set_mode(ABOVE, mode, Asked("ann", "to see"))
    tree.lamp.heat = 1
    tree.rounds(12)
    assert [subject for subject, _, _ in past(tree.store, "escalation")] == [BELOW]


def test_a_parent_that_is_forced_open_swallows_no_call(tree: Tree) -> None:
    tree.store.orders.force_open(ABOVE, Forced("ann", "winter", "1"))
    tree.lamp.heat = 1
    tree.rounds(12)
    assert [subject for subject, _, _ in past(tree.store, "escalation")] == [BELOW]


FAR = Pause(10**15, "ann", "winter")
RULES: list[tuple[str, Callable[[Store], object], bool]] = [
    ("nothing", lambda _store: None, True),
    ("a pause of the parent", lambda store: store.orders.pause("site/plant", "", FAR), False),
    ("a pause of whoever is above it", lambda store: store.orders.pause("site", "", FAR), False),
    ("a pause of another child of the parent", lambda store: store.orders.pause("site/plant", "other", FAR), True),
    ("a pause of the line alone", lambda store: store.orders.pause("site/plant/line", "", FAR), True),
    ("the top is off", lambda store: store.orders.switch("site", "", on=False, declared=True, asked=ASKED), False),
    ("the top only observes", lambda store: store.orders.set_mode("site", Mode.OBSERVE, ASKED), True),
    ("the parent only observes", lambda store: store.orders.set_mode("site/plant", Mode.OBSERVE, ASKED), False),
    ("the parent is to open", lambda store: store.orders.force_open("site/plant", Forced("ann", "why", "1")), False),
    ("the top is to open", lambda store: store.orders.force_open("site", Forced("ann", "why", "1")), True),
]


@pytest.mark.parametrize(("ordered", "answers"), [rule[1:] for rule in RULES], ids=[rule[0] for rule in RULES])
def test_whether_a_parent_answers_hangs_on_what_holds_for_it(
    store: Store,
    ordered: Callable[[Store], object],
    answers: bool,  # noqa: FBT001 # a table
) -> None:
    line = Supervisor("line", [Lamp("lamp")])
    plant = Supervisor("plant", [line, Lamp("other")])
    site = Supervisor("site", [plant])
    runtime = Runtime(store, Post(), {each.path: each for each in site.tree()})
    ordered(store)
    assert store.ticks.loading.view(line, _claim(store)).heard_above == answers
    for each in (site, plant):  # which hear it, if it is for them
        forget_slot(store, each)
        runtime.tick(each.path)
    assert store.ticks.loading.view(line, _claim(store)).heard_above == answers


def test_a_parent_that_carries_on_leaves_the_call_to_the_one_below(store: Store) -> None:
    tree = Tree(store, on_escalation="degrade")
    tree.rounds(3)
    tree.lamp.heat = 1
    tree.rounds(12)
    assert [subject for subject, _, _ in past(store, "escalation")] == [BELOW]
    assert tree.circuit(tree.top) == "closed"
    assert tree.state() == "escalated"


@pytest.mark.parametrize(
    ("order", "told"),
    [
        (lambda store: store.orders.set_mode(BELOW, Mode.OFF, ASKED), f"first: supervision mode {BELOW} act"),
        (lambda store: store.orders.set_mode(BELOW, Mode.OBSERVE, ASKED), f"first: supervision mode {BELOW} act"),
        (lambda store: store.orders.force_open(BELOW, Forced("ann", "winter", "1")), "forced open by ann"),
        (
            lambda store: store.orders.pause(BELOW, "", Pause(10**15, "ann", "winter")),
            "lamp is paused, other is paused",
        ),
        (lambda store: store.orders.switch(BELOW, "", on=False, declared=True, asked=ASKED), "lamp is disabled"),
    ],
)
def test_a_restart_of_a_branch_that_nothing_would_come_of_fails_and_says_why(
    tree: Tree, order: Callable[[Store], object], told: str
) -> None:
    order(tree.store)
    tree.rounds(2)
    restarts = tree.lamp.restarts + tree.other.restarts
    wish = Reservation("ask-1", "line", "restart_child", "please", {}, 5_000, 3)
    assert tree.store.actions.reserve(ABOVE, "ann", wish)[0] == "reserved"
    assert tree.runtime.run_action("ask-1") == "failed"
    assert told in record_of(tree.store, "ask-1").error
    tree.rounds(3)
    assert tree.lamp.restarts + tree.other.restarts == restarts


def test_a_restart_of_a_branch_restarts_all_of_it(tree: Tree) -> None:
    wish = Reservation("ask-1", "line", "restart_child", "please", {}, 5_000, 3)
    assert tree.store.actions.reserve(ABOVE, "ann", wish)[0] == "reserved"
    assert tree.runtime.run_action("ask-1") == "succeeded"
    tree.rounds(5)
    assert (tree.lamp.restarts, tree.other.restarts) == (1, 1)


def test_a_report_of_an_older_tick_changes_nothing(tree: Tree) -> None:
    before = everything(tree.store)[tree.store.keys.of(ABOVE, "seen")]
    tree.runtime._report(*_stale(tree))  # a tick that was overtaken, and reports late
    assert everything(tree.store)[tree.store.keys.of(ABOVE, "seen")] == before


def _stale(tree: Tree) -> Any:
    claim = _claim(tree.store)
    view = tree.store.ticks.loading.view(tree.line, claim)
    return view, decide(view, claim.now), claim


def test_a_run_that_was_given_up_orders_no_restart_when_it_wakes_up(store: Store) -> None:
    first, second = "plant~line~1", "plant~line~2"
    for action_id, fence, state in ((first, 7, "failed"), (second, 8, "running")):
        ask(store).hset(store.keys.action(action_id), mapping={"state": state, "fence": fence})
    assert store.orders.restart_all("plant/line", second, "tick", "it is stuck", fence=8)
    ask(store).hdel(store.keys.of("plant/line", "orders"), "restart")  # a tick has heard it
    assert store.orders.restart_all("plant/line", first, "tick", "asleep since then", fence=7) == ()
    assert ask(store).hget(store.keys.of("plant/line", "orders"), "restart") is None
