"""One heart per client: one thread beats for all coordinators of this process, in one round trip.

The beat does not stop with an outage of the store: it goes on when the store is back, and who was superseded or
declared dead meanwhile is told by its first beat.
"""

import os
import socket
import threading
from collections.abc import Callable
from typing import Final, NamedTuple

from supervision.errors import StoreUnavailable
from supervision.saying import log as _log
from supervision.store.coordinators import LOST, Beat, Coordinators

RETRY_S: Final = 0.5
"""Seconds until the next try when the store did not answer."""


class _Beating(NamedTuple):
    beat: Callable[[], Beat]
    refused: Callable[[str], object]
    heard: Callable[[], object]


class Heart:
    """Beats every ``every`` seconds while there is somebody to beat for."""

    def __init__(self, coordinators: Coordinators, every: float) -> None:
        self._coordinators = coordinators
        self._every = every
        self._alive: dict[str, _Beating] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False

    def begin(
        self,
        name: str,
        beat: Callable[[], Beat],
        refused: Callable[[str], object],
        *,
        heard: Callable[[], object] = lambda: None,
        every: float = 0.0,
    ) -> None:
        """Beat for ``name``; ``refused`` is called with the reason when it may not go on as it is.

        ``heard`` is called when the store has heard a beat, which is made anew for each try. ``every`` is how often
        those who judge want it, which may be more often than this process is configured with.
        """
        with self._lock:
            if 0 < every < self._every:
                self._every = every
                self._wake.set()
            # One without an ident never started: the system refused, or an interrupt came first.
            if (self._thread is None or self._thread.ident is None) and not self._closed:
                self._thread = threading.Thread(target=self._beat_on, name="supervision-heart", daemon=True)
                self._thread.start()
            self._alive[name] = _Beating(beat, refused, heard)

    def end(self, name: str, beat: Callable[[], Beat]) -> None:
        """No longer beat for ``name``, unless another instance of it has begun meanwhile."""
        with self._lock:
            if name in self._alive and self._alive[name].beat == beat:
                del self._alive[name]

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._wake.set()
        thread = self._thread
        if thread and thread.is_alive() and thread is not threading.current_thread():
            thread.join(RETRY_S + 1)

    def _beat_on(self) -> None:
        pause = 0.0
        while not self._closed:
            self._wake.wait(pause)
            self._wake.clear()
            try:
                self._once()
                pause = self._every
            except StoreUnavailable as error:
                _log.warning("heartbeat_not_heard", error=str(error))
                pause = RETRY_S
            except Exception as error:  # noqa: BLE001 # whatever it is, the others' hearts must not stop with it
                _log.error("heartbeat_failed", error=f"{type(error).__name__}: {error}")
                pause = self._every

    def _once(self) -> None:
        with self._lock:
            alive = dict(self._alive)
        answers = self._coordinators.beat([each.beat() for each in alive.values()])
        for name, each in alive.items():
            if name not in answers:
                each.heard()
                continue
            if answers[name] != LOST:
                self.end(name, each.beat)
            each.refused(answers[name])


def this_process() -> str:
    """Host and process, as a worker names a pool process of its own that has died."""
    return f"{socket.gethostname()}:{os.getpid()}"
