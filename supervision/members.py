"""Members: the children of a supervisor that come and go, as its desired document says.

The function that the user declares is pure, so the document is all that is stored: any process makes the same children
from it again, those that are leaving among them, from the document that last wanted them.

- No opinion (None) changes nothing. An empty list lets all leave.
- Who leaves is stopped, looked at once more, and removed with its documents; who is wanted again before that stays.
- A function that raises or answers nonsense has no opinion; that is told once.
"""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from supervision import documents
from supervision.child import Child
from supervision.errors import InvalidDeclaration
from supervision.model import ChildRecord, Event, Phase
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

    def made(self, document: str) -> tuple[Mapping[str, Child] | None, str]:
        """The children that ``document`` wants (None for no opinion), and what was wrong, if anything."""
        name = source(document)
        if name not in self._made:
            while len(self._made) >= _REMEMBERED:
                del self._made[next(iter(self._made))]
            self._made[name] = self._make(document)
        return self._made[name]

    def _make(self, document: str) -> tuple[Mapping[str, Child] | None, str]:
        above = self._supervisor
        if above.dynamic is None:
            return {}, ""
        try:
            desired: Any = documents.decode(document.encode(), above.Desired, f"{above.path}: desired")
            wanted = above.dynamic(desired)
            return (None if wanted is None else above.adopted(wanted)), ""
        except Exception as error:  # noqa: BLE001 # user code: contained here, told once
            return None, documents.told(error)


def source(document: str) -> str:
    """The name that a document goes by: the same content has the same one."""
    return blake2b(document.encode(), digest_size=8).hexdigest()


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
    roster, path = view.roster, view.supervisor.path
    wanted = roster.members if roster.wanted is None else roster.wanted
    for name in wanted if roster.wanted is not None else ():
        known = roster.members.get(name)
        if known is None:
            yield name, Member(roster.source), Event("member", f"{path}/{name}", "wanted", "", "joined")
        elif known.leaving:
            yield name, Member(roster.source), Event("member", f"{path}/{name}", "wanted again", "leaving", "stays")
        elif known.source != roster.source:
            yield name, Member(roster.source), None
    for name, member in roster.members.items():
        seen = view.children.get(name)
        if seen is None:
            if name not in wanted:
                why = "nothing in the code makes it any more"
                yield name, None, Event("member", f"{path}/{name}", why, "", "removed")
        elif name not in wanted and not member.leaving:
            left = Event("member", f"{path}/{name}", "no longer wanted", "", "leaving")
            yield name, msgspec.structs.replace(member, leaving=now), left
        elif (name not in wanted or roster.wanted is None) and member.leaving:
            if why := _gone(seen, member, now):
                yield name, None, Event("member", f"{path}/{name}", why, "leaving", "removed")
            elif _let_alone(name, view, now) and not 0 <= now - member.leaving < LEAVE_MS // 2:
                yield name, msgspec.structs.replace(member, leaving=now), None


def _let_alone(name: str, view: View, now: int) -> bool:
    """Whether nothing is sent to it now, so that its time to come to rest has not begun."""
    orders = view.orders
    return orders.mode is not Mode.ACT or bool(orders.paused_until(name, now) or view.circuit.suspected)


def _gone(seen: ChildView, member: Member, now: int) -> str:
    """Why a leaving member is removed now; empty while it is not."""
    if seen.in_flight:
        return ""
    record = seen.record
    if record is None or _at_rest(seen, record, member):
        return "at rest, and seen so"
    ended = seen.last_action.ended if seen.last_action else 0
    overdue = not 0 <= now - member.leaving <= LEAVE_MS
    seen_since = seen.settled(now) or not 0 <= now - ended <= LEAVE_MS
    return f"not seen at rest within {LEAVE_MS // 1000} s" if overdue and seen_since else ""


def _at_rest(seen: ChildView, record: ChildRecord, member: Member) -> bool:
    since = max(record.since, member.leaving, seen.last_action.ended if seen.last_action else 0)
    return record.phase is Phase.STOPPED and seen.observation is not None and seen.observation.at > since


def refuse_clashes(supervisors: Mapping[str, Supervisor]) -> None:
    """Refuse what two supervisors would both call their own: a child of one that has the path of the other."""
    for above in supervisors.values():
        for name in above.children:
            path = f"{above.path}/{name}"
            if path in supervisors and name not in above.below:
                raise InvalidDeclaration(f"{path} is both a child of {above.path} and a supervisor; rename one of them")
