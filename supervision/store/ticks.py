"""Ticks: claim the right to one, load what it sees, commit what it decided. Three round trips, whatever the size.

A tick in which members come or go takes a fourth: they are enrolled under the same epoch, before anything is decided
about them takes effect. Dying in between leaves nothing undone that the next tick would not do again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from supervision import documents
from supervision.circuit import State
from supervision.decide import Plan
from supervision.model import MAX_COUNT, Event, Reservation, Update
from supervision.store.connection import server_of
from supervision.store.keys import Keys
from supervision.store.loading import Loading
from supervision.store.outbox import Entry, entries
from supervision.store.registry import DOCUMENTS, declared_child
from supervision.store.scripts import Scripts
from supervision.supervisor import Supervisor
from supervision.view import Claim, Member, Mode, View

LEASE_MS = 1500
"""How long a silent ticker keeps others away: longer than any tick, shorter than the promised takeover in 2 s."""

HUNG_LEASE_MS = 11_000
"""The lease from the third claim on of which none was settled: then ticks hang, and each would take one more process.
Longer than the hard limit of a tick, so that one at a time hangs, and the other processes work."""

LOOK_AGAIN_MS = 5_000
"""When an action that was queued and not started is sent again for the first time."""

UPDATES_PER_SLICE = 250
"""Changed children per commit script; keeps each one under 10 ms of the store's time."""

TOMBSTONE_MS = 24 * 3600 * 1000
"""How long it is remembered that a child was removed, so that nothing that comes late brings it back."""


@dataclass(frozen=True, slots=True)
class Committed:
    """What became of a plan: ``done``, ``again`` (something changed meanwhile) or ``superseded``."""

    outcome: str
    entries: tuple[Entry, ...]


class Ticks:
    """The store's side of one supervisor's tick; ``most_actions`` may be in flight in the whole namespace."""

    def __init__(self, scripts: Scripts, keys: Keys, most_actions: int = MAX_COUNT) -> None:
        self._scripts = scripts
        self._keys = keys
        self.loading = Loading(scripts, keys, most_actions)

    def claim(self, supervisor: Supervisor, mode: Mode) -> Claim | str:
        """The right to tick now, or why not: ``busy`` or ``duplicate``."""
        outcome, *claim = self._scripts.run(
            "claim",
            [self._keys.of(supervisor.path, "control"), self._keys.counters],
            [supervisor.path, mode, supervisor.interval_ms, LEASE_MS, server_of(self._scripts.client), HUNG_LEASE_MS],
        )
        return Claim(*map(int, claim)) if outcome == b"claimed" else str(outcome.decode())

    def load(self, supervisor: Supervisor, claim: Claim) -> View:
        """Everything about ``supervisor`` at one moment, in one round trip."""
        return self.loading.view(supervisor, claim)

    def commit(self, view: View, plan: Plan, claim: Claim) -> Committed:
        """Write ``plan`` under the claim's epoch, in slices of whole children; an old epoch writes nothing."""
        if plan.members.members and not self._enrolled(view, plan, claim):
            return Committed("superseded", ())
        slices = [plan.updates[i : i + UPDATES_PER_SLICE] for i in range(0, len(plan.updates), UPDATES_PER_SLICE)] or [
            ()
        ]
        written: list[Entry] = []
        outcome = "done"
        for number, updates in enumerate(slices):
            answer = self._commit_slice(view, plan, claim, updates, first=number == 0, last=number == len(slices) - 1)
            outcome = answer[0].decode()
            written.extend(entries(answer[1:]))
            if outcome == "superseded" or (outcome == "again" and number == 0):
                break
        return Committed(outcome, tuple(written))

    def _enrolled(self, view: View, plan: Plan, claim: Claim) -> bool:
        """Write who comes, leaves and is removed; whether the epoch is still ours."""
        of, keys, path = self._keys.of, self._keys, view.supervisor.path
        joined = {name: member for name, member in plan.members.members.items() if member}
        own = (of(path, what) for what in ("control", "members", "sources", "gone"))
        changes = {
            "members": [[name, _member(view, name, member)] for name, member in joined.items()],
            "removed": [
                [name, view.roster.members[name].source]
                for name, member in plan.members.members.items()
                if member is None
            ],
            "source": view.roster.source if _is_used(view.roster.source, joined) else "",
            "document": view.roster.document,
            "unused": _unused(view, plan),
            "events": [_event(event) for event in plan.members.events],
        }
        documents_of_children = (of(path, what) for what in (*DOCUMENTS, "orphans"))
        answer = self._scripts.run(
            "enrol",
            [*own, keys.incidents, of(path, "orders"), keys.events, of(path, "flight"), *documents_of_children],
            [path, claim.epoch, TOMBSTONE_MS, msgspec.msgpack.encode(changes)],
        )
        return bool(answer[0] == b"done")

    def leave(self, supervisor: Supervisor, claim: Claim) -> None:
        """Let somebody else tick at once: this one could not read what it has to decide about."""
        self._write({**_nothing(supervisor.path, claim), "unread": True}, ())

    def _commit_slice(  # noqa: PLR0913 # one slice of one commit; first and last carry the circuit and the release
        self, view: View, plan: Plan, claim: Claim, updates: Sequence[Update], *, first: bool, last: bool
    ) -> list[bytes]:
        wishes = [update.reservation for update in updates if update.reservation]
        circuit = plan.circuit if first else None
        changes = {
            "last": last,
            "probe": next((wish.child for wish in wishes if wish.incident), ""),
            "circuit": msgspec.json.encode(circuit).decode() if circuit else "",
            "incident_since": circuit.opened_at if circuit and circuit.incident else 0,
            "again": first and plan.again,
            "heard": dict(plan.taken_off) if first else {},
            "events": [_event(event) for event in plan.events] if first else [],
            "counters": _counters(view, plan) if first else [],
            "updates": [_packed(update) for update in updates],
        }
        return self._write({**_nothing(view.supervisor.path, claim), **changes}, wishes)

    def _write(self, plan: Mapping[str, Any], wishes: Sequence[Reservation]) -> list[bytes]:
        keys, path = self._keys, plan["supervisor"]
        return list(
            self._scripts.run(
                "commit",
                [
                    *(keys.of(path, what) for what in ("control", "records", "flight")),
                    *(keys.fence, keys.due, keys.outbox, keys.entries, keys.events, keys.counters, keys.incidents),
                    keys.of(path, "orders"),
                    *(keys.action(wish.id) for wish in wishes),
                ],
                [msgspec.msgpack.encode(plan)],
            )
        )


