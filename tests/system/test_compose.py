"""The processes of docker-compose.yml, of deploy/systemd and of docs/design.md are the same, and they run.

No container is started: every command, and every health check, is run as a process of this machine.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
from compose import (
    COMPOSE,
    ROOT,
    UNITS,
    celery_commands,
    designed_commands,
    health_checks,
    timed_commands,
    unit_commands,
    units,
)
from waiting import until

from supervision.guarded import Guarded
from supervision.ports import free_ports
from supervision.server import EmbeddedStore, find_server
from supervision.store.sweeps import SWEEPS

BIN = Path(sys.executable).parent

DESIGNED = {"ticker": "ticker", "collector": "collector", "actor": "actor", "waiter": "waiter", "beat": "beat-1"}
"""The design's name of a process, and the service that is one."""

STOP_S = 60.0
"""Seconds for an idle process to end on SIGTERM: wide, as five Python processes may be ending on a busy machine."""

OURS = ("celery ", "supervision ")
"""How the commands of our own processes begin."""

HERE = ["supervision", "sweep", "--here"]

KEEPS_ITS_WORK = {"ticker", "collector", "actor", "waiter"}
"""Services that finish or give back work when they are stopped."""


def parsed_compose() -> dict[str, dict[str, object]]:
    """The services as docker-compose itself reads them, parsed by the YAML parser that comes with it."""
    shown = subprocess.run(["docker-compose", "-f", COMPOSE, "config"], capture_output=True, text=True, check=True)
    program = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin)['services'], sys.stdout)"
    # Debian's docker-compose is a Python program; Debian's own Python has the parser that it uses.
    parsed = subprocess.run(
        ["/usr/bin/python3", "-c", program], input=shown.stdout, capture_output=True, check=True, text=True
    )
    services: dict[str, dict[str, object]] = json.loads(parsed.stdout)
    return services


@pytest.mark.parametrize("process", DESIGNED)
def test_compose_starts_what_the_design_names(process: str) -> None:
    ours, designed = celery_commands()[DESIGNED[process]], designed_commands()[process]
    assert ours == designed or ours.startswith(designed + " ")


def test_systemd_runs_the_commands_of_compose() -> None:
    assert set(unit_commands().values()) == set(celery_commands().values())
    assert len(unit_commands()) == len(units()) == len(celery_commands())


@pytest.mark.parametrize("unit", units(), ids=lambda unit: unit.name)
def test_a_unit_comes_back_and_ends_gracefully(unit: Path) -> None:
    settings = dict(line.split("=", 1) for line in unit.read_text().splitlines() if "=" in line and line[0] != "#")
    assert settings["Restart"] == "always"
    assert settings["KillSignal"] == "SIGTERM"
    service = unit.stem.removeprefix("supervision-").replace("beat@", "beat-1")
    assert settings["TimeoutStopSec"] == ("45s" if service in KEEPS_ITS_WORK else "10s")


def test_the_timer_runs_sweeps_that_need_no_worker_and_remove_nothing() -> None:
    commands = timed_commands("supervision-sweeps")
    names = [name for program, command, name, here in commands if [program, command, here] == HERE]
    assert len(names) == len(commands) > 0
    assert not any(SWEEPS[name].removes for name in names)  # those that do would ask
    assert set(names) == {"deadlines", "liveness", "undelivered", "mail"}


def test_a_supervised_process_outlives_the_restart_of_its_worker() -> None:
    kills = {unit.stem: "KillMode=process" in unit.read_text().splitlines() for unit in units()}
    assert [name for name, only_itself in kills.items() if only_itself] == ["supervision-actor"]


def test_the_store_of_compose_keeps_its_data_and_evicts_nothing(tmp_path: Path) -> None:
    socket_file = tmp_path / "store"
    command: list[str | Path] = [find_server(), ROOT / "deploy" / "store.conf", "--port", "0"]
    command += ["--unixsocket", socket_file, "--dir", tmp_path]
    with Guarded(command, stdout=subprocess.DEVNULL, grace=1) as guarded:
        until(lambda: socket_file.exists() or guarded.poll() is not None, what="the store's socket")
        assert guarded.poll() is None, "the store refuses deploy/store.conf"
        wanted = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
        assert {name: configured(socket_file, name) for name in wanted} == wanted


