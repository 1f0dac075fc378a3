"""What can be asked of a broker and, through it, of stock Celery workers; the only kind's module that imports Celery.

Every question has its time: a dead socket ends in an error after `SOCKET_S`, a worker that does not answer is one that
is not there. Each look opens a connection of its own, so nothing is shared between threads or across a fork.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from celery import Celery
from kombu import Exchange, Queue

from supervision.errors import InvalidDeclaration

SOCKET_S = 1.5
"""Seconds for one answer of the broker; without it, Celery would wait for ever."""

CANARY = "celery.accumulate"
"""A built-in task that returns its arguments, here none."""

Address = str | Celery
"""A broker: its URL, or the app whose broker it is."""

_ONE_TRY = {"max_retries": 1, "interval_start": 0, "interval_step": 0}

_LIMITS: Mapping[str, Mapping[str, float]] = {
    # The interval is how long one blocking read lasts, which the next question has to wait for; 1 s by default.
    "redis": {"socket_timeout": SOCKET_S, "socket_connect_timeout": SOCKET_S, "polling_interval": 0.1},
    "amqp": {"read_timeout": SOCKET_S, "write_timeout": SOCKET_S},
}


def app_of(broker: object, what: str) -> tuple[Celery, str | None]:
    """An app to ask with, and the URL to ask at, None for the app's own; `InvalidDeclaration` without the password."""
    if isinstance(broker, Celery):
        return broker, None
    if isinstance(broker, str) and "://" in broker and broker.isprintable():
        return Celery(broker=broker, set_as_current=False), broker
    told = f"'...{broker.rpartition('@')[2][-40:]}'" if isinstance(broker, str) else type(broker).__name__
    raise InvalidDeclaration(
        f"{what}: broker {told}: needs a Celery app or a URL, for example 'redis://127.0.0.1:6379/0'"
    )


class Peek(NamedTuple):
    """How many messages wait, and the next one itself, where the broker shows it."""

    depth: int
    head: bytes | None

    def moved_since(self, before: "Peek") -> bool:
        """Whether a message that waited ``before`` was taken; when none waited, nothing speaks against it."""
        if self.depth == 0 or before.depth == 0:
            return True
        return self.head != before.head if self.head and before.head else self.depth < before.depth

    @property
    def task(self) -> str:
        """The name of the task that is next."""
        with suppress(ValueError, KeyError, TypeError):
            return str(json.loads(self.head or b"")["headers"]["task"])[:200]
        return ""


class Broker:
    """One connection to the broker of ``queue``; close it."""

    def __init__(self, app: Celery, url: str | None, queue: str, reply_timeout: float) -> None:
        self._app, self._queue, self._reply_timeout = app, queue, reply_timeout
        # Opened only when something is asked of it: the first one says what kind of broker it is, and is never opened.
        self._kind: str = app.connection_for_write(url).transport.driver_type
        limits = {**_ONE_TRY, **_LIMITS.get(self._kind, {})}
        self._connection: Any = app.connection_for_write(url, connect_timeout=SOCKET_S, transport_options=limits)
        self._channel: Any = self._connection.default_channel

    def close(self) -> None:
        """Give the connection back to the system."""
        self._connection.close()

    def peek(self) -> Peek:
        """What waits now."""
        if self._kind == "redis":
            return self._peek_lists()
        try:
            return Peek(self._channel.queue_declare(self._queue, passive=True).message_count, None)
        except self._connection.channel_errors:  # there is no such queue yet, and the channel is closed for asking
            self._channel = self._connection.channel()
            return Peek(0, None)

    def canary(self) -> Peek | None:
        """Put a canary into the queue if it is empty: what waits right after that, or None when it was not empty."""
        if self.peek().depth:
            return None
        # Straight into the queue, past exchanges and routes; declaring it could contradict how others declare it.
        straight: Any = Queue(self._queue, Exchange(""), routing_key=self._queue, no_declare=True)
        self._app.send_task(CANARY, queue=straight, connection=self._connection, ignore_result=True, retry=False)
        return self.peek()

    def queues(self, workers: Sequence[str] | None = None) -> dict[str, set[str]]:
        """Who answers, and what each says that it consumes. Of all workers, or of ``workers``, which is quicker."""
        answers = self._ask("active_queues", workers)
        return {worker: {queue["name"] for queue in queues} for worker, queues in answers.items()}

    def free(self, workers: Sequence[str]) -> tuple[str, ...]:
        """Those of ``workers`` that could take a message: slots to spare, and none in hand that waits for a slot.

        Tasks that wait for their time (ETA) count as neither. Who does not answer is not free: nothing is known of it.
        """
        active, reserved, stats = (self._ask(what, workers) for what in ("active", "reserved", "stats"))
        known = [worker for worker in workers if worker in active and worker in reserved and worker in stats]
        return tuple(w for w in known if not reserved[w] and len(active[w]) < stats[w]["pool"]["max-concurrency"])

    def consume_again(self, claiming: Sequence[str], workers: Sequence[str]) -> None:
        """Let ``workers`` consume the queue; first cancel the consumer of those ``claiming`` to have one.

        A worker ignores the addition of what it believes to consume, so it must cancel before. Both go out before any
        answer is awaited, so that hardly anything can come between and leave the worker with none.
        """
        if claiming:
            self._send("cancel_consumer", claiming)
        self._ask("add_consumer", workers, queue=self._queue)

    def restart_pools(self, workers: Sequence[str], timeout: float) -> tuple[str, ...]:
        """Restart the pools of ``workers``; answers those that did, which is none where it is not enabled."""
        answers = self._ask("pool_restart", workers, timeout=timeout) if workers else {}
        return tuple(worker for worker, answer in answers.items() if "ok" in answer)

    def _peek_lists(self) -> Peek:
        channel = self._channel
        with channel.conn_or_acquire() as client, client.pipeline(transaction=True) as pipe:
            # One list per priority step, the most urgent first; kombu adds the prefix to LLEN, and not to LINDEX.
            for step in channel.priority_steps:
                name = channel._q_for_pri(self._queue, step)  # noqa: SLF001 - kombu has no public way to peek
                pipe.llen(name).lindex(f"{channel.global_keyprefix or ''}{name}", -1)
            answers = pipe.execute()
        return Peek(sum(answers[::2]), next((head for head in answers[1::2] if head), None))

    def _send(self, command: str, workers: Sequence[str]) -> None:
        self._app.control.broadcast(
            command, {"queue": self._queue}, list(workers), connection=self._connection, channel=self._channel
        )

    def _ask(
        self, command: str, workers: Iterable[str] | None, timeout: float | None = None, **arguments: str
    ) -> dict[str, Any]:
        """Answers by worker; without those that answer with an error, as older ones may."""
        answers: Any = self._app.control.broadcast(
            command,
            arguments,
            None if workers is None else list(workers),
            connection=self._connection,
            channel=self._channel,
            reply=True,
            timeout=timeout or self._reply_timeout,
        )
        merged = {worker: answer for one in answers or () for worker, answer in one.items()}
        return {worker: a for worker, a in merged.items() if not (isinstance(a, dict) and "error" in a)}
