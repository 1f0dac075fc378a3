"""Actions: one in flight per child, one run per start, and no effect of a run whose fence is old."""

import threading
from collections.abc import Callable

import pytest
from lamps import ask, counter, due_in, everything, make_due, now, past, plant, record_of, reserved, started, wish

from supervision.actions import TRANSITIONS
from supervision.runtime import Runtime
from supervision.store.actions import GRACE_MS, KEEP_S, Record
from supervision.store.store import Store
from supervision.store.ticks import LOOK_AGAIN_MS
from supervision.view import Claim

HOUR_MS = 3_600_000


def flight(store: Store) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = ask(store).hgetall(store.keys.of("plant", "flight"))
    return found


# Reserve


def test_a_person_reserves_the_slot_once_per_id(store: Store) -> None:
    sent = reserved(store)
    assert (sent.kind, sent.subject) == ("act", "a")
    before = everything(store)
    assert store.actions.reserve("plant", "ann", wish("lamp-0", "a")) == ("duplicate", ())
    assert store.actions.reserve("plant", "bob", wish("lamp-0", "b")) == ("busy", ())
    assert everything(store) == before
    assert record_of(store).actor == "ann"


def test_an_id_stays_used_after_its_action_ended(store: Store) -> None:
    reserved(store)
    store.actions.finish(started(store), outcome="succeeded")
    assert store.actions.reserve("plant", "ann", wish("lamp-0", "a")) == ("duplicate", ())


