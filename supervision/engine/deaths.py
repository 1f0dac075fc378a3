"""Pool processes that die: their coordinators are known to be dead at once, not after a minute of silence.

With ``task_reject_on_worker_lost`` Celery sends no failure signal for a task whose process was killed, but the pool
itself notices that the process has ended. A whole worker that is killed cannot notice anything: there the heartbeat
decides.
"""

import logging
import socket
from collections.abc import Callable
from typing import Any

from celery import Celery, bootsteps

_log = logging.getLogger(__name__)


def install(app: Celery, bury: Callable[[str, str], object]) -> None:
    """Have workers of ``app`` call ``bury`` with the name of each pool process that has ended, and why."""

    class Deaths(bootsteps.StartStopStep):
        """Hears of every process that leaves the pool."""

        requires = ("celery.worker.components:Pool",)

        def start(self, worker: Any) -> None:
            """Hang in between the pool and what it calls when a process is down; other pools have no processes."""
            pool = getattr(worker.pool, "_pool", None)
            before = getattr(pool, "on_process_down", None)
            if pool is None or before is None:
                return

            def down(process: Any) -> None:
                before(process)
                _tell(bury, process)

            pool.on_process_down = down

    app.steps["worker"].add(Deaths)


def _tell(bury: Callable[[str, str], object], process: Any) -> None:
    name, status = f"{socket.gethostname()}:{process.pid}", process.exitcode
    try:
        bury(name, f"its pool process ended with status {status}")
    except Exception as error:  # noqa: BLE001 # the pool goes on; the heartbeat finds out in a minute
        _log.warning("coordinators of pool process %s not declared dead: %s", name, error)
