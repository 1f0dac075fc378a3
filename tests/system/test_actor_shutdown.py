"""SIGTERM of an actor in the middle of an action: it ends in its time, or is handed back and another actor runs it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from celery_processes import HERE, CeleryProcess, ended
from waiting import until

from supervision.server import EmbeddedStore
from supervision.store.actions import Record
from supervision.store.store import Store

PLANT = """
import os, time
from pathlib import Path
from supervision import Child, Do, Phase, Stay, Supervisor, action, state

FOLDER = Path(os.environ["PLANT_FOLDER"])

class Once(Child):
    def observe(self):
        return {"done": (FOLDER / "done").exists()}

    @state(Phase.STARTING, initial=True)
    def wanting(self, seen):
        return Stay("done") if seen.observed["done"] else Do("work", "not done")

    @action(timeout=300, retries=0)
    def work(self, run):
        (FOLDER / f"run-{run.attempt}").write_text(str(os.getppid()))
        if run.attempt == 1:
            time.sleep(float(os.environ["PLANT_SECONDS"]))
        (FOLDER / "done").touch()
        return {"by": os.getppid()}

plant = Supervisor("plant", [Once("once")])
"""


class Plant:
    """Two actors, of which one has begun to work for ``seconds`` and is told to stop."""

    def __init__(self, folder: Path, store: Store, actors: dict[int, CeleryProcess]) -> None:
        self.folder, self.store = folder, store
        until((folder / "run-1").exists, what="the first run")
        self.holder = self.worker(1)
        self.stopped = actors[self.holder]
        self.stopped.send(signal.SIGTERM)

    def worker(self, run: int) -> int:
        file = self.folder / f"run-{run}"
        return int(until(lambda: file.exists() and file.read_text(), what=f"run {run}"))

    def end(self) -> Record:
        def found() -> Record | None:
            ids = {past.action for past in self.store.history.latest(100) if past.kind == "action"}
            records = [record for action_id in ids if (record := self.store.actions.get(action_id))]
            return next((record for record in records if record.ended), None)

        return until(found, what="the end of the action")  # type: ignore[return-value] # what it waits for


@contextmanager
def told_to_stop(folder: Path, seconds: float, shutdown_timeout: float) -> Iterator[Plant]:
    (folder / "shutdown_plant.py").write_text(PLANT)
    with EmbeddedStore(folder / "store") as server:
        environment = {
            "SUPERVISION_STORE_URL": server.url,
            "SUPERVISION_IMPORTS": "shutdown_plant",
            "SUPERVISION_SHUTDOWN_TIMEOUT": str(shutdown_timeout),
            "PLANT_FOLDER": str(folder),
            "PLANT_SECONDS": str(seconds),
            "PYTHONPATH": f"{folder}:{HERE}",
            "REMAP_SIGTERM": "SIGQUIT",
        }

        def celery(*arguments: str) -> CeleryProcess:
            return CeleryProcess(folder, "tasks", *arguments, **environment)

        rest = "supervision.ticks,supervision.sweeps,supervision.collectors"
        actors = [
            celery("worker", "-Q", "supervision.actions", "-n", f"{name}@test", "-c", "1") for name in ("one", "other")
        ]
        others = celery("worker", "-Q", rest, "-n", "rest@test", "-c", "2"), celery("beat", "-s", str(folder / "beat"))
        with ended(*actors, *others):
            store = Store(server.url)
            yield Plant(folder, store, {actor.pid: actor for actor in actors})
            store.close()


@pytest.mark.chaos
def test_an_action_is_handed_back_and_done_by_another_actor(tmp_path: Path) -> None:
    with told_to_stop(tmp_path, seconds=300, shutdown_timeout=1) as plant:
        # Its limit is five minutes, and it has no retries: only a hand-over can have done it.
        assert plant.worker(2) != plant.holder
        end = plant.end()
        assert (end.state, end.attempt, end.retries, end.handed) == ("succeeded", 2, 0, 1)


@pytest.mark.chaos
def test_an_action_that_ends_within_the_shutdown_timeout_is_not_repeated(tmp_path: Path) -> None:
    with told_to_stop(tmp_path, seconds=2, shutdown_timeout=8) as plant:
        end = plant.end()
        assert (end.state, end.attempt, end.handed) == ("succeeded", 1, 0)
        assert end.result == f'{{"by":{plant.holder}}}'
        assert plant.stopped.wait(within=60) == 0
        assert not (tmp_path / "run-2").exists()
