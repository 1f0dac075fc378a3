"""What Celery and Flower show of waits: each end, whoever listens, and WAITING until then."""

import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from celery.events.state import State
from celery_processes import until
from waiting_system import WaitingSystem, running

from supervision import PartsFailed, gather, wait_for

pytestmark = pytest.mark.timeout(120)
SOON = 20.0
ANN = {"by": "ann", "reason": "tired of it"}
MONTH_S = 30 * 86_400


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WaitingSystem]:
    with running(tmp_path_factory.mktemp("shown")) as found:
        yield found


@pytest.fixture
def name() -> str:
    return f"signal-{uuid.uuid4().hex}"


class Flower:
    """What Flower makes of the events that it gets."""

    def __init__(self, system: WaitingSystem) -> None:
        self._state, self._last = State(), dict[str, str]()
        self._receiver = system.app.events.Receiver(system.app.connection_for_read(), handlers={"*": self._heard})
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()
        with system.app.events.default_dispatcher(hostname="test") as dispatcher:
            until(lambda: dispatcher.send("worker-heartbeat", freq=1) or self._state.event_count, "Flower to listen")

    def _heard(self, event: dict[str, Any]) -> None:
        self._state.event(event)
        if "uuid" in event:
            self._last[event["uuid"]] = event["type"]

    def _listen(self) -> None:
        with self._receiver.connection:
            self._receiver.capture(limit=None, timeout=None, wakeup=False)

    def shown(self, task_id: str) -> tuple[str, str]:
        """The state of a task, and its latest event."""
        task = self._state.tasks.get(task_id)
        return (task.state if task else "", self._last.get(task_id, ""))

    def why(self, task_id: str) -> str:
        return str(self._state.tasks[task_id].exception)

    def stop(self) -> None:
        self._receiver.should_stop = True  # looked at once a second
        self._listener.join()


@pytest.fixture(scope="module")
def flower(system: WaitingSystem) -> Iterator[Flower]:
    listening = Flower(system)
    yield listening
    listening.stop()


def waits(system: WaitingSystem, signal: str, **options: Any) -> Any:
    return wait_for(signal, app=system.app, **{"timeout": 60, **options})


SUCCEEDED, FAILED = ("SUCCESS", "task-succeeded"), ("FAILURE", "task-failed")


def test_flower_shows_each_end_of_a_wait(system: WaitingSystem, flower: Flower, name: str) -> None:
    builder = system.client.coordinator(f"{name}/builder")
    waiting = {
        "ok": waits(system, name).apply_async(),
        "unasked": waits(system, name).apply_async(ignore_result=True),
        "died": waits(system, f"{name}/never", expects=builder.name).apply_async(),
        "cancelled": waits(system, f"{name}/never").apply_async(),
        "revoked": waits(system, f"{name}/never").apply_async(),
    }
    system.waiting_for(name, 2)
    system.waiting_for(f"{name}/never", 3)
    ids = [task.id for task in waiting.values()]
    until(
        lambda: {flower.shown(each) for each in ids} == {("WAITING", "task-waiting")}, "Flower to show that they wait"
    )
    with pytest.raises(RuntimeError), builder:
        raise RuntimeError("the builder has failed")
    system.client.send(name, 7)
    system.client.cancel(waiting["cancelled"].id, **ANN)
    system.app.control.revoke(waiting["revoked"].id)
    instead = system.task("note", 1, tag="instead")
    ended = {
        **waiting,
        "passes at once": waits(system, name).apply_async(),
        "late": waits(system, f"{name}/late", timeout=0.2).apply_async(),
        "late with a value": waits(system, f"{name}/late", timeout=0.2, on_timeout="late").apply_async(),
        "replaced": waits(system, f"{name}/late", timeout=0.2, on_timeout=instead).apply_async(),
        "refused": waits(system, f"{name}/late", expects="nobody").apply_async(),
        "gathered": gather([waits(system, name)], timeout=60, app=system.app).apply_async(),
    }
    truth = {
        **dict.fromkeys(("ok", "unasked", "passes at once", "late with a value", "gathered"), SUCCEEDED),
        **dict.fromkeys(("died", "cancelled", "late", "replaced", "refused"), FAILED),
        "revoked": ("REVOKED", "task-revoked"),
    }

    def shown() -> dict[str, tuple[str, str]]:
        return {how: flower.shown(task.id) for how, task in ended.items()}

    until(lambda: shown() == truth, lambda: f"Flower to show {truth}, it shows {shown()}")
    assert "another task takes its place" in flower.why(ended["replaced"].id)
    until(lambda: ended["replaced"].state == "SUCCESS", system.story)
    states = {how: task.state for how, task in ended.items()}
    assert states == {how: state for how, (state, _) in truth.items()} | {"replaced": "SUCCESS"}
    assert system.app.AsyncResult(ended["unasked"].id).get(timeout=SOON) == 7


