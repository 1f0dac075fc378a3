"""What a user of Celery would write: the demo's tasks, and the canvases that wait. The only Celery of the demo.

The actor loads this module, by its name in ``SUPERVISION_IMPORTS``, and registers the tasks.
"""

import time
from contextlib import closing
from typing import Any, Final

from celery import Celery, chord, shared_task

from supervision.ambient import coordinator, send
from supervision.engine.canvas import wait_for
from supervision.engine.once import once
from supervision.engine.resuming import WAIT
from supervision.settings import for_celery

BEGIN: Final = "shift/begin"
BUILDER: Final = "builder"
BUILT: Final = "order/built"

HANGS_S: Final = 120.0
"""Seconds that the first builder would take; it is killed long before that."""

QUEUE: Final = "supervision.actions"


@shared_task(name="supervision.demo.report", ignore_result=False)
def report(parts: list[Any]) -> list[Any]:
    """The body of a chord: what its header has come to."""
    return parts


@shared_task(name="supervision.demo.build", ignore_result=False, acks_late=False)
@once
@coordinator(lambda _by: BUILDER)
def build(by: str) -> None:
    """Build something and say so; the first one never comes to that.

    A replacement may be sent twice under its one id, as by the sweeps of two beats at one moment: `once` makes that one
    builder.
    """
    if by == "first":
        time.sleep(HANGS_S)
    send(BUILT, {"by": by})


class Canvases:
    """Starts canvases on the demo's store, and tells what has become of them."""

    def __init__(self, store_url: str) -> None:
        url = for_celery(store_url)
        self._app = Celery("demo", broker=url, backend=url, set_as_current=False)
        self._app.conf.task_default_queue = QUEUE

    def waiting_chord(self, number: int) -> Any:
        """A chord whose header waits ``number`` times for one signal; answers its result."""
        header = [wait_for(BEGIN, timeout=300, app=self._app) for _ in range(number)]
        return chord(header, self._app.signature(report.name), app=self._app)()

    def first_builder(self) -> Any:
        """A builder, which is a coordinator while it runs."""
        return self._app.signature(build.name, args=("first",)).apply_async()

    def waiting_for_the_builder(self) -> Any:
        """Whoever waits for it; when it dies another one is started, once."""
        instead = self._app.signature(build.name, args=("replacement",), queue=QUEUE)
        return wait_for(BUILT, timeout=300, expects=BUILDER, replacement=instead, app=self._app).apply_async()

    def states(self, result: Any) -> list[str]:
        """The Celery states of a chord's header."""
        return [str(part.state) for part in result.parent.results]

    def at_work(self) -> list[str]:
        """The ids of waits that a worker is at work on right now, as the workers say."""
        answers = self._app.control.inspect(timeout=2.0).active() or {}
        return [task["id"] for tasks in answers.values() for task in tasks if task["name"] == WAIT]

    def close(self) -> None:
        """Close the connections."""
        with closing(self._app):
            backend: Any = self._app.backend  # whose types do not know that it consumes
            backend.result_consumer.subscribed_to.clear()  # else its end is told as a traceback
