"""Ticks: claim the right to one, load what it sees, commit what it decided. Three round trips, whatever the size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from supervision import documents
from supervision.child import Child
from supervision.circuit import Circuit, State
from supervision.decide import Plan
from supervision.errors import InvalidDocument
from supervision.model import ChildRecord, Event, LastAction, Observation, Reservation, Update
from supervision.store.connection import translated
from supervision.store.keys import Keys
from supervision.store.orders import orders_in
from supervision.store.outbox import Entry, entries
from supervision.store.scripts import Scripts
from supervision.supervisor import Supervisor
from supervision.view import ChildView, Claim, Mode, View

LEASE_MS = 1500
"""How long a silent ticker keeps others away: longer than any tick, shorter than the promised takeover in 2 s."""

LOOK_AGAIN_MS = 5_000
"""When an action that was queued and not started is sent again for the first time."""

UPDATES_PER_SLICE = 250
"""Changed children per commit script; keeps each one under 10 ms of the store's time."""

_T = TypeVar("_T")

_HASHES = ("control", "records", "desired", "observed", "seen", "flight", "last", "orders")


@dataclass(frozen=True, slots=True)
class Committed:
    """What became of a plan: ``done``, ``again`` (something changed meanwhile) or ``superseded``."""

    outcome: str
    entries: tuple[Entry, ...]


class Ticks:
    """The store's side of one supervisor's tick."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self._scripts = scripts
        self._keys = keys

    def claim(self, supervisor: Supervisor, mode: Mode) -> Claim | str:
        """The right to tick now, or why not: ``busy`` or ``duplicate``."""
        outcome, epoch, now, dirty = self._scripts.run(
            "claim",
            [self._keys.of(supervisor.path, "control"), self._keys.counters],
            [supervisor.path, mode, supervisor.interval_ms, LEASE_MS],
        )
        return Claim(int(epoch), int(now), int(dirty)) if outcome == b"claimed" else str(outcome.decode())

    def load(self, supervisor: Supervisor, claim: Claim) -> View:
        """Everything about ``supervisor`` at one moment, in one round trip."""
        control, *hashes = self.read(supervisor.path)
        found = dict(zip(_HASHES[1:], hashes, strict=True))
        return View(
            supervisor=supervisor,
            now=claim.now,
            epoch=claim.epoch,
            circuit=_decoded(control.get(b"circuit"), Circuit) or Circuit(),
            children={name: _child_view(child, found) for name, child in supervisor.children.items()},
            orders=orders_in(found["orders"]),
        )

    def read(self, supervisor: str) -> list[dict[bytes, bytes]]:
        """The raw hashes of one supervisor, in the order of `_HASHES`."""
        pipeline = self._scripts.client.pipeline(transaction=True)
        for name in _HASHES:
            pipeline.hgetall(self._keys.of(supervisor, name))
        with translated("load"):
            return list(pipeline.execute())

    def commit(self, view: View, plan: Plan, claim: Claim) -> Committed:
        """Write ``plan`` under the claim's epoch, in slices of whole children; an old epoch writes nothing."""
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

    def _commit_slice(  # noqa: PLR0913 # one slice of one commit; first and last carry the circuit and the release
        self, view: View, plan: Plan, claim: Claim, updates: Sequence[Update], *, first: bool, last: bool
    ) -> list[bytes]:
        name, keys = view.supervisor.path, self._keys
        wishes = [update.reservation for update in updates if update.reservation]
        circuit = plan.circuit if first else None
        probe = next((wish.child for wish in wishes if wish.incident), "")
        return list(
            self._scripts.run(
                "commit",
                [
                    *(keys.of(name, what) for what in ("control", "records", "flight")),
                    *(keys.fence, keys.due, keys.outbox, keys.entries, keys.events, keys.counters, keys.incidents),
                    keys.of(name, "orders"),
                    *(keys.action(wish.id) for wish in wishes),
                ],
                [
                    msgspec.msgpack.encode(
                        {
                            "supervisor": name,
                            "epoch": claim.epoch,
                            "dirty": claim.dirty,
                            "last": last,
                            "probe": probe,
                            "circuit": msgspec.json.encode(circuit).decode() if circuit else "",
                            "incident_since": circuit.opened_at if circuit and circuit.incident else 0,
                            "events": [_event(event) for event in plan.events] if first else [],
                            "counters": _counters(name, plan) if first else [],
                            "reset": plan.reset if first else "",
                            "updates": [_packed(update) for update in updates],
                        }
                    )
                ],
            )
        )


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
    }


def _event(event: Event) -> list[str]:
    return [event.kind, event.subject, documents.clipped(event.reason), event.before, event.after, str(event.attempt)]


def _counters(supervisor: str, plan: Plan) -> list[str]:
    names = {
        State.OPEN: "supervisor_infrastructure_check_failures_total",
        State.CLOSED: "supervisor_circuit_breaker_recoveries_total",
        State.ESCALATED: "supervisor_escalations_total",
    }
    changes = [State(event.after) for event in plan.events if event.kind == "circuit"]
    return [f"{names[state]}|supervisor={supervisor}" for state in changes if state in names]


def _child_view(child: Child, found: Mapping[str, dict[bytes, bytes]]) -> ChildView:
    name = child.name.encode()
    desired, revision, misfit = _desired(child, found["desired"].get(name))
    return ChildView(
        child=child,
        record=_decoded(found["records"].get(name), ChildRecord),
        desired=desired,
        revision=revision,
        observation=_observation(child, found["observed"].get(name), found["seen"].get(name)),
        in_flight=found["flight"].get(name, b"").decode(),
        last_action=_decoded(found["last"].get(name), LastAction),
        misfit=misfit,
    )


class Desired(msgspec.Struct, frozen=True):
    """A desired document that was set at run time."""

    revision: int
    document: msgspec.Raw


def _desired(child: Child, stored: bytes | None) -> tuple[Any, int, str]:
    """What the child should be: set at run time, or as declared; one that does not fit the code is as if not set."""
    if stored is None:
        return child.desired, 0, ""
    found = msgspec.json.decode(stored, type=Desired)
    try:
        fitting = documents.decode(bytes(found.document), child.Desired, f"{child.path}: desired")
    except InvalidDocument as error:
        return child.desired, found.revision, documents.clipped(str(error))
    return fitting, found.revision, ""


def _observation(child: Child, document: bytes | None, mark: bytes | None) -> Observation | None:
    """What was last seen; a document that another version of the code wrote counts as not seen."""
    if document is None or mark is None:
        return None
    sequence, at = mark.split(b":")
    try:
        return Observation(
            documents.decode(document, child.Observed, f"{child.path}: observed"), int(at), int(sequence)
        )
    except InvalidDocument:
        return None


def _decoded(stored: bytes | None, kind: type[_T]) -> _T | None:
    return msgspec.json.decode(stored, type=kind) if stored else None
