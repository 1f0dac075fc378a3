"""Bootsteps: what a worker of ours does besides running tasks.

Rules:
- `install(app)` adds them all; a user's own app that consumes our queues calls it, too (`supervision doctor` says so).
- A step never ends a worker that runs: what it cannot do now it tries again at its next turn.
- Visibility is a convenience, judged by the clocks of workers; the guarantee is the store's sweeps and fences.
"""

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import redis
from celery import Celery, bootsteps
from celery.concurrency import solo
from celery.worker import state

from supervision.engine import foreign, leaving, pools, results, shutdown, unacked

RENEWALS_PER_TIMEOUT = 4
"""Renewals per visibility timeout: three may fail in a row before a message is taken for abandoned."""

RECONNECT_S = 1.0
"""Seconds between two attempts of a worker to reach a broker that is away."""

_log = logging.getLogger(__name__)


class VisibilityRenewal(bootsteps.StartStopStep):
    """Renews the visibility of every message this worker holds, so that only a dead worker's messages come back.

    Without it a task that runs longer than the visibility timeout is delivered again, and again, while it runs.
    Starts anew with each connection; does nothing on brokers that know by themselves who holds what (RabbitMQ).
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        self._cancel: Callable[[], object] | None = None
        super().__init__(consumer, **kwargs)

    def start(self, consumer: Any) -> None:
        """Begin to renew; called after each connect."""
        if consumer.connection.transport.driver_type != "redis":
            return
        qos = consumer.task_consumer.channel.qos
        every = qos.visibility_timeout / RENEWALS_PER_TIMEOUT
        if isinstance(consumer.pool, solo.TaskPool):
            # The solo pool runs tasks on the loop that fires the timers: only a thread gets a turn meanwhile. The
            # other pools do not use one, because prefork forks and a thread's locks would be forked with it.
            self._cancel = _repeat_in_thread(every, lambda: renew(qos))
        else:
            self._cancel = consumer.timer.call_repeatedly(every, renew, (qos,)).cancel

    def stop(self, consumer: Any) -> None:  # noqa: ARG002 - Celery hands it in
        """Stop renewing; called at each loss of the connection and at shutdown."""
        if self._cancel is not None:
            self._cancel()
            self._cancel = None


class PromptReconnect(bootsteps.StartStopStep):
    """Looks for a broker that is away every second; by default a worker's pauses grow, up to 30 s."""

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        ensure = consumer.ensure_connected

        def ensured(connection: Any) -> Any:
            pauses = {"interval_start": RECONNECT_S, "interval_step": RECONNECT_S, "interval_max": RECONNECT_S}
            connection.ensure_connection = partial(connection.ensure_connection, **pauses)
            return ensure(connection)

        consumer.ensure_connected = ensured
        super().__init__(consumer, **kwargs)


def renew(qos: Any) -> int:
    """Mark every message held by this worker as seen now; returns how many marks were moved.

    XX never revives a message that was acknowledged in between, GT never shortens another worker's renewal.
    """
    tags = held_tags(qos)
    if not tags:
        return 0
    now = time.time()  # the wall clock on purpose: kombu's sweep compares with the wall clocks of workers
    try:
        with qos.channel.conn_or_acquire() as client:
            return int(client.zadd(qos.unacked_index_key, dict.fromkeys(tags, now), xx=True, gt=True, ch=True))
    except (redis.RedisError, OSError) as error:
        # Not raised: the consumer finds out about its connection by itself, and three more turns come in time.
        _log.warning("visibility of %d messages not renewed, trying again: %s", len(tags), error)
        return 0


def held_tags(qos: Any) -> set[str]:
    """Delivery tags of all messages that this worker has taken and not acknowledged.

    Delivered ones belong to the present connection; reserved and active ones may have come over an earlier one and
    are acknowledged over this one, since a tag is a plain key. What was scheduled before a reconnect was dropped by
    Celery and is left out: renewing it would keep it from ever coming back. So is what was to go back and could not;
    what was acknowledged and not heard is held until it is, or it would run once more.
    """
    # Each is copied in one step: other threads change them. These are the only places where kombu keeps them.
    tags = set(qos._delivered.copy()) - set(qos._dirty.copy())  # noqa: SLF001 - see above
    if isinstance(qos, unacked.QoS):
        tags |= qos.owed.acknowledged.copy()
    for request in (*state.reserved_requests, *state.active_requests):
        if not request.acknowledged:
            tags.add(request.message.delivery_tag)
    return tags


def _repeat_in_thread(every: float, work: Callable[[], object]) -> Callable[[], object]:
    stopped = threading.Event()

    def loop() -> None:
        while not stopped.wait(every):
            work()

    threading.Thread(target=loop, name="visibility-renewal", daemon=True).start()
    return stopped.set


def install(app: Celery) -> None:
    """Add our bootsteps to ``app`` and let its workers treat SIGTERM as "finish or hand back". Idempotent."""
    app.steps["consumer"].update((VisibilityRenewal, PromptReconnect, foreign.ForeignMessages, results.WholeResults))
    app.steps["worker"].add(pools.PoolGate)
    leaving.install()
    shutdown.remap_sigterm_in_workers()


def installed(app: Celery) -> bool:
    """Whether workers of ``app`` renew what they hold."""
    return VisibilityRenewal in app.steps["consumer"]
