"""One child, one tick: from its snapshot to its next record, and to at most one action.

State functions run one after the other while they answer `Go`, each seeing the state it is in; `Stay` or `Do` ends it.
Coming back to a state within one tick is a mistake of the declaration and is treated like an exception.
"""

import traceback
from dataclasses import dataclass

import msgspec

from supervision import documents
from supervision.actions import ActionSpec
from supervision.contained import asked, fault
from supervision.errors import InvalidMove
from supervision.model import ChildRecord, Do, Event, Go, Move, Phase, Reservation, Siblings, Stay, Try, Update, shown
from supervision.view import ChildView, View

QUARANTINE_FAULTS = 3
QUARANTINE_WINDOW_MS = 5 * 60 * 1000
"""Three exceptions within five minutes, and for as long again the child's code is left alone."""

_MIN_CALM_MS = 60_000

RESTING = "resting"
"""The state of a child that is switched off or leaving and has nothing to stop."""


def born(seen: ChildView, now: int) -> Update:
    """The first record of a child: in its initial state, from which the next tick goes on."""
    child = seen.child
    record = ChildRecord(child.initial, child.states[child.initial].phase, "declared", now)
    return Update(child.name, record, (Event("state", child.path, "declared", "", child.initial),))


def brought_to_rest(seen: ChildView, record: ChildRecord, view: View, now: int) -> Update | None:
    """What brings a child to rest that is switched off or leaving; what offers no rest is only left alone."""
    try:
        wanted = asked(seen.child.rest, seen.desired)
    except BaseException as error:  # noqa: BLE001 # user code, as in `derived`
        return _faulted(seen, record, fault(error), now)
    if wanted is not None:
        return derived(msgspec.structs.replace(seen, desired=wanted), record, view, now)
    if record.state == RESTING:
        return None
    why = "no longer wanted" if seen.leaving else "switched off"
    resting = _with(record, state=RESTING, phase=Phase.STOPPED, reason=why, since=now, not_before=0)
    return Update(seen.child.name, resting, (Event("state", seen.child.path, why, record.state, RESTING),))


def derived(seen: ChildView, record: ChildRecord, view: View, now: int, *, held: bool = False) -> Update | None:
    """What this tick changes about one child; None when it changes nothing.

    One that is ``held`` is given no action. Faults of its code do not count meanwhile and are told when it is let go: a
    quarantine that began now would keep its checks unknown, and the circuit that holds it open.
    """
    try:
        settled = _settled(seen, record, view, now)
        spec = _wanted(seen, settled.move)
    except BaseException as error:  # noqa: BLE001 # user code: contained here, recorded with its traceback
        return None if held else _faulted(seen, record, fault(error), now)
    if spec is None or held:
        return _rested(seen, record, settled, not_before=0)
    not_before = _not_before(seen, settled.record, spec.name, view)
    if now < not_before <= now + view.supervisor.restart.longest_ms(_MANY):
        return _rested(seen, record, settled, not_before=not_before)
    asked = _with(tried(settled.record, spec.name, now), reason=settled.move.reason)
    wish = reservation(seen, spec, settled.move.reason, view.epoch, settled.move)
    return Update(seen.child.name, asked, settled.events, wish)


def tried(record: ChildRecord, action: str, now: int) -> ChildRecord:
    """``record`` with one more try of ``action``."""
    count = record.tries[action].count if action in record.tries else 0
    return _with(record, tries={**record.tries, action: Try(count + 1, now)}, not_before=0)


def reservation(seen: ChildView, spec: ActionSpec, reason: str, epoch: int, move: Move | None = None) -> Reservation:
    """The wish to run ``spec`` on the child; its id is unique because an epoch gives a child at most one action."""
    return Reservation(
        id=f"{seen.child.path.replace('/', '~')}~{epoch}",
        child=seen.child.name,
        action=spec.name,
        reason=reason,
        params=dict(move.params) if isinstance(move, Do) else {},
        timeout_ms=spec.timeout_ms,
        retries=spec.retries,
    )


@dataclass(frozen=True, slots=True)
class _Settled:
    """A child that has followed every `Go`: its record, how it got there, and the move that it rests on."""

    record: ChildRecord
    events: tuple[Event, ...]
    move: Move


def _settled(seen: ChildView, record: ChildRecord, view: View, now: int) -> _Settled:
    """Follow `Go` until a state rests; a state that is gone from the code begins again at the initial one."""
    child, visited, events = seen.child, [record.state], list[Event]()
    if record.state in child.states:
        phase = child.states[record.state].phase
        record = (
            record if record.phase is phase else _with(record, phase=phase)
        )  # a newer version may have declared another
        move = _move(seen, record, view, now)
    else:
        gone = "switched on" if record.state == RESTING else f"state {record.state!r} is no longer declared"
        move = Go(child.initial, gone)
    while isinstance(move, Go):
        if move.state not in child.states:
            raise InvalidMove(f"{child!r}: no state {move.state!r}; declared are {', '.join(child.states)}")
        if move.state in visited:
            raise InvalidMove(f"{child!r}: went in a circle in one tick: {' -> '.join([*visited, move.state])}")
        visited.append(move.state)
        events.append(Event("state", child.path, move.reason, record.state, move.state))
        record = _entered(record, move, child.states[move.state].phase, view, now)
        move = _move(seen, record, view, now)
    return _Settled(record, tuple(events), move)


