"""What is, for those who only look: any program sees supervisors and children without the code that declares them.

Rules:
- One supervisor is read in one transaction with the store's time: its ages and states belong together.
- Ages are computed from the store's clock; a moment in the future (the clock was set back) is an age of 0.
- Nothing here writes, and nothing here needs the user's modules.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from supervision.circuit import Circuit
from supervision.model import ChildRecord, LastAction
from supervision.orders import WHOLE, Orders
from supervision.store.actions import Actions, Record
from supervision.store.connection import translated
from supervision.store.history import Past
from supervision.store.keys import Keys
from supervision.store.orders import orders_in
from supervision.store.places import Place
from supervision.store.registry import DeclaredSupervisor
from supervision.store.scripts import Scripts
from supervision.store.ticks import Desired

_HASHES = ("control", "records", "seen", "errors", "flight", "last", "orders")

Hash = dict[bytes, bytes]


class ChildView(msgspec.Struct, frozen=True, kw_only=True):
    """One child at one moment; times are store milliseconds, None is what never was.

    ``state``, ``phase`` and ``since`` are None until the first tick, ``observed_at`` until the first good look;
    ``observation_error`` is why the last look failed, empty when it was good.
    ``action`` is the one in flight. ``not_before`` (0 for none) is when the next action may be given, ``paused_until``
    (0 for not at all) when its pause or its supervisor's ends. ``stale``: its last good look is too old to go by.
    ``circuit`` is its supervisor's: while that is not closed, the child may be held in the state that it was in.
    """

    path: str
    kind: str
    supervisor: str
    state: str | None
    phase: str | None
    reason: str
    since: int | None
    observed_at: int | None
    observed_age_ms: int | None
    observation_error: str
    stale: bool
    circuit: str
    action: Record | None
    last_action: LastAction | None
    not_before: int
    quarantined: bool
    quarantined_until: int
    paused_until: int


class SupervisorView(msgspec.Struct, frozen=True, kw_only=True):
    """One supervisor at the moment ``at``; times are store milliseconds, 0 is never.

    ``attempts`` of ``max_attempts`` restarts were used in this ``incident`` (empty: none), and ``check``, ``child`` and
    ``reason`` say what opened the circuit. ``last_tick_age_ms`` is None until the first tick. ``mode`` and
    ``paused_until`` are what people have ordered.
    """

    path: str
    at: int
    circuit: str
    reason: str
    check: str
    child: str
    attempts: int
    max_attempts: int
    next_attempt_at: int
    incident: str
    opened_at: int
    interval_ms: int
    epoch: int
    last_tick_at: int | None
    last_tick_age_ms: int | None
    mode: str
    paused_until: int
    checks: tuple[str, ...]
    children: tuple[ChildView, ...]


class ChildDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A child and its documents; ``desired_revision`` is 0 while ``desired`` is as declared. Events: oldest first.

    ``desired_refused`` says that the code cannot read the document of this revision, and goes by the declared one.
    """

    child: ChildView
    states: dict[str, str]
    actions: tuple[str, ...]
    desired: Any
    desired_revision: int
    desired_refused: bool
    observed: Any
    last_action: LastAction | None
    events: tuple[Past, ...]


class SupervisorDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A supervisor with its children, and the events of it and of what is below it, oldest first."""

    supervisor: SupervisorView
    events: tuple[Past, ...]


class Overview:
    """Reads what is."""

    def __init__(self, scripts: Scripts, keys: Keys, actions: Actions) -> None:
        self._client = scripts.client
        self._keys = keys
        self._actions = actions

    def supervisor(self, declared: DeclaredSupervisor) -> SupervisorView:
        """One supervisor with all of its children."""
        at, control, *hashes = self._read(declared.name, _HASHES)
        found = dict(zip(_HASHES[1:], hashes, strict=True))
        actions = self._in_flight(found["flight"].values())
        circuit = _decoded(control.get(b"circuit"), Circuit) or Circuit()
        orders = orders_in(found["orders"])
        ticked = _last_tick(control, declared.interval_ms, at)
        return SupervisorView(
            path=declared.name,
            at=at,
            circuit=circuit.state.value,
            reason=circuit.reason,
            check=circuit.check,
            child=circuit.child,
            attempts=circuit.attempt,
            max_attempts=declared.max_attempts,
            next_attempt_at=circuit.next_attempt_at,
            incident=circuit.incident,
            opened_at=circuit.opened_at,
            interval_ms=declared.interval_ms,
            epoch=int(control.get(b"epoch", 0)),
            last_tick_at=ticked,
            last_tick_age_ms=_age(ticked, at),
            mode=orders.mode.value,
            paused_until=orders.paused_until(WHOLE, at),
            checks=declared.checks,
            children=tuple(
                _child_view(declared, name, found=found, actions=actions, orders=orders, circuit=circuit, at=at)
                for name in declared.children
            ),
        )

    def described(self, place: Place, seen: ChildView, events: Iterable[Past]) -> ChildDescription:
        """A child that was ``seen`` with its documents: what it should be, what was seen, how its last action ended."""
        pipeline = self._client.pipeline(transaction=True)
        for what in ("desired", "observed", "last", "records"):
            pipeline.hget(self._keys.of(place.supervisor.name, what), place.name)
        with translated("documents"):
            desired, observed, last, record = pipeline.execute()
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

    def in_flight(self, place: Place) -> str:
        """The id of the action in flight on one child, empty when there is none."""
        with translated("action in flight"):
            found = self._client.hget(self._keys.of(place.supervisor.name, "flight"), place.name)
        return found.decode() if isinstance(found, bytes) else ""

    def _read(self, supervisor: str, hashes: Iterable[str]) -> tuple[Any, ...]:
        pipeline = self._client.pipeline(transaction=True)
        pipeline.time()
        for what in hashes:
            pipeline.hgetall(self._keys.of(supervisor, what))
        with translated("overview"):
            (seconds, micros), *found = pipeline.execute()
        return (seconds * 1000 + micros // 1000, *found)

    def _in_flight(self, ids: Iterable[bytes]) -> dict[bytes, Record]:
        # One that ended since the transaction has no place among those in flight: its record says so by itself.
        records = ((action_id, self._actions.get(action_id.decode())) for action_id in ids)
        return {action_id: record for action_id, record in records if record and not record.ended}


def _child_view(  # noqa: PLR0913 # all that is known about one child
    declared: DeclaredSupervisor,
    name: str,
    *,
    found: Mapping[str, Hash],
    actions: Mapping[bytes, Record],
    orders: Orders,
    circuit: Circuit,
    at: int,
) -> ChildView:
    key = name.encode()
    record = _decoded(found["records"].get(key), ChildRecord)
    mark = found["seen"].get(key)
    observed_at = int(mark.split(b":")[1]) if mark else None
    _, _, error = found["errors"].get(key, b"").decode().partition(":")
    until = record.quarantined_until if record else 0
    return ChildView(
        path=f"{declared.name}/{name}",
        kind=declared.children[name].kind,
        supervisor=declared.name,
        state=record.state if record else None,
        phase=record.phase.value if record else None,
        reason=record.reason if record else "no tick has seen it yet",
        since=record.since if record else None,
        observed_at=observed_at,
        observed_age_ms=_age(observed_at, at),
        observation_error=error,
        stale=observed_at is not None and at - observed_at > declared.stale_after_ms,
        circuit=circuit.state.value,
        action=actions.get(found["flight"].get(key, b"")),
        last_action=_decoded(found["last"].get(key), LastAction),
        not_before=record.not_before if record else 0,
        quarantined=at < until,
        quarantined_until=until,
        paused_until=orders.paused_until(name, at),
    )


def _last_tick(control: Hash, interval_ms: int, at: int) -> int | None:
    """When the last tick was claimed. An epoch is that moment, unless the clock was set back: then a slot knows."""
    epoch, slot = int(control.get(b"epoch", 0)), int(control.get(b"slot", 0))
    if not epoch:
        return None
    return epoch if epoch <= at else min(slot * interval_ms, at)


def _age(moment: int | None, at: int) -> int | None:
    return None if moment is None else max(0, at - moment)


def _decoded(stored: bytes | None, kind: type[Any]) -> Any:
    return msgspec.json.decode(stored, type=kind) if stored else None
