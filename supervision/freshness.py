"""How long a child was not seen, and what follows: stale, looked at alone, unobservable; or the store is suspected.

    fresh ──stale_after──> stale ──dead_after──> looked at alone, 3 times ──> unobservable ──(seen)──> fresh

Rules:
- Silence is counted from the last good look, or from when ticks went on after a pause: nobody is blamed for a time in
  which nobody could have seen it. A look from the future (a clock was set back) says nothing: silence begins now.
- A look alone is one in a process of its own, for what hangs may hang with the process and not with the child.
- A few children at a time are looked at alone; the others wait their turn, stale.
- When more than half of the children fall silent together, it is not they who are suspected but what they are seen
  through. Whoever stays silent is unobservable in the end, or silent for too long to say anything about now, and
  leaves the count: a silent child never freezes its siblings for good.

Pure, like all of the core.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from supervision.errors import InvalidDeclaration
from supervision.model import MIN_SECONDS, ChildRecord, Event, Unseen, shown

if TYPE_CHECKING:  # a supervisor has its limits checked here, and is what is looked at here
    from supervision.child import Child
    from supervision.supervisor import Supervisor
    from supervision.view import ChildView, View

PAUSES_MS = (2_000, 4_000, 6_000)
"""How long after a look alone has had its time the next one is made; after the last pause there is none."""

ROOM = 4
"""Children of one supervisor that are looked at alone at the same time; each of them costs a process."""

LONG_SILENCE_MS = 5 * 60 * 1000
"""A silence longer than that is no longer a reason to suspect the store, which has answered ever since."""

MANY = 2
"""Fewer silent children than that are no crowd."""

MAX_INTERVAL_S = 86_400
"""A day: what is looked at less often than that is not supervised."""

_NAMES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds for one child, in milliseconds."""

    stale_ms: int
    dead_ms: int
    timeout_ms: int