def test_one_of_many_people_gets_the_slot(connect: Callable[[], Store]) -> None:
    stores = [connect() for _ in range(6)]
    begin, outcomes = threading.Barrier(len(stores)), list[str]()

    def reserve(store: Store, action_id: str) -> None:
        begin.wait(30)
        outcomes.append(store.actions.reserve("plant", "ann", wish("lamp-0", action_id))[0])

    threads = [threading.Thread(target=reserve, args=(store, f"a{i}")) for i, store in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["busy"] * 5 + ["reserved"]
    assert len(past(stores[0], "action")) == 1


# Start


def test_one_of_many_workers_starts_each_action(connect: Callable[[], Store]) -> None:
    stores, actions = [connect() for _ in range(4)], 20
    for i in range(actions):
        reserved(stores[0], f"a{i}", f"lamp-{i}")
    begin, answers = threading.Barrier(len(stores)), [list[Record | str]() for _ in range(actions)]

    def start(store: Store) -> None:
        for i in range(actions):
            begin.wait(30)
            answers[i].append(store.actions.start(f"a{i}"))

    threads = [threading.Thread(target=start, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runs = [[answer for answer in some if isinstance(answer, Record)] for some in answers]
    assert [len(found) for found in runs] == [1] * actions
    assert all(some.count("running") == len(stores) - 1 for some in answers)
    fences = [found[0].fence for found in runs]
    assert fences == sorted(set(fences))
    assert counter(stores[0], "supervisor_actions_duplicate_total") == actions * (len(stores) - 1)


def test_a_run_knows_its_limits(store: Store) -> None:
    reserved(store, timeout_ms=7_000)
    run = started(store)
    assert (run.state, run.attempt, run.retries, run.timeout_ms) == ("running", 1, 2, 7_000)
    assert run.deadline == run.started + 7_000 + GRACE_MS
    assert run == record_of(store)
    assert run.fence >= run.started


def test_fences_grow_when_the_clock_was_set_back(store: Store) -> None:
    ahead = now(store) + HOUR_MS
    ask(store).set(store.keys.fence, ahead)
    reserved(store)
    assert started(store).fence == ahead + 1


def test_an_action_that_nobody_reserved_is_gone(store: Store) -> None:
    assert store.actions.start("a") == "gone"
    assert store.actions.get("a") is None
    assert set(everything(store)) == {store.keys.counters}


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_a_message_that_comes_again_after_the_end_starts_nothing(store: Store, outcome: str) -> None:
    reserved(store)
    store.actions.finish(started(store), outcome=outcome, retry=False)
    before = {**everything(store), store.keys.counters: None}
    assert store.actions.start("a") == outcome
    assert {**everything(store), store.keys.counters: None} == before


def test_a_message_that_comes_again_before_the_retry_is_due_starts_nothing(store: Store) -> None:
    reserved(store)
    store.actions.finish(started(store), outcome="failed", delay_ms=60_000)
    assert store.actions.start("a") == "retrying"


# Finish


def test_the_end_frees_the_slot_and_stands_as_the_last_action(store: Store) -> None:
    reserved(store)
    assert flight(store) == {b"lamp-0": b"a"}
    run = started(store)
    assert flight(store) == {b"lamp-0": b"a"}
    ended = store.actions.finish(run, outcome="succeeded")
    assert (ended.outcome, flight(store)) == ("succeeded", {})
    last = store.ticks.load(plant(), Claim(1, now(store), 0)).children["lamp-0"].last_action
    assert last is not None
    assert (last.id, last.name, last.outcome, last.attempt, last.error) == ("a", "switch_on", "succeeded", 1, "")
    assert run.started <= last.ended <= now(store)
    assert ask(store).zcard(store.keys.due) == 0
    assert 0 < ask(store).ttl(store.keys.action("a")) <= KEEP_S


def test_a_run_that_fails_waits_in_the_store_and_keeps_the_slot(store: Store) -> None:
    reserved(store)
    ended = store.actions.finish(started(store), outcome="failed", error="no fuse", delay_ms=60_000)
    assert (ended.outcome, ended.entries) == ("retrying", ())
    assert (record_of(store).state, record_of(store).error) == ("retrying", "no fuse")
    assert flight(store) == {b"lamp-0": b"a"}
    assert 30_000 < due_in(store) <= 60_000
    assert ask(store).ttl(store.keys.action("a")) == -1


def test_a_run_that_must_not_be_retried_ends_at_once(store: Store) -> None:
    reserved(store)
    assert store.actions.finish(started(store), outcome="failed", retry=False).outcome == "failed"
    assert flight(store) == {}


def test_an_action_runs_once_more_than_it_is_retried(store: Store) -> None:
    reserved(store, retries=2)
    outcomes = []
    for _ in range(3):
        make_due(store)
        store.actions.requeue("a", LOOK_AGAIN_MS)
        outcomes.append(store.actions.finish(started(store), outcome="failed").outcome)
    assert outcomes == ["retrying", "retrying", "failed"]
    assert store.actions.start("a") == "failed"


def test_a_late_end_changes_nothing(store: Store) -> None:
    reserved(store)
    first = started(store)
    store.actions.finish(first, outcome="failed")
    make_due(store)
    store.actions.requeue("a", LOOK_AGAIN_MS)
    second = started(store)
    assert second.fence > first.fence
    before = {**everything(store), store.keys.counters: None}
    for outcome in ("succeeded", "failed", "dead"):
        assert store.actions.finish(first, outcome=outcome).outcome == "late"
    assert {**everything(store), store.keys.counters: None} == before
    assert counter(store, "supervisor_actions_late_total") == 3
    assert store.actions.finish(second, outcome="succeeded").outcome == "succeeded"
    assert store.actions.finish(second, outcome="failed").outcome == "late"


def test_the_end_of_one_action_does_not_free_the_slot_of_another(store: Store) -> None:
    reserved(store)
    run = started(store)
    ask(store).hset(store.keys.of("plant", "flight"), "lamp-0", "b")
    store.actions.finish(run, outcome="succeeded")
    assert flight(store) == {b"lamp-0": b"b"}


def test_an_error_that_is_no_text_ends_its_run(store: Store) -> None:
    reserved(store)
    ended = store.actions.finish(started(store), outcome="failed", error="no \udcff" + "x" * 1_000_000, retry=False)
    assert ended.outcome == "failed"
    assert record_of(store).error.startswith("no \\udcffxx")
    assert len(record_of(store).error) < 10_000


def test_every_step_of_an_action_is_one_record(store: Store) -> None:
    reserved(store, retries=1)
    for _ in range(2):
        make_due(store)
        store.actions.requeue("a", LOOK_AGAIN_MS)
        store.actions.finish(started(store), outcome="failed", error="no fuse")
    steps = [(before, after) for _, before, after in past(store, "action")]
    assert steps == [
        ("", "queued"),
        ("queued", "running"),
        ("running", "retrying"),
        ("retrying", "queued"),
        ("queued", "running"),
        ("running", "failed"),
    ]
    assert all(after in TRANSITIONS[before] for before, after in steps)
    last = store.history.latest(1)[0]
    assert (last.action, last.attempt, last.actor, last.reason) == ("a", 2, "ann", "switch_on: no fuse")


# Requeue


def test_an_action_is_sent_again_only_when_its_time_has_come(store: Store) -> None:
    reserved(store)
    assert store.actions.requeue("a", LOOK_AGAIN_MS) == ()
    make_due(store)
    first = store.actions.requeue("a", LOOK_AGAIN_MS)
    assert store.actions.requeue("a", LOOK_AGAIN_MS) == ()
    make_due(store)
    second = store.actions.requeue("a", LOOK_AGAIN_MS)
    assert [entry.id for entry in (*first, *second)] == ["act:a:2", "act:a:3"]
    assert record_of(store).sent == 3
    assert len(past(store, "action")) == 1, "sending again is no transition"


def test_a_running_action_is_not_sent_again(store: Store) -> None:
    reserved(store)
    started(store)
    make_due(store)
    assert store.actions.requeue("a", LOOK_AGAIN_MS) == ()


# The due sweep


@pytest.mark.parametrize("seconds", [(5, 10, 20, 40, 80, 160, 300, 300)], ids=str)
def test_an_action_that_nobody_starts_is_sent_again_ever_more_rarely(
    runtime: Runtime, store: Store, seconds: tuple[int, ...]
) -> None:
    reserved(store)
    waits = [due_in(store)]
    for _ in seconds[1:]:
        make_due(store)
        assert runtime.sweep_due() == 1
        waits.append(due_in(store))
    assert [round(wait / 1000) for wait in waits] == pytest.approx(seconds, abs=2)


def test_a_retry_is_sent_again_as_soon_as_a_first_try_would_be(runtime: Runtime, store: Store) -> None:
    reserved(store, retries=9)
    for _ in range(5):
        store.actions.finish(started(store), outcome="failed")
        make_due(store)
        runtime.sweep_due()
        assert round(due_in(store) / 1000) == pytest.approx(5, abs=2)


def test_a_run_whose_process_dies_each_time_ends_after_its_last_retry(runtime: Runtime, store: Store) -> None:
    reserved(store, retries=2)
    runs = []
    while record_of(store).state != "failed":
        runs.append(started(store).attempt)
        make_due(store)
        runtime.sweep_due()
        make_due(store)
        runtime.sweep_due()
    assert runs == [1, 2, 3]
    assert flight(store) == {}
    assert record_of(store).error == "no end within 5 s; its process died or hung"


def test_a_reaped_run_waits_out_its_backoff(runtime: Runtime, store: Store) -> None:
    reserved(store)
    started(store)
    make_due(store)
    runtime.sweep_due()
    assert record_of(store).state == "retrying"
    assert 0 < due_in(store) <= 1_000


def test_a_run_that_begins_while_a_sweep_looks_is_not_reaped(runtime: Runtime, store: Store) -> None:
    """It was overdue while it was queued; by the time that its record is read it runs, and its deadline is far away."""
    reserved(store)
    make_due(store)
    get, begun = store.actions.get, list[Record]()

    def started_meanwhile(action_id: str) -> Record | None:
        begun.append(started(store, action_id))
        return get(action_id)

    store.actions.get = started_meanwhile  # type: ignore[method-assign]  # the moment between two commands
    runtime.sweep_due()
    assert record_of_running(begun[0]) == get("a")
    assert store.actions.finish(begun[0], outcome="succeeded").outcome == "succeeded"


def record_of_running(run: Record) -> Record:
    assert run.state == "running"
    return run


def test_a_due_time_without_its_action_is_forgotten(runtime: Runtime, store: Store) -> None:
    ask(store).zadd(store.keys.due, {"nobody": 1})
    assert runtime.sweep_due() == 0
    assert ask(store).zcard(store.keys.due) == 0


def test_a_child_whose_action_lost_its_record_is_free_again(runtime: Runtime, store: Store) -> None:
    runtime.declare()
    reserved(store)
    reserved(store, "b", "lamp-1")
    make_due(store)
    ask(store).delete(store.keys.action("a"))
    assert runtime.sweep_due() == 0
    assert flight(store) == {b"lamp-1": b"b"}
    (lost,) = [record for record in store.history.since() if record.kind == "lost"]
    assert (lost.subject, lost.action, lost.reason) == (
        "plant/lamp-0",
        "a",
        "the record of its action a is gone: how it ended is not known",
    )
    assert [name for name in ask(store).zrange(store.keys.outbox, 0, -1) if name.startswith(b"tick:")] != []
    assert runtime.sweep_due() == 0
    reserved(store, "c", "lamp-0")


def test_two_sweeps_at_once_send_once(runtime: Runtime, store: Store) -> None:
    reserved(store)
    make_due(store)
    overdue = store.actions.overdue()
    assert runtime.sweep_due() == 1
    assert [store.actions.requeue(record.id, LOOK_AGAIN_MS) for record in overdue] == [()]


@pytest.mark.parametrize(
    "gaps",
    [[12_000] * 8, [12_000, 10, 10] * 8, [15_000, 1_000] * 8, [400_000] * 60],
    ids=["late", "in bursts", "now and then", "hardly ever"],
)
def test_sweeps_that_are_late_again_and_again_end_every_wait(store: Store, gaps: list[int]) -> None:
    reserved(store)
    started(store)
    ask(store).set(store.keys.swept, now(store))
    found = []
    for gap in gaps:
        passes(store, gap)
        found += store.actions.overdue()
    assert found, f"still {due_in(store)} ms to wait"


def passes(store: Store, milliseconds: int) -> None:
    """As if so much time had gone by: all that is stored is older by it."""
    at, *gap = ask(store).get(store.keys.swept).decode().split(":")
    ask(store).set(store.keys.swept, ":".join([str(int(at) - milliseconds), *gap]))
    ask(store).zadd(store.keys.due, {"a": ask(store).zscore(store.keys.due, "a") - milliseconds})


@pytest.mark.parametrize("jump", [HOUR_MS, -HOUR_MS], ids=["forward", "back"])
def test_a_clock_that_is_set_changes_nothing_about_what_is_still_to_be_waited_for(store: Store, jump: int) -> None:
    reserved(store)
    started(store)
    left = round(due_in(store))
    ask(store).zadd(store.keys.due, {"a": now(store) - jump + left})
    ask(store).set(store.keys.swept, now(store) - jump)

    assert store.actions.overdue() == []
    assert abs(due_in(store) - left) < 5_000
    assert store.actions.overdue() == []
