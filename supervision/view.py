"""What a tick sees: one supervisor and all its children at one moment of the store's clock."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from supervision import freshness
from supervision.child import Child
from supervision.circuit import Circuit
from supervision.model import MAX_COUNT, ChildRecord, LastAction, Observation, Siblings, Snapshot
from supervision.orders import Orders
from supervision.supervisor import Supervisor

STALE_AFTER_MS = 10_000
"""How old an observation may be, unless its supervisor says otherwise."""

NO_SIBLINGS = Siblings({})


class ChildView(msgspec.Struct, frozen=True, gc=False):
    """One child: its declaration and what the store knows about it; ``in_flight`` is an action id or empty.

    ``misfit`` says why the document that was set at ``revision`` does not count: it is not what the code desires.
    ``unreadable`` says why what is stored about it cannot be read: by other code, which knows better what to do.
    ``leaving`` says that it is no longer wanted, and is brought to rest. ``stale_after_ms`` is how old an observation
    may be that counts, and ``resumed`` the moment before which none does.
    """

    child: Child
    record: ChildRecord | None = None
    desired: Any = None
    revision: int = 0
    observation: Observation | None = None
    in_flight: str = ""
    last_action: LastAction | None = None
    misfit: str = ""
    unreadable: str = ""
    leaving: bool = False
    stale_after_ms: int = STALE_AFTER_MS
    resumed: int = 0

    def fresh(self, now: int) -> bool:
        """Whether the observation may be acted on; one from the future (a clock was set back) may not."""
        return freshness.fresh(self, self.stale_after_ms, now, self.resumed)

    def settled(self, now: int) -> bool:
        """Whether the child was looked at since its last action ended.

        An end that is further ahead than an observation may be old is from before the clock was set back: whatever
        is fresh now was seen after it.
        """
        ended = self.last_action.ended if self.last_action else 0
        return self.observation is not None and (self.observation.at > ended or ended - now >= self.stale_after_ms)

    def ready(self, now: int) -> bool:
        """Whether an action may be given: born, none in flight, seen lately and since the last one ended."""
        return self.record is not None and not self.in_flight and self.fresh(now) and self.settled(now)

    def snapshot(self, state: str, since: int, now: int, siblings: Siblings = NO_SIBLINGS) -> Snapshot:
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
            siblings=siblings,
        )


class Member(msgspec.Struct, frozen=True):
    """One that is wanted, or was: ``source`` names the document that wanted it; ``leaving`` is since when it leaves."""

    source: str
    leaving: int = 0


class Roster(msgspec.Struct, frozen=True):
    """The members as stored, and what is wanted now: ``wanted`` is None for no opinion, ``error`` says why.

    ``unreadable`` says, by name, why what is stored about a member cannot be read. ``misfit`` says why the document of
    this ``revision`` (0: as declared) does not fit the code, which then has no opinion.
    """

    source: str = ""
    document: str = ""
    wanted: Mapping[str, Child] | None = None
    error: str = ""
    members: Mapping[str, Member] = {}
    unreadable: Mapping[str, str] = {}
    misfit: str = ""
    revision: int = 0


class View(msgspec.Struct, frozen=True):
    """One supervisor at the moment ``now``, claimed under ``epoch``.

    Observations begun before ``resumed`` do not count: the store or the ticks were away meanwhile. ``in_flight`` counts
    the actions of the namespace, ``most_actions`` bounds them. ``heard_above``: the parent answers an escalation, so
    nobody else is called. ``roster`` are those that come and go.
    """

    supervisor: Supervisor
    now: int
    epoch: int
    circuit: Circuit
    children: Mapping[str, ChildView]
    orders: Orders = Orders()
    resumed: int = 0
    in_flight: int = 0
    most_actions: int = MAX_COUNT
    heard_above: bool = False
    roster: Roster = Roster()


Mode = Literal["slot", "dirty"]
"""Why a tick is claimed: its interval has come, or something has changed."""


class Claim(msgspec.Struct, frozen=True):
    """The right to tick once: ``epoch`` goes with every write, ``dirty`` is the version that this tick settles.

    ``resumed`` is when ticking went on after an interruption, 0 when there was none: until then nobody had looked, or
    it was another server whose last writes may be lost, so the first ticks after it had better look before they act.
    """

    epoch: int
    now: int
    dirty: int
    resumed: int = 0
