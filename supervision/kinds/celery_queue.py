"""The kind ``celery_queue``: messages wait, workers answer ping, and nobody consumes; found and healed from outside.

    CeleryQueue("mail", "redis://127.0.0.1:6379/0", queue="mail", workers=["mail@*"])

The workers need nothing of ours. A queue is **stalled** in one look when no live worker says that it consumes it; or
when a message waits, after one reply time still none has been taken, and some worker that says it consumes the queue
could have: it runs fewer tasks than its pool has slots, and has none in hand. On Redis "none taken" means that the very
same message is still the next one; on other brokers, that there are not fewer. A queue that was stalled in all looks
for ``stuck_after`` seconds is restarted, see `CeleryQueue.restart`.

An empty queue proves nothing, so now and then a canary goes into it: `celery.accumulate`, a task without effect that
every Celery worker has. There is never more than one, because it is sent into an empty queue only.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Unpack

from supervision.actions import ActionSpec, Run, action
from supervision.child import RESTART, Common
from supervision.errors import ActionFailed, InvalidDeclaration
from supervision.kinds.celery_broker import SOCKET_S, Address, Broker, Peek, app_of
from supervision.kinds.queue_states import Queue, QueueObserved, rounded
from supervision.model import shown, valid_name, valid_seconds

DEFAULT_STUCK_AFTER_S = 30.0
"""Longer than a worker needs to start, so that a deploy is no trouble."""

DEFAULT_REPLY_S = 1.0
"""How long workers may take to answer: Celery's own default. Every look takes that long, in a thread of its own."""

DEFAULT_HEAL_S = 5.0
"""After a remedy, seconds until the queue must move; tried twice by one restart."""

DEFAULT_CANARY_S = 30.0
"""Seconds between two canaries of one collecting process."""

POLL_S = 0.1

_MOST_NAMES = 5


