"""Claim and commit: at most one tick takes effect, an old epoch writes nothing, and no wake-up is lost."""

import itertools
import threading
from collections.abc import Callable

import msgspec
import pytest
from lamps import (
    Lamp,
    Post,
    ask,
    claimed,
    control,
    counter,
    equally_warm,
    everything,
    expire_lease,
    forget_slot,
    now,
    past,
    plant,
    record_of,
    reserved,
    seen,
    set_control,
    settled,
    sight,
    started,
    ticked,
    update,
    wish,
    written,
)

from supervision.circuit import Circuit, State
from supervision.decide import decide
from supervision.limiting import LIMIT_S
from supervision.model import ChildRecord, Event, Phase
from supervision.runtime import Runtime
from supervision.store.observations import Sight
from supervision.store.outbox import Entry
from supervision.store.store import Store
from supervision.store.ticks import HUNG_LEASE_MS, LEASE_MS, UPDATES_PER_SLICE
from supervision.supervisor import Supervisor
from supervision.view import Claim, View
from tasks.ticks import HARD_LIMIT_S, SOFT_LIMIT_S

HOUR_MS = 3_600_000


# Claim


def test_one_of_many_claimers_gets_each_slot(connect: Callable[[], Store]) -> None:
    """Every round all claim at once; the slot is as long as the test, so that the clock ends none of them."""
    supervisor, slots, stores = plant(interval=86_400, stale_after=90_000), 50, [connect() for _ in range(4)]
    won: list[list[Claim | str]] = [[] for _ in range(slots)]
    begin, end = threading.Barrier(len(stores)), threading.Barrier(len(stores))

    def claim_all(mine: Store) -> None:
        for slot in range(slots):
            begin.wait(30)
            won[slot].append(mine.ticks.claim(supervisor, "slot"))
            if end.wait(30) == 0:
                set_control(mine, slot="of yesterday", lease_until=0)

    threads = [threading.Thread(target=claim_all, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [[claim for claim in answers if isinstance(claim, Claim)] for answers in won]
    assert [len(found) for found in winners] == [1] * slots
    epochs = [found[0].epoch for found in winners]
    assert epochs == sorted(set(epochs))
    assert {answer for answers in won for answer in answers if isinstance(answer, str)} <= {"duplicate", "busy"}


def test_a_claim_is_an_epoch_not_below_the_clock(store: Store) -> None:
    before = now(store)
    claim = claimed(store, plant())
    assert claim.epoch >= claim.now >= before
    assert claim.dirty == 1, "a version of its own"


def test_a_held_lease_answers_busy_to_both_kinds_of_ticks(store: Store) -> None:
    supervisor = plant()
    claimed(store, supervisor)
    seen(store, supervisor, sight("lamp-0"))
    forget_slot(store, supervisor)
    assert store.ticks.claim(supervisor, "slot") == "busy"
    assert store.ticks.claim(supervisor, "dirty") == "busy"


def test_a_lease_lasts_shorter_than_the_promised_takeover(store: Store) -> None:
    claim = claimed(store, plant())
    assert int(control(store)[b"lease_until"]) - claim.now == LEASE_MS < 2_000


def test_a_silent_ticker_is_replaced_under_a_larger_epoch(store: Store) -> None:
    supervisor = plant()
    silent = claimed(store, supervisor)
    expire_lease(store)
    forget_slot(store, supervisor)
    assert claimed(store, supervisor).epoch > silent.epoch
    assert settled(store, supervisor, silent).outcome == "superseded"


def test_a_tick_that_hangs_again_and_again_takes_one_process_at_a_time(store: Store) -> None:
    """Two tickers may have died; from the third on a claim is kept for longer than a tick is let live."""
    supervisor = plant()
    leases = []
    for _ in range(4):
        claim = claimed(store, supervisor)
        leases.append(int(control(store)[b"lease_until"]) - claim.now)
        expire_lease(store)
        forget_slot(store, supervisor)
    assert leases == [LEASE_MS, LEASE_MS, HUNG_LEASE_MS, HUNG_LEASE_MS]
    assert HUNG_LEASE_MS > 1000 * HARD_LIMIT_S > 1000 * SOFT_LIMIT_S > 1000 * LIMIT_S
    claimed(store, supervisor)
    forget_slot(store, supervisor)
    assert store.ticks.claim(supervisor, "slot") == "busy"
    expire_lease(store)
    ticked(store, supervisor)
    forget_slot(store, supervisor)
    claim = claimed(store, supervisor)
    assert int(control(store)[b"lease_until"]) - claim.now == LEASE_MS, "one that was settled makes up for all"


def test_two_tickers_that_are_slower_than_their_lease_do_not_supersede_each_other_for_ever(store: Store) -> None:
    """Each commits only when the next one has had the time to claim: a lease later, if there is one."""
    supervisor, outcomes = plant(), list[str]()
    slow = claimed(store, supervisor)
    for _ in range(6):
        forget_slot(store, supervisor)
        set_control(store, lease_until=int(control(store)[b"lease_until"]) - 2 * LEASE_MS)  # so long a tick takes
        other = store.ticks.claim(supervisor, "slot")
        outcomes.append(settled(store, supervisor, slow).outcome)
        if isinstance(other, str):
            forget_slot(store, supervisor)
            other = claimed(store, supervisor)
        slow = other
    assert outcomes == ["superseded", "superseded", "done", "superseded", "superseded", "done"]


def test_a_done_slot_is_a_duplicate(store: Store) -> None:
    supervisor = plant(interval=86_400, stale_after=90_000)
    assert ticked(store, supervisor).outcome == "done"
    assert store.ticks.claim(supervisor, "slot") == "duplicate"


def test_a_settled_version_is_a_duplicate(store: Store) -> None:
    supervisor = plant()
    assert store.ticks.claim(supervisor, "dirty") == "duplicate"
    seen(store, supervisor, sight("lamp-0"))
    assert ticked(store, supervisor, "dirty").outcome == "done"
    assert store.ticks.claim(supervisor, "dirty") == "duplicate"


def test_missed_slots_are_one_tick(store: Store) -> None:
    supervisor = plant(interval=86_400, stale_after=90_000)
    ticked(store, supervisor)
    set_control(store, slot=int(control(store)[b"slot"]) - 7)
    assert ticked(store, supervisor).outcome == "done"
    assert store.ticks.claim(supervisor, "slot") == "duplicate"


def test_a_clock_that_was_set_back_stops_no_tick_and_no_epoch(store: Store) -> None:
    supervisor, ahead = plant(), now(store) + HOUR_MS
    set_control(store, epoch=ahead, slot=ahead // 1000, lease_until=ahead, dirty=3, clean=3, waking=1)
    epochs = []
    for _ in range(3):
        forget_slot(store, supervisor)
        claim = claimed(store, supervisor)
        epochs.append(claim.epoch)
        settled(store, supervisor, claim)
    assert epochs == [ahead + 1, ahead + 2, ahead + 3]
    assert seen(store, supervisor, sight("lamp-0"))[0].kind == "tick"


def test_a_lower_slot_after_the_clock_was_set_back_is_a_new_one(store: Store) -> None:
    supervisor = plant()
    set_control(store, slot=(now(store) + HOUR_MS) // 1000)
    claimed(store, supervisor)


def test_ticks_are_counted_by_their_outcome(store: Store) -> None:
    supervisor = plant(interval=86_400, stale_after=90_000)
    ticked(store, supervisor)
    store.ticks.claim(supervisor, "slot")
    assert counter(store, "supervisor_ticks_total|supervisor=plant|outcome=claimed") == 1
    assert counter(store, "supervisor_ticks_total|supervisor=plant|outcome=duplicate") == 1


# Load


def test_a_tick_loads_what_was_stored(store: Store) -> None:
    supervisor = plant()
    seen(store, supervisor, sight("lamp-0", on=False, heat=4))
    ticked(store, supervisor)
    ticked(store, supervisor)
    view = store.ticks.load(supervisor, Claim(1, now(store), 0))
    lamp = view.children["lamp-0"]
    assert lamp.record is not None
    assert (lamp.record.state, lamp.observation and lamp.observation.document.heat) == ("off", 4)
    assert record_of(store, lamp.in_flight).child == "lamp-0"
    assert view.children["lamp-1"].observation is None


def test_documents_of_another_version_of_the_code_count_as_not_there(store: Store) -> None:
    supervisor = plant()
    seen(store, supervisor, Sight("lamp-0", '{"colour":"red"}'))
    ask(store).hset(store.keys.of("plant", "desired"), "lamp-0", '{"revision":7,"document":[1]}')
    lamp = store.ticks.load(supervisor, Claim(1, now(store), 0)).children["lamp-0"]
    assert (lamp.observation, lamp.desired, lamp.revision) == (None, {}, 7)


# Commit


def test_an_old_epoch_writes_nothing_at_all(store: Store) -> None:
    supervisor = plant(checks=[equally_warm])
    ticked(store, supervisor)
    old = claimed_anew(store)
    claimed_anew(store)
    seen(store, supervisor, sight("lamp-0", on=False))
    before = everything(store)
    circuit = Circuit(state=State.OPEN, incident="i", opened_at=5)
    refused = written(
        store,
        supervisor,
        old,
        update("lamp-0", wish=wish("lamp-0", "never")),
        circuit=circuit,
        events=(Event("circuit", "plant", after="open"),),
    )
    assert (refused.outcome, refused.entries) == ("superseded", ())
    assert everything(store) == before
    assert counter(store, "supervisor_writes_refused_total") == 1


def claimed_anew(store: Store) -> Claim:
    supervisor = plant()
    expire_lease(store)
    forget_slot(store, supervisor)
    return claimed(store, supervisor)


def test_a_tick_that_never_claimed_writes_nothing(store: Store) -> None:
    assert written(store, plant(), Claim(1, 1, 0), update("lamp-0")).outcome == "superseded"
    assert set(everything(store)) == {store.keys.counters}


def test_a_reservation_is_one_slot_one_record_one_message_and_one_event(store: Store) -> None:
    supervisor = plant()
    done = written(store, supervisor, claimed(store, supervisor), update("lamp-0", wish=wish("lamp-0", "a")))
    record = record_of(store)
    assert ask(store).hgetall(store.keys.of("plant", "flight")) == {b"lamp-0": b"a"}
    assert (record.state, record.attempt, record.sent, record.actor) == ("queued", 0, 1, "tick")
    assert [(entry.kind, entry.subject, entry.timeout_ms) for entry in done.entries] == [("act", "a", 5_000)]
    assert ask(store).zrange(store.keys.outbox, 0, -1) == [done.entries[0].id.encode()]
    assert past(store, "action") == [("plant/lamp-0", "", "queued")]
    assert ask(store).zcard(store.keys.due) == 1


def test_a_taken_slot_refuses_the_child_and_nobody_else(store: Store) -> None:
    supervisor = plant()
    claim = claimed(store, supervisor)
    reserved(store, "by-ann")
    answer = written(
        store,
        supervisor,
        claim,
        update("lamp-0", "lit", wish=wish("lamp-0", "b")),
        update("lamp-1", wish=wish("lamp-1", "c")),
    )
    assert answer.outcome == "again"
    assert ask(store).hkeys(store.keys.of("plant", "records")) == [b"lamp-1"]
    assert ask(store).hgetall(store.keys.of("plant", "flight")) == {b"lamp-0": b"by-ann", b"lamp-1": b"c"}
    assert store.actions.get("b") is None
    assert past(store, "state") == [("plant/lamp-1", "", "off")]
    assert sorted(entry.kind for entry in answer.entries) == ["act", "tick"]
    claimed(store, supervisor, "dirty")


def test_a_refusal_in_an_earlier_slice_is_answered_again_too(store: Store) -> None:
    supervisor = plant()
    claim = claimed(store, supervisor)
    reserved(store, "by-ann")
    many = [update(f"lamp-{i}") for i in range(1, UPDATES_PER_SLICE + 10)]
    answer = written(store, supervisor, claim, update("lamp-0", wish=wish("lamp-0", "b")), *many)
    assert answer.outcome == "again"
    assert [entry.kind for entry in answer.entries] == ["tick"]
    claimed(store, supervisor, "dirty")


def test_a_probe_without_its_slot_writes_nothing_but_the_wish_to_decide_again(store: Store) -> None:
    supervisor = plant(checks=[equally_warm])
    claim = claimed(store, supervisor)
    reserved(store, "by-ann")
    before = everything(store)
    probing = Circuit(state=State.VERIFYING, incident="i", child="lamp-0", probe="p", opened_at=5)
    answer = written(
        store,
        supervisor,
        claim,
        update("lamp-0", wish=wish("lamp-0", "p", incident="i")),
        update("lamp-1", wish=wish("lamp-1", "c")),
        circuit=probing,
        events=(Event("circuit", "plant", after="verifying"),),
    )
    after = everything(store)
    assert answer.outcome == "again"
    assert [entry.kind for entry in answer.entries] == ["tick"]
    own = {store.keys.of("plant", "control"), store.keys.outbox, store.keys.entries}
    assert {key: value for key, value in after.items() if key not in own} == {
        k: v for k, v in before.items() if k not in own
    }
    assert b"circuit" not in control(store)
    claimed(store, supervisor, "dirty")


def test_a_change_between_load_and_commit_is_answered_again(store: Store) -> None:
    supervisor = plant()
    claim = claimed(store, supervisor)
    view = store.ticks.load(supervisor, claim)
    assert seen(store, supervisor, sight("lamp-0")) == ()  # the tick at work will find it
    answer = store.ticks.commit(view, decide(view, claim.now), claim)
    assert (answer.outcome, [entry.kind for entry in answer.entries]) == ("again", ["tick"])
    assert ticked(store, supervisor, "dirty").outcome == "done"


def test_a_commit_releases_the_lease(store: Store) -> None:
    supervisor = plant()
    ticked(store, supervisor)
    forget_slot(store, supervisor)
    claimed(store, supervisor)


def test_an_open_circuit_is_an_incident_until_it_is_over(store: Store) -> None:
    supervisor = plant(checks=[equally_warm])
    opened = Circuit(state=State.OPEN, incident="i", opened_at=5)
    written(store, supervisor, claimed(store, supervisor), circuit=opened)
    assert ask(store).hgetall(store.keys.incidents) == {b"plant": b"5"}
    written(store, supervisor, claimed_anew(store))
    assert ask(store).hgetall(store.keys.incidents) == {b"plant": b"5"}
    written(store, supervisor, claimed_anew(store), circuit=Circuit())
    assert ask(store).hgetall(store.keys.incidents) == {}


def test_nothing_is_written_about_unchanged_children(store: Store) -> None:
    supervisor = plant()
    for _ in range(3):
        seen(store, supervisor, sight("lamp-0"), sight("lamp-1"))
        ticked(store, supervisor)
    before = past(store), ask(store).hgetall(store.keys.of("plant", "records"))
    seen(store, supervisor, sight("lamp-0"), sight("lamp-1"))
    ticked(store, supervisor)
    assert (past(store), ask(store).hgetall(store.keys.of("plant", "records"))) == before


def test_a_reason_that_is_no_text_breaks_nobodys_write(store: Store) -> None:
    supervisor = plant()
    odd = Event("fault", "plant/lamp-0", "no such file: \udcff" + "x" * 1_000_000)
    assert written(store, supervisor, claimed(store, supervisor), update("lamp-1"), events=(odd,)).outcome == "done"
    told = next(record for record in store.history.since() if record.kind == "fault")
    assert told.reason.startswith("no such file: \\udcffxx")
    assert len(told.reason) < 10_000


# Slices


def test_a_large_commit_is_written_in_slices_of_whole_children(store: Store) -> None:
    supervisor, children = plant(600), 600
    claim = claimed(store, supervisor)
    answer = written(
        store, supervisor, claim, *(update(f"lamp-{i}", wish=wish(f"lamp-{i}", f"a{i}")) for i in range(children))
    )
    assert (answer.outcome, len(answer.entries)) == ("done", children)
    assert ask(store).hlen(store.keys.of("plant", "records")) == children
    assert ask(store).hlen(store.keys.of("plant", "flight")) == children
    assert len(past(store, "state")) == len(past(store, "action")) == children
    assert control(store)[b"lease_until"] == b"0"


def test_a_commit_that_is_superseded_midway_leaves_whole_slices(store: Store, connect: Callable[[], Store]) -> None:
    supervisor, other = plant(600), connect()
    claim = claimed(store, supervisor)
    run, slices = store.scripts.run, itertools.count(1)

    def interrupted(name: str, keys: list[str], args: list[object]) -> object:
        if name == "commit" and next(slices) == 2:
            expire_lease(other)
            forget_slot(other, supervisor)
            claimed(other, supervisor)
        return run(name, keys, args)

    store.scripts.run = interrupted  # type: ignore[method-assign, assignment]  # the moment between two slices
    answer = written(
        store, supervisor, claim, *(update(f"lamp-{i}", wish=wish(f"lamp-{i}", f"a{i}")) for i in range(600))
    )
    first = {f"lamp-{i}".encode() for i in range(UPDATES_PER_SLICE)}
    assert (answer.outcome, len(answer.entries)) == ("superseded", UPDATES_PER_SLICE)
    assert set(ask(other).hkeys(store.keys.of("plant", "records"))) == first
    assert set(ask(other).hkeys(store.keys.of("plant", "flight"))) == first
    assert int(control(other)[b"lease_until"]) > now(other), "the new ticker keeps its lease"


def test_the_lease_is_held_and_nothing_is_settled_before_the_last_slice(store: Store) -> None:
    supervisor = plant(600)
    seen(store, supervisor, sight("lamp-0"))
    claim = claimed(store, supervisor)
    run, between = store.scripts.run, list[dict[bytes, bytes]]()

    def watched(name: str, keys: list[str], args: list[object]) -> object:
        between.append(control(store))
        return run(name, keys, args)

    store.scripts.run = watched  # type: ignore[method-assign, assignment]  # the moments between the slices
    assert written(store, supervisor, claim, *(update(f"lamp-{i}") for i in range(600))).outcome == "done"
    assert len(between) == 3
    assert all(int(marks[b"lease_until"]) > claim.now and b"clean" not in marks for marks in between)
    assert control(store)[b"clean"] == control(store)[b"dirty"]


def test_a_probe_without_its_slot_keeps_the_later_slices_from_being_written_too(store: Store) -> None:
    supervisor = plant(600, checks=[equally_warm])
    claim = claimed(store, supervisor)
    reserved(store, "by-ann")
    probe = update("lamp-0", wish=wish("lamp-0", "p", incident="i"))
    answer = written(store, supervisor, claim, probe, *(update(f"lamp-{i}") for i in range(1, 600)))
    assert answer.outcome == "again"
    assert ask(store).exists(store.keys.of("plant", "records")) == 0
    assert b"clean" not in control(store)


def test_thousands_of_messages_are_published_and_forgotten(store: Store, post: Post) -> None:
    supervisor = plant(9_000)
    runtime = Runtime(store, post, {"plant": supervisor})
    seen(store, supervisor, *(sight(name, on=False) for name in supervisor.children))
    assert runtime.tick("plant", "dirty") == "done"
    forget_slot(store, supervisor)
    assert runtime.tick("plant") == "done"
    assert len(post.taken) == 9_000
    assert ask(store).zcard(store.keys.outbox) == ask(store).hlen(store.keys.entries) == 1  # the wake of `seen`


# Wake-ups


class Ticker:
    """A ticker that ticks only because it was sent a message; it may be slow, and messages may come while it is."""

    def __init__(self, store: Store) -> None:
        self.store, self.supervisor, self.messages = store, plant(), list[Entry]()
        self.claim: Claim | None = None
        self.view: View | None = None
        self.heat = 0

    def observe(self) -> None:
        self.heat += 1
        self.messages += seen(self.store, self.supervisor, sight("lamp-0", heat=self.heat))

    def begin(self) -> None:
        if self.messages:
            self.messages.pop()
            answer = self.store.ticks.claim(self.supervisor, "dirty")
            self.claim = answer if isinstance(answer, Claim) else None
            self.view = self.store.ticks.load(self.supervisor, answer) if isinstance(answer, Claim) else None

    def commit(self) -> None:
        if self.claim and self.view:
            plan = decide(self.view, self.claim.now)
            self.messages += self.store.ticks.commit(self.view, plan, self.claim).entries
        self.claim = None

    def expire(self) -> None:
        expire_lease(self.store)

    def other(self) -> None:
        slow, self.claim = (self.claim, self.view), None
        self.begin()
        self.commit()
        self.claim, self.view = slow


STEPS = ("observe", "observe", "begin", "commit", "expire", "other")


@pytest.mark.parametrize("order", sorted(set(itertools.permutations(STEPS))), ids=" ".join)
def test_no_wake_up_is_lost_in_any_order(store: Store, order: tuple[str, ...]) -> None:
    """Two changes, a slow ticker, its lease's end and another ticker in every order; messages alone settle it all."""
    ticker = Ticker(store)
    for step in order:
        getattr(ticker, step)()
    ticker.commit()
    for _ in range(10):
        ticker.other()
    assert ticker.messages == []
    assert control(store)[b"dirty"] == control(store)[b"clean"]
    record = ask(store).hget(store.keys.of("plant", "records"), "lamp-0")
    assert record is not None, "the change was seen by a tick"


def test_a_wake_that_got_lost_is_made_up_for_by_the_next_periodic_tick(store: Store) -> None:
    supervisor = plant()
    assert len(seen(store, supervisor, sight("lamp-0"))) == 1
    assert seen(store, supervisor, sight("lamp-0", heat=1)) == ()
    ticked(store, supervisor)
    assert control(store)[b"dirty"] == control(store)[b"clean"]
    assert len(seen(store, supervisor, sight("lamp-0", heat=2))) == 1


# The end of an action wakes a tick


def test_the_end_of_an_action_wakes_one_tick(store: Store) -> None:
    reserved(store)
    ended = store.actions.finish(started(store), outcome="succeeded")
    assert [entry.kind for entry in ended.entries] == ["tick"]
    claimed(store, plant(), "dirty")


def test_a_record_is_stored_as_the_core_wrote_it(store: Store) -> None:
    supervisor = plant()
    written(store, supervisor, claimed(store, supervisor), update("lamp-0"))
    stored = ask(store).hget(store.keys.of("plant", "records"), "lamp-0")
    assert isinstance(stored, bytes)
    assert msgspec.json.decode(stored, type=ChildRecord) == ChildRecord("off", Phase.STOPPED, "by hand", 1)


class Careless(Lamp):
    """Changes what it is handed."""

    def rest(self, desired: dict[str, bool]) -> dict[str, bool]:
        desired["on"] = False
        return desired


def test_a_rule_that_changes_the_document_it_is_handed_changes_it_for_nobody_else(store: Store) -> None:
    lamp = Careless("lamp", desired={"on": True})
    supervisor = Supervisor("plant", [lamp])
    for revision in (0, 1):
        view = store.ticks.load(supervisor, claimed(store, supervisor))
        handed = view.children["lamp"]
        assert (handed.desired, handed.revision) == ({"on": True}, revision)
        lamp.rest(handed.desired)
        assert lamp.desired == {"on": True}
        # One that does not fit is as if not set.
        ask(store).hset(store.keys.of("plant", "desired"), "lamp", '{"revision":1,"document":[]}')
        forget_slot(store, supervisor)
        expire_lease(store)
