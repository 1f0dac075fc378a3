"""Runs of guarded tasks as stored: held for a lease by whoever runs, done with a value, settled when Celery went on."""

from typing import Literal, NamedTuple

from supervision.store.keys import Keys
from supervision.store.scripts import Scripts

KEEP_MS = 24 * 3_600_000
"""How long a copy of a message is known as one: longer than a broker holds one back."""

State = Literal["done", "settled", "released"]


class Begun(NamedTuple):
    """What a message met: ``run``, ``busy`` for ``left_ms`` more, ``again`` with ``value`` (JSON), or ``settled``."""

    met: str
    left_ms: int = 0
    value: str = ""


class Once:
    """The store's side of guarded tasks."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self._scripts = scripts
        self._first = [keys.outbox, keys.entries, keys.events, keys.counters]

    def begin(self, task_id: str, holder: str, lease_ms: int) -> Begun:
        """Take the run, or hold it for another lease if it is ``holder``'s already."""
        met, *rest = (
            part.decode() for part in self._scripts.run("run_once", self._first, [task_id, holder, lease_ms, KEEP_MS])
        )
        if met == "busy":
            return Begun(met, left_ms=int(rest[0]))
        return Begun(met, value=rest[0] if rest else "")

    def end(self, task_id: str, holder: str, state: State, lease_ms: int, value: str = "") -> bool:
        """Say how far the run has come: ``done`` with ``value``, ``settled``, or ``released`` for the next one."""
        arguments = [task_id, holder, state, value, lease_ms, KEEP_MS]
        return bool(self._scripts.run("ran_once", self._first, arguments))
