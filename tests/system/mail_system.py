"""A store, one worker and a beat over `mail_tasks`, and what its handlers have noted."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery_processes import HERE, CeleryProcess, ended
from waiting import until

from supervision.mail_client import Mailbox
from supervision.server import EmbeddedStore

QUEUES = "supervision.waits,supervision.sweeps,supervision.actions"


class MailSystem:
    """Where the processes run, and with what environment."""

    def __init__(self, folder: Path, url: str, imports: str) -> None:
        self.folder, self.url = folder, url
        self.environment = {
            "SUPERVISION_STORE_URL": url,
            "SUPERVISION_IMPORTS": imports,
            "PLANT_FOLDER": str(folder),
            "FAULT_FOLDER": str(folder),
            "FAULT_KILLS": "child",
            "PYTHONPATH": str(HERE),
            "REMAP_SIGTERM": "SIGQUIT",
        }

    def noted(self, first: str) -> list[Any]:
        """What handlers have noted that begins with ``first``."""
        file = self.folder / "handled"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line[1:] for line in map(json.loads, lines) if line[0] == first]


@contextmanager
def running(folder: Path, imports: str = "mail_tasks") -> Iterator[MailSystem]:
    """The system while the block runs."""
    with EmbeddedStore(folder / "store") as server:
        system = MailSystem(folder, server.url, imports)
        options = ("-Q", QUEUES, "-c", "3", "-l", "INFO")
        worker = CeleryProcess(folder, "tasks", "worker", *options, **system.environment)
        beat = CeleryProcess(folder, "tasks", "beat", "-s", str(folder / "beat"), **system.environment)
        with ended(worker, beat):
            worker.await_log(r" ready\.")
            yield system


def emptied(box: Mailbox) -> None:
    """Until nothing is in it."""
    until(lambda: box.depth() == 0, timeout=90, what=lambda: f"the end of {box.view()}")
