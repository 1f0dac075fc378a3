"""The kind ``process``: a real process of this machine, kept running.

    Process("pump", [sys.executable, "-m", "plant.pump"])

It survives the worker that started it, is known by pid and start time together, and writes its output to a file. The
workers that observe it and act on it must run on its machine. A changed command is applied by a restart, which somebody
must ask for: workers of the old and of the new declaration would otherwise restart it in turns.
"""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Unpack

import msgspec

from supervision.actions import ActionSpec, Run, action
from supervision.child import RESTART, START, STOP, Child, Common, state
from supervision.errors import ActionFailed
from supervision.kinds.folders import default_folder
from supervision.kinds.managed import ManagedProcess, ProcessStatus
from supervision.kinds.strays import why_it_ended
from supervision.model import Do, Go, Move, Phase, Snapshot, Stay

START_TIMEOUT_S = 10.0
"""Seconds that a process may take until it is ready."""

STOP_TIMEOUT_S = 5.0
"""Seconds between SIGTERM and SIGKILL."""

ALIVE_S = 0.3
"""Seconds that a process without its own `Process.ready` must stay alive: most that cannot work end sooner."""

_SPARE_S = 5.0
"""What an action may take beyond the waits that it consists of."""

_READY_POLL_S = 0.05

_TIMEOUT_PARTS: Mapping[str, tuple[bool, bool]] = {
    START: (True, False),
    STOP: (False, True),
    RESTART: (True, True),
}

_WORKERS_OWN = ("SUPERVISION_", "CELERY_")
"""How the names of variables begin that are meant for workers; the store's address is one, with its password."""


class ProcessDesired(msgspec.Struct, frozen=True):
    """What the process should be."""

    running: bool = True


class ProcessObserved(msgspec.Struct, frozen=True):
    """What the operating system says: ``started`` tells one process from another with the same pid.

    ``outdated`` says that it was started with another command than the one that is declared now.
    """

    running: bool
    pid: int | None = None
    started: str | None = None
    outdated: bool = False


