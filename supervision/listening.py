"""One listener per client: however many wait in this process, one thread and one connection hear that a wait has ended.

What is heard only shortens the wait: once a second of silence, and after every reconnect, the listener asks the store
about all of them, so a notification that is lost costs a second at most.
"""

import threading
import uuid
from collections.abc import Callable, Generator
from typing import Final

from supervision.errors import StoreUnavailable
from supervision.saying import log as _log
from supervision.store.notices import Notices
from supervision.store.waits import Claimed, Waits

SILENCE_S: Final = 1.0
"""Seconds without a notice after which the store is asked."""

RECONNECT_S: Final = 0.2
"""Seconds between two attempts to reach a store that is away."""


class Listener:
    """Calls back when a wait has ended; its thread runs while somebody waits."""

    def __init__(self, url: str, namespace_key: Callable[[str], str], waits: Waits) -> None:
        self.channel: Final = namespace_key(uuid.uuid4().hex)
        self._url = url
        self._waits = waits
        self._callbacks: dict[str, list[Callable[[], object]]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._notices: Notices | None = None
        self._closed = threading.Event()

    def watch(self, wait_id: str, callback: Callable[[], object]) -> None:
        """Call ``callback`` whenever there may be news of this wait; from another thread, and perhaps in vain."""
        with self._lock:
            self._callbacks.setdefault(wait_id, []).append(callback)
            # One without an ident never started: the system refused, or an interrupt came first.
            if (self._thread is None or self._thread.ident is None) and not self._closed.is_set():
                self._thread = threading.Thread(target=self._listen, name="supervision-listener", daemon=True)
                self._thread.start()

    def forget(self, wait_id: str, callback: Callable[[], object]) -> None:
        """No longer call."""
        with self._lock:
            left = [each for each in self._callbacks.get(wait_id, []) if each is not callback]
            if left:
                self._callbacks[wait_id] = left
            else:
                self._callbacks.pop(wait_id, None)

    def call(self, wait_id: str) -> None:
        """Call whoever watches ``wait_id``."""
        with self._lock:
            found = list(self._callbacks.get(wait_id, ()))
        for callback in found:
            callback()

    def call_all(self) -> None:
        """Call everybody: something has happened that all of them should look at."""
        with self._lock:
            watched = list(self._callbacks)
        for wait_id in watched:
            self.call(wait_id)

    @property
    def closed(self) -> bool:
        """Whether nobody listens any more."""
        return self._closed.is_set()

    def close(self) -> None:
        """End the thread; whoever still waits is woken, and told."""
        self._closed.set()
        self.call_all()
        thread, notices = self._thread, self._notices
        if notices:
            notices.interrupt()
        if thread and thread.is_alive() and thread is not threading.current_thread():
            thread.join(SILENCE_S + 1)

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                with Notices(self._url, self.channel) as notices:
                    self._notices = notices
                    self._ask()  # what ended before we listened
                    self._hear(notices)
            except StoreUnavailable:
                self._closed.wait(RECONNECT_S)
            except Exception as error:  # noqa: BLE001 # a thread that ends silently would leave everybody waiting
                _log.error("listener_failed", error=f"{type(error).__name__}: {error}")
                self._closed.wait(SILENCE_S)

    def _hear(self, notices: Notices) -> None:
        while not self._closed.is_set():
            heard = notices.next(SILENCE_S)
            if heard is None:
                self._ask()
            else:
                self.call(heard.partition(":")[2])

    def _ask(self) -> None:
        with self._lock:
            watched = list(self._callbacks)
        for wait_id in self._waits.ended(watched):
            self.call(wait_id)


def driven(course: Generator[float, None, Claimed], woken: threading.Event) -> Claimed:
    """Drive ``course`` with this thread."""
    try:
        while True:
            woken.clear()
            try:
                seconds = next(course)
            except StopIteration as end:
                claim: Claimed = end.value
                return claim
            woken.wait(seconds)
    finally:
        course.close()  # who is interrupted no longer listens, however long what interrupted it is kept
