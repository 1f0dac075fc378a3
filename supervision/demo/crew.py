"""The demo's own processes: store, workers, two beats, Flower. Each under a guard, each with a log of its own.

They are started as `docker-compose.yml` starts them. One that ends is not started again here: in production systemd or
compose does that, and a demo that did would hide what a scene ought to report.
"""

import importlib.util
import os
import sys
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import Signals
from typing import Final, Self

from supervision.demo import remains
from supervision.demo.plant import DEFAULT_PORTS, PANEL_FILE_VARIABLE, PANEL_GOOD, port_variable
from supervision.errors import Conflict
from supervision.guarded import Guarded
from supervision.ports import free_ports
from supervision.server import EmbeddedStore

GRACE_S = 5.0
"""Seconds between SIGTERM and SIGKILL; an idle worker needs one."""

FLOWER_PORT = 5555
FLOWER_ANSWER_S = 2.0

PORT_TAKEN = "Address already in use"
"""What the operating system says to a program that wants a port that somebody else has."""

LINE = 200
"""Characters of a last line to show: an exception's sentence fits."""

FOREIGN = ("CELERY_", "FLOWER_", "SUPERVISION_BROKER_URL", "SUPERVISION_RESULT_URL", "SUPERVISION_NAMESPACE")
"""Variables of the surroundings that begin like this would lead the demo's workers to somebody else's servers."""

_WORKER = ["worker", "-l", "INFO", "--without-gossip", "--without-mingle"]  # quicker start: there is nobody to greet

COMMANDS: Final[Mapping[str, list[str]]] = {
    "ticker": [*_WORKER, "-Q", "supervision.ticks,supervision.sweeps", "-n", "ticker@%h", "-c", "2"],
    "collector": [*_WORKER, "-Q", "supervision.collectors", "-n", "collector@%h", "-c", "2"],
    "actor": [*_WORKER, "-Q", "supervision.actions", "-n", "actor@%h", "-c", "4"],
    "waiter": [*_WORKER, "-Q", "supervision.waits", "-n", "waiter@%h", "-c", "2"],
    "beat-1": ["beat", "--enable-remote-control", "-s", "beat-1"],
    "beat-2": ["beat", "--enable-remote-control", "-s", "beat-2"],
}
"""What stands after ``celery -A tasks``."""

FLOWER = [
    "flower",
    "--address=127.0.0.1",
    "--max_tasks=10000",
    "--purge_offline_workers=300",
    "--enable_events=False",
    "--persistent=False",
]
"""Flower with bounded memory, word for word as the engine has it; its port comes on top."""

HEARTBEATS: Final = {
    "SUPERVISION_HEARTBEAT": "1",
    "SUPERVISION_HEARTBEAT_WARNING": "1.5",
    "SUPERVISION_HEARTBEAT_CRITICAL": "2",
    "SUPERVISION_HEARTBEAT_DEAD": "3",
}
"""A demo cannot wait for a minute until somebody is dead, as the defaults would."""

Tell = Callable[[str], None]


