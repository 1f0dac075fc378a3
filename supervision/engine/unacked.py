"""What a worker still owes its broker, which was away when it was said: nothing of it is forgotten, or held for ever.

kombu takes an acknowledgement for done when the broker has answered. One that it did not answer stays in the worker's
books: its place among the prefetched is never free again, so that a worker with as many of them takes no message any
more, and whoever renews the visibility of what is held (`engine.steps`) holds it until the worker ends. A message that
was to go back into its queue is as good as lost then. And what was taken from a queue, but could not be written into
the journal of what is unacknowledged, is only in this process.

Rules:
- The place is free as soon as the worker is done with a message; what the broker has not heard is said again every
  `unacked_restore_interval`, and over a new connection, too. Acknowledgements are said with the next one as well; what
  goes back is said over a channel that is open only, as a closed one knows no exchanges.
- What has been in another worker's hand since is not put back: whoever takes it, or holds it, marks it with the moment.
- What cannot be said because the process ends comes back after the visibility timeout, as from any dead worker; what
  is in no journal ends with its process.
- `tests/system/test_unacked.py` proves need and cure in one run.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from kombu.transport import redis as upstream
from kombu.transport import virtual
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads

AGAIN_AT_CLOSE_S: Final = 10.0
"""A broker that did not answer one channel at its end is not asked by the next ones: each would wait as long."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Owed:
    """Delivery tags of what the broker has not heard.

    Of what goes back with the moment at which this worker let go of it, by the wall clock, as kombu's journal has it;
    of what is in no journal with that, too, and with the message as it stands in one.
    """

    acknowledged: set[str] = field(default_factory=set)
    returned: dict[str, float] = field(default_factory=dict)
    taken: dict[str, tuple[float, str]] = field(default_factory=dict)
    unanswered: float = float("-inf")
    """When a channel that was closed got no answer, by the monotonic clock."""

    def __len__(self) -> int:
        return len(self.acknowledged) + len(self.returned) + len(self.taken)


_debts: dict[tuple[object, ...], Owed] = {}
"""By broker and journal: a worker that connects again still owes it, and a tag means the same on every connection."""

os.register_at_fork(after_in_child=_debts.clear)  # they are the parent's, who goes on and says them


def owed_by(channel: Any) -> Owed:
    """What this process owes the broker of ``channel``, whichever of several addresses is in use."""
    broker = channel.connection and channel.connection.client
    if broker is None:  # it is closed already, and its journal is told nothing more
        return Owed()
    addresses = tuple(broker.alt) or (broker.hostname, broker.port or channel.connection.default_port)
    journal = (channel.global_keyprefix, channel.unacked_key)
    return _debts.setdefault((addresses, broker.virtual_host, getattr(channel, "master_name", ""), *journal), Owed())


class QoS(upstream.QoS):
    """What a channel has delivered, and what of it the broker has still to hear."""

    channel: Any
    """Kombu's types do not know what one of Redis has."""

    def __init__(self, channel: Any, prefetch_count: int = 0) -> None:
        self.owed = owed_by(channel)
        super().__init__(channel, prefetch_count)

    def append(self, message: Any, delivery_tag: str) -> None:
        """Write down that ``message`` was taken; raises as kombu does, and it goes back when the broker is there."""
        try:
            super().append(message, delivery_tag)
        except BaseException:
            way = message.delivery_info
            journal = [message._raw, way["exchange"], way["routing_key"]]  # noqa: SLF001 # as kombu writes it
            self.owed.taken[delivery_tag] = (time.time(), dumps(journal))
            raise

    def ack(self, delivery_tag: str) -> None:
        """Free the place, and tell the broker; raises as kombu does when that has to wait."""
        self.owed.acknowledged.add(delivery_tag)
        virtual.QoS.ack(self, delivery_tag)
        self._acknowledge()

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 # kombu's signature
        """Free the place, and put the message back into its queue, or nowhere; raises when that has to wait."""
        if not requeue:
            self.ack(delivery_tag)
            return
        self.owed.returned[delivery_tag] = time.time()
        virtual.QoS.ack(self, delivery_tag)
        if self.channel.connection is not None:
            self._put_back(delivery_tag)

    def restore_visible(self, *args: Any, **options: Any) -> None:
        """Called by kombu every `unacked_restore_interval`."""
        self.settle()
        super().restore_visible(*args, **options)

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """Called by kombu when the channel is closed: for a worker that ends this is the last time to say it."""
        if time.monotonic() - self.owed.unanswered > AGAIN_AT_CLOSE_S:
            try:
                self.settle()
            except Exception as error:  # noqa: BLE001 # whatever the broker raises: there is no later, and closing goes on
                self.owed.unanswered = time.monotonic()
                _log.warning("the broker has not heard what became of %d messages: %s", len(self.owed), error)
        super().restore_unacked_once(stderr)

    def settle(self) -> None:
        """Tell the broker what it has not heard; raises when it does not answer, and forgets nothing.

        What it refuses is told in the log, and keeps nothing else from being said.
        """
        for say in self._unsaid():
            try:
                say()
            except self.channel.ResponseError as error:
                _log.warning("the broker refuses to hear what became of a message, trying again: %s", error)

    def _unsaid(self) -> Iterator[Callable[[], None]]:
        yield self._acknowledge
        yield from (partial(self._write_down, tag) for tag in self.owed.taken.copy())
        yield from (partial(self._put_back, tag) for tag in self.owed.returned.copy())

    def _acknowledge(self) -> None:
        tags = tuple(self.owed.acknowledged.copy())  # in one step: other threads change it
        if not tags:  # another one has said it meanwhile
            return
        with self.pipe_or_acquire() as pipe:
            pipe.zrem(self.unacked_index_key, *tags).hdel(self.unacked_key, *tags).execute()
        self.owed.acknowledged.difference_update(tags)

    def _write_down(self, tag: str) -> None:
        """Write what was taken into the journal after all, where it is not there; from the journal it goes back."""
        taken = self.owed.taken.pop(tag, None)
        if taken is None:  # another thread of this process does it
            return
        moment, message = taken
        try:
            with self.pipe_or_acquire() as pipe:
                pipe.zadd(self.unacked_index_key, {tag: moment}, nx=True).hsetnx(
                    self.unacked_key, tag, message
                ).execute()
        except BaseException:
            self.owed.taken[tag] = taken
            raise
        self.owed.returned[tag] = moment
        self._put_back(tag)

    def _put_back(self, tag: str) -> None:
        since = self.owed.returned.get(tag, 0.0)
        with self.channel.conn_or_acquire() as client:
            client.transaction(partial(self._put_back_in, tag, since), self.unacked_key)
        self.owed.returned.pop(tag, None)

    def _put_back_in(self, tag: str, since: float, pipe: Any) -> None:
        """As kombu's `restore_by_tag`; nothing where somebody else has put it back and it was taken again."""
        message, held = pipe.hget(self.unacked_key, tag), pipe.zscore(self.unacked_index_key, tag)
        pipe.multi()
        if message is None or (held is not None and held > since):
            return
        self.channel._do_restore_message(*loads(bytes_to_str(message)), pipe, leftmost=True)  # noqa: SLF001 # as kombu
        if len(pipe):  # kombu only logs what it cannot put back: it stays in the journal
            pipe.zrem(self.unacked_index_key, tag).hdel(self.unacked_key, tag)
