"""What a tick sees: one supervisor and all its children at one moment of the store's clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from supervision.child import Child
from supervision.circuit import Circuit
from supervision.model import ChildRecord, LastAction, Observation, Snapshot
from supervision.supervisor import Supervisor


@dataclass(frozen=True, slots=True)
class ChildView:
    """One child: its declaration and what the store knows about it; ``in_flight`` is an action id or empty."""

    child: Child
    record: ChildRecord | None = None
    desired: Any = None
    revision: int = 0
    observation: Observation | None = None
    in_flight: str = ""
    last_action: LastAction | None = None

    def fresh(self, now: int, stale_after_ms: int) -> bool:
        """Whether the observation may be acted on; one from the future (a clock was set back) may not."""
        return self.observation is not None and 0 <= now - self.observation.at < stale_after_ms

    def settled(self) -> bool:
        """Whether the child was looked at since its last action ended."""
        ended = self.last_action.ended if self.last_action else 0
        return self.observation is not None and self.observation.at > ended

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


@dataclass(frozen=True, slots=True)
class View:
    """One supervisor at the moment ``now``, claimed under ``epoch``."""

    supervisor: Supervisor
    now: int
    epoch: int
    circuit: Circuit
    children: Mapping[str, ChildView]


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to tick once: ``epoch`` goes with every write, ``dirty`` is the version that this tick settles."""

    epoch: int
    now: int
    dirty: int
