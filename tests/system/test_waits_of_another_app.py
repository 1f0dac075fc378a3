"""A Celery app in an environment of its own, which has the client and not our tasks: its chains wait on our workers.

On Redis and on RabbitMQ, with every pool that serves our queues.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from celery_processes import HERE, database, until
from rabbit import rabbitmq
from waiting_system import WaitingSystem

import supervision
from supervision.server import EmbeddedStore

pytestmark = pytest.mark.timeout(300)


LONG = ("threads", "solo")
"""Pools that are run with the long tests."""


class OtherApp:
    """A virtual environment with Celery and our library, without `tasks` and `celeryconfig`; and a worker in it."""

    def __init__(self, folder: Path, broker: str, backend: str, pool: str) -> None:
        self.notes, home = folder / "other-notes", folder / "other"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", home / "venv"], check=True)
        shutil.copytree(Path(supervision.__file__).parent, home / "supervision")
        shutil.copy(HERE / "other_app.py", home)
        # As a plain folder, so that the links to this very checkout in it are not followed.
        packages = sysconfig.get_paths()["purelib"]
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SUPERVISION_")},
            "PYTHONPATH": os.pathsep.join((str(home), packages)),
            "OTHER_BROKER": broker,
            "OTHER_BACKEND": backend,
            "OTHER_NOTES": str(self.notes),
        }
        self.python, self.home, self.pool = home / "venv" / "bin" / "python", home, pool

    def worker(self) -> subprocess.Popen[bytes]:
        options = ("-Q", "other", "-P", self.pool, "-c", "1", "-n", f"other-{self.pool}@test")
        command = [self.python, "-m", "celery", "-A", "other_app", "worker", *options]
        with (self.home / "worker.log").open("wb") as log:
            return subprocess.Popen(command, cwd=self.home, env=self.environment, stdout=log, stderr=log)

    def begin(self, *names: str) -> list[str]:
        command = [self.python, "other_app.py", *names]
        done = subprocess.run(command, cwd=self.home, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()


@pytest.fixture(params=["redis", pytest.param("rabbitmq", marks=pytest.mark.servers)], scope="module")
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the messages are; empty for the store itself."""
    if request.param == "redis":
        yield ""
        return
    with rabbitmq(tmp_path_factory.mktemp("rabbit") / "server") as url:
        yield url


@pytest.mark.parametrize("pool", ["prefork", *(pytest.param(pool, marks=pytest.mark.chaos) for pool in LONG)])
def test_its_chains_wait_and_go_on_at_home(broker: str, pool: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(EmbeddedStore(tmp_path / "store"))
        broker = broker or database(server.url, 1)
        system = WaitingSystem(tmp_path, server, pool=pool, SUPERVISION_BROKER_URL=broker)
        stack.callback(system.end)
        other = OtherApp(tmp_path, broker, server.url, pool)
        worker = other.worker()
        stack.callback(worker.wait)
        stack.callback(worker.kill)
        names = [f"other/{uuid.uuid4().hex}" for _ in range(3)]
        ids = other.begin(*names)
        for name in names:
            system.waiting_for(name)
        for name in names:
            system.client.send(name, {"name": name}, acks=1, level="processed", timeout=60)
        after = {f"after:{ {'name': name} }" for name in names}
        until(lambda: after <= set(notes(other)), lambda: f"{notes(other)} {(other.home / 'worker.log').read_text()}")
        assert [system.app.AsyncResult(task_id).get(timeout=20) for task_id in ids] == [
            {"name": name} for name in names
        ]


def notes(other: OtherApp) -> list[str]:
    return other.notes.read_text().splitlines() if other.notes.exists() else []
