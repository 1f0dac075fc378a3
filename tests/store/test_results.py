"""What an action returns stands in the snapshot; what cannot be kept fails it for good: it has had its effect."""

from typing import Any

import pytest
from lamps import Lamp, Post, make_due, plant, record_of, reserved, started

from supervision.actions import Run, action
from supervision.model import LastAction
from supervision.runtime import Runtime
from supervision.store.snapshots import Snapshots
from supervision.store.store import Store
from supervision.supervisor import Supervisor
from supervision.view import Claim


class Answering(Lamp):
    """Returns what the test says, and keeps what its runs saw."""

    def __init__(self, answer: Any) -> None:
        super().__init__("lamp-0")
        self.answer, self.runs = answer, list[Run]()

    @action(timeout=5, retries=3, not_retryable=(LookupError,))
    def switch_on(self, run: Run) -> Any:
        self.runs.append(run)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def over(store: Store, lamp: Answering) -> Runtime:
    return Runtime(store, Post(), {"plant": Supervisor("plant", [lamp])})


def last(store: Store, lamp: Answering) -> LastAction | None:
    return Snapshots(store.scripts, store.keys).of("plant", lamp).last_action


ANSWERS = [{"bulbs": [], "watts": 2**70, "by": {}}, [], 0, "ü", 1.0, (1, 2)]


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
def test_the_next_run_sees_what_the_last_one_returned(store: Store, answer: Any) -> None:
    lamp = Answering(answer)
    runtime = over(store, lamp)
    for name in ("a", "b"):
        reserved(store, name)
        assert runtime.run_action(name) == "succeeded"
    first, second = (run.snapshot.last_action for run in lamp.runs)
    kept = list(answer) if isinstance(answer, tuple) else answer
    assert first is None
    assert second is not None
    assert (second.result, type(second.result)) == (kept, type(kept))


def test_nothing_returned_leaves_nothing_of_an_earlier_result(store: Store) -> None:
    lamp = Answering("first")
    runtime = over(store, lamp)
    for name, answer in (("a", "first"), ("b", None)):
        lamp.answer = answer
        reserved(store, name)
        runtime.run_action(name)
    found = last(store, lamp)
    assert found is not None
    assert (found.id, found.result, record_of(store, "a").result, record_of(store, "b").result) == (
        "b",
        None,
        '"first"',
        "",
    )


@pytest.mark.parametrize(
    "answer", [object(), float("nan"), {1: 2}, "x" * 20_000], ids=lambda value: type(value).__name__
)
def test_what_cannot_be_kept_fails_the_action_once_and_for_all(store: Store, answer: Any) -> None:
    lamp = Answering(answer)
    reserved(store, retries=3)
    assert over(store, lamp).run_action("a") == "failed"
    found = last(store, lamp)
    assert found is not None
    assert (found.outcome, found.result, len(lamp.runs)) == ("failed", None, 1)
    assert found.error.startswith("NotRetryable: plant/lamp-0: switch_on returned ")
    assert "return None, text, finite numbers" in found.error


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(KeyError("no lamp"), "failed"), (LookupError("no lamp"), "failed"), (ValueError("no lamp"), "retrying")],
    ids=["its subclass", "the class", "another class"],
)
def test_what_was_declared_as_not_retryable_ends_the_action(store: Store, error: Exception, outcome: str) -> None:
    reserved(store, retries=3)
    assert over(store, Answering(error)).run_action("a") == outcome


