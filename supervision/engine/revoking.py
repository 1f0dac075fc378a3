"""``revoke`` of a task that waits: Celery only remembers the id until the task is run again, which may be in a month.

A worker of ours looks once a second which ids were revoked since it last looked, and ends the waits among them as
cancelled. What goes on with such a wait is then thrown away by whichever worker gets it, as Celery does with any
revoked task: its state becomes REVOKED, and a chord that it is a part of fails.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from celery import Celery, bootsteps
from celery.signals import task_revoked
from celery.worker import state

from supervision.engine import showing
from supervision.engine.resuming import RESUMED

EVERY_S = 1.0

_log = logging.getLogger(__name__)

Cancel = Callable[[Iterable[str]], object]


def install(app: Celery, cancel: Cancel, over: Callable[[str], object]) -> None:
    """Have workers of ``app`` call ``cancel`` with revoked ids, and ``over`` with a wait that was thrown away."""

    class Revocations(bootsteps.StartStopStep):
        """Looks for ids that were revoked."""

        requires = ("celery.worker.consumer.tasks:Tasks",)

        def __init__(self, consumer: Any, **kwargs: Any) -> None:
            self._stop: Callable[[], object] | None = None
            self._known: frozenset[str] = frozenset()
            super().__init__(consumer, **kwargs)

        def start(self, consumer: Any) -> None:
            """Begin to look; called after each connect."""
            self._stop = consumer.timer.call_repeatedly(EVERY_S, self.look).cancel

        def stop(self, consumer: Any) -> None:  # noqa: ARG002 - Celery hands it in
            """Stop looking; called at each loss of the connection and at shutdown."""
            if self._stop is not None:
                self._stop()
                self._stop = None

        def look(self) -> None:
            """Hand on what is new since the last look."""
            revoked = frozenset(map(str, state.revoked))
            new = revoked - self._known
            try:
                if new:
                    cancel(sorted(new))
            except Exception as error:  # noqa: BLE001 # a worker must not end for it; it looks again in a second
                _log.warning("%d revoked tasks not looked for among the waits: %s", len(new), error)
                return
            self._known = revoked

    def thrown_away(sender: Any, request: Any, **_signal: Any) -> None:
        if sender.name in RESUMED:
            showing.revoked(sender, request)
            over(str(request.id))

    app.steps["consumer"].add(Revocations)
    task_revoked.connect(thrown_away, weak=False, dispatch_uid="supervision.revoking")
