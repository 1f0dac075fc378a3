"""Every way in which an action can end, on real workers: by itself, by its limits, by the death of its process."""

import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from celery import Celery
from celery_processes import HERE, CeleryProcess, ended
from waiting import until

from supervision.actions import TRANSITIONS
from supervision.engine.publish import ACT, task_id
from supervision.server import EmbeddedStore
from supervision.store.history import Past
from supervision.store.store import Store

QUEUES = "supervision.ticks,supervision.sweeps,supervision.collectors"


class Ending:
    """The plant at work: its store, the events that Flower would see, and what its actions have left behind."""

    def __init__(self, folder: Path, server: EmbeddedStore, pool: str) -> None:
        self.folder = folder
        self.pool = pool
        self.store = Store(server.url)
        self.app = Celery(broker=server.url, backend=server.url)
        self.events: list[dict[str, object]] = []
        self._receiver = self.app.events.Receiver(self.app.connection_for_read(), handlers={"*": self.events.append})
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self) -> None:
        with self._receiver.connection:
            self._receiver.capture(limit=None, timeout=None, wakeup=False)

    def stop(self) -> None:
        self._receiver.should_stop = True  # looked at once a second
        self._listener.join()
        self.store.close()

    def runs(self, child: str) -> list[list[str]]:
        file = self.folder / f"{child}.runs"
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []

    def history(self, child: str) -> list[Past]:
        subject = f"ending/{child}"
        return [past for past in self.store.history.latest(10_000) if (past.subject, past.kind) == (subject, "action")]

    def end_of(self, child: str) -> Past:
        """The record of how the child's action ended for good; waits for it."""

        def found() -> Past | None:
            return next((past for past in self.history(child) if past.after in {"succeeded", "failed"}), None)

        return until(found, what=lambda: f"an end of {child}: {self.history(child)}") or pytest.fail("unreachable")


@pytest.fixture(scope="module", params=["prefork", pytest.param("threads", marks=pytest.mark.chaos)])
def ending(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ending]:
    folder = tmp_path_factory.mktemp("ending")
    with EmbeddedStore(folder / "store") as server:
        environment = {
            "SUPERVISION_STORE_URL": server.url,
            "SUPERVISION_IMPORTS": "ending_plant",
            "PLANT_FOLDER": str(folder),
            "PLANT_POOL": request.param,
            "PYTHONPATH": str(HERE),
            "REMAP_SIGTERM": "SIGQUIT",
        }
        plant = Ending(folder, server, request.param)
        actor = ("worker", "-Q", "supervision.actions", "-n", "actor@test", "-c", "5", "-P", request.param)
        with ended(
            CeleryProcess(folder, "tasks", "worker", "-Q", QUEUES, "-n", "rest@test", "-c", "2", **environment),
            CeleryProcess(folder, "tasks", *actor, **environment),
            CeleryProcess(folder, "tasks", "beat", "-s", str(folder / "beat"), **environment),
        ):
            yield plant
        plant.stop()


@pytest.mark.chaos
def test_one_that_swallows_its_soft_limit_is_ended_all_the_same(ending: Ending) -> None:
    end = ending.end_of("hangs")
    assert "no end within 1 s" in end.reason
    assert len(ending.runs("hangs")) == 1
    if ending.pool == "prefork":  # only there is the hard limit hard; elsewhere its run is only refused
        until(lambda: not psutil.pid_exists(int(ending.runs("hangs")[0][2])), what="the end of its process")


def test_one_that_is_too_slow_is_retried_and_then_fails(ending: Ending) -> None:
    end = ending.end_of("slow")
    assert [run[1] for run in ending.runs("slow")] == ["1", "2"]
    assert ("SoftTimeLimitExceeded" if ending.pool == "prefork" else "no end within 1 s") in end.reason


@pytest.mark.chaos
def test_one_that_kills_its_process_ends_after_its_runs(ending: Ending) -> None:
    if ending.pool == "threads":  # nothing is poison there that is not poison for the whole worker
        return
    assert ending.end_of("poison").after == "failed"
    assert [run[1] for run in ending.runs("poison")] == ["1", "2"]


def test_one_that_cannot_be_helped_runs_once(ending: Ending) -> None:
    assert "there is nothing to hope for" in ending.end_of("hopeless").reason
    assert len(ending.runs("hopeless")) == 1


def test_a_flaky_one_succeeds_and_flower_has_seen_its_retries(ending: Ending) -> None:
    end = ending.end_of("flaky")
    assert (end.after, end.attempt) == ("succeeded", 3)
    uuid = task_id(end.action)

    def kinds() -> list[object]:
        return [event["type"] for event in ending.events if event.get("uuid") == uuid]

    until(lambda: "task-succeeded" in kinds(), what=kinds)
    assert kinds() == ["task-started", "task-retried"] * 2 + ["task-started", "task-succeeded"]
    assert {event.get("name") for event in ending.events if event.get("uuid") == uuid} == {ACT}
    until(lambda: ending.app.AsyncResult(uuid).state == "SUCCESS", what="the result")


def test_fences_grow_and_every_change_is_one_of_the_table(ending: Ending) -> None:
    for child in ("hangs", "slow", "hopeless", "flaky"):
        ending.end_of(child)
        fences = [int(run[0]) for run in ending.runs(child)]
        assert fences == sorted(set(fences))
        assert all(past.after in TRANSITIONS[past.before] for past in ending.history(child))
