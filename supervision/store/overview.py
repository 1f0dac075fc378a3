"""What is, for those who only look: any program sees supervisors and children without the code that declares them.

Rules:
- One supervisor is read in one transaction with the store's time: its ages and states belong together.
- Ages are computed from the store's clock; a moment in the future (the clock was set back) is an age of 0.
- Nothing here writes, and nothing here needs the user's modules.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from supervision.aggregate import health
from supervision.circuit import Circuit, State
from supervision.model import ChildRecord, LastAction, Phase
from supervision.orders import WHOLE, Mode, Orders
from supervision.store.actions import Actions, Record
from supervision.store.connection import translated
from supervision.store.declarations import StoredMember
from supervision.store.history import Past
from supervision.store.keys import Keys
from supervision.store.loading import Desired
from supervision.store.orders import INHERITED, above, inherited, orders_in
from supervision.store.places import Place
from supervision.store.registry import DeclaredChild, DeclaredSupervisor
from supervision.store.scripts import Scripts
from supervision.store.views import ChildDescription, ChildView, SupervisorDescription, SupervisorView

_HASHES = ("control", "records", "seen", "errors", "flight", "last", "orders", "members")

Hash = dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class _Found:
    """All that is stored about one supervisor at the moment ``at``, as its views are made of it."""

    declared: DeclaredSupervisor
    at: int
    hashes: Mapping[str, Hash]
    actions: Mapping[bytes, Record]
    circuit: Circuit
    orders: Orders

    def stale_after_ms(self, child: DeclaredChild) -> int:
        """How old an observation of ``child`` may be; longer for one with a longer interval of its own."""
        return self.declared.stale_after_ms + max(0, child.interval_ms - self.declared.interval_ms)

    def of(self, child: str, what: str) -> bytes:
        """What one hash has about ``child``, empty when it has nothing."""
        return self.hashes[what].get(child.encode(), b"")


class Overview:
    """Reads what is."""

    def __init__(self, scripts: Scripts, keys: Keys, actions: Actions) -> None:
        self._client = scripts.client
        self._keys = keys
        self._actions = actions

    def supervisor(self, declared: DeclaredSupervisor) -> SupervisorView:
        """One supervisor with all of its children."""
        found = self._found(declared)
        children = (_child_view(found, name, child) for name, child in declared.children.items())
        return _supervisor_view(found, tuple(children))

    def described(self, place: Place, seen: ChildView, events: Iterable[Past]) -> ChildDescription:
        """A child that was ``seen`` with its documents: what it should be, what was seen, how its last action ended."""
        what = ("desired", "observed", "last", "records")
        desired, observed, last, record = self._fields(place.supervisor.name, place.name, what)
        stored = _decoded(desired, Desired) or Desired(0, place.child.desired)
        return ChildDescription(
            child=seen,
            states=place.child.states,
            actions=tuple(place.child.actions),
            desired=msgspec.json.decode(stored.document),
            desired_revision=stored.revision,
            desired_refused=bool(
                record and stored.revision and _decoded(record, ChildRecord).refused == stored.revision
            ),
            observed=msgspec.json.decode(observed) if observed else None,
            last_action=_decoded(last, LastAction),
            events=tuple(events),
        )

    def described_whole(self, declared: DeclaredSupervisor, events: Iterable[Past]) -> SupervisorDescription:
        """A supervisor with its own document, if it declares one."""
        (desired,) = self._fields(declared.name, WHOLE, ("desired",))
        stored = _decoded(desired, Desired) or Desired(0, declared.desired)
        return SupervisorDescription(
            supervisor=self.supervisor(declared),
            desired=msgspec.json.decode(stored.document),
            desired_revision=stored.revision,
            events=tuple(events),
        )

    def in_flight(self, place: Place) -> str:
        """The id of the action in flight on one child, empty when there is none."""
        (found,) = self._fields(place.supervisor.name, place.name, ("flight",))
        return found.decode() if found else ""

    def _found(self, declared: DeclaredSupervisor) -> _Found:
        pipeline = self._client.pipeline(transaction=True)
        pipeline.time()
        for what in _HASHES:
            pipeline.hgetall(self._keys.of(declared.name, what))
        for path in above(declared.name) if declared.parent else ():
            pipeline.hmget(self._keys.of(path, "orders"), INHERITED)
        with translated("overview"):
            (seconds, micros), *read = pipeline.execute()
        hashes: dict[str, Hash] = dict(zip(_HASHES, read, strict=False))
        return _Found(
            declared=declared,
            at=seconds * 1000 + micros // 1000,
            hashes=hashes,
            actions=self._in_flight(hashes["flight"].values()),
            circuit=_decoded(hashes["control"].get(b"circuit"), Circuit) or Circuit(),
            orders=inherited(orders_in(hashes["orders"], Mode(declared.mode)), read[len(_HASHES) :]),
        )

    def _fields(self, supervisor: str, child: str, what: Iterable[str]) -> list[bytes | None]:
        pipeline = self._client.pipeline(transaction=True)
        for each in what:
            pipeline.hget(self._keys.of(supervisor, each), child)
        with translated("documents"):
            return list(pipeline.execute())

    def _in_flight(self, ids: Iterable[bytes]) -> dict[bytes, Record]:
        # One that ended since the transaction has no place among those in flight: its record says so by itself.
        records = ((action_id, self._actions.get(action_id.decode())) for action_id in ids)
        return {action_id: record for action_id, record in records if record and not record.ended}


def _supervisor_view(found: _Found, children: tuple[ChildView, ...]) -> SupervisorView:
    declared, circuit, orders, at = found.declared, found.circuit, found.orders, found.at
    ticked = _last_tick(found)
    return SupervisorView(
        path=declared.name,
        parent=declared.parent,
        at=at,
        health=health((_phase(child) for child in children if child.phase), circuit.state).value,
        circuit=circuit.state.value,
        reason=circuit.reason,
        check=circuit.check,
        child=circuit.child,
        attempts=circuit.attempt,
        max_attempts=declared.max_attempts,
        next_attempt_at=circuit.next_attempt_at,
        incident=circuit.incident,
        opened_at=circuit.opened_at,
        forced_by=_forced_by(found),
        interval_ms=declared.interval_ms,
        epoch=int(found.hashes["control"].get(b"epoch", 0)),
        last_tick_at=ticked,
        last_tick_age_ms=_age(ticked, at),
        mode=orders.mode.value,
        enabled=orders.enabled(WHOLE, declared=True),
        paused_until=orders.paused_until(WHOLE, at),
        silenced_until=orders.silence.until if orders.silence and orders.silenced(at) else 0,
        suspected_since=circuit.suspected,
        worst_case_ms=declared.worst_case_ms,
        checks=declared.checks,
        children=children,
    )


def _phase(child: ChildView) -> Phase:
    return Phase.DEGRADED if child.unobservable else Phase(child.phase or Phase.STARTING)


def _child_view(found: _Found, name: str, declared: DeclaredChild) -> ChildView:
    try:
        record, unread = _decoded(found.of(name, "records"), ChildRecord), "no tick has seen it yet"
    except msgspec.MsgspecError as error:
        record, unread = None, f"written by another version of the code ({error})"
    mark, at = found.of(name, "seen"), found.at
    observed_at = int(mark.split(b":")[1]) if mark else None
    _, _, failure = found.of(name, "errors").decode().partition(":")
    until = record.quarantined_until if record else 0
    member = _decoded(found.of(name, "members"), StoredMember)
    return ChildView(
        path=f"{found.declared.name}/{name}",
        kind=declared.kind,
        supervisor=found.declared.name,
        state=record.state if record else None,
        phase=record.phase.value if record else None,
        reason=record.reason if record else unread,
        since=record.since if record else None,
        observed_at=observed_at,
        observed_age_ms=_age(observed_at, at),
        observation_error=failure,
        stale=observed_at is not None and at - observed_at > found.stale_after_ms(declared),
        circuit=found.circuit.state.value,
        held=_held(found, name),
        enabled=found.orders.enabled(name, declared=declared.enabled),
        leaving=bool(member and member.leaving),
        action=found.actions.get(found.of(name, "flight")),
        last_action=_decoded(found.of(name, "last"), LastAction),
        not_before=record.not_before if record else 0,
        quarantined=at < until,
        quarantined_until=until,
        paused_until=found.orders.paused_until(name, at),
        unobservable=record.unseen.incident if record and record.unseen else "",
    )


def _held(found: _Found, child: str) -> bool:
    """Whether an open circuit keeps ``child`` from being derived.

    It does when somebody forced it open, when the child waits for its turn in a restart, or when the check that opened
    it names the child, or names none. What the check knows at this moment is the tick's business.
    """
    circuit = found.circuit
    if circuit.state is State.CLOSED:
        return False
    affected = found.declared.affects.get(circuit.check)
    waiting = any(errand.child == child for errand in circuit.errands)
    return bool(circuit.forced) or waiting or not affected or child in affected


def _forced_by(found: _Found) -> str:
    """Who wants the circuit open: as a tick has heard it, or as no tick has heard it yet."""
    return found.circuit.forced or (found.orders.forced.by if found.orders.forced else "")


def _last_tick(found: _Found) -> int | None:
    """When the last tick was claimed. An epoch is that moment, unless the clock was set back: then a slot knows."""
    control = found.hashes["control"]
    epoch, slot = int(control.get(b"epoch", 0)), int(control.get(b"slot", 0))
    if not epoch:
        return None
    return epoch if epoch <= found.at else min(slot * found.declared.interval_ms, found.at)


def _age(moment: int | None, at: int) -> int | None:
    return None if moment is None else max(0, at - moment)


def _decoded(stored: bytes | None, kind: type[Any]) -> Any:
    return msgspec.json.decode(stored, type=kind) if stored else None
