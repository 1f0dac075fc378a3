"""Outbox entries become Celery messages: the only place that knows task names."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from celery import Celery
from kombu.exceptions import OperationalError

from supervision.actions import HARD_LIMIT_EXTRA_S
from supervision.engine import resuming
from supervision.engine.resuming import QUEUE, SERIALIZER
from supervision.errors import NotFound
from supervision.saying import log as _log
from supervision.store.outbox import KINDS, Entry

TICK = "supervision.tick"
COLLECT = "supervision.collect"
ACT = "supervision.act"
SWEEP = resuming.SWEEP
SWEEPS = "supervision.sweeps"
LOOK_ALONE = "supervision.look_alone"
RELEASE = "supervision.release"
REPLACE = "supervision.replace"
MAIL = "supervision.mail"
PARTS = "supervision.parts"

LOOK_EXPIRES_S = 900.0
"""A look that nobody could make for so long is no longer asked for; generous, because it compares two clocks."""


class CeleryPublisher:
    """Sends entries through ``app``, whose routes name the queues. A broker that is gone is an answer, not an error."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def publish(self, entries: Iterable[Entry]) -> list[Entry]:
        """Send each entry; answer those that the broker took, stop at the first for which it was not there.

        An entry that cannot be sent for a reason of its own is told and stays behind; it stops no other one.
        """
        taken: list[Entry] = []
        for entry in entries:
            try:
                self.send(entry)
            except (OperationalError, OSError) as error:
                _log.warning("publish_failed", entry=entry.id, error=str(error))
                break
            except Exception as error:  # noqa: BLE001 # whatever is wrong with this one is no reason to keep the others
                _log.exception("entry_refused", entry=entry.id, error=f"{type(error).__name__}: {error}")
            else:
                taken.append(entry)
        return taken

    def send(self, entry: Entry) -> None:
        """Send one entry; `NotFound` for a kind that only another version of the code knows."""
        if entry.kind not in _MESSAGES:
            raise NotFound(f"entry {entry.id!r} is of the kind {entry.kind!r}; known are {', '.join(_MESSAGES)}")
        name, args, options = _MESSAGES[entry.kind](entry)
        if entry.kind not in _THEIRS:
            options["serializer"] = SERIALIZER
        if entry.delay_ms:
            options["countdown"] = entry.delay_ms / 1000
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


def _sweep(entry: Entry) -> tuple[str, list[str], dict[str, Any]]:
    return SWEEP, [entry.subject], {"queue": SWEEPS}  # programs that have no routes of ours send these, too


def _look(entry: Entry) -> tuple[str, list[str], dict[str, Any]]:
    return LOOK_ALONE, [entry.subject], {"expires": LOOK_EXPIRES_S}


def _release(entry: Entry) -> tuple[str, list[str], dict[str, Any]]:
    return RELEASE, [entry.subject], {"queue": QUEUE}


def _replace(entry: Entry) -> tuple[str, list[str], dict[str, Any]]:
    return REPLACE, [entry.subject], {"queue": QUEUE}


def _mail(entry: Entry) -> tuple[str, list[str], dict[str, Any]]:
    return MAIL, [entry.subject], {"queue": QUEUE}


def _parts(entry: Entry) -> tuple[str, list[str], dict[str, Any]]:
    return PARTS, [entry.subject], {"queue": QUEUE}


_THEIRS = frozenset({KINDS.task, KINDS.hook})
"""Tasks of the user's, whose workers read what their app writes."""

_OURS = frozenset({"task_id", "ignore_result"})
"""Options of a hook's signature that are not its to say."""


def _hook(entry: Entry) -> tuple[str, list[Any], dict[str, Any]]:
    signature, event = msgspec.json.decode(entry.subject)
    if isinstance(signature, str):  # a name alone, as an older version writes it
        signature = {"task": signature}
    options = {name: value for name, value in signature.get("options", {}).items() if name not in _OURS}
    own = signature.get("kwargs", {})
    said = own if signature.get("immutable") else {**own, **event}
    return signature["task"], signature.get("args", []), {**options, "kwargs": said, "task_id": f"hook-{event['id']}"}


def _task(entry: Entry) -> tuple[str, list[Any], dict[str, Any]]:
    """A user's: its result is stored unless its signature says otherwise, though nobody here listens for it."""
    task, args, kwargs, options = msgspec.json.decode(entry.subject)
    headers = {"ignore_result": options.pop("ignore_result", False), **(options.pop("headers", None) or {})}
    return task, args, {**options, "kwargs": kwargs, "headers": headers}


_MESSAGES: Mapping[str, Callable[[Entry], tuple[str, list[Any], dict[str, Any]]]] = {
    KINDS.task: _task,
    KINDS.hook: _hook,
    KINDS.act: _act,
    KINDS.tick: _tick,
    KINDS.sweep: _sweep,
    KINDS.look: _look,
    KINDS.release: _release,
    KINDS.replace: _replace,
    KINDS.mail: _mail,
    KINDS.parts: _parts,
}
