"""Views of supervisors and children, made of what is stored about one supervisor at one moment.

Total: whatever is stored there, a view comes out. What cannot be read says so, and hides nothing beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from supervision.aggregate import health, phase
from supervision.circuit import Circuit, State
from supervision.model import ChildRecord, LastAction, Phase
from supervision.orders import WHOLE, Orders
from supervision.store.actions import Record
from supervision.store.declarations import StoredMember
from supervision.store.registry import DeclaredChild, DeclaredSupervisor
from supervision.store.views import UNREADABLE, ChildView, SupervisorView

Hash = dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Found:
    """All that is stored about one supervisor at the moment ``at``, as its views are made of it.

    ``circuit`` is None when it cannot be read, and ``unreadable`` says what cannot.
    """

    declared: DeclaredSupervisor
    at: int
    hashes: Mapping[str, Hash]
    actions: Mapping[bytes, Record]
    circuit: Circuit | None
    orders: Orders
    unreadable: str

    def stale_after_ms(self, child: DeclaredChild) -> int:
        """How old an observation of ``child`` may be; longer for one with a longer interval of its own."""
        return self.declared.stale_after_ms + max(0, child.interval_ms - self.declared.interval_ms)

    def of(self, child: str, what: str) -> bytes:
        """What one hash has about ``child``, empty when it has nothing."""
        return self.hashes[what].get(child.encode(), b"")


def supervisor_view(found: Found, children: tuple[ChildView, ...]) -> SupervisorView:
    """A supervisor as it was found, with its ``children`` as they are seen."""
    declared, circuit, orders, at = found.declared, found.circuit or Circuit(), found.orders, found.at
    ticked = _last_tick(found)
    return SupervisorView(
        path=declared.name,
        parent=declared.parent,
        at=at,
        health=_health(found, children, circuit).value,
        circuit=circuit.state.value if found.circuit else UNREADABLE,
        reason=circuit.reason or found.unreadable,
        check=circuit.check,
        child=circuit.child,
        attempts=circuit.attempt,
        max_attempts=declared.max_attempts,
        next_attempt_at=circuit.next_attempt_at,
        incident=circuit.incident,
        opened_at=circuit.opened_at,
        forced_by=_forced_by(found),
        interval_ms=declared.interval_ms,
        epoch=_number(found.hashes["control"].get(b"epoch")),
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
        unreadable=found.unreadable,
    )


def _health(found: Found, children: tuple[ChildView, ...], circuit: Circuit) -> Phase:
    if found.unreadable:
        return Phase.DEGRADED
    return health((Phase(child.phase) for child in children if child.phase), circuit.state)


def child_view(found: Found, name: str, declared: DeclaredChild) -> ChildView:
    """The child ``name`` as it was found."""
    record, odd = tried(found.of(name, "records"), ChildRecord)
    last, odd_last = tried(found.of(name, "last"), LastAction)
    member, odd_member = tried(found.of(name, "members"), StoredMember)
    at, observed_at = found.at, _observed_at(found.of(name, "seen"))
    _, _, failure = found.of(name, "errors").decode(errors="backslashreplace").partition(":")
    until = record.quarantined_until if record else 0
    unread = odd or odd_last or odd_member
    return ChildView(
        path=f"{found.declared.name}/{name}",
        kind=declared.kind,
        supervisor=found.declared.name,
        state=record.state if record else None,
        phase=phase(record, at).value if record else None,
        reason=unread or (record.reason if record else "no tick has seen it yet"),
        since=record.since if record else None,
        observed_at=observed_at,
        observed_age_ms=_age(observed_at, at),
        observation_error=failure,
        stale=observed_at is not None and at - observed_at > found.stale_after_ms(declared),
        circuit=found.circuit.state.value if found.circuit else UNREADABLE,
        held=_held(found, name),
        enabled=found.orders.enabled(name, declared=declared.enabled),
        leaving=bool(member and member.leaving),
        action=found.actions.get(found.of(name, "flight")),
        last_action=last,
        not_before=record.not_before if record else 0,
        quarantined=at < until,
        quarantined_until=until,
        paused_until=found.orders.paused_until(name, at),
        unobservable=record.unseen.incident if record and record.unseen else "",
    )


def _held(found: Found, child: str) -> bool:
    """Whether an open circuit keeps ``child`` from being derived.

    It does when somebody forced it open, when the child waits for its turn in a restart, or when the check that opened
    it names the child, or names none. What the check knows at this moment is the tick's business.
    """
    circuit = found.circuit
    if circuit is None or circuit.state is State.CLOSED:
        return False
    affected = found.declared.affects.get(circuit.check)
    waiting = any(errand.child == child for errand in circuit.errands)
    return bool(circuit.forced) or waiting or not affected or child in affected


def _forced_by(found: Found) -> str:
    """Who wants the circuit open: as a tick has heard it, or as no tick has heard it yet."""
    forced = found.circuit.forced if found.circuit else ""
    return forced or (found.orders.forced.by if found.orders.forced else "")


def _last_tick(found: Found) -> int | None:
    """When the last tick was claimed. An epoch is that moment, unless the clock was set back: then a slot knows."""
    control = found.hashes["control"]
    epoch, slot = _number(control.get(b"epoch")), _number(control.get(b"slot"))
    if not epoch:
        return None
    return epoch if epoch <= found.at else min(slot * found.declared.interval_ms, found.at)


def _age(moment: int | None, at: int) -> int | None:
    return None if moment is None else max(0, at - moment)


def _observed_at(mark: bytes) -> int | None:
    """When it was seen, of ``sequence:at``."""
    at = mark.partition(b":")[2]
    return int(at) if at.isdigit() else None


def _number(stored: bytes | None) -> int:
    return int(stored) if stored and stored.isdigit() else 0


def tried(stored: bytes | None, kind: type[Any]) -> tuple[Any, str]:
    """``stored`` as a ``kind``, None where there is nothing; and why it cannot be read, empty when it can."""
    try:
        return (msgspec.json.decode(stored, type=kind) if stored else None), ""
    except msgspec.MsgspecError as error:
        return None, f"was written by another version of the code ({error})"
