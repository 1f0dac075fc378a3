"""Waits and coordinators as rows of a table."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from supervision.cli.printing import TOO_OLD, Column, age, left, moment

if TYPE_CHECKING:
    from supervision.client import CoordinatorView, Part, WaitView


MOST_ROWS: Final = 1_000
"""Waits, or coordinators, that one command shows."""


def cut(found: list[Any], which: str) -> bool:
    """Leave the first `MOST_ROWS` of what was ``found``; answers whether there were more, and tells a person so."""
    more = len(found) > MOST_ROWS
    del found[MOST_ROWS:]
    if more:
        click.echo(f"and more: these are the {MOST_ROWS:,} {which}", err=True)
    return more


class WaitRow(NamedTuple):
    """One wait; ``left`` counts down and ``expects`` tells ages, so neither is news by itself."""

    path: str
    state: str
    on: str
    owner: str
    kind: str
    since: str
    left: str
    expects: str
    deadline: str = ""
    parts: str = ""
    news: str = ""

    def lasting(self) -> tuple[str, ...]:
        """What is news when it changes."""
        return tuple(self._replace(left="", expects=""))


WAIT_COLUMNS: Final[Sequence[Column]] = (
    Column("ID", lambda row: row.path),
    Column("STATE", lambda row: row.state),
    Column("ON", lambda row: row.on),
    Column("OWNER", lambda row: row.owner, spare=True),
    Column("KIND", lambda row: row.kind, spare=True),
    Column("SINCE", lambda row: row.since, spare=True),
    Column("LEFT", lambda row: row.left),
    Column("DEADLINE", lambda row: row.deadline, wide=True),
    Column("PARTS", lambda row: row.parts, wide=True),
    Column("EXPECTS", lambda row: row.expects),
)


def wait_row(seen: "WaitView", now: int) -> WaitRow:
    """One wait at the moment ``now`` of the store."""
    expected = [part for part in seen.parts if part.expects]
    ended = f"{seen.how}: {seen.why}" if seen.how else ""
    return WaitRow(
        path=seen.id,
        state=seen.state,
        on=seen.on,
        owner=seen.owner,
        kind=seen.kind,
        since=moment(seen.since),
        left=left(seen.deadline, now),
        expects=ended or ", ".join(expectation(part, now) for part in expected),
        deadline=moment(seen.deadline),
        parts=",".join(f"{part.signal}={part.state}" for part in seen.parts),
        news=",".join(f"{part.expects}={part.expects_state}" for part in expected),
    )


def expectation(part: "Part", now: int) -> str:
    """Whom a part expects, how that one is, and how long ago it was heard of."""
    seen = f", seen {age(now - part.expects_seen)} ago" if part.expects_seen else ""
    return f"{part.expects} ({part.expects_state}{seen})"


class CoordinatorRow(NamedTuple):
    """One coordinator; ``beat`` is how long ago its last heartbeat was."""

    path: str
    kind: str
    state: str
    health: str
    beat: str
    host: str
    waits: str
    doing: str
    incarnation: str = ""
    process: str = ""
    parent: str = ""
    since: str = ""

    def lasting(self) -> tuple[str, ...]:
        """What is news when it changes; an age always does, but not that it is too high."""
        return tuple(self._replace(beat=self.beat[-1:] if self.beat.endswith(TOO_OLD) else ""))


COORDINATOR_COLUMNS: Final[Sequence[Column]] = (
    Column("ID", lambda row: row.path),
    Column("KIND", lambda row: row.kind, spare=True),
    Column("STATE", lambda row: row.state),
    Column("HEALTH", lambda row: row.health),
    Column("BEAT", lambda row: row.beat),
    Column("HOST", lambda row: row.host, spare=True),
    Column("INCARNATION", lambda row: row.incarnation, wide=True),
    Column("PROCESS", lambda row: row.process, wide=True),
    Column("PARENT", lambda row: row.parent, wide=True),
    Column("SINCE", lambda row: row.since, wide=True),
    Column("WAITS", lambda row: row.waits),
    Column("DOING", lambda row: row.doing),
)


def coordinator_row(seen: "CoordinatorView", now: int) -> CoordinatorRow:
    """One coordinator at the moment ``now`` of the store."""
    late = TOO_OLD if seen.beat and seen.health != "healthy" else ""
    return CoordinatorRow(
        path=seen.id,
        kind=seen.kind,
        state=seen.state,
        health="" if seen.ended else seen.health,
        beat=age(now - seen.beat) + late if seen.beat else "",
        host=seen.host,
        waits=str(len(seen.waits)) if seen.waits else "",
        doing="; ".join(_of_coordinator(seen)),
        incarnation=str(seen.incarnation),
        process=seen.process,
        parent=seen.parent,
        since=moment(seen.since),
    )


def _of_coordinator(seen: "CoordinatorView") -> Iterator[str]:
    if seen.doing:
        yield seen.doing
    if seen.ended:
        yield (
            f"{seen.state} at {moment(seen.ended)}: {seen.why}" if seen.why else f"{seen.state} at {moment(seen.ended)}"
        )