@dataclass(frozen=True, slots=True)
class Rung:
    """Where a child stands now: what its record says from now on, what is to be told, and whether to look alone."""

    unseen: Unseen | None
    events: tuple[Event, ...] = ()
    look: bool = False


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Those who fell silent together, and how many were asked about."""

    silent: tuple[str, ...]
    counted: int


def valid_interval(value: object, what: str) -> int:
    """``value`` seconds in milliseconds, if somebody can be looked at that often, else `InvalidDeclaration`."""
    if not isinstance(value, bool) and isinstance(value, (int, float)) and MIN_SECONDS <= value <= MAX_INTERVAL_S:
        return round(value * 1000)
    raise InvalidDeclaration(
        f"{what}: interval={shown(value)}: needs a number of seconds from {MIN_SECONDS} to {MAX_INTERVAL_S} (a day), "
        "for example interval=5"
    )


def valid_ladder(supervisor: "Supervisor") -> None:
    """Refuse with `InvalidDeclaration` limits under which every look is born stale, or a rung is never stood on."""
    stale_s, dead_s = supervisor.stale_after_ms / 1000, supervisor.dead_after_ms / 1000
    least_s = (supervisor.interval_ms + supervisor.observe_timeout_ms) / 1000
    if stale_s <= least_s:
        raise InvalidDeclaration(
            f"{supervisor!r}: stale_after={stale_s} s must be longer than interval + observe_timeout, {least_s} s, "
            "or every observation would be born stale"
        )
    if dead_s <= stale_s:
        raise InvalidDeclaration(
            f"{supervisor!r}: dead_after={dead_s} s must be longer than stale_after, {stale_s} s, for example "
            f"dead_after={2 * stale_s:g}: a child is stale before it is looked at alone"
        )


def limits(child: "Child", supervisor: "Supervisor") -> Limits:
    """What holds for ``child``: a longer interval of its own makes its limits longer by the difference."""
    extra = max(0, child.interval_ms - supervisor.interval_ms)
    return Limits(supervisor.stale_after_ms + extra, supervisor.dead_after_ms + extra, supervisor.observe_timeout_ms)


def fresh(seen: "ChildView", stale_ms: int, now: int, resumed: int) -> bool:
    """Whether the child may be decided about: seen lately, and since ticks go on after a pause."""
    if seen.observation is None:
        return False
    return 0 <= now - seen.observation.at < stale_ms and (seen.observation.at >= resumed or resumed > now)


def missed(seen: "ChildView", now: int) -> bool:
    """Whether a born child that is not fresh should have been seen again by now; else its next look is merely due."""
    assert seen.record is not None  # noqa: S101 # who is not born is not missed
    return now - _silent_since(seen, seen.record, now, seen.resumed) >= seen.stale_after_ms


def climb(view: "View", now: int) -> dict[str, Rung]:
    """The rungs of all children of ``view`` whose record changes by it, or that are to be looked at alone."""
    # Nearly all children are fresh and on no rung: they cost one comparison.
    born = [
        (name, seen, seen.record)
        for name, seen in view.children.items()
        if seen.record and (seen.record.unseen or not fresh(seen, seen.stale_after_ms, now, view.resumed))
    ]
    born.sort(key=lambda each: not _looked_at_alone(each[2].unseen))  # who may leave room for others goes first
    room = ROOM - sum(_looked_at_alone(record.unseen) for _, _, record in born)
    found: dict[str, Rung] = {}
    for name, seen, record in born:
        rung = climbed(seen, record, view, now, room)
        if rung.unseen != record.unseen:
            found[name] = rung
            room += _looked_at_alone(record.unseen) - _looked_at_alone(rung.unseen)
    return found


def climbed(seen: "ChildView", record: ChildRecord, view: "View", now: int, room: int) -> Rung:
    """Where one child stands; ``room`` is how many more may begin to be looked at alone."""
    within, unseen = limits(seen.child, view.supervisor), record.unseen
    if fresh(seen, within.stale_ms, now, view.resumed):
        return Rung(None, _seen_again(seen, unseen, now))
    if unseen and unseen.incident:
        return Rung(unseen)
    since = _silent_since(seen, record, now, view.resumed)
    at = unseen or Unseen(since)
    if now - since < within.dead_ms:
        return Rung(unseen if _last(seen, record) <= now else _with(at, since=since))
    if not at.looks and room <= 0 and not seen.child.reported:
        return Rung(unseen)
    return _next_rung(seen, at, within, now, view.epoch)


def _next_rung(seen: "ChildView", at: Unseen, within: Limits, now: int, epoch: int) -> Rung:
    """One look alone more, or the pause after the last one, or the end of the ladder."""
    if at.looks and at.looked_at <= now < at.looked_at + within.timeout_ms + PAUSES_MS[at.looks - 1]:
        return Rung(at)
    silent = f"not seen for {_seconds(now - at.since)}"
    if at.looks < len(PAUSES_MS) and not seen.child.reported:
        told = Event("looked_alone", seen.child.path, silent, attempt=at.looks + 1)
        return Rung(_with(at, looks=at.looks + 1, looked_at=now), (told,), look=True)
    incident = f"{seen.child.path}@{epoch}"
    why = silent if seen.child.reported else f"{silent}, nor by {at.looks} looks of its own"
    return Rung(_with(at, incident=incident), (Event("unobservable", seen.child.path, why, after=incident),))


def suspicion(view: "View", now: int) -> Suspicion | None:
    """Whether so many fell silent together that it is not they who are to blame, and who they are."""
    silent: list[tuple[int, str]] = []
    counted = 0
    for name, seen in view.children.items():
        record = seen.record
        if record is None or (record.unseen and record.unseen.incident):
            continue
        if seen.fresh(now):
            counted += 1
            continue
        since = _silent_since(seen, record, now, view.resumed)
        stale_for = now - since - seen.stale_after_ms
        counted += stale_for < LONG_SILENCE_MS
        if 0 <= stale_for < LONG_SILENCE_MS:
            silent.append((since, name))
    together = _together(sorted(silent), view.supervisor.stale_after_ms)
    return Suspicion(together, counted) if len(together) >= MANY and 2 * len(together) > counted else None


def suspected(before: int, found: Suspicion | None, supervisor: str, now: int) -> tuple[int, tuple[Event, ...]]:
    """Since when the store is suspected (0: it is not), and what is to be told: one record at each end of a stretch."""
    if found and not before:
        shown = ", ".join(found.silent[:_NAMES_SHOWN]) + (", ..." if len(found.silent) > _NAMES_SHOWN else "")
        why = f"{len(found.silent)} of {found.counted} children fell silent together: {shown}"
        return now, (Event("store_suspected", supervisor, why, after=f"{supervisor}@{now}"),)
    if before and not found:
        why = f"after {_seconds(now - before)}"
        return 0, (Event("store_trusted", supervisor, why, before=f"{supervisor}@{before}"),)
    return before, ()


def _together(silent: list[tuple[int, str]], within_ms: int) -> tuple[str, ...]:
    """The most names whose times, in order, lie less than ``within_ms`` from each other."""
    best, first = range(0), 0
    for last, (since, _) in enumerate(silent):
        while since - silent[first][0] >= within_ms:
            first += 1
        best = max(best, range(first, last + 1), key=len)
    return tuple(name for _, name in silent[best.start : best.stop])


def _last(seen: "ChildView", record: ChildRecord) -> int:
    """When the child was seen last; one that never was is missed since its state began."""
    return seen.observation.at if seen.observation else record.since


def _silent_since(seen: "ChildView", record: ChildRecord, now: int, resumed: int) -> int:
    last = _last(seen, record)
    if last > now:  # its age cannot be known any more; what we noted about it after the clock was set back can
        last = min(record.unseen.since if record.unseen else now, now)
    return max(last, resumed) if resumed <= now else last


def _looked_at_alone(unseen: Unseen | None) -> bool:
    return unseen is not None and unseen.looks > 0 and not unseen.incident


def _seen_again(seen: "ChildView", unseen: Unseen | None, now: int) -> tuple[Event, ...]:
    if unseen is None or not unseen.incident:
        return ()
    why = f"seen again after {_seconds(now - unseen.since)}"
    return (Event("observable", seen.child.path, why, before=unseen.incident),)


def _seconds(ms: int) -> str:
    return f"{max(ms, 0) / 1000:.1f} s"


def _with(unseen: Unseen, **changes: object) -> Unseen:
    return msgspec.structs.replace(unseen, **changes)
