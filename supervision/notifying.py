"""Hooks in other processes: tasks whose signatures are in ``supervision_hooks``, sent for what the history says.

Rules:
- A sweep reads the history from where the last one ended. Moving on and writing the messages is one script, which one
  of several sweeps wins, so each event is sent for once; a message that is not sent at once is the outbox's to send.
- Its task id is ``hook-<event id>``: a message that comes twice, after a crash, can be told by it.
- The first sweep with a hook begins with what happens from then on.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from supervision import hooks
from supervision.store.history import Past
from supervision.store.outbox import Entry
from supervision.store.store import Store

Wanted = Mapping[str, Mapping[str, Any]]
"""What each hook calls, as a signature: ``task``, and what else is said, ``args``, ``kwargs``, ``options``."""

NO_HOOKS: Final[Wanted] = {}

MOST_EVENTS: Final = 500
"""Events of one run; the next one goes on a second later."""


class Notifying:
    """Sends for the task of each hook in ``wanted``."""

    def __init__(self, store: Store, wanted: Wanted, publish: Callable[[Iterable[Entry]], object]) -> None:
        self._store, self._wanted, self._publish = store, wanted, publish

    def sweep(self) -> int:
        """Send for what has happened since the last sweep; answers for how many events."""
        if not self._wanted:
            return 0
        cursor = self._store.hooking.cursor()
        if not cursor:
            newest = self._store.history.latest(1)
            self._store.hooking.advance("", newest[0].id if newest else "0-0", ())
            return 0
        past = list(self._store.history.since(cursor, MOST_EVENTS))
        if not past:
            return 0
        messages = [message for event in past if (message := self._message(event))]
        sent = self._store.hooking.advance(cursor, past[-1].id, messages)
        self._publish(sent)
        return len(sent)

    def _message(self, event: Past) -> tuple[str, str] | None:
        signature = self._wanted.get(hooks.called(event.kind, event.before, event.after))
        if signature is None:
            return None
        return f"hook:{event.id}", msgspec.json.encode([signature, event]).decode()