def test_waiting_is_shown_as_long_as_a_wait_can_be_extended(system: WaitingSystem, name: str) -> None:
    """Results live for six hours here, and what Celery has forgotten is PENDING."""
    task = waits(system, name).apply_async()
    gathering = gather([waits(system, name)], timeout=60, app=system.app).apply_async()
    system.waiting_for(name, 2)
    store, results_s = system.client._store, 6 * 3600
    longest = system.client.extend(task.id, MONTH_S - 120, **ANN)
    for each in (task, gathering):
        assert each.state == "WAITING"
        dies = store.client.pexpiretime(f"celery-task-meta-{each.id}")
        assert dies >= longest + (results_s - 120) * 1000
    system.client.send(name, 1)
    assert (task.get(timeout=SOON), gathering.get(timeout=SOON)) == (1, [1])
    assert 0 < store.client.ttl(f"celery-task-meta-{task.id}") <= results_s


def came_once_more(system: WaitingSystem, again: Any, task_id: str) -> None:
    """``again`` is sent once more under its id, and its run has ended."""
    received = rf"\[{task_id}\] received"
    before = system.worker.logged(received)
    again.apply_async(task_id=task_id)
    until(lambda: system.worker.logged(received) > before, system.story)
    until(lambda: system.client._store.client.hlen("supervision.unacked") == 0, "its message to be acknowledged")


def test_a_gather_that_comes_once_more_when_all_is_over_changes_nothing(system: WaitingSystem, name: str) -> None:
    again = gather([system.task("boom", "no bricks")], timeout=60, app=system.app)
    task = again.apply_async(task_id=name)
    with pytest.raises(PartsFailed, match=r"1 of 1 parts failed: part 0 \(user.boom\) failed: ValueError: no bricks"):
        task.get(timeout=SOON)
    until(lambda: system.client.explain(name).state == "processed", system.story)
    stored = system.client._store.client.get(f"celery-task-meta-{name}")
    came_once_more(system, again, name)
    assert system.client._store.client.get(f"celery-task-meta-{name}") == stored


def test_a_wait_that_comes_once_more_leaves_the_failure_of_what_took_its_place(
    system: WaitingSystem, name: str
) -> None:
    again = wait_for(f"{name}/never", timeout=0.1, on_timeout=system.task("boom", "no bricks"), app=system.app)
    task = again.apply_async(task_id=name)
    with pytest.raises(ValueError, match="no bricks"):
        task.get(timeout=SOON)
    until(lambda: system.client.explain(name).state == "processed", system.story)
    stored = system.client._store.client.get(f"celery-task-meta-{name}")
    came_once_more(system, again, name)
    assert system.client._store.client.get(f"celery-task-meta-{name}") == stored


def test_a_gather_that_comes_once_more_when_its_result_is_forgotten_makes_none_up(
    system: WaitingSystem, name: str
) -> None:
    good = gather([system.task("add", 1)], timeout=60, app=system.app)
    bad = gather([system.task("boom", "no bricks")], timeout=60, app=system.app)
    for how, again in (("good", good), ("bad", bad)):
        task = again.apply_async(task_id=f"{name}-{how}")
        task.get(timeout=SOON, propagate=False)
        until(lambda task=task: system.client.explain(task.id).state == "processed", system.story)
        task.forget()
        came_once_more(system, again, task.id)
    assert system.app.AsyncResult(f"{name}-good").state == "PENDING"
    with pytest.raises(PartsFailed, match=r"^1 of 1 parts failed$"):
        system.app.AsyncResult(f"{name}-bad").get(timeout=SOON)