def configured(socket_file: Path, name: str) -> str:
    """One setting of a running server, asked for in its own protocol."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(socket_file))
        connection.sendall(f"CONFIG GET {name}\r\n".encode())
        return connection.recv(4096).decode().split("\r\n")[4]


@pytest.mark.servers
def test_docker_compose_accepts_the_file() -> None:
    subprocess.run(["docker-compose", "-f", COMPOSE, "config", "-q"], check=True)


@pytest.mark.servers
def test_our_reading_of_the_file_is_that_of_docker_compose() -> None:
    services = parsed_compose()
    commands = {name: s["command"] for name, s in services.items() if str(s["command"]).startswith(OURS)}
    assert commands.pop("beat-2") == commands["beat-1"]
    assert commands == celery_commands()
    checks = {name: str(s["healthcheck"]["test"]).replace("$$", "$") for name, s in services.items()}  # type: ignore[index]  # parsed YAML
    assert checks.pop("beat-2") == checks["beat-1"]
    assert checks == health_checks()


@pytest.mark.servers
def test_every_service_restarts_is_watched_and_ends_gracefully() -> None:
    for name, service in parsed_compose().items():
        assert service["restart"] == "always", name
        assert "stop_grace_period" in service, name
        assert "healthcheck" in service, name
        published = [str(port) for port in service.get("ports", [])]  # type: ignore[attr-defined]  # parsed YAML
        assert all("127.0.0.1" in port for port in published), name
        if name in KEEPS_ITS_WORK:
            assert service["environment"]["REMAP_SIGTERM"] == "SIGQUIT", name  # type: ignore[index]  # parsed YAML


@pytest.mark.servers
def test_systemd_understands_every_unit(tmp_path: Path) -> None:
    for unit in UNITS.iterdir():
        text = unit.read_text().replace("/opt/supervision/venv/bin", str(BIN))
        (tmp_path / unit.name).write_text(text)
    names = sorted(str(path) for path in tmp_path.iterdir() if path.suffix in {".service", ".target", ".timer"})
    result = subprocess.run(["systemd-analyze", "verify", *names], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


class Deployment:
    """Celery processes of the compose file as processes of this machine, on a store of their own."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.flower_port, self.exporter_port = islice(free_ports(), 2)
        self.processes: dict[str, Guarded] = {}
        self.environment = {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "HOSTNAME": socket.gethostname(),
            "SUPERVISION_STORE_URL": url,
            "REMAP_SIGTERM": "SIGQUIT",
            "FLOWER_ADDRESS": "127.0.0.1",
            "FLOWER_PORT": str(self.flower_port),
            "SUPERVISION_EXPORTER_PORT": str(self.exporter_port),
        }

    def start(self, name: str) -> None:
        """Start one process in a folder of its own, as a container has."""
        command = celery_commands()[name]
        (self.folder / name).mkdir()
        with (self.folder / name / "log").open("wb") as log:
            cwd = self.folder / name
            self.processes[name] = Guarded(command.split(), env=self.environment, cwd=cwd, stdout=log, tree=True)

    def is_healthy(self, name: str) -> bool:
        """Run the health check that compose would run."""
        assert self.processes[name].poll() is None, self.log(name)
        check = (
            health_checks()[name]
            .replace(":5555/", f":{self.flower_port}/")
            .replace(":9478/", f":{self.exporter_port}/")
        )
        with (self.folder / name / "health").open("wb") as log:
            shell = ["/bin/sh", "-c", check]
            result = subprocess.run(
                shell,
                env=self.environment,
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=90,
                check=False,
            )
        return result.returncode == 0

    def await_health(self, name: str) -> None:
        """Wait until the health check passes; show the log when it never does."""
        until(lambda: self.is_healthy(name), timeout=120, what=lambda: self.log(name))

    def ended(self, name: str) -> int | None:
        """Ask the process to end as `docker-compose stop` does; its status."""
        os.kill(self.processes[name].pid, signal.SIGTERM)
        until(lambda: self.processes[name].poll() is not None, timeout=STOP_S, what=lambda: self.log(name))
        return self.processes[name].poll()

    def log(self, name: str) -> str:
        """What the process has said so far."""
        return f"{name}:\n{(self.folder / name / 'log').read_text(errors='replace')}"


@pytest.fixture
def deployment(make_store: Callable[..., EmbeddedStore], tmp_path: Path) -> Iterator[Deployment]:
    folder = tmp_path / "deployment"
    folder.mkdir()
    deployment = Deployment(folder, make_store().url)
    try:
        yield deployment
    finally:
        for process in deployment.processes.values():
            process.stop()


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_every_process_of_compose_starts_is_healthy_and_ends_on_sigterm(deployment: Deployment) -> None:
    for name in celery_commands():
        deployment.start(name)
    for name in deployment.processes:
        deployment.await_health(name)
    for name in deployment.processes:
        assert deployment.ended(name) == 0, deployment.log(name)


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_the_health_check_of_a_worker_fails_when_the_worker_hangs(deployment: Deployment) -> None:
    deployment.start("ticker")
    deployment.await_health("ticker")
    os.kill(deployment.processes["ticker"].pid, signal.SIGSTOP)
    assert not deployment.is_healthy("ticker")
    os.kill(deployment.processes["ticker"].pid, signal.SIGCONT)
    deployment.await_health("ticker")
