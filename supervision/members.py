"""Members: the children of a supervisor that come and go, as its desired document says.

The function that the user declares is pure, so the document is all that is stored: any process makes the same children
from it again, those that are leaving among them, from the document that last wanted them.

- No opinion (None) changes nothing. An empty list lets all leave.
- Who leaves is stopped, looked at once more, and removed with its documents; who is wanted again before that stays.
- A name that is wanted for something of another kind is free for it when the member that has it has left.
- A member that the code here does not make is left alone: another version of the code may be at work, which knows it.
  When no version has made it for long, and its document is not the one in force, it is forgotten (`registry.prune`).
- A function that raises or answers nonsense has no opinion, nor has a document that it cannot read; that is told once.
"""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from supervision import documents
from supervision.child import Child
from supervision.contained import asked, fault
from supervision.derive import QUARANTINE_WINDOW_MS, quarantined
from supervision.errors import InvalidDocument
from supervision.model import ChildRecord, Event, Phase
from supervision.orders import Mode
from supervision.supervisor import Supervisor
from supervision.view import ChildView, Member, View

MOST_CHANGES = 250
"""Members that come or go in one tick; the rest follows in the next, so that each commit stays short."""

LEAVE_MS = 60_000
"""How long a member may take to come to rest; then it is removed as it is, because nobody can see it."""

_REMEMBERED = 16
"""Documents whose children one process keeps made, per supervisor."""


class Changes(msgspec.Struct, frozen=True):
    """Members as they are from now on, None for those removed; ``more`` when not all found a place in this tick."""

    members: Mapping[str, Member | None] = {}
    events: tuple[Event, ...] = ()
    more: bool = False


class Maker:
    """Makes the children of one supervisor from documents; remembers them, so that each exists once per process."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._made: dict[str, tuple[Mapping[str, Child] | None, str]] = {}
        self._checked = ("", "")

    def made(self, document: str) -> tuple[Mapping[str, Child] | None, str]:
        """The children that ``document`` wants (None for no opinion), and what was wrong, if anything."""
        name = source(document)
        if name not in self._made:
            while len(self._made) >= _REMEMBERED:
                del self._made[next(iter(self._made))]
            self._made[name] = self._make(document)
        return self._made[name]

    def misfit(self, document: str) -> str:
        """Why ``document`` does not fit the code, empty when it does.

        Only the one in force is asked about: what older ones have made goes on, whatever fields they have too many.
        """
        name = source(document)
        if self._checked[0] != name:
            self._checked = name, self._misfit(document)
        return self._checked[1]

    def _misfit(self, document: str) -> str:
        above = self._supervisor
        try:
            documents.decode_desired(document.encode(), above.Desired, f"{above.path}: desired")
        except InvalidDocument as error:
            return documents.clipped(str(error))
        return ""

    def _make(self, document: str) -> tuple[Mapping[str, Child] | None, str]:
        above = self._supervisor
        if above.dynamic is None:
            return {}, ""
        try:
            desired: Any = documents.decode(document.encode(), above.Desired, f"{above.path}: desired")
            return asked(_made, above, desired), ""
        except BaseException as error:  # noqa: BLE001 # user code: contained here, told once
            return None, documents.told(fault(error))


def _made(above: Supervisor, desired: Any) -> Mapping[str, Child] | None:
    """Also what a generator does while it is gone through is the user's code."""
    wanted = above.dynamic(desired) if above.dynamic else None
    return None if wanted is None else above.adopted(wanted)


def source(document: str) -> str:
    """The name that a document goes by: the same content has the same one."""
    return blake2b(document.encode(), digest_size=8).hexdigest()


def of_their_kind(wanted: Mapping[str, Child] | None, made: Mapping[str, Child]) -> Mapping[str, Child] | None:
    """Without those whose name a member of another kind still has: that one leaves first, and knows how to stop."""
    if wanted is None:
        return None
    return {name: child for name, child in wanted.items() if name not in made or made[name].kind == child.kind}


