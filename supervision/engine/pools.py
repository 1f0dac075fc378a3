"""Which Celery pools may run which queues.

| pool             | our queues | why                                                                            |
| ---------------- | ---------- | ------------------------------------------------------------------------------ |
| prefork          | yes        | the only one whose time limits are hard: a stuck process can be killed         |
| threads, solo    | warned     | nothing can stop a stuck task; the store gives it up at its deadline           |
| gevent, eventlet | refused    | a worker with one of these never returns a dead worker's messages, and code    |
|                  |            | that does not yield (most checks and actions) stops its heartbeats             |

Rules: said once, at start; nothing is said about queues that are not ours.
"""

import logging
from typing import Any

from celery import bootsteps
from celery.concurrency import solo, thread

OUR_QUEUES = "supervision."
"""Queues whose name begins like this are ours."""

_log = logging.getLogger(__name__)


class PoolGate(bootsteps.Step):
    """Refuses green pools for our queues and says what threads and solo lose."""

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        ours = sorted(name for name in worker.app.amqp.queues.consume_from if name.startswith(OUR_QUEUES))
        pool = worker.pool_cls
        if not ours:
            return
        if pool.is_green:
            # SystemExit: Celery prints a traceback for anything else, and this is an answer to a command line.
            raise SystemExit(refusal(pool.__module__, ours))
        if issubclass(pool, thread.TaskPool | solo.TaskPool):
            _log.warning("%s", lost_limits(pool.__module__, ours))


def refusal(module: str, queues: list[str]) -> str:
    """The sentence for a green pool."""
    return (
        f"The {_name(module)} pool cannot serve {', '.join(queues)}: it never returns the messages of a worker that "
        "died, and one check or action that does not yield stops everything else in it. Use --pool=prefork (or "
        "--pool=threads) for these queues, and green pools for queues of your own."
    )


def lost_limits(module: str, queues: list[str]) -> str:
    """The sentence for a pool without time limits."""
    return (
        f"The {_name(module)} pool does not enforce time limits on {', '.join(queues)}: a stuck action keeps its slot "
        "until it ends by itself, although the store gives it up at its deadline and refuses its late result, and at "
        "shutdown it cannot be interrupted. --pool=prefork has hard limits."
    )


def _name(module: str) -> str:
    short = module.rpartition(".")[2]
    return "threads" if short == "thread" else short
