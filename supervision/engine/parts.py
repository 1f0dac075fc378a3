"""The parts of gathers as Celery messages and results: published under fixed ids, and looked for where nobody reported.

A part's task id is its gather's and its index, so that whatever is published twice is the same task. Its last step
reports by a link, any of its steps by an errback; both name our queue, since a worker that knows neither runs them.
Texts are made and read by kombu's JSON, as its messages are: a moment in time comes back as one.
"""

from collections.abc import Iterable
from typing import Any

from celery import Celery, states
from kombu.exceptions import OperationalError
from kombu.utils.json import dumps, loads

from supervision.coordination.gathers import Arrival, Step
from supervision.engine.resuming import QUEUE, SERIALIZER
from supervision.engine.rows import named, whole
from supervision.saying import log as _log
from supervision.store.gathers import Slice

PART = "supervision.part"
PART_FAILED = "supervision.part_failed"


def task_id(gather_id: str, index: int) -> str:
    """The Celery task id of a part's last step, whose result is the part's."""
    return f"{gather_id}-{index}"


def text(value: Any) -> str:
    """``value`` as a part's result or signature stands in the store."""
    return str(dumps(value))


def value(stored: str) -> Any:
    """What `text` made that of."""
    return loads(stored)


class CeleryParts:
    """Publishes parts through ``app``, and reads its result backend."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def publish(self, gather_id: str, some: Slice) -> list[Arrival]:
        """Publish each; answers those that never can be; raises what a broker that is gone raises."""
        refused: list[Arrival] = []
        for index, stored in some.parts:
            try:
                self._send(gather_id, some.home, index, loads(stored))
            except (OperationalError, OSError):
                raise
            except Exception as error:  # noqa: BLE001 # what is wrong with this one is how it ended
                _log.exception("part_refused", gather=gather_id, part=index)
                refused.append(Arrival(index, came=False, value=why(error)))
        return refused

    def ended(self, gather_id: str, indexes: Iterable[int]) -> list[Arrival]:
        """How those of ``indexes`` ended that have, by their results; one without may be queued or lost."""
        found: list[Arrival] = []
        for index in indexes:
            meta = self._app.backend.get_task_meta(task_id(gather_id, index), cache=False)
            if meta["status"] in states.READY_STATES:
                came = meta["status"] == states.SUCCESS
                found.append(Arrival(index, came, text(meta["result"]) if came else why(meta["result"])))
        return found

    def reason(self, failed_id: str) -> str:
        """Why the task ``failed_id`` failed, as its result says."""
        return why(self._app.backend.get_task_meta(failed_id, cache=False)["result"])

    def _send(self, gather_id: str, home: str, index: int, stored: list[Step]) -> None:
        last = task_id(gather_id, index)
        steps = named(stored, last, home=home, app=self._app)
        which = {"gather": gather_id, "part": index}
        ours: dict[str, Any] = {"kwargs": which, "queue": QUEUE, "serializer": SERIALIZER}
        for step in steps:
            step.options["ignore_result"] = False
            step.link_error(self._app.signature(PART_FAILED, **ours))
        steps[-1].link(self._app.signature(PART, **ours))
        whole(steps, self._app).apply_async(root_id=gather_id, parent_id=gather_id, add_to_parent=False)


def why(error: Any) -> str:
    """A failure in one line."""
    return f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error)
