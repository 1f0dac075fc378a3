"""Whether an action is in progress is exact at every step of its life, for the client and for the next decision."""

from collections.abc import Callable, Iterator

import pytest
from lamps import (
    Lamp,
    Post,
    ask,
    counter,
    expire_lease,
    forget_slot,
    make_due,
    past,
    plant,
    record_of,
    reserved,
    started,
)

from supervision.actions import Run, action
from supervision.client import Client
from supervision.runtime import Runtime
from supervision.server import EmbeddedStore
from supervision.store.store import Store
from supervision.supervisor import Supervisor

PATH = "plant/lamp-0"


class Tried(Lamp):
    """A lamp whose switch fails until its last run, and keeps what its runs were called with."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.runs: list[Run] = []

    @action(timeout=5, retries=2)
    def switch_on(self, run: Run) -> None:
        self.runs.append(run)
        if run.attempt <= 2:
            raise OSError("no fuse")


@pytest.fixture
def client(server: EmbeddedStore, namespace: str) -> Iterator[Client]:
    with Client(server.url, namespace=namespace) as found:
        yield found


def ended(store: Store, **how: object) -> Callable[[], object]:
    """A way to end the run of now."""
    return lambda: store.actions.finish(record_of(store), **how)  # type: ignore[arg-type] # as `finish` takes them


def again(store: Store) -> Callable[[], object]:
    """A way to let the time until the next run pass."""

    def sent() -> None:
        make_due(store)
        store.actions.requeue("a", 5_000)

    return sent


def test_it_is_in_progress_from_the_reservation_to_the_end_retries_included(store: Store, client: Client) -> None:
    Runtime(store, Post(), {"plant": plant()}).declare()
    steps: dict[str, Callable[[], object]] = {
        "nothing": lambda: None,
        "reserved": lambda: reserved(store, retries=1),
        "refused": lambda: store.actions.start("another"),
        "started": lambda: started(store),
        "started twice": lambda: store.actions.start("a"),
        "handed back": ended(store, outcome="interrupted"),
        "sent again": again(store),
        "started again": lambda: started(store),
        "failed once": ended(store, outcome="failed", delay_ms=60_000),
        "due": again(store),
        "started for the last time": lambda: started(store),
        "failed for good": ended(store, outcome="failed"),
        "said again": ended(store, outcome="failed"),
    }
    progress = {}
    for step, walk in steps.items():
        walk()
        progress[step] = client.has_action_in_progress(PATH)
        assert store.actions.in_flight() == progress[step]
        assert not client.has_action_in_progress("plant/lamp-1")
    assert [step for step, found in progress.items() if not found] == ["nothing", "failed for good", "said again"]


def test_an_action_that_was_asked_for_twice_while_queued_is_one(store: Store) -> None:
    """A second wish for the child, by a tick or by a person, and a second message for the first wish."""
    lamp = Tried("lamp-0")
    runtime = Runtime(store, Post(), {"plant": Supervisor("plant", [lamp])})
    reserved(store)
    for _ in range(3):
        runtime.collect("plant")
        forget_slot(store, runtime.supervisors["plant"])
        expire_lease(store)
        runtime.tick("plant")
    assert past(store, "action") == [(PATH, "", "queued")]
    assert [runtime.run_action("a") for _ in range(2)] == ["retrying", "retrying"]
    assert len(lamp.runs) == 1
    assert counter(store, "supervisor_actions_duplicate_total") == 1


def test_every_run_of_an_action_has_its_id_and_a_larger_fence(store: Store) -> None:
    lamp = Tried("lamp-0")
    runtime = Runtime(store, Post(), {"plant": Supervisor("plant", [lamp])})
    reserved(store)
    outcomes = []
    for _ in range(3):
        outcomes.append(runtime.run_action("a"))
        make_due(store)
        runtime.sweep_due()
    assert outcomes == ["retrying", "retrying", "succeeded"]
    assert [(run.id, run.attempt) for run in lamp.runs] == [("a", 1), ("a", 2), ("a", 3)]
    fences = [run.fence for run in lamp.runs]
    assert fences == sorted(set(fences))
    assert ask(store).zcard(store.keys.due) == 0
