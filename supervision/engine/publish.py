"""Outbox entries become Celery messages: the only place that knows task names."""

from collections.abc import Iterable
from typing import Any

import structlog
from celery import Celery
from kombu.exceptions import OperationalError

from supervision.actions import HARD_LIMIT_EXTRA_S
from supervision.store.outbox import KINDS, Entry

TICK = "supervision.tick"
COLLECT = "supervision.collect"
ACT = "supervision.act"
SWEEP = "supervision.sweep"

_log = structlog.get_logger("supervision")


class CeleryPublisher:
    """Sends entries through ``app``, whose routes name the queues. A broker that is gone is an answer, not an error."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def publish(self, entries: Iterable[Entry]) -> list[Entry]:
        """Send each entry; answer those that the broker took, stop at the first that it did not."""
        taken: list[Entry] = []
        for entry in entries:
            try:
                self.send(entry)
            except (OperationalError, OSError) as error:
                _log.warning("publish_failed", entry=entry.id, error=str(error))
                break
            taken.append(entry)
        return taken

    def send(self, entry: Entry) -> None:
        """Send one entry."""
        name, args, options = _MESSAGES[entry.kind](entry)
        self._app.send_task(name, args=args, ignore_result=True, **options)


def task_id(action_id: str) -> str:
    """The Celery task id of an action, the same for every run of it, so that Flower shows one task with its retries."""
    return f"action-{action_id}"


def _act(entry: Entry) -> tuple[str, list[str], dict[str, Any]]:
    soft = entry.timeout_ms / 1000
    return (
        ACT,
        [entry.subject],
        {
            "task_id": task_id(entry.subject),
            "soft_time_limit": soft,
            "time_limit": soft + HARD_LIMIT_EXTRA_S,
        },
    )


def _tick(entry: Entry) -> tuple[str, list[str], dict[str, Any]]:
    return TICK, [entry.subject, "dirty"], {}


_MESSAGES = {KINDS.act: _act, KINDS.tick: _tick}