def _nothing(supervisor: str, claim: Claim) -> dict[str, Any]:
    """A commit under ``claim`` that changes nothing."""
    return {
        "supervisor": supervisor,
        "epoch": claim.epoch,
        "dirty": claim.dirty,
        "last": False,
        "probe": "",
        "circuit": "",
        "incident_since": 0,
        "again": False,
        "heard": {},
        "events": [],
        "counters": [],
        "updates": [],
    }


def wish(reservation: Reservation) -> dict[str, Any]:
    """A reservation as the scripts take it."""
    return {
        **msgspec.structs.asdict(reservation),
        "params": msgspec.json.encode(reservation.params).decode(),
        "look_again_ms": LOOK_AGAIN_MS,
    }


def _packed(update: Update) -> dict[str, Any]:
    return {
        "child": update.child,
        "record": msgspec.json.encode(update.record).decode(),
        "events": [_event(event) for event in update.events],
        **({"reservation": wish(update.reservation)} if update.reservation else {}),
        **({"look": True} if update.look else {}),
    }


def _event(event: Event) -> list[str]:
    return [event.kind, event.subject, documents.clipped(event.reason), event.before, event.after, str(event.attempt)]


def _member(view: View, name: str, member: Member) -> str:
    """A member as stored: with what those need to know of it who do not have the code."""
    declared = declared_child(view.children[name].child)
    return msgspec.json.encode({**msgspec.structs.asdict(member), "declared": declared}).decode()


def _is_used(source: str, joined: Mapping[str, Member]) -> bool:
    """Whether anybody is from that document; those who leave are from the one that wanted them last."""
    return any(member.source == source for member in joined.values())


def _unused(view: View, plan: Plan) -> list[str]:
    """The documents that nobody is from any more."""
    after = {**view.roster.members, **plan.members.members}
    used = {member.source for member in after.values() if member}
    return sorted({member.source for member in view.roster.members.values()} - used)


def _counters(view: View, plan: Plan) -> list[str]:
    label = f"|supervisor={view.supervisor.path}"
    names = {
        State.OPEN: "supervisor_infrastructure_check_failures_total",
        State.CLOSED: "supervisor_circuit_breaker_recoveries_total",
        State.ESCALATED: "supervisor_escalations_total",
    }
    changes = [State(event.after) for event in plan.events if event.kind == "circuit"]
    if view.circuit.escalated_at:  # told and counted once per incident
        changes = [state for state in changes if state is not State.ESCALATED]
    if "reset" in plan.taken_off:  # a reset is no recovery
        changes = [state for state in changes if state is not State.CLOSED]
    full = f"supervisor_actions_refused_total{label}|reason=queue_full"
    return [f"{names[state]}{label}" for state in changes if state in names] + [full] * plan.refused