def test_a_run_reads_its_own_child_and_no_other(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    lamp = Answering(None)
    runtime = over(store, lamp)
    runtime.collect("plant")
    runtime.tick("plant")
    monkeypatch.setattr(store.ticks.loading, "view", lambda _supervisor: pytest.fail("it read the whole supervisor"))
    reserved(store)
    assert runtime.run_action("a") == "succeeded"
    (run,) = lamp.runs
    assert (run.snapshot.observed.on, run.snapshot.state, run.snapshot.identity.path) == (True, "off", "plant/lamp-0")


def test_one_child_is_seen_as_a_tick_sees_it(store: Store) -> None:
    lamp = Answering("lit")
    runtime = over(store, lamp)
    runtime.collect("plant")
    runtime.tick("plant")
    store.client.hset(store.keys.of("plant", "desired"), "lamp-0", '{"revision":3,"document":{"watts":40}}')
    reserved(store, "a")
    runtime.run_action("a")
    reserved(store, "b")
    found = Snapshots(store.scripts, store.keys).of("plant", lamp)
    view = store.ticks.load(runtime.supervisors["plant"], Claim(1, 1, 0)).children["lamp-0"]
    assert found == view
    assert (found.revision, found.desired, found.in_flight) == (3, {"watts": 40}, "b")


def test_a_child_that_nobody_has_seen_is_as_it_is_declared(store: Store) -> None:
    (lamp,) = plant(1).children.values()
    found = Snapshots(store.scripts, store.keys).of("plant", lamp)
    assert (found.record, found.observation, found.in_flight, found.desired) == (None, None, "", {})


# Handed back: a worker that is told to stop


def handed_back(store: Store, name: str = "a") -> str:
    outcome = store.actions.finish(
        started(store, name), outcome="interrupted", error="told to stop", delay_ms=60_000
    ).outcome
    make_due(store, name)
    store.actions.requeue(name, 5_000)
    return outcome


def test_a_run_that_is_handed_back_is_due_at_once(store: Store) -> None:
    reserved(store, retries=0)
    store.actions.finish(started(store), outcome="interrupted", error="told to stop", delay_ms=60_000)
    assert [record.id for record in store.actions.overdue()] == ["a"]
    assert (record_of(store).state, record_of(store).error) == ("retrying", "told to stop")


def test_a_run_that_is_handed_back_costs_no_retry_but_not_for_ever(store: Store) -> None:
    reserved(store, retries=1)
    assert [handed_back(store) for _ in range(5)] == ["retrying"] * 4 + ["failed"]
    assert (record_of(store).handed, record_of(store).attempt) == (3, 5)


def test_a_run_that_is_handed_back_and_then_fails_has_all_its_retries(store: Store) -> None:
    reserved(store, retries=1)
    outcomes = [handed_back(store)]
    for _ in range(2):
        outcomes.append(store.actions.finish(started(store), outcome="failed").outcome)
        make_due(store)
        store.actions.requeue("a", 5_000)
    assert outcomes == ["retrying", "retrying", "failed"]


def test_a_restart_probe_that_is_handed_back_stays_in_flight_and_runs_again(store: Store) -> None:
    reserved(store, retries=0, incident="plant@1")
    assert handed_back(store) == "retrying"
    assert store.actions.finish(started(store), outcome="succeeded").outcome == "succeeded"


def test_a_hand_back_that_is_said_twice_is_one(store: Store) -> None:
    reserved(store)
    run = started(store)
    for _ in range(2):
        assert store.actions.finish(run, outcome="interrupted").outcome == "retrying"
    assert record_of(store).handed == 1


@pytest.mark.parametrize(("code", "outcome"), [(-241, "retrying"), (-253, "retrying"), (1, "failed"), ("no", "failed")])
def test_only_a_worker_that_was_told_to_stop_hands_back(store: Store, code: int | str, outcome: str) -> None:
    class Leaving(Answering):
        @action(timeout=5, retries=0)
        def switch_on(self, _run: Run) -> None:
            raise SystemExit(code)

    reserved(store, retries=0)
    assert over(store, Leaving(None)).run_action("a") == outcome
    assert ("told to stop" in record_of(store).error) == (outcome == "retrying")


def test_one_that_was_ended_by_its_limit_is_not_handed_back(store: Store) -> None:
    class Slow(Answering):
        @action(timeout=5, retries=0)
        def switch_on(self, _run: Run) -> None:
            raise SystemExit(-241)

    reserved(store, retries=0, timeout_ms=0)
    assert over(store, Slow(None)).run_action("a") == "failed"
