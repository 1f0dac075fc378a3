"""Submissions: a task that is sent once for its key, however often that is asked for.

Rules:
- The key finds the task's id, so whoever knows the key finds the result, in this process or in any other one. The id is
  the submission's own: under the same key a day later another task runs, which nobody takes for the first one.
- The same key with the same task and arguments answers the first submission; with others it is refused, because one of
  the two would silently not be done.
- A key is known for a day after it was submitted: longer than a careful caller asks again.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from supervision.coordination.signals import encoded_payload
from supervision.errors import InvalidWait
from supervision.model import shown

_PLACED_BY_CELERY = ("task_id", "group_id", "group_index", "chord", "root_id", "parent_id", "reply_to")
"""Options of a signature that belong to the canvas it is a part of; the task's id is the key's."""


class Submission(msgspec.Struct, frozen=True):
    """One task that was submitted under ``key``, at ``at`` (store milliseconds), by ``sender``.

    ``state`` is ``queued`` until the broker is known to have it, then ``sent``; how the task ends is the result
    backend's to say, under ``task_id``. ``repeated`` if this call was not the first one.
    """

    key: str
    task: str
    task_id: str
    sender: str
    at: int
    state: str
    repeated: bool = False


class Message(NamedTuple):
    """What is to be sent: a task's name, its arguments, and Celery's options, as a signature has them."""

    task: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    options: Mapping[str, Any]


def valid_message(what: object, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Message:
    """What ``what`` asks for, a task's name or the signature of one task, or `InvalidWait`."""
    if isinstance(what, str) and what:
        return Message(what, list(args), dict(kwargs or {}), {})
    if not isinstance(what, Mapping) or not isinstance(what.get("task"), str) or not what["task"]:
        raise InvalidWait(f"submit {shown(what)}: needs a task's name or a Celery signature, for example pay.s(7)")
    if what.get("subtask_type"):
        raise InvalidWait(f"submit {what['task']}: needs one task, which may start the others; a canvas has many ids")
    options = dict(what.get("options") or {})
    placed = sorted(name for name in ("eta", "expires", "countdown") if options.get(name) is not None)
    if placed:
        raise InvalidWait(f"submit {what['task']}: {', '.join(placed)} would be counted anew by whoever sends it again")
    options = {name: value for name, value in options.items() if name not in _PLACED_BY_CELERY}
    more = {**dict(what.get("kwargs") or {}), **(kwargs or {})}
    return Message(what["task"], [*args, *(what.get("args") or ())], more, options)


def asked(message: Message, queue: str) -> str:
    """The same for the same request, whoever makes it: what two submissions under one key are compared by."""
    return hashlib.sha256(encoded(message, "", queue).encode()).hexdigest()


def encoded(message: Message, task_id: str, queue: str) -> str:
    """The message as it is stored, or `InvalidDocument`; the ``queue`` is fixed, whoever sends it."""
    options: dict[str, Any] = {"queue": queue, **message.options, "task_id": task_id}
    return encoded_payload([message.task, list(message.args), message.kwargs, options], f"submit {message.task}")
