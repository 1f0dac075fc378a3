"""The use cases of gathers: publish the parts, hear how each ended, look after those that nothing was heard of.

Rules:
- One process publishes at a time, a slice after the other, and sends for the next run so that nothing starves.
- A part's own report is a hint: the sweep looks for the result of whatever was not reported.
- How a gather ends is decided by the script that counts its parts; it is gone on with as any wait is.
"""

import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from supervision.coordinating import MOST_PER_RUN, Coordination
from supervision.coordination.gathers import Arrival
from supervision.errors import StoreUnavailable
from supervision.saying import log as _log
from supervision.store.gathers import Slice
from supervision.store.outbox import Entry
from supervision.store.store import Store


class Parts(Protocol):
    """Whatever publishes parts and knows where their results are."""

    def publish(self, gather_id: str, some: Slice) -> list[Arrival]:
        """Publish each; answers those that never can be; raises what the broker raises."""

    def ended(self, gather_id: str, indexes: Iterable[int]) -> list[Arrival]:
        """How those of ``indexes`` ended that have, by their results."""


class NoParts:
    """For processes without Celery: workers look after all gathers."""

    def publish(self, gather_id: str, some: Slice) -> list[Arrival]:  # noqa: ARG002 # as the protocol has it
        """Nothing can be published from here."""
        raise ConnectionError(f"gather {gather_id}: its parts are published by workers")

    def ended(self, gather_id: str, indexes: Iterable[int]) -> list[Arrival]:  # noqa: ARG002 # likewise
        """Nothing is known here."""
        return []


NO_PARTS = NoParts()


class Gathering:
    """Gathers over one store, whose ends ``coordination`` goes on with."""

    def __init__(
        self, store: Store, coordination: Coordination, parts: Parts, publish: Callable[[Iterable[Entry]], object]
    ) -> None:
        self._gathers = store.gathers
        self._coordination = coordination
        self._parts = parts
        self._publish = publish

    def fan_out(self, gather_id: str) -> int:
        """Publish parts, `MOST_PER_RUN` at most; answers how many. What fails here, a sweep makes up for."""
        holder, upto, sent = uuid.uuid4().hex, 0, 0
        try:
            while sent < MOST_PER_RUN and (some := self._gathers.fan(gather_id, holder, upto)):
                self.arrive(gather_id, self._parts.publish(gather_id, some))
                upto, sent = some.upto, sent + len(some.parts)
            left = self._gathers.fanned(gather_id, holder, upto)
            self._publish([left] if left else [])
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 # a broker that is gone: the sweep goes on when the lease is over
            _log.warning("parts_not_published", gather=gather_id, error=f"{type(error).__name__}: {error}")
        return sent

    def arrive(self, gather_id: str, arrivals: Sequence[Arrival]) -> None:
        """Hear how parts ended, and go on with the gather if that ends it."""
        if arrivals:
            self._coordination.go_on(
                self._gathers.arrive(gather_id, arrivals, claim=self._coordination.here),
            )

    def sweep(self) -> int:
        """Publish what nobody has, and look for results that were not reported; answers for how many gathers."""
        found = self._gathers.overdue()
        for each in found:
            self.arrive(each.id, self._parts.ended(each.id, each.missing))
            if each.unpublished:
                self.fan_out(each.id)
        return len(found)