class Crew:
    """Starts everything on entry, ends everything on exit.

    Args:
        home: the demo's own folder.
        tell: hears one line for each process, and for each port that was taken.
    """

    def __init__(self, home: Path, tell: Tell) -> None:
        self.logs: Final = home / "logs"
        self.panel_file: Final = home / "panel.json"
        self.members: Final[dict[str, Guarded]] = {}
        self.ports: Final[dict[str, int]] = {}
        self.store: Final = EmbeddedStore(home / "store")
        self._home = home
        self._tell = tell

    def __enter__(self) -> Self:
        for pid in remains.clear(self._home):
            self._tell(f"ended pid {pid}, which an earlier demo had left behind")
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop()

    @property
    def flower_url(self) -> str:
        """Where Flower answers; empty without it."""
        return f"http://127.0.0.1:{self.ports['flower']}" if "flower" in self.ports else ""

    def flower_answers(self) -> bool:
        """Whether Flower serves; OSError while it does not listen."""
        with urllib.request.urlopen(f"{self.flower_url}/healthcheck", timeout=FLOWER_ANSWER_S) as answer:  # noqa: S310 # our own http address
            return bool(answer.status == 200)  # noqa: PLR2004 # http's word for fine

    def ended(self) -> list[str]:
        """The processes that are gone, each with how it ended; a Flower that found its port taken is moved instead."""
        self._move_flower()
        ended = [self._end(name, status) for name, one in self.members.items() if (status := one.poll()) is not None]
        return ended if self.store.running else ["store", *ended]

    def _end(self, name: str, status: int) -> str:
        lines = (self.logs / f"{name}.log").read_text(errors="replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"{name} ({_how(status)}{f', its last line: {said[:LINE]}' if said else ''})"

    def _start(self) -> None:
        self.panel_file.write_text(PANEL_GOOD)
        self._choose_ports()
        self.store.start()
        self._tell(f"{'store':<10} pid {self.store.pid}, port {self.store.port}")
        for name, arguments in COMMANDS.items():
            self._begin(name, arguments)
        if "flower" in self.ports:
            self._begin_flower()

    def _begin_flower(self) -> None:
        self._begin("flower", [*FLOWER, f"--port={self.ports['flower']}"], f", {self.flower_url}")

    def _begin(self, name: str, arguments: list[str], where: str = "") -> None:
        with (self.logs / f"{name}.log").open("wb") as log:
            self.members[name] = Guarded(
                [sys.executable, "-P", "-m", "celery", "-A", "tasks", *arguments],
                env=self._environment(),
                # A folder with nothing in it: Celery imports from the current one first.
                cwd=self._home / "run",
                stdout=log,
                grace=GRACE_S,
            )
        self._tell(f"{name:<10} pid {self.members[name].pid}{where}")

    def _stop(self) -> None:
        """Those who start processes first, then what they started, then the store that all of them talk to."""
        with ThreadPoolExecutor(max_workers=len(COMMANDS) + 1) as pool:
            list(pool.map(Guarded.stop, self.members.values()))
        try:
            remains.end_supervised(self._home)
        finally:
            self.store.stop()

    def _choose_ports(self) -> None:
        for child in DEFAULT_PORTS:
            self._choose_port(child)
        if importlib.util.find_spec("flower"):
            self._choose_port("flower", FLOWER_PORT)

    def _choose_port(self, name: str, *wished: int) -> None:
        """A port for ``name``: the ``wished`` one if it is free, else one by chance, so that two demos do not meet."""
        port = next((free for free in free_ports(*wished) if free not in self.ports.values()), None)
        if port is None:
            raise Conflict(f"no free port for {name}: all that were tried are taken")
        self.ports[name] = port
        taken = [f", because {one} is taken" for one in wished if one != port]
        self._tell(f"{name:<10} will be on port {port}{''.join(taken)}")

    def _move_flower(self) -> None:
        """Start Flower again where it is free: between our look and its start somebody else may take the port."""
        flower = self.members.get("flower")
        if flower and flower.poll() and PORT_TAKEN in (self.logs / "flower.log").read_text(errors="replace"):
            self._choose_port("flower")
            self._begin_flower()

    def _environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        return {
            **inherited,
            **{port_variable(child): str(self.ports[child]) for child in DEFAULT_PORTS},
            PANEL_FILE_VARIABLE: str(self.panel_file),
            "SUPERVISION_LOG_FORMAT": "json",  # a scene reads what the workers log
            "SUPERVISION_STORE_URL": self.store.url,  # it holds the password, and no command line does
            "SUPERVISION_IMPORTS": "supervision.demo.plant,supervision.demo.canvases",
            **HEARTBEATS,
            "SUPERVISION_FOLDER": str(self._home),
            "REMAP_SIGTERM": "SIGQUIT",
            "PYTHONUNBUFFERED": "1",
        }


def _how(status: int) -> str:
    if status < 0:
        return f"its guard got {Signals(-status).name}"
    signalled = status - 128
    return Signals(signalled).name if signalled in set(Signals) else f"status {status}"
