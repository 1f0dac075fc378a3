"""A Celery app in an environment of its own, which has the client and not our tasks: its canvases wait on our workers.

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
from supervision import SignalTimeout
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

    def begin(self, name: str) -> dict[str, str]:
        command = [self.python, "other_app.py", name]
        done = subprocess.run(command, cwd=self.home, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return dict(line.split() for line in done.stdout.splitlines())


@pytest.fixture(params=["redis", pytest.param("rabbitmq", marks=pytest.mark.servers)], scope="module")
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the messages are; empty for the store itself."""
    if request.param == "redis":
        yield ""
        return
    with rabbitmq(tmp_path_factory.mktemp("rabbit") / "server") as url:
        yield url


@pytest.mark.parametrize("pool", ["prefork", *(pytest.param(pool, marks=pytest.mark.chaos) for pool in LONG)])
def test_its_canvases_wait_and_go_on_at_home(broker: str, pool: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(EmbeddedStore(tmp_path / "store"))
        broker = broker or database(server.url, 1)
        system = WaitingSystem(tmp_path, server, pool=pool, SUPERVISION_BROKER_URL=broker)
        stack.callback(system.end)
        other = OtherApp(tmp_path, broker, server.url, pool)
        worker = other.worker()
        stack.callback(worker.wait)
        stack.callback(worker.kill)
        name = f"other/{uuid.uuid4().hex}"
        ids = other.begin(name)
        system.waiting_for(name, 3)
        for number, signal in enumerate((name, f"{name}/2"), 1):
            system.client.send(signal, number, acks=1, level="processed", timeout=60)
        results = {"chain": 1, "join": {name: 1, f"{name}/2": 2}, "gather": [1, 2], "value": "late"}
        noted = {"before:1", "part:2", "failed", *(f"{kind}:{result}" for kind, result in results.items())}
        until(lambda: noted <= set(notes(other)), lambda: f"{notes(other)} {(other.home / 'worker.log').read_text()}")
        assert set(notes(other)) == noted
        assert {kind: system.app.AsyncResult(ids[kind]).get(timeout=20) for kind in results} == results
        with pytest.raises(SignalTimeout):
            system.app.AsyncResult(ids["errback"]).get(timeout=20)


def notes(other: OtherApp) -> list[str]:
    return other.notes.read_text().splitlines() if other.notes.exists() else []
