"""The README's first supervisor with its check, as they stand there: started as written, broken, healed."""

import os
import re
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from celery_processes import CeleryProcess, ended
from waiting import until

from supervision import Supervisor
from supervision.checks import Check
from supervision.ports import free_ports
from supervision.server import EmbeddedStore

README = Path(__file__).parents[2] / "README.md"
SAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
FIRST, LAST_LINE = SAMPLES[0].rstrip("\n").rsplit("\n", 1)
WITH_CHECK = f"{FIRST}\n{SAMPLES[1]}"
"""As the README says: the second sample in place of the first one's last line."""
QUEUES = "supervision.ticks,supervision.sweeps,supervision.collectors,supervision.actions,supervision.waits"


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Path]:
    """A folder with ``plant.py``, in which the README's two processes run."""
    port = str(next(free_ports()))
    (tmp_path / "plant.py").write_text(
        WITH_CHECK.replace("8099", port).replace('Path("current")', f'Path("{tmp_path}/current")')
    )
    with EmbeddedStore(tmp_path / "store") as store:
        environment = {
            "SUPERVISION_STORE_URL": store.url,
            "SUPERVISION_IMPORTS": "plant",
            "SUPERVISION_FOLDER": str(tmp_path / "state"),
            "PYTHONPATH": str(tmp_path),
        }
        worker = CeleryProcess(tmp_path, "tasks", "worker", "-Q", QUEUES, "-c", "2", **environment)
        beat = CeleryProcess(tmp_path, "tasks", "beat", "-s", str(tmp_path / "beat"), **environment)
        try:
            with ended(worker, beat):
                yield tmp_path
        finally:
            for process in web_servers(port):
                process.kill()


def web_servers(port: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cmdline()[1:4] == ["-m", "http.server", port]:
                found.append(process)
    return found


def test_the_first_supervisor_heals_what_is_broken(plant: Path) -> None:
    port = re.findall(r'"http.server", "(\d+)"', (plant / "plant.py").read_text())[0]
    link = plant / "current"
    until(lambda: web_servers(port) and link.is_symlink(), what="a web server and a link")
    killed = web_servers(port)[0].pid

    os.kill(killed, signal.SIGKILL)
    link.unlink()

    until(lambda: [p.pid for p in web_servers(port) if p.pid != killed], what="another web server")
    until(link.is_symlink, what="the link")
    assert link.readlink() == Path("release-1")


def test_a_web_server_that_runs_and_does_not_answer_is_restarted(plant: Path) -> None:
    port = re.findall(r'"http.server", "(\d+)"', (plant / "plant.py").read_text())[0]
    until(lambda: web_servers(port), what="a web server")
    hung = web_servers(port)[0]
    until(lambda: answers(port), what="an answer")

    hung.suspend()

    until(lambda: [p.pid for p in web_servers(port) if p.pid != hung.pid], timeout=90, what="another web server")
    until(lambda: answers(port), what="an answer")


def answers(port: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1) as answer:
        return bool(answer.status == 200)
    return False


def test_the_samples_are_declared_as_the_readme_says() -> None:
    first, both = executed(SAMPLES[0]), executed(WITH_CHECK)
    assert LAST_LINE.startswith("plant = Supervisor(")
    assert isinstance(first["plant"], Supervisor)
    assert list(first["plant"].children) == ["web", "release"]
    check, plant = both["web_answers"], both["plant"]
    assert isinstance(check, Check)
    assert isinstance(plant, Supervisor)
    assert list(plant.checks) == [check]
    assert list(plant.children) == ["web", "release", "site"]


def executed(code: str) -> dict[str, object]:
    scope: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), scope)  # noqa: S102 - the README's own code
    return scope
