"""Coordinators that die for real: found in time, declared once, mourned by those who expect them, refused when late."""

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from celery import Celery
from celery_processes import HERE, CeleryProcess, ended, until
from waiting_system import WaitingSystem, running

from supervision import CoordinatorDied, wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

HASTY = {
    "SUPERVISION_HEARTBEAT": "0.5",
    "SUPERVISION_HEARTBEAT_WARNING": "1",
    "SUPERVISION_HEARTBEAT_CRITICAL": "1.5",
    "SUPERVISION_HEARTBEAT_DEAD": "2",
}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WaitingSystem]:
    with running(tmp_path_factory.mktemp("coordinators"), **HASTY) as found:
        yield found


@pytest.fixture
def name() -> str:
    return f"c-{uuid.uuid4().hex}"


class Lone:
    """A program of its own that is the coordinator ``name`` and waits for ``<name>/go``."""

    def __init__(self, system: WaitingSystem, name: str) -> None:
        command = [sys.executable, str(HERE / "lone_coordinator.py"), system.server.url, name, f"{name}/go"]
        environment = {**os.environ, **HASTY}
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "registered\n"
        system.waiting_for(f"{name}/go")

    def said(self) -> str:
        said, _ = self.process.communicate(timeout=60)
        return said.strip()


def state(system: WaitingSystem, name: str) -> str:
    return next((each.state for each in system.client.coordinators() if each.id == name), "")


def deaths(system: WaitingSystem, name: str) -> list[str]:
    past = system.client.latest_events(5000, subject=name)
    return [each.reason for each in past if each.kind == "coordinator" and each.after == "dead"]


def expecting(system: WaitingSystem, name: str, **options: Any) -> Any:
    task = wait_for(f"{name}/done", app=system.app, timeout=90, expects=name, **options).apply_async()
    system.waiting_for(f"{name}/done")
    return task


def test_a_killed_pool_process_of_a_users_own_worker_is_known_to_be_dead_by_that_worker(
    system: WaitingSystem, name: str
) -> None:
    own = Celery("own", broker=system.broker, set_as_current=False)
    worker = CeleryProcess(system.folder, "own_app", "worker", "-Q", "own", "-c", "1", **system.environment)
    with ended(worker), own:
        own.send_task("own.build", (name,), queue="own")
        until(lambda: state(system, name) == "active", lambda: worker.log)
        task = expecting(system, name)
        for child in psutil.Process(worker.pid).children():
            child.kill()
        with pytest.raises(CoordinatorDied, match=f"{name} is dead: its pool process has ended"):
            task.get(timeout=60)
    assert len(deaths(system, name)) == 1


def test_a_killed_program_is_declared_dead_once_and_those_who_expect_it_are_told(
    system: WaitingSystem, name: str
) -> None:
    lone = Lone(system, name)
    tasks = [expecting(system, name)]
    lone.process.kill()
    for task in tasks:
        with pytest.raises(CoordinatorDied, match=f"{name} is dead: no heartbeat"):
            task.get(timeout=60)
    assert len(deaths(system, name)) == 1
    assert [wait.owner for wait in system.client.waits(signal=f"{name}/go")] == [name], "its own wait is kept"
    lone.said()


def test_whoever_comes_back_under_the_name_goes_on_with_the_wait(system: WaitingSystem, name: str) -> None:
    first = Lone(system, name)
    (wait,) = system.client.waits(signal=f"{name}/go")
    first.process.kill()
    first.said()
    second = Lone(system, name)
    (again,) = system.client.waits(signal=f"{name}/go")
    assert (again.id, again.deadline) == (wait.id, wait.deadline)
    system.client.send(f"{name}/go", "on", acks=1, level="processed", timeout=30)
    assert second.said() == "got on"


def test_one_that_is_stopped_for_long_is_dead_and_refused_when_it_goes_on(system: WaitingSystem, name: str) -> None:
    lone = Lone(system, name)
    lone.process.send_signal(signal.SIGSTOP)
    until(lambda: state(system, name) == "dead", system.story)
    lone.process.send_signal(signal.SIGCONT)
    assert lone.said().startswith("Superseded: ")
    assert len(deaths(system, name)) == 1


def test_one_that_is_stopped_for_a_moment_lives_on(system: WaitingSystem, name: str) -> None:
    lone = Lone(system, name)
    lone.process.send_signal(signal.SIGSTOP)
    until(lambda: _health(system, name) != "healthy", system.story)
    lone.process.send_signal(signal.SIGCONT)
    until(lambda: _health(system, name) == "healthy", system.story)
    system.client.send(f"{name}/go", 1)
    assert lone.said() == "got 1"
    assert deaths(system, name) == []