def changed(view: View, now: int) -> Changes:
    """Who comes, who leaves, who stays after all, and who is gone."""
    if view.supervisor.dynamic is None:
        return Changes()
    members: dict[str, Member | None] = {}
    events: list[Event] = []
    for name, member, event in _moves(view, now):
        if len(members) >= MOST_CHANGES:
            return Changes(members, tuple(events), more=True)
        members[name] = member
        events += [event] if event else []
    return Changes(members, tuple(events))


def _moves(view: View, now: int) -> Iterator[tuple[str, Member | None, Event | None]]:
    yield from _coming(view)
    for name, member in view.roster.members.items():
        seen = view.children.get(name)
        if seen is not None and _unwanted(name, member, view):
            yield from _going(seen, member, view, now)


def _coming(view: View) -> Iterator[tuple[str, Member | None, Event | None]]:
    roster = view.roster
    for name in roster.wanted or ():
        known = roster.members.get(name)
        if name in roster.unreadable:
            continue
        if known is None:
            yield name, Member(roster.source), _told(name, view, "wanted", "", "joined")
        elif known.leaving:
            yield name, Member(roster.source), _told(name, view, "wanted again", "leaving", "stays")
        elif known.source != roster.source:
            yield name, Member(roster.source), None


def _going(seen: ChildView, member: Member, view: View, now: int) -> Iterator[tuple[str, Member | None, Event | None]]:
    """One that is not wanted: it leaves, waits to be left alone no longer, or is gone."""
    name = seen.child.name
    leaving = msgspec.structs.replace(member, leaving=now)
    if not member.leaving:
        yield name, leaving, _told(name, view, "no longer wanted", "", "leaving")
    elif seen.in_flight or seen.unreadable:
        return
    elif seen.record is None or _at_rest(seen, seen.record, member):
        yield name, None, _told(name, view, "at rest, and seen so", "leaving", "removed")
    elif _let_alone(seen, member, view, now):  # its time to come to rest has not begun
        if abs(now - member.leaving) >= LEAVE_MS // 2:
            yield name, leaving, None
    elif _overdue(seen, member, now):
        yield name, None, _told(name, view, f"not seen at rest within {LEAVE_MS // 1000} s", "leaving", "removed")


def _unwanted(name: str, member: Member, view: View) -> bool:
    wanted = view.roster.wanted
    return bool(member.leaving) if wanted is None else name not in wanted


def _told(name: str, view: View, why: str, before: str, after: str) -> Event:
    return Event("member", f"{view.supervisor.path}/{name}", why, before, after)


def _let_alone(seen: ChildView, member: Member, view: View, now: int) -> bool:
    """Whether nothing is sent to it now."""
    orders, record = view.orders, seen.record
    # A quarantine of before it left ends; one of since then would come again and again.
    waits = record and quarantined(record, now) and record.quarantined_until - QUARANTINE_WINDOW_MS <= member.leaving
    paused = orders.paused_until(seen.child.name, now) or waits
    return orders.mode is not Mode.ACT or bool(paused or view.circuit.suspected)


def _overdue(seen: ChildView, member: Member, now: int) -> bool:
    """Whether it had its time, while somebody ticked, and was looked at after its last action if it can be seen."""
    ended = seen.last_action.ended if seen.last_action else 0
    begun = max(member.leaving, seen.resumed)
    next_try = seen.record.not_before if seen.record else 0
    if next_try <= begun + 2 * LEAVE_MS and now < next_try + seen.stale_after_ms:
        return False  # it is about to be stopped once more
    return abs(now - begun) > LEAVE_MS and (seen.settled(now) or abs(now - ended) > LEAVE_MS)


def _at_rest(seen: ChildView, record: ChildRecord, member: Member) -> bool:
    since = max(record.since, member.leaving, seen.last_action.ended if seen.last_action else 0)
    return record.phase is Phase.STOPPED and seen.observation is not None and seen.observation.at > since
