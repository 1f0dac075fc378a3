"""One child, looked at in a process that was started for it: what hangs may be the process, and not the child.

Nobody waits for that process: a message that asks for such a look must not keep those that look at everybody. It ends
in its time, whatever happens: it has an alarm that the kernel keeps for it, and a thread of whoever started it kills
it with all that it has started. Both together hold when one of them is gone or hangs.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

from supervision.saying import log as _log

START_UP_S = 10.0
"""Seconds beyond the look itself: to start Python and import the declarations, on a machine that is busy."""

MOST = 8
"""Such processes under way per process that starts them; what is asked beyond that is not done, and told."""

_places = threading.BoundedSemaphore(MOST)


def begin(program: str, child: str, look_s: float) -> int | None:
    """Start the module ``program`` to look at ``child`` for at most ``look_s`` seconds; answers its pid.

    None when as many as may be are under way already.
    """
    if not _places.acquire(blocking=False):
        _log.warning("too_many_looks_alone", child=child, most=MOST)
        return None
    limit_s = look_s + START_UP_S
    try:
        process = subprocess.Popen(  # noqa: S603 # our own program, and a list instead of a shell
            [sys.executable, "-m", program, child, f"{limit_s:g}"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        threading.Thread(target=_ended, args=(process, child, limit_s), daemon=True, name="supervision-alone").start()
    except BaseException:
        _places.release()
        raise
    return process.pid


def bounded(limit_s: float) -> None:
    """End this process after that many seconds, whatever it does then; for the process that was started."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, limit_s)


def _ended(process: "subprocess.Popen[bytes]", child: str, limit_s: float) -> None:
    """Wait for the end, or bring it about."""
    try:
        status = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
    finally:
        _places.release()
    if status != 0:
        _log.warning("look_alone_failed", child=child, status=status, limit_s=limit_s)
