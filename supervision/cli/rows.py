"""Supervisors and children as rows of one table."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from supervision.cli.facts import TICKS_MISSED
from supervision.cli.printing import TOO_OLD, Column, age, last_line, moment

if TYPE_CHECKING:
    from supervision.client import ChildView, SupervisorView

MOST_ERROR: Final = 120
"""Characters of an error in a table; `supervision describe` has all of it."""


FORCED: Final = "forced open by"
"""How the reason of a circuit that people opened begins."""


class Row(NamedTuple):
    """What the columns show; ``seen`` is how long ago: the last look at a child, the last tick of a supervisor."""

    path: str
    kind: str
    state: str
    phase: str
    seen: str
    action: str
    reason: str
    since: str = ""
    not_before: str = ""
    incident: str = ""
    news: str = ""
    """The reason without what counts up or down in it."""

    def lasting(self) -> tuple[str, ...]:
        """What is news when it changes; an age always does, but not that it is too high."""
        return tuple(self._replace(seen=self.seen[-1:] if self.seen.endswith(TOO_OLD) else "", reason=""))


COLUMNS: Final[Sequence[Column]] = (
    Column("PATH", lambda row: row.path),
    Column("KIND", lambda row: row.kind, spare=True),
    Column("STATE", lambda row: row.state),
    Column("PHASE", lambda row: row.phase),
    Column("SEEN", lambda row: row.seen),
    Column("ACTION", lambda row: row.action),
    Column("SINCE", lambda row: row.since, wide=True),
    Column("NOT-BEFORE", lambda row: row.not_before, wide=True),
    Column("INCIDENT", lambda row: row.incident, wide=True),
    Column("REASON", lambda row: row.reason),
)


def tree_rows(supervisors: Iterable["SupervisorView"]) -> list[Row]:
    """Each supervisor, followed by its children; one that is a child of another stands in that one's place, once."""
    by_path = {seen.path: seen for seen in supervisors}
    return [row for seen in by_path.values() if seen.parent not in by_path for row in _subtree(seen, None, by_path)]


def _subtree(
    seen: "SupervisorView", as_child: "ChildView | None", by_path: Mapping[str, "SupervisorView"]
) -> Iterator[Row]:
    yield supervisor_row(seen, as_child)
    for child in seen.children:
        if child.path in by_path:
            yield from _subtree(by_path[child.path], child, by_path)
        else:
            yield child_row(child)


def supervisor_row(seen: "SupervisorView", as_child: "ChildView | None" = None) -> Row:
    """One supervisor; ``as_child`` is how the one above sees it."""
    above = child_reasons(as_child) if as_child else []
    parts = [*_silence(seen), *_orders(seen), circuit_sentence(seen), *above]
    return Row(
        path=seen.path,
        kind="supervisor",
        state=seen.circuit,
        phase=seen.health,
        seen=age(seen.last_tick_age_ms) + (TOO_OLD if _silence(seen) else ""),
        action=_action(as_child),
        reason="; ".join(parts),
        news="; ".join(map(_lasting, parts)),
        since=moment(seen.opened_at if seen.circuit not in {"closed", "unreadable"} else 0),
        not_before=moment(seen.next_attempt_at if seen.circuit == "open" else 0),
        incident=seen.incident,
    )


class Counting(str):
    """A part of a reason that says another number with each look."""

    __slots__ = ()


def _lasting(part: str) -> str:
    return "counting" if isinstance(part, Counting) else part


def _silence(seen: "SupervisorView") -> list[str]:
    since = seen.last_tick_age_ms
    if since is None or since <= TICKS_MISSED * seen.interval_ms:
        return []
    return [Counting(f"no tick for {age(since)}: are beat and a worker of supervision.ticks alive?")]


def _orders(seen: "SupervisorView") -> list[str]:
    mode = [] if seen.mode == "act" else [f"mode {seen.mode}"]
    silenced = [f"silenced until {moment(seen.silenced_until)}"] if seen.silenced_until else []
    told = seen.reason.startswith(FORCED)  # by the circuit, which has heard the order
    forced = [f"{FORCED} {seen.forced_by}"] if seen.forced_by and not told else []
    suspected = [f"store or network suspected since {moment(seen.suspected_since)}"] if seen.suspected_since else []
    return [*mode, *_disabled(seen), *_paused(seen), *silenced, *forced, *suspected]


