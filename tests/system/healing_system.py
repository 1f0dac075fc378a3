"""A whole system of real processes, and what is true of it at any moment, as the operating system and the store say."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from celery_processes import HERE, CeleryProcess
from waiting import until

from supervision.engine import publish
from supervision.server import EmbeddedStore
from supervision.store.history import Past
from supervision.store.store import Store

TICKS = ("worker", "-Q", "supervision.ticks,supervision.sweeps", "-c", "2")
LOOKS = ("worker", "-Q", "supervision.collectors", "-c", "2")
ACTIONS = ("worker", "-Q", "supervision.actions", "-c", "2")
ALL = (
    "worker",
    "-Q",
    "supervision.ticks,supervision.sweeps,supervision.collectors,supervision.actions,supervision.waits",
    "-c",
    "4",
)
BEAT = ("beat",)


class Kept:
    """A Celery process that is started again when it ends, as an init system would."""

    def __init__(self, name: str, start: Callable[[], CeleryProcess]) -> None:
        self.name = name
        self._start = start
        self.process = start()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        while not self._stopping.wait(0.1):
            if not self.process.alive:
                self.process = self._start()

    def kill(self) -> None:
        """Kill -9 of the process and of all that it started."""
        self.process.kill_group()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stopped like a machine that is suspended."""
        os.killpg(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGCONT)

    def end(self) -> None:
        """End for good."""
        self._stopping.set()
        self._thread.join()
        self.process.kill_group()


class HealingSystem:
    """Store, workers and beats over ``plant``, with fault points."""

    def __init__(
        self,
        folder: Path,
        server: EmbeddedStore,
        commands: dict[str, tuple[str, ...]],
        kills: str,
        plant: str = "healing_plant",
    ) -> None:
        self.folder = folder
        self.server = server
        self.environment = {
            "SUPERVISION_STORE_URL": server.url,
            "SUPERVISION_IMPORTS": f"faults_installed,{plant}",
            "SUPERVISION_FOLDER": str(folder / "state"),
            "PLANT_FOLDER": str(folder),
            "FAULT_FOLDER": str(folder),
            "FAULT_KILLS": kills,
            "PYTHONPATH": str(HERE),
            "REMAP_SIGTERM": "SIGQUIT",
        }
        self.store = Store(server.url)
        self.kept = {name: Kept(name, self._starter(name, command)) for name, command in commands.items()}

    def _starter(self, name: str, command: tuple[str, ...]) -> Callable[[], CeleryProcess]:
        def start() -> CeleryProcess:
            unique = f"{name}-{time.monotonic_ns()}"
            own = ("-s", str(self.folder / unique)) if command[0] == "beat" else ("-n", f"{unique}@test")
            return CeleryProcess(self.folder, "tasks", *command, *own, "-l", "INFO", **self.environment)

        return start

    def end(self) -> None:
        """End everything, the supervised process too."""
        for kept in self.kept.values():
            kept.end()
        self.store.close()
        for process in self.lonely():
            process.kill()

    def lonely(self) -> list[psutil.Process]:
        """Every supervised process there is right now, as the operating system says."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.cmdline()[1:] == [str(HERE / "lonely.py"), str(self.folder)]:
                    found.append(process)
        return found

    def kill_lonely(self) -> int:
        """Kill the one supervised process; answers its pid."""
        (process,) = self.lonely()
        process.kill()
        return process.pid

    def healed_after(self, killed: int, timeout: float = 60) -> int:
        """Wait until another supervised process lives, alone, and the store has seen it; answers its pid."""

        def settled() -> int | None:
            alive = [process.pid for process in self.lonely()]
            if len(alive) != 1 or alive[0] == killed or str(alive[0]) not in self.lines("starts"):
                return None
            return alive[0] if self.at_rest(alive[0]) else None

        return until(settled, timeout=timeout, what=lambda: f"another process than {killed}: {self.story()}") or 0

    def at_rest(self, pid: int) -> bool:
        """Whether the store knows ``pid`` as running, and nothing is in flight, due or unsent."""
        keys, client = self.store.keys, self.store.client
        observed = client.hget(keys.of("plant", "observed"), "lonely") or b""
        record = client.hget(keys.of("plant", "records"), "lonely") or b""
        waiting = client.hlen(keys.of("plant", "flight")) + client.zcard(keys.due) + client.zcard(keys.outbox)
        return f'"pid":{pid},'.encode() in observed and b'"state":"running"' in record and waiting == 0

    def send_sweep(self, what: str) -> None:
        """What beat does every five minutes, now."""
        command = [sys.executable, "-m", "celery", "-A", "tasks", "call", publish.SWEEP, f'--args=["{what}"]']
        subprocess.run(command, env={**os.environ, **self.environment}, check=True, capture_output=True)

    def history(self) -> list[Past]:
        """All of it."""
        return self.store.history.latest(100_000)

    def story(self) -> str:
        """The last of the history, for a failure."""
        return "\n".join(f"{p.at} {p.subject} {p.before}->{p.after} {p.reason[:200]}" for p in self.history()[-30:])

    def lines(self, file: str) -> list[str]:
        """What was noted in ``file``."""
        path = self.folder / file
        return path.read_text().splitlines() if path.exists() else []


def overlapping_actions(history: list[Past]) -> list[tuple[str, str]]:
    """Pairs of actions of one child of which the second was queued before the first had ended."""
    flying: dict[str, str] = {}
    overlaps = []
    for past in (past for past in history if past.kind == "action"):
        other = flying.get(past.subject)
        if past.after == "queued" and past.before == "" and other:
            overlaps.append((other, past.action))
        if past.after in {"succeeded", "failed"}:
            flying.pop(past.subject, None)
        else:
            flying[past.subject] = past.action
    return overlaps


def doubled(lines: list[str]) -> set[str]:
    """Lines that stand there more than once."""
    return {line for line in lines if lines.count(line) > 1}
