"""What a worker still owes its broker, which was away when it was said: nothing of it is forgotten, or held for ever.

kombu takes an acknowledgement for done when the broker has answered. One that it did not answer stays in the worker's
books: its place among the prefetched is never free again, so that a worker with as many of them takes no message any
more, and whoever renews the visibility of what is held (`engine.steps`) holds it until the worker ends. A message that
was to go back into its queue is as good as lost then. And what was taken from a queue, but could not be written into
the journal of what is unacknowledged, is only in this process.

Rules:
- The place is free as soon as the worker is done with a message; what the broker has not heard is said again, before
  anything else is, every `unacked_restore_interval`, and over a new connection, too. Every answer may come twice.
- What cannot be said because the process ends comes back after the visibility timeout, as from any dead worker; what
  is in no journal ends with its process.
- `tests/system/test_unacked.py` proves need and cure in one run.
"""

import logging
from dataclasses import dataclass, field
from typing import Any

from kombu.transport import redis as upstream
from kombu.transport import virtual
from kombu.utils.json import dumps, loads

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Owed:
    """Delivery tags of what the broker has not heard; of what is in no journal, the message as it stands in one."""

    acknowledged: set[str] = field(default_factory=set)
    returned: set[str] = field(default_factory=set)
    taken: dict[str, str] = field(default_factory=dict)


_debts: dict[tuple[object, ...], Owed] = {}
"""By broker and journal: a worker that connects again still owes it, and a tag means the same on every connection."""


def owed_by(channel: Any) -> Owed:
    """What this process owes the broker of ``channel``, whichever of several addresses is in use."""
    broker = channel.connection.client
    if broker is None:  # it is closed already, and its journal is told nothing more
        return Owed()
    addresses = tuple(broker.alt) or (broker.hostname, broker.port)
    return _debts.setdefault((addresses, broker.virtual_host, channel.unacked_key), Owed())


class QoS(upstream.QoS):
    """What a channel has delivered, and what of it the broker has still to hear."""

    def __init__(self, channel: Any, prefetch_count: int = 0) -> None:
        super().__init__(channel, prefetch_count)
        self.owed = owed_by(channel)

    def append(self, message: Any, delivery_tag: str) -> None:
        """Write down that ``message`` was taken; raises as kombu does, and it goes back when the broker is there."""
        try:
            super().append(message, delivery_tag)
        except Exception:
            way = message.delivery_info
            journal = [message._raw, way["exchange"], way["routing_key"]]  # noqa: SLF001 # as kombu writes it
            self.owed.taken[delivery_tag] = dumps(journal)
            raise

    def ack(self, delivery_tag: str) -> None:
        """Free the place, and tell the broker; raises as kombu does when that has to wait."""
        self.owed.acknowledged.add(delivery_tag)
        virtual.QoS.ack(self, delivery_tag)
        self.settle()

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 # kombu's signature
        """Free the place, and put the message back into its queue, or nowhere; raises when that has to wait."""
        (self.owed.returned if requeue else self.owed.acknowledged).add(delivery_tag)
        virtual.QoS.ack(self, delivery_tag)
        self.settle()

    def restore_visible(self, *args: Any, **options: Any) -> None:
        """Called by kombu every `unacked_restore_interval`."""
        self.settle()
        super().restore_visible(*args, **options)

    def restore_unacked_once(self, stderr: Any = None) -> None:
        """Called by kombu when the channel is closed: for a worker that ends this is the last time to say it."""
        try:
            self.settle()
        except Exception as error:  # noqa: BLE001 # whatever the broker raises: there is no later, and closing goes on
            owed = len(self.owed.acknowledged) + len(self.owed.returned) + len(self.owed.taken)
            _log.warning("the broker has not heard what became of %d messages: %s", owed, error)
        super().restore_unacked_once(stderr)

    def settle(self) -> None:
        """Tell the broker what it has not heard; raises when it does not answer, and forgets nothing."""
        if acknowledged := tuple(self.owed.acknowledged):
            with self.pipe_or_acquire() as pipe:
                pipe.zrem(self.unacked_index_key, *acknowledged).hdel(self.unacked_key, *acknowledged).execute()
            self.owed.acknowledged.difference_update(acknowledged)
        for tag in tuple(self.owed.returned):
            self.restore_by_tag(tag, leftmost=True)  # does nothing where it was put back already
            self.owed.returned.discard(tag)
        for tag in tuple(self.owed.taken):
            self._give_back(tag)

    def _give_back(self, tag: str) -> None:
        """Put back what was taken, once; the journal may have it in spite of all, so it is struck out there."""
        message = self.owed.taken.pop(tag, None)
        if message is None:  # another thread of this process does it
            return
        channel: Any = self.channel
        try:
            with self.pipe_or_acquire() as pipe:
                pipe.zrem(self.unacked_index_key, tag).hdel(self.unacked_key, tag)
                channel._do_restore_message(*loads(message), pipe)  # noqa: SLF001 # as kombu puts it back
                pipe.execute()
        except Exception:
            self.owed.taken[tag] = message
            raise
