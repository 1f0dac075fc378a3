"""The end of a run is reported, whatever happens while it is; and a restart probe that nobody takes is given up."""

import os
import signal
import threading
from asyncio import CancelledError
from collections.abc import Callable

import psutil
import pytest
from lamps import Lamp, Post, ask, due_in, make_due, now, past, record_of, reserved
from structlog.testing import capture_logs

from supervision.actions import Run, action
from supervision.runtime import Runtime
from supervision.server import EmbeddedStore
from supervision.store.actions import MOST_PASSED_ON, PROBE_LEASE_MS
from supervision.store.store import Store
from supervision.supervisor import Supervisor


class Switch(Lamp):
    """A lamp whose switch does whatever the test says."""

    work: Callable[[], object] = staticmethod(lambda: None)

    @action(timeout=20, retries=2)
    def switch_on(self, _run: Run) -> None:
        type(self).work()


def runtime_with(store: Store, work: Callable[[], object]) -> Runtime:
    switch = type("Switch", (Switch,), {"work": staticmethod(work)})("lamp-0")
    return Runtime(store, Post(), {"plant": Supervisor("plant", [switch])})


def test_an_end_is_reported_when_the_store_comes_back(make_store: Callable[..., EmbeddedStore]) -> None:
    server = make_store()
    store = Store(server.url)
    reserved(store, timeout_ms=20_000)
    back = threading.Thread(target=server.start)

    def work() -> None:
        dead = psutil.Process(server.pid)
        os.kill(server.pid, signal.SIGKILL)
        psutil.wait_procs([dead], timeout=30)
        back.start()

    assert runtime_with(store, work).run_action("a") == "succeeded"
    back.join()
    assert past(store, "action") == [
        ("plant/lamp-0", "", "queued"),
        ("plant/lamp-0", "queued", "running"),
        ("plant/lamp-0", "running", "succeeded"),
    ]
    store.close()


def test_the_same_end_said_twice_is_one_end(store: Store) -> None:
    reserved(store)
    run = store.actions.start("a")
    assert not isinstance(run, str)
    first = store.actions.finish(run, outcome="failed", error="no")
    assert (first.outcome, store.actions.finish(run, outcome="failed", error="no").outcome) == ("retrying", "retrying")
    assert [after for _, _, after in past(store, "action")] == ["queued", "running", "retrying"]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), CancelledError(), GeneratorExit()], ids=repr)
def test_an_action_that_exits_has_failed_and_its_process_goes_on(store: Store, error: BaseException) -> None:
    def work() -> None:
        raise error

    reserved(store)
    with capture_logs() as told:
        assert runtime_with(store, work).run_action("a") == "retrying"
    assert type(error).__name__ in record_of(store).error
    assert [(line["event"], line["child"]) for line in told if "action" in line] == [
        ("action_started", "plant/lamp-0"),
        ("action_failed", "plant/lamp-0"),
    ]


@pytest.mark.parametrize("age", [PROBE_LEASE_MS - 10_000, PROBE_LEASE_MS + 10_000], ids=["in time", "too late"])
def test_a_probe_that_nobody_starts_in_time_is_a_failed_attempt(store: Store, runtime: Runtime, age: int) -> None:
    reserved(store, incident="plant@1")
    ask(store).hset(store.keys.action("a"), "created", now(store) - age)
    make_due(store)
    runtime.sweep_due()
    expired = age > PROBE_LEASE_MS
    assert record_of(store).state == ("failed" if expired else "queued")
    assert ask(store).hexists(store.keys.of("plant", "flight"), "lamp-0") != expired
    if not expired:
        assert due_in(store) > 0


def test_a_probe_that_is_too_old_is_not_started(store: Store) -> None:
    reserved(store, incident="plant@1")
    ask(store).hset(store.keys.action("a"), "created", now(store) - PROBE_LEASE_MS - 10_000)
    assert store.actions.start("a") == "expired"


def test_what_a_person_asked_for_never_grows_too_old(store: Store, runtime: Runtime) -> None:
    reserved(store)
    ask(store).hset(store.keys.action("a"), "created", now(store) - 3_600_000)
    make_due(store)
    runtime.sweep_due()
    assert not isinstance(store.actions.start("a"), str)


# --- two versions of the code


def versions(store: Store) -> tuple[Runtime, Runtime]:
    """One that knows `lamp-1`, and the one before it."""
    newer, older = (Supervisor("plant", [Switch(f"lamp-{n}") for n in range(lamps)]) for lamps in (2, 1))
    return Runtime(store, Post(), {"plant": newer}), Runtime(store, Post(), {"plant": older})


def test_an_action_that_a_worker_does_not_know_is_handed_on_at_no_cost(store: Store) -> None:
    newer, older = versions(store)
    reserved(store, child="lamp-1", retries=0)
    for _ in range(5):
        assert older.run_action("a") == "retrying"
        make_due(store)
        older.sweep_due()
    assert "is not in the code of this worker" in record_of(store).error
    assert newer.run_action("a") == "succeeded"


def test_one_that_no_worker_knows_fails_in_the_end(store: Store) -> None:
    _, older = versions(store)
    reserved(store, child="lamp-1", retries=2)
    ends = []
    for _ in range(MOST_PASSED_ON + 1):
        ends.append(older.run_action("a"))
        make_due(store)
        older.sweep_due()
    assert ends == ["retrying"] * MOST_PASSED_ON + ["failed"]
