"""The guard `once`: a message that comes twice has one effect, whoever is killed when."""

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, chain
from celery_processes import until
from waiting_system import WaitingSystem, running

from supervision import InvalidDeclaration, InvalidWait, coordinator, once

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]
SOON = 20.0


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WaitingSystem]:
    with running(tmp_path_factory.mktemp("once")) as found:
        yield found


@pytest.fixture
def name() -> str:
    return f"order-{uuid.uuid4().hex}"


def pays(system: WaitingSystem, name: str, how: str = "pays", **options: Any) -> Any:
    return system.task("pay", name, how).apply_async(task_id=name, **options)


def paid(system: WaitingSystem, name: str) -> int:
    return system.notes().count(f"paid:{name}")


def idle(system: WaitingSystem) -> None:
    """Until the queue is empty and its last task has run."""
    store: Any = system.client._store
    until(lambda: not store.client.llen("supervision.actions"), "the queue to be empty")
    for _ in range(2):  # as many as there are slots
        system.task("add", 1).apply_async(ignore_result=False).get(timeout=SOON)


def known(system: WaitingSystem, name: str) -> dict[bytes, bytes]:
    store: Any = system.client._store
    found: dict[bytes, bytes] = store.client.hgetall(store.keys.once(name))
    return found


def test_the_same_id_published_twice_runs_once(system: WaitingSystem, name: str) -> None:
    first = pays(system, name, link=system.task("note", tag=f"then-{name}"))
    assert first.get(timeout=SOON) == name
    until(lambda: b"settled" in known(system, name), lambda: str(known(system, name)))
    for _ in range(3):
        pays(system, name, link=system.task("note", tag=f"then-{name}"))
    idle(system)
    assert (paid(system, name), first.state) == (1, "SUCCESS")
    assert sum(line.startswith(f"then-{name}") for line in system.notes()) == 1
    store: Any = system.client._store
    assert 0 < store.client.pttl(store.keys.once(name)) <= 24 * 3_600_000


def test_a_copy_beside_a_run_that_lives_does_nothing_however_long_that_takes(system: WaitingSystem, name: str) -> None:
    first = pays(system, name, "hangs")
    until((system.folder / f"{name}.first").exists, "the first to begin")
    holder = known(system, name)[b"holder"]
    pays(system, name)
    began, store = time.monotonic(), system.client._store
    until(lambda: time.monotonic() - began > 4, "two leases to pass")  # the lease is 2 s: it is renewed
    assert (known(system, name)[b"holder"], paid(system, name)) == (holder, 0)
    (system.folder / name).touch()
    assert first.get(timeout=SOON) == name
    until(lambda: not store.client.exists("unacked"), "the copy that came again to be done")
    idle(system)
    assert (paid(system, name), first.state) == (1, "SUCCESS")


def test_one_that_was_killed_runs_again_and_its_chain_goes_on(system: WaitingSystem, name: str) -> None:
    whole = chain(system.task("pay", name, "killed"), system.task("note", tag=f"then-{name}"), app=system.app)()
    assert whole.get(timeout=SOON) == [f"then-{name}", name]
    assert paid(system, name) == 1


def test_a_retry_runs_again(system: WaitingSystem, name: str) -> None:
    assert pays(system, name, "raises").get(timeout=SOON) == name
    assert paid(system, name) == 1


def test_outside_of_a_message_it_guards_nothing() -> None:
    def adds(one: int, two: int = 2) -> int:
        return one + two

    assert once(adds)(1) == 3
    assert once(lease=5)(adds)(1, two=3) == 4


@pytest.mark.parametrize("made", [False, True], ids=["a task to be", "a task"])
def test_above_the_task_nothing_would_be_guarded_and_nobody_a_coordinator(made: bool) -> None:  # noqa: FBT001 # a table
    app = Celery("user", set_as_current=False)

    @app.task(name=f"{__name__}.pay-{made}", shared=False)
    def pay() -> None: ...

    if made:
        app.finalize()
    task: Any = app.tasks[pay.name] if made else pay
    for decorator, error in ((once, InvalidDeclaration), (coordinator("ann"), InvalidWait)):
        with pytest.raises(error, match=r"stands above @app\.task, where no worker calls it: put it directly below"):
            decorator(task)
    bare: Any = coordinator(test_what_cannot_work_is_refused)
    with pytest.raises(InvalidWait, match=r"stands on <function .*without a name: @coordinator\('review-42'\)"):
        bare(3)


def test_what_cannot_work_is_refused() -> None:
    async def later() -> None: ...

    for lease in (0, 3601, "10", True):
        with pytest.raises(InvalidDeclaration, match=r"lease=.*: needs seconds from 1 to 3600"):
            once(lease=lease)  # type: ignore[call-overload] # what a user may get wrong
    with pytest.raises(InvalidDeclaration, match="is async or no function"):
        once(later)
