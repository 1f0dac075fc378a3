"""Pool processes that die: their coordinators are known to be dead at once, not after a minute of silence.

With ``task_reject_on_worker_lost`` Celery sends no failure signal for a task whose process was killed. So a worker
looks ten times a second which processes its pool has, and tells of those that it has no longer. A whole worker that is
killed cannot notice anything: there the heartbeat decides.
"""

import logging
import socket
from collections.abc import Callable
from typing import Any, ClassVar

from celery import Celery, bootsteps
from celery.signals import celeryd_init

EVERY_S = 0.1
"""Seconds between two looks: some µs each. Less than what a new process needs to start, take a task and die of it."""

_log = logging.getLogger(__name__)


Bury = Callable[[Celery, str, str], object]
"""Declares the coordinators of a process dead: the worker's app, the process, and why."""


class Deaths(bootsteps.StartStopStep):
    """Looks for processes that have left the pool."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    bury: ClassVar[Bury]

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        self._stop: Callable[[], object] | None = None
        self._known: frozenset[int] = frozenset()
        self._app = consumer.app
        super().__init__(consumer, **kwargs)

    def start(self, consumer: Any) -> None:
        """Begin to look; called after each connect."""
        self._known |= _processes(consumer.pool)  # one may have died before the first look
        self._stop = consumer.timer.call_repeatedly(EVERY_S, self.look, (consumer.pool,)).cancel

    def stop(self, consumer: Any) -> None:  # noqa: ARG002 - Celery hands it in
        """Stop looking; called at each loss of the connection and at shutdown."""
        if self._stop is not None:
            self._stop()
            self._stop = None

    def look(self, pool: Any) -> None:
        """Tell of those who were there at the last look."""
        there = _processes(pool)
        for pid in sorted(self._known - there):
            _tell(self._app, f"{socket.gethostname()}:{pid}")
        self._known = there


def install(app: Celery, bury: Bury) -> None:
    """Have workers of ``app`` call ``bury`` for each pool process that has ended. Idempotent."""
    Deaths.bury = staticmethod(bury)
    app.steps["consumer"].add(Deaths)


def install_in_workers(bury: Bury) -> None:
    """Do so in whatever worker begins in this process. Idempotent."""
    celeryd_init.connect(
        lambda instance, **_signal: install(instance.app, bury), weak=False, dispatch_uid="supervision.deaths"
    )


def _processes(pool: Any) -> frozenset[int]:
    """The pids of those in a pool that live; only prefork has processes, in other pools there is nobody to miss.

    Asked one by one: the pool itself may take five seconds to notice that one of its processes has ended.
    """
    listed = getattr(getattr(pool, "_pool", None), "_pool", ())
    return frozenset(process.pid for process in tuple(listed) if process.exitcode is None)


def _tell(app: Celery, process: str) -> None:
    try:
        Deaths.bury(app, process, "its pool process has ended")
    except Exception as error:  # noqa: BLE001 # the pool goes on; the heartbeat finds out in a minute
        _log.warning("coordinators of pool process %s not declared dead: %s", process, error)
