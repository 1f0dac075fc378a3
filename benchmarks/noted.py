"""What the server itself notes of its scripts (`SLOWLOG`), and what it does beside them when it rewrites its file.

It notes only while somebody looks. The notes of a hundred thousand writes are memory that is given back when they are
forgotten, and that alone held a store up for 80 ms.
"""

import threading
from typing import Self

from benchmarks.stage import Stage

SEEN_US = 100
"""Microseconds from which on the server notes a script."""

MOST = 100_000
"""Notes that the server keeps."""


class Noted:
    """The scripts that took `SEEN_US` or longer during the ``with`` block."""

    def __init__(self, stage: Stage) -> None:
        self.longest_ms = SEEN_US / 1000
        self._ask = stage.ask()

    def __enter__(self) -> Self:
        self._ask.slowlog_reset()
        self._ask.config_set("slowlog-max-len", MOST)
        self._ask.config_set("slowlog-log-slower-than", SEEN_US)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ask.config_set("slowlog-log-slower-than", -1)
        noted = [note["duration"] for note in self._ask.slowlog_get(MOST) if note["command"].startswith(b"EVALSHA")]
        self.longest_ms = max([SEEN_US, *noted]) / 1000
        self._ask.slowlog_reset()


class Rewriting:
    """The store rewrites its append-only file during the ``with`` block, again as soon as it has done so."""

    PAUSE_S = 0.02

    def __init__(self, stage: Stage) -> None:
        self._ask = stage.ask()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._rewrite, daemon=True)

    def __enter__(self) -> Self:
        self._ask.bgrewriteaof()
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._over.set()
        self._thread.join()

    def _rewrite(self) -> None:
        while not self._over.wait(self.PAUSE_S):
            if not self._at_work():
                self._ask.bgrewriteaof()
        while self._at_work():
            threading.Event().wait(self.PAUSE_S)

    def _at_work(self) -> bool:
        state = self._ask.info("persistence")
        return bool(state["aof_rewrite_in_progress"] or state["aof_rewrite_scheduled"])
