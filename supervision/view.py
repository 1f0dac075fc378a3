"""What a tick sees: one supervisor and all its children at one moment of the store's clock."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from supervision.child import Child
from supervision.circuit import Circuit
from supervision.model import ChildRecord, LastAction, Observation, Snapshot
from supervision.orders import Orders
from supervision.supervisor import Supervisor


class ChildView(msgspec.Struct, frozen=True):
    """One child: its declaration and what the store knows about it; ``in_flight`` is an action id or empty.

    ``misfit`` says why the document that was set at ``revision`` does not count: it is not what the code desires.
    """

    child: Child
    record: ChildRecord | None = None
    desired: Any = None
    revision: int = 0
    observation: Observation | None = None
    in_flight: str = ""
    last_action: LastAction | None = None
    misfit: str = ""

    def fresh(self, now: int, stale_after_ms: int) -> bool:
        """Whether the observation may be acted on; one from the future (a clock was set back) may not."""
        return self.observation is not None and 0 <= now - self.observation.at < stale_after_ms

    def settled(self, now: int, stale_after_ms: int) -> bool:
        """Whether the child was looked at since its last action ended.

        An end that is further ahead than an observation may be old is from before the clock was set back: whatever
        is fresh now was seen after it.
        """
        ended = self.last_action.ended if self.last_action else 0
        return self.observation is not None and (self.observation.at > ended or ended - now >= stale_after_ms)

    def ready(self, now: int, stale_after_ms: int) -> bool:
        """Whether an action may be given: born, none in flight, seen lately and since the last one ended."""
        born_and_free = self.record is not None and not self.in_flight
        return born_and_free and self.fresh(now, stale_after_ms) and self.settled(now, stale_after_ms)

    def snapshot(self, state: str, since: int, now: int) -> Snapshot:
        """The three documents as the rule of ``state`` sees them."""
        return Snapshot(
            identity=self.child.identity,
            desired=self.desired,
            observed=self.observation.document if self.observation else None,
            state=state,
            since=since,
            at=now,
            revision=self.revision,
            last_action=self.last_action,
        )


class View(msgspec.Struct, frozen=True):
    """One supervisor at the moment ``now``, claimed under ``epoch``."""

    supervisor: Supervisor
    now: int
    epoch: int
    circuit: Circuit
    children: Mapping[str, ChildView]
    orders: Orders = Orders()


Mode = Literal["slot", "dirty"]
"""Why a tick is claimed: its interval has come, or something has changed."""


class Claim(msgspec.Struct, frozen=True):
    """The right to tick once: ``epoch`` goes with every write, ``dirty`` is the version that this tick settles."""

    epoch: int
    now: int
    dirty: int
