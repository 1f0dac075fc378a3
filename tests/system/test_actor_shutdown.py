"""SIGTERM of an actor in the middle of an action: it is handed back, and another actor runs it at once."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery_processes import HERE, CeleryProcess, ended
from waiting import until

from supervision.server import EmbeddedStore
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

    @action(timeout=300)
    def work(self, run):
        (FOLDER / f"run-{run.attempt}").write_text(str(os.getppid()))
        if run.attempt == 1:
            time.sleep(300)
        (FOLDER / "done").touch()

plant = Supervisor("plant", [Once("once")])
"""


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    (tmp_path / "shutdown_plant.py").write_text(PLANT)
    with EmbeddedStore(tmp_path / "store") as server:
        yield {
            "SUPERVISION_STORE_URL": server.url,
            "SUPERVISION_IMPORTS": "shutdown_plant",
            "PLANT_FOLDER": str(tmp_path),
            "PYTHONPATH": f"{tmp_path}:{HERE}",
            "REMAP_SIGTERM": "SIGQUIT",
        }


@pytest.mark.chaos
def test_an_action_is_handed_back_and_done_by_another_actor(environment: dict[str, str], tmp_path: Path) -> None:
    def actor(name: str) -> CeleryProcess:
        options = ("-Q", "supervision.actions", "-n", f"{name}@test", "-c", "1")
        return CeleryProcess(tmp_path, "tasks", "worker", *options, **environment)

    queues = "supervision.ticks,supervision.sweeps,supervision.collectors"
    with ended(
        CeleryProcess(tmp_path, "tasks", "worker", "-Q", queues, "-n", "rest@test", "-c", "2", **environment),
        CeleryProcess(tmp_path, "tasks", "beat", "-s", str(tmp_path / "beat"), **environment),
        *(actors := [actor("one"), actor("other")]),
    ):
        until((tmp_path / "run-1").exists, what="the first run")
        holder = int((tmp_path / "run-1").read_text())
        next(process for process in actors if process.pid == holder).send(signal.SIGTERM)

        # Its limit is five minutes: within one, only a hand-over can have done it.
        until((tmp_path / "run-2").exists, what="the second run, by the other actor")
        assert int((tmp_path / "run-2").read_text()) != holder
        store = Store(environment["SUPERVISION_STORE_URL"])
        until(lambda: [past.after for past in store.history.latest(100) if past.kind == "action"][-1] == "succeeded")
        store.close()
