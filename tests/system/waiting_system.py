"""A store, one worker that serves all queues, and a beat, over the tasks of `waiting_tasks`."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from celery import Celery
from celery_processes import HERE, CeleryProcess, until
from healing_system import Kept

from supervision.client import Client
from supervision.server import EmbeddedStore
from supervision.settings import for_celery

QUEUES = "supervision.waits,supervision.sweeps,supervision.actions,supervision.ticks"


class WaitingSystem:
    """The processes, and an app that sends to them as any other Celery app would."""

    def __init__(self, folder: Path, server: EmbeddedStore, *, pool: str = "prefork", **environment: str) -> None:
        self.folder, self.server, self.pool = folder, server, pool
        self.environment = {
            "SUPERVISION_STORE_URL": server.url,
            "SUPERVISION_IMPORTS": "waiting_tasks",
            "PLANT_FOLDER": str(folder),
            "PYTHONPATH": str(HERE),
            "REMAP_SIGTERM": "SIGQUIT",
            **environment,
        }
        self.app = Celery("user", broker=self.broker, backend=for_celery(server.url), set_as_current=False)
        self.app.conf.update(task_default_queue="supervision.actions", result_extended=False)
        self.client = Client(server.url, broker=self.broker)
        self.kept = Kept("worker", self.start_worker)
        self.beat = CeleryProcess(folder, "tasks", "beat", "-s", str(folder / "beat"), **self.environment)
        self.worker.await_log(r" ready\.")

    @property
    def worker(self) -> CeleryProcess:
        """The worker that runs now: one that was killed is started again, as an init system would."""
        return self.kept.process

    @property
    def broker(self) -> str:
        return self.environment.get("SUPERVISION_BROKER_URL", for_celery(self.server.url))

    def start_worker(self, *more: str) -> CeleryProcess:
        name = f"w{time.monotonic_ns()}@test"
        options = ("-Q", QUEUES, "-c", "2", "-P", self.pool, "-n", name, "-l", "INFO", *more)
        return CeleryProcess(self.folder, "tasks", "worker", *options, **self.environment)

    def task(self, name: str, *arguments: Any, **named: Any) -> Any:
        """A signature of one of the user's tasks."""
        return self.app.signature(f"user.{name}", args=arguments, kwargs=named)

    def worker_children(self) -> list[psutil.Process]:
        """The worker's pool processes."""
        return psutil.Process(self.worker.pid).children()

    def notes(self) -> list[str]:
        file = self.folder / "notes"
        return file.read_text().splitlines() if file.exists() else []

    def waiting_for(self, signal: str, number: int = 1) -> None:
        """Until so many wait for ``signal``."""
        until(lambda: len(self.client.waits(signal=signal)) == number, lambda: f"{number} for {signal}: {self.story()}")

    def story(self) -> str:
        past = self.client.latest_events(40)
        return "\n".join(f"{p.kind} {p.subject} {p.before}->{p.after} {p.reason[:100]}" for p in past)

    def end(self) -> None:
        self.app.backend.result_consumer.subscribed_to.clear()  # results that go later would tell a server that is gone
        self.client.close()
        self.app.close()
        self.kept.end()
        self.beat.kill_group()


@contextmanager
def running(folder: Path, **options: str) -> Iterator[WaitingSystem]:
    """The system while the block runs."""
    with EmbeddedStore(folder / "store") as server:
        system = WaitingSystem(folder, server, **options)
        try:
            yield system
        finally:
            system.end()
