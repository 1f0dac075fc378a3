"""Messages that are none: whatever lies on a queue of ours, a worker tells it, throws it away and lives.

Celery refuses what it cannot decode and what names no task. A body that is JSON and no task's, or headers without an
id, end its worker ("too many values to unpack"), and the next one too, since the message was not acknowledged. Headers
that Celery reads too late (time limits, stamps) cost it a place of its pool, until it has none and takes no task. A
step puts a net under the function that takes messages; what it catches goes the way of what cannot be decoded.
"""

from collections.abc import Callable
from traceback import walk_tb
from typing import Any

from celery import bootsteps

from supervision.model import shown

FAULTS = (LookupError, TypeError, ValueError, AttributeError, RecursionError)
"""What reading such a message raises. Whatever is wrong with broker or pool is something else, and passes through: its
message is good, and comes again."""

_POOL = ("celery.concurrency", "billiard")
"""Modules of the pool; at its end it raises errors of the same types."""

LONGEST_LIMIT_S = 1e9
"""Seconds, some 30 years: a time limit above it is none, and too large for the clocks of the pool."""

_BODY = ("the arguments", "those with names", "options")
_NONE = (None,) * len(_BODY)


class ForeignMessages(bootsteps.StartStopStep):
    """Has a worker throw away what it cannot read."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        """Put the net under the consumer; called after each connect, since a consumer makes a handler for each."""
        if not isinstance(consumer.create_task_handler, _Net):
            consumer.create_task_handler = _Net(consumer, consumer.create_task_handler)


def _check(message: Any) -> None:
    """Raise ValueError or TypeError for what Celery would take, and neither run nor acknowledge."""
    headers = message.headers
    if not isinstance(headers, dict):
        return  # of nobody: Celery's to refuse
    try:
        payload = message.payload
    except Exception:  # noqa: BLE001 # Celery says why it cannot be decoded
        return
    if "task" in headers:
        _check_headers(headers)
        _check_body(payload)
    elif isinstance(payload, dict) and "task" in payload:  # of an older protocol, whose body says it all
        _check_headers({**payload, **headers})


def _check_headers(headers: dict[str, Any]) -> None:
    """What Celery reads after it has taken a place in the pool, which it does not give back when that fails."""
    if not isinstance(headers.get("id"), str) or not headers["id"]:
        raise ValueError(f"id={shown(headers.get('id'))}: a task's message has the id of the task, a text")
    limits = headers.get("timelimit") or (None, None)
    if not (isinstance(limits, (list, tuple)) and len(limits) == len((None, None)) and all(map(_is_limit, limits))):
        raise ValueError(f"timelimit={shown(limits)}: needs two numbers of seconds, each of which may be null")
    stamped, stamps = headers.get("stamped_headers") or (), headers.get("stamps") or {}
    if not (isinstance(stamped, (list, tuple)) and all(isinstance(name, str) for name in stamped)):
        raise TypeError(f"stamped_headers={shown(stamped)}: needs names")
    if not isinstance(stamps, dict):
        raise TypeError(f"stamps={shown(stamps)}: needs a mapping from names to stamps")
    if not isinstance(headers.get("shadow") or "", str):
        raise TypeError(f"shadow={shown(headers['shadow'])}: needs a text")


def _is_limit(limit: object) -> bool:
    if not isinstance(limit, (int, float)) or isinstance(limit, bool):
        return limit is None
    return 0 <= limit <= LONGEST_LIMIT_S


def _check_body(payload: Any) -> None:
    arguments, named, options = payload if isinstance(payload, (list, tuple)) and len(payload) == len(_BODY) else _NONE
    options = {} if options is None else options  # as clients in other languages may say it
    if not (isinstance(arguments, (list, tuple)) and isinstance(named, dict) and isinstance(options, dict)):
        raise TypeError(f"body={shown(payload)}: needs {', '.join(_BODY)}")
    chain = options.get("chain") or ()
    if not all(isinstance(step, dict) and isinstance(step.get("task"), str) for step in chain):
        raise TypeError(f"chain={shown(chain)}: needs the signatures of what follows")


def _raised_by_the_pool(error: BaseException) -> bool:
    modules = (frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__))
    return any(module.startswith(_POOL) for module in modules)


class _Net:
    """Makes the handlers of one consumer."""

    def __init__(self, consumer: Any, create: Callable[..., Callable[[Any], Any]]) -> None:
        self._consumer, self._create = consumer, create

    def __call__(self, *arguments: Any, **named: Any) -> Callable[[Any], Any]:
        """A handler of messages, which raises nothing for what is wrong with one of them."""
        handle = self._create(*arguments, **named)

        def received(message: Any) -> Any:
            try:
                _check(message)
                return handle(message)
            except FAULTS as error:
                if message.acknowledged or _raised_by_the_pool(error):
                    raise
                return self._consumer.on_decode_error(message, error)

        return received