class CeleryQueue(Queue):
    """A queue of Celery's that somebody should consume.

    Args:
        name: the child's name.
        broker: the broker's URL, or the Celery app whose broker it is.
        queue: the queue's name; the child's name by default.
        workers: names of the workers that should consume it, ``*`` and ``?`` allowed; only they, and those that say
            they consume it, are ever told to. Without them, a consumer that was cancelled cannot be given back.
        stuck_after: seconds of trouble before it is restarted.
        heal_timeout: seconds that each remedy may take to show.
        reply_timeout: seconds that workers may take to answer.
        canary_every: seconds between two canaries; None for none.

    Raises:
        InvalidDeclaration: names the argument, its value and an example; never the broker's password.
    """

    kind = "celery_queue"

    def __init__(  # noqa: PLR0913 - the whole declaration of a queue; all but the first two are named
        self,
        name: str,
        broker: Address,
        *,
        queue: str | None = None,
        workers: Sequence[str] = (),
        stuck_after: float = DEFAULT_STUCK_AFTER_S,
        heal_timeout: float = DEFAULT_HEAL_S,
        reply_timeout: float = DEFAULT_REPLY_S,
        canary_every: float | None = DEFAULT_CANARY_S,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(name, **common)
        what = repr(self)
        self.queue = valid_name(name if queue is None else queue, f"{what}: queue")
        self.workers = _patterns(workers, what)
        self.stuck_after = valid_seconds(stuck_after, f"{what}: stuck_after", "stuck_after=30")
        self.heal_timeout = valid_seconds(heal_timeout, f"{what}: heal_timeout", "heal_timeout=5")
        self.reply_timeout = valid_seconds(reply_timeout, f"{what}: reply_timeout", "reply_timeout=1")
        self._canary_every = canary_every and valid_seconds(canary_every, f"{what}: canary_every", "canary_every=30")
        self._canary_at = 0.0
        self._app, self._url = app_of(broker, what)

    def spec(self, action: str) -> ActionSpec | None:
        """The declared action; a restart may take what its two remedies and their questions take."""
        found = super().spec(action)
        if found is None or found.code is not self.actions[RESTART].code:
            return found
        return found.called(action, timeout=2 * self.heal_timeout + 12 * (self.reply_timeout + SOCKET_S))

    def observe(self) -> object:
        """Look at the queue, ask the workers, look again."""
        with self._broker() as broker:
            before = self._proven(broker)
            consumers = self._consumers(broker.queues())
            after = broker.peek()
            if consumers and after.moved_since(before):
                return QueueObserved(rounded(after.depth), consumers)
            free = broker.free(consumers) if consumers else ()
            after = broker.peek()
            stalled = not consumers or (bool(free) and not after.moved_since(before))
        if not stalled:
            return QueueObserved(rounded(after.depth), consumers)
        reason = self._trouble(rounded(after.depth), free)
        return QueueObserved(rounded(after.depth), consumers, stalled=True, task=after.task, reason=reason)

    @action(retries=0)  # one run tries all there is; the state machine waits longer and longer before the next
    def restart(self, run: Run) -> None:
        """Cancel the consumers and add them again, then restart idle pools where that is enabled.

        Raises:
            ActionFailed: It still does not move: restart the worker process. A check can do that when the worker is
                a supervised child.
        """
        with self._broker() as broker:
            before, answers = broker.canary() or broker.peek(), broker.queues()
            claiming = self._consumers(answers)
            targets = sorted({*claiming, *(worker for worker in answers if self._named(worker))})
            if not targets:
                raise ActionFailed(self._nobody(answers))
            run.log.info("consumer_added_again", queue=self.queue, workers=targets)
            broker.consume_again(claiming, targets)
            if self._moves(broker, before, targets):
                return
            pools = broker.restart_pools(broker.free(targets), self.heal_timeout)
            run.log.warning("pools_restarted", queue=self.queue, workers=pools)
            if pools and self._moves(broker, before, targets):
                return
        raise ActionFailed(
            f"queue {self.queue!r}: still not consumed after its consumer was added again at {_listed(targets)} and "
            f"{'their idle pools were restarted' if pools else 'no pool could be restarted (worker_pool_restarts)'}; "
            f"restart these worker processes"
        )

    @contextmanager
    def _broker(self) -> Iterator[Broker]:
        broker = Broker(self._app, self._url, self.queue, self.reply_timeout)
        try:
            yield broker
        finally:
            broker.close()

    def _proven(self, broker: Broker) -> Peek:
        """What waits now; a canary when nothing does and it is time for one."""
        now = time.monotonic()
        due = self._canary_every and now >= self._canary_at
        if due and (sent := broker.canary()):
            self._canary_at = now + (self._canary_every or 0)
            return sent
        return broker.peek()

    def _consumers(self, answers: Mapping[str, set[str]]) -> tuple[str, ...]:
        return tuple(sorted(worker for worker, queues in answers.items() if self.queue in queues))

    def _named(self, worker: str) -> bool:
        return any(fnmatchcase(worker, pattern) for pattern in self.workers)

    def _moves(self, broker: Broker, before: Peek, workers: Sequence[str]) -> bool:
        """Whether a message is taken within the heal time, or a worker that consumes has its hands full."""
        deadline = time.monotonic() + self.heal_timeout
        while not (moved := broker.peek().moved_since(before)) and time.monotonic() < deadline:
            time.sleep(POLL_S)  # in an action, which may take its time; a tick never gets here
        consumers = self._consumers(broker.queues(workers))
        return bool(consumers) and (moved or len(broker.free(consumers)) < len(consumers))

    def _trouble(self, depth: int, free: Sequence[str]) -> str:
        if not free:
            return f"no live worker consumes {self.queue!r}, about {depth} wait"
        return f"about {depth} wait in {self.queue!r}, and {_listed(free)}, which could take them, do not"

    def _nobody(self, answers: Mapping[str, set[str]]) -> str:
        wanted = f"none of {_listed(self.workers)} answers" if self.workers else "none is named with workers=[...]"
        return (
            f"queue {self.queue!r}: no live worker consumes it, and {wanted}; alive are {_listed(sorted(answers))}; "
            f"start a worker for it, or restart the one there is"
        )


def _patterns(workers: object, what: str) -> tuple[str, ...]:
    listed = list(workers) if isinstance(workers, Sequence) and not isinstance(workers, str) else [None]
    if all(isinstance(worker, str) and "@" in worker and worker.isprintable() for worker in listed):
        return tuple(map(str, listed))
    raise InvalidDeclaration(f"{what}: workers={shown(workers)}: needs names of workers, for example ['mail@*']")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return (", ".join(names[:_MOST_NAMES]) or "none") + more