def _disabled(seen: "SupervisorView | ChildView") -> list[str]:
    return [] if seen.enabled else ["disabled"]


def _paused(seen: "SupervisorView | ChildView") -> list[str]:
    return [f"paused until {moment(seen.paused_until)}"] if seen.paused_until else []


def _checks(names: Sequence[str]) -> str:
    """Which checks there are; those that watch the supervisors below read like alarms when all is well."""
    own = [name for name in names if not name.endswith(":escalated")]
    below = [] if len(own) == len(names) else ["the supervisors below"]
    return f"checks: {', '.join([*own, *below]) or 'none'}"


def circuit_sentence(seen: "SupervisorView") -> str:
    """What the circuit is about, in words."""
    if seen.unreadable:
        return f"cannot be read: {seen.unreadable}"
    if seen.last_tick_at is None:
        return "no tick yet"
    if seen.circuit == "closed":
        return _checks(seen.checks)
    due = f"next in {age(seen.next_attempt_at - seen.at)}" if seen.next_attempt_at > seen.at else ""
    what = f"{seen.check}: {seen.reason}" if seen.check else seen.reason
    tries = ", ".join(filter(None, (_used(seen), due)))
    return f"{what}; {tries}" if tries else what


def _used(seen: "SupervisorView") -> str:
    """What was tried, where that is what the circuit goes by: nothing is while it is forced open.

    It escalates also by restarts of earlier incidents within its window, of which this number says nothing.
    """
    uncounted = seen.circuit == "escalated" and seen.attempts < seen.max_attempts
    return "" if seen.forced_by or uncounted else f"{seen.attempts} of {seen.max_attempts} attempts used"


def child_row(seen: "ChildView") -> Row:
    """One child."""
    parts = child_reasons(seen)
    return Row(
        path=seen.path,
        kind=seen.kind,
        state=seen.state or "",
        phase=seen.phase or "",
        seen=age(seen.observed_age_ms) + (TOO_OLD if seen.stale else ""),
        action=_action(seen),
        reason="; ".join(parts),
        news="; ".join(map(_lasting, parts)),
        since=moment(seen.since or 0),
        not_before=moment(seen.not_before),
    )


def _action(seen: "ChildView | None") -> str:
    return f"{seen.action.name}:{seen.action.state}" if seen and seen.action else ""


def child_reasons(seen: "ChildView") -> list[str]:
    """Why it is as it is, and what comes next: what its state says, and what others have to say about it."""
    trouble = f"look failed: {seen.observation_error}" if seen.observation_error else ""
    quarantined = f"in quarantine until {moment(seen.quarantined_until)}" if seen.quarantined else ""
    parts = (
        *_disabled(seen),
        *_paused(seen),
        *held(seen),
        "nobody can see it" if seen.unobservable else "",
        "leaving" if seen.leaving else "",
        last_said(seen),
        _next_try(seen),
        _failure(seen),
        trouble,
        quarantined,
    )
    return [part for part in parts if part]


def held(seen: "ChildView") -> list[str]:
    """Whether what is told about a child may be from before its supervisor's circuit opened."""
    return [f"held by the circuit ({seen.circuit})"] if seen.held else []


def last_said(seen: "ChildView") -> str:
    """What its state says; while it is paused nobody asks its state, so that is from before."""
    return f"before the pause: {seen.reason}" if seen.paused_until and seen.reason else seen.reason


def _next_try(seen: "ChildView") -> str:
    if seen.observed_at is None or seen.observed_age_ms is None or not seen.not_before:
        return ""
    left = seen.not_before - (seen.observed_at + seen.observed_age_ms)
    return Counting(f"next try in {age(left)}") if left > 0 else ""


def _failure(seen: "ChildView") -> str:
    """How the last run ended, as long as that may be why the child is not healthy."""
    if seen.action and seen.action.error:
        name, error = seen.action.name, seen.action.error
    elif seen.last_action and seen.last_action.outcome == "failed" and seen.phase != "running":
        name, error = seen.last_action.name, seen.last_action.error
    else:
        return ""
    line = last_line(error)
    return f"{name} failed: {line if len(line) <= MOST_ERROR else line[:MOST_ERROR] + '…'}"
