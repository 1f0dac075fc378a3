"""Supervisors and children as rows of one table."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from supervision.cli.printing import Column, age, moment

if TYPE_CHECKING:
    from supervision.client import ChildView, SupervisorView


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

    def lasting(self) -> tuple[str, ...]:
        """What is news when it changes; an age always does."""
        return tuple(self._replace(seen=""))


COLUMNS: Final[Sequence[Column]] = (
    Column("PATH", lambda row: row.path),
    Column("KIND", lambda row: row.kind),
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
    """Each supervisor, followed by its children."""
    return [row for seen in supervisors for row in (supervisor_row(seen), *map(child_row, seen.children))]


def supervisor_row(seen: "SupervisorView") -> Row:
    """One supervisor."""
    return Row(
        path=seen.path,
        kind="supervisor",
        state=seen.circuit,
        phase="",
        seen=age(seen.last_tick_age_ms),
        action="",
        reason=circuit_sentence(seen),
        since=moment(seen.opened_at if seen.circuit != "closed" else 0),
        not_before=moment(seen.next_attempt_at if seen.circuit == "open" else 0),
        incident=seen.incident,
    )


def circuit_sentence(seen: "SupervisorView") -> str:
    """What the circuit is about, in words."""
    if seen.last_tick_at is None:
        return "no tick yet"
    if seen.circuit == "closed":
        return f"checks: {', '.join(seen.checks) or 'none'}"
    used = f"{seen.attempts} of {seen.max_attempts} attempts used"
    due = f", next in {age(seen.next_attempt_at - seen.at)}" if seen.next_attempt_at > seen.at else ""
    return f"{seen.check}: {seen.reason}; {used}{due}"


def child_row(seen: "ChildView") -> Row:
    """One child."""
    trouble = f"look failed: {seen.observation_error}" if seen.observation_error else ""
    quarantined = f"in quarantine until {moment(seen.quarantined_until)}" if seen.quarantined else ""
    return Row(
        path=seen.path,
        kind=seen.kind,
        state=seen.state or "",
        phase=seen.phase or "",
        seen=age(seen.observed_age_ms),
        action=f"{seen.action.name}:{seen.action.state}" if seen.action else "",
        reason="; ".join(part for part in (seen.reason, trouble, quarantined) if part),
        since=moment(seen.since or 0),
        not_before=moment(seen.not_before),
    )