class Process(Child):
    """A process given by ``command``, a list without a shell.

    Subclasses may add to what is observed (override `observe`) and say when it is ready (override `ready`).

    Args:
        name: the child's name.
        command: program and arguments.
        folder: where its record and its output are kept; by default below `default_folder()`.
        env: its whole environment; None is the worker's, without what is meant for workers alone.
        cwd: its working folder; None is the worker's.
        start_timeout: seconds until it must be ready.
        stop_timeout: seconds between SIGTERM and SIGKILL.
        desired: a `ProcessDesired`; running by default.
        common: what every child takes, see `supervision.child.Common`.
    """

    Desired: ClassVar[type] = ProcessDesired
    Observed: ClassVar[type] = ProcessObserved

    def __init__(  # noqa: PLR0913 # the whole declaration of a process; all but the first two are named
        self,
        name: str,
        command: Sequence[str],
        *,
        folder: Path | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        start_timeout: float = START_TIMEOUT_S,
        stop_timeout: float = STOP_TIMEOUT_S,
        desired: ProcessDesired | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(name, desired=desired, **common)
        self.start_timeout, self.stop_timeout = start_timeout, stop_timeout
        own = _inherited() if env is None else env
        self._managed = ManagedProcess(name, command, folder=folder or default_folder(), env=own, cwd=cwd)

    def placed_under(self, supervisor: str) -> None:
        """Take the path, which also names the files of the process."""
        super().placed_under(supervisor)
        managed = self._managed
        self._managed = ManagedProcess(
            self.path, managed.command, folder=managed.folder, env=managed.env, cwd=managed.cwd
        )

    @property
    def output(self) -> Path:
        """The file that the process writes its output to."""
        return self._managed.output_file

    def spec(self, action: str) -> ActionSpec | None:
        """The declared action, with a time limit that leaves room for this process's own timeouts."""
        found, restart = super().spec(action), self.actions.get(RESTART)
        known = RESTART if found and restart and found.code is restart.code else action  # a restart has several names
        if found is None or known not in _TIMEOUT_PARTS:
            return found
        starts, stops = _TIMEOUT_PARTS[known]
        return found.called(action, timeout=_SPARE_S + starts * self.start_timeout + stops * self.stop_timeout)

    def observe(self) -> ProcessObserved:
        """Ask the operating system."""
        status = self._managed.status()
        return ProcessObserved(status.running, status.pid, status.started, status.outdated)

    def rest(self, desired: ProcessDesired) -> ProcessDesired:
        """Not running."""
        return msgspec.structs.replace(desired, running=False)

    def ready(self) -> bool:
        """Whether a process that was just started can do its work; asked until it can, or until ``start_timeout``."""
        return True

    @state(Phase.STOPPED, initial=True)
    def stopped(self, seen: Snapshot) -> Move:
        """Not running, and not meant to."""
        if seen.desired.running:
            return Go("running", "already running") if seen.observed.running else Go("starting", "wanted")
        return Go("stopping", "running, and not wanted") if seen.observed.running else Stay("not wanted")

    @state(Phase.STARTING)
    def starting(self, seen: Snapshot) -> Move:
        """Not running, but meant to."""
        if not seen.desired.running:
            return Go("stopped", "no longer wanted")
        return Go("running", f"pid {seen.observed.pid}") if seen.observed.running else Do("start", "not running")

    @state(Phase.RUNNING)
    def running(self, seen: Snapshot) -> Move:
        """Running, and meant to."""
        if not seen.desired.running:
            return Go("stopping", "no longer wanted")
        if not seen.observed.running:
            return Go("starting", "its process is gone")
        apply = f", started with an earlier command; apply it with: supervision restart {self.path}"
        return Stay(f"pid {seen.observed.pid}{apply if seen.observed.outdated else ''}")

    @state(Phase.STOPPING)
    def stopping(self, seen: Snapshot) -> Move:
        """Running, but not meant to."""
        return Do("stop", f"pid {seen.observed.pid}") if seen.observed.running else Go("stopped", "its process ended")

    @action
    def start(self, run: Run) -> None:
        """Start the process unless it runs, and wait until it is ready."""
        self._wait_until_ready(self._managed.start(run.fence, timeout=self.start_timeout, action=run.id))

    @action
    def stop(self, run: Run) -> None:
        """Stop the process if it runs."""
        self._managed.stop(run.fence, timeout=self.stop_timeout)

    @action(RESTART)
    def restart(self, run: Run) -> None:
        """Stop the process if it runs, start it, and wait until it is ready; a run that is repeated does so once."""
        self._wait_until_ready(
            self._managed.restart(
                run.fence, action=run.id, stop_timeout=self.stop_timeout, start_timeout=self.start_timeout
            )
        )

    def _wait_until_ready(self, begun: ProcessStatus) -> None:
        begin = time.monotonic()
        deadline = begin + self.start_timeout
        settled = begin if type(self).ready is not Process.ready else begin + min(ALIVE_S, self.start_timeout)
        while True:
            ready = self.ready()
            # After the question: an answer may be that of another process, which ours could not take the port from.
            if begun.started is None or self._managed.status().started != begun.started:
                raise why_it_ended(self._managed.files)
            if ready and time.monotonic() >= settled:
                return
            if not ready and time.monotonic() > deadline:
                raise ActionFailed(
                    f"{self.path}: started, but not ready within {self.start_timeout:g} s; its output: {self.output}"
                )
            time.sleep(_READY_POLL_S)  # in an action, which may take its time; a tick never gets here


def _inherited() -> Mapping[str, str]:
    """This process's environment without what is meant for workers: addresses of store and broker, a remapped SIGTERM.

    The latter would change what stopping a child means, where the child is a worker.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if name != "REMAP_SIGTERM" and not name.startswith(_WORKERS_OWN)
    }