def _move(seen: ChildView, record: ChildRecord, view: View, now: int) -> Move:
    state, siblings = record.state, Siblings(view.children)
    move = asked(seen.child.states[state].rule, seen.child, seen.snapshot(state, record.since, now, siblings))
    if isinstance(move, (Stay, Go, Do)) and isinstance(move.reason, str) and move.reason:
        reason = documents.clipped(move.reason)
        return move if reason is move.reason else msgspec.structs.replace(move, reason=reason)
    raise InvalidMove(
        f"{seen.child!r}: state {state!r} returned {shown(move)}; "
        "a state returns exactly one of Stay(reason), Go(state, reason), Do(action, reason), with a reason"
    )


def _entered(record: ChildRecord, move: Go, phase: Phase, view: View, now: int) -> ChildRecord:
    """The record in its new state; a long healthy stretch that ends here makes earlier tries forgotten."""
    tries = {} if _was_calm(record, view, now) else record.tries
    return _with(record, state=move.state, phase=phase, reason=move.reason, since=now, tries=tries, not_before=0)


def _was_calm(record: ChildRecord, view: View, now: int) -> bool:
    if record.phase is not Phase.RUNNING or now - record.since < _MIN_CALM_MS:
        return False
    most = max((tried.count for tried in record.tries.values()), default=0)
    needed = max(_MIN_CALM_MS, 2 * view.supervisor.restart.longest_ms(most))
    return now - record.since >= needed


def _wanted(seen: ChildView, move: Move) -> ActionSpec | None:
    if not isinstance(move, Do):
        return None
    spec = seen.child.spec(move.action)
    if spec is None:
        raise InvalidMove(f"{seen.child!r}: no action {move.action!r}; declared are {', '.join(seen.child.actions)}")
    documents.encode(dict(move.params), dict, f"{seen.child!r}: params of {move.action!r}")
    return spec


def _rested(seen: ChildView, record: ChildRecord, settled: _Settled, *, not_before: int) -> Update | None:
    """No action now: because none is wanted, or until its backoff is over; nothing to write if nothing changed."""
    rested = _with(settled.record, not_before=not_before, reason=settled.move.reason)
    return Update(seen.child.name, rested, settled.events) if rested != record else None


_MANY = 1000
"""More tries than it takes to reach any cap."""


def _not_before(seen: ChildView, record: ChildRecord, action: str, view: View) -> int:
    """When ``action`` may be given again: at once the first time, then after exponentially growing pauses."""
    before = record.tries.get(action)
    if before is None:
        return 0
    last = seen.last_action
    ended = last.ended if last and last.name == action else 0
    since = max(before.at, ended if ended <= view.now else 0)  # an end ahead is from before the clock was set back
    if view.resumed and not view.resumed <= since <= view.now:  # nobody looked meanwhile, or the clock was set
        since = view.resumed
    return since + view.supervisor.restart.delay_ms(before.count, seen.child.path)


def _faulted(seen: ChildView, record: ChildRecord, error: BaseException, now: int) -> Update:
    faults = (*(at for at in record.faults if 0 <= now - at < QUARANTINE_WINDOW_MS), now)
    quarantined = len(faults) >= QUARANTINE_FAULTS
    trace = "".join(traceback.format_exception(error))[-documents.MAX_TEXT_LENGTH :]  # its end says what was wrong
    events = [Event("fault", seen.child.path, documents.clipped(trace))]
    if quarantined:
        told = f"{len(faults)} exceptions within 5 min: {documents.told(error)}"
        events.append(Event("quarantined", seen.child.path, documents.clipped(told)))
    until = now + QUARANTINE_WINDOW_MS if quarantined else 0
    faulty = _with(record, faults=() if quarantined else faults, quarantined_until=until, reason=documents.told(error))
    return Update(seen.child.name, faulty, tuple(events))


def misfit_told(seen: ChildView, update: Update) -> Update | None:
    """``update`` with the news that the desired document does not fit the code, or fits again; None when it is none."""
    refused = seen.revision if seen.misfit else 0
    if update.record.refused == refused:
        return None
    events = update.events
    if refused:
        events = (*events, Event("desired", seen.child.path, seen.misfit, str(refused), "refused"))
    return msgspec.structs.replace(update, record=_with(update.record, refused=refused), events=events)


def quarantined(record: ChildRecord, now: int) -> bool:
    """Whether the child's code is left alone; longer than ever meant is from before the clock was set back."""
    return now < record.quarantined_until <= now + QUARANTINE_WINDOW_MS


def believed(record: ChildRecord, now: int) -> ChildRecord:
    """``record`` without a quarantine from before the clock was set back, which would begin again near its end."""
    return record if record.quarantined_until <= now + QUARANTINE_WINDOW_MS else _with(record, quarantined_until=0)


def _with(record: ChildRecord, **changes: object) -> ChildRecord:
    return msgspec.structs.replace(record, **changes)