def _health(system: WaitingSystem, name: str) -> str:
    return next(each.health for each in system.client.coordinators() if each.id == name)


def test_two_of_one_name_the_newer_one_owns_it(system: WaitingSystem, name: str) -> None:
    older = Lone(system, name)
    newer = Lone(system, name)
    assert older.said().startswith(f"Superseded: {name}: another instance")
    system.client.send(f"{name}/go", 2)
    assert newer.said() == "got 2"


def test_a_task_that_raises_has_failed_and_one_that_is_killed_is_known_at_once(
    system: WaitingSystem, name: str
) -> None:
    (system.folder / "go").unlink(missing_ok=True)
    system.task("build", name, "hangs").apply_async()
    until(lambda: state(system, name) in {"registered", "active"}, system.story)
    killed = expecting(system, name)
    (found,) = [each for each in system.client.coordinators() if each.id == name]
    os.kill(int(found.process.rpartition(":")[2]), signal.SIGKILL)
    with pytest.raises(CoordinatorDied, match="its pool process has ended"):
        killed.get(timeout=60)
    system.task("build", f"{name}/2", "raises").apply_async()
    until(lambda: state(system, f"{name}/2") == "failed", system.story)
    with pytest.raises(CoordinatorDied, match="is failed"):
        wait_for(f"{name}/2/done", app=system.app, expects=f"{name}/2").apply_async().get(timeout=60)


def test_a_task_that_says_that_it_moves_lives_and_is_dead_when_it_lives_and_does_not_move(
    system: WaitingSystem, name: str
) -> None:
    task = system.task("move", name).apply_async()
    steps = 160  # of 50 ms at least, so more than two of the 4 s in which it has to say so
    until(lambda: int(_doing(system, name).rpartition(" ")[2] or 0) >= steps, system.story)
    assert deaths(system, name) == []
    expects = expecting(system, name)
    (system.folder / f"{name}-halt").touch()
    with pytest.raises(CoordinatorDied, match="it lives and made no progress in its time"):
        expects.get(timeout=60)
    assert len(deaths(system, name)) == 1
    (system.folder / f"{name}-go").touch()
    assert task.get(timeout=60) == name, "who sends within is the coordinator"


def _doing(system: WaitingSystem, name: str) -> str:
    return next((each.doing for each in system.client.coordinators() if each.id == name), "")


def test_pool_processes_that_die_as_soon_as_their_worker_has_begun_are_missed(system: WaitingSystem, name: str) -> None:
    names = [f"{name}/{i}" for i in range(2)]  # as many as the worker has processes
    system.kept.kill()  # so that the next worker finds them, before it has looked at its pool for the first time
    client = system.client._store.client
    until(
        lambda: client.info("clients")["blocked_clients"] == 0, "the store to hang up: it would serve the dead worker"
    )  # type: ignore[index] # the sync client answers the dict itself
    for each in names:
        system.task("build", each, "killed").apply_async()
    until(lambda: all(state(system, each) == "dead" for each in names), system.story)
    assert [deaths(system, each) for each in names] == [["its pool process has ended"]] * len(names)


def test_a_replacement_is_started_once_and_ends_every_wait(system: WaitingSystem, name: str) -> None:
    lone = Lone(system, name)
    instead = system.task("send", f"{name}/done", "instead", id=name)
    first = expecting(system, name, replacement=instead)
    second = wait_for(f"{name}/done", app=system.app, timeout=90, expects=name, replacement=instead).apply_async()
    system.waiting_for(f"{name}/done", 2)
    lone.process.kill()
    assert [task.get(timeout=60) for task in (first, second)] == ["instead", "instead"]
    events = [past for past in system.client.latest_events(5000, subject=name) if past.after == "replacing"]
    assert len(events) == 1
    lone.said()


def test_a_hundred_blocked_programs_of_one_process_are_all_released(system: WaitingSystem, name: str) -> None:
    with system.client.coordinator(name) as coordinator:
        got: dict[int, Any] = {}

        def wait(i: int) -> None:
            got[i] = coordinator.wait(f"{name}/{i}", timeout=90)

        threads = [threading.Thread(target=wait, args=(i,)) for i in range(100)]
        for thread in threads:
            thread.start()
        until(lambda: len(system.client.waits(owner=name)) == 100, system.story)
        for i in range(100):
            system.client.send(f"{name}/{i}", i)
        for thread in threads:
            thread.join()
    assert got == {i: i for i in range(100)}
    assert state(system, name) == "complete"
