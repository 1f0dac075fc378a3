"""Loading: everything that one tick sees, in one round trip, whatever the number of children.

What another version of the code has written and this one cannot read is left alone: a child is then not decided about;
a circuit that cannot be read ends the tick with `InvalidDocument`, because whoever writes the next one would lose it.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from supervision import documents
from supervision.child import Child
from supervision.circuit import Circuit
from supervision.errors import InvalidDocument
from supervision.freshness import limits
from supervision.members import Maker, of_their_kind, source
from supervision.model import ChildRecord, LastAction, Observation
from supervision.orders import WHOLE
from supervision.store.answering import answers
from supervision.store.connection import translated
from supervision.store.keys import Keys
from supervision.store.orders import INHERITED, above, inherited, orders_in
from supervision.store.scripts import Scripts
from supervision.supervisor import Supervisor
from supervision.view import STALE_AFTER_MS, ChildView, Claim, Member, Roster, View

HASHES = ("records", "desired", "observed", "seen", "flight", "last", "orders", "members", "sources")
"""What is read about one supervisor besides its control fields."""

_T = TypeVar("_T")

Hash = Mapping[bytes, bytes]


class Desired(msgspec.Struct, frozen=True):
    """A desired document that was set at run time."""

    revision: int
    document: msgspec.Raw


class Loading:
    """Reads views; keeps, per supervisor, the children that its documents make."""

    def __init__(self, scripts: Scripts, keys: Keys, most_actions: int) -> None:
        self._client = scripts.client
        self._keys = keys
        self._most_actions = most_actions
        self._makers: dict[str, Maker] = {}

    def view(self, supervisor: Supervisor, claim: Claim) -> View:
        """``supervisor`` and all its children at one moment; raises `InvalidDocument` for an unreadable circuit."""
        circuit, in_flight, parents_orders, parents_circuit, *hashes = self._read(supervisor)
        found, ordered_above = dict(zip(HASHES, hashes, strict=False)), hashes[len(HASHES) :]
        parents = inherited(orders_in(parents_orders, supervisor.above_mode), ordered_above[:-1])
        roster, children = self._children(supervisor, found)
        return View(
            supervisor=supervisor,
            now=claim.now,
            epoch=claim.epoch,
            circuit=_circuit(supervisor, circuit),
            children={
                name: child_view(
                    child,
                    found,
                    leaving=_leaves(name, roster),
                    stale_after_ms=limits(child, supervisor).stale_ms,
                    resumed=claim.resumed,
                    unreadable=roster.unreadable.get(name, ""),
                )
                for name, child in children.items()
            },
            orders=inherited(orders_in(found["orders"], supervisor.mode), ordered_above),
            resumed=claim.resumed,
            in_flight=in_flight,
            most_actions=self._most_actions,
            heard_above=bool(supervisor.parent) and answers(supervisor, parents, parents_circuit, claim.now),
            roster=roster,
        )

    def children(self, supervisor: Supervisor) -> dict[str, Child]:
        """All children that there are now: declared, or enrolled and still made by the code."""
        return self.there(supervisor)[1]

    def there(self, supervisor: Supervisor) -> tuple[Roster, dict[str, Child]]:
        """Who comes and goes, and all children that there are now."""
        if supervisor.dynamic is None:
            return Roster(), dict(supervisor.children)
        wanted = ("desired", "members", "sources")
        pipeline = self._client.pipeline(transaction=True)
        for what in wanted:
            pipeline.hgetall(self._keys.of(supervisor.path, what))
        with translated("members"):
            found = dict(zip(wanted, pipeline.execute(), strict=True))
        roster, children = self._children(supervisor, found)
        # One that is not enrolled yet leaves no document that nobody would remove.
        known = {*supervisor.children, *roster.members}
        return roster, {name: child for name, child in children.items() if name in known}

    def _read(self, supervisor: Supervisor) -> list[Any]:
        of, path = self._keys.of, supervisor.path
        pipeline = self._client.pipeline(transaction=True)
        pipeline.hget(of(path, "control"), "circuit")
        pipeline.zcard(self._keys.due)
        pipeline.hgetall(of(supervisor.parent or path, "orders"))
        pipeline.hget(of(supervisor.parent or path, "control"), "circuit")
        for what in HASHES:
            pipeline.hgetall(of(path, what))
        for higher in above(path) if supervisor.parent else ():
            pipeline.hmget(of(higher, "orders"), INHERITED)
        with translated("load"):
            return list(pipeline.execute())

    def _children(self, supervisor: Supervisor, found: Mapping[str, Hash]) -> tuple[Roster, dict[str, Child]]:
        declared = dict(supervisor.children)
        if supervisor.dynamic is None:
            return Roster(), declared
        maker = self._makers.setdefault(supervisor.path, Maker(supervisor))
        document, revision, misfit = "", 0, ""
        try:
            document, revision = _whole_document(supervisor, found["desired"])
            misfit = maker.misfit(document) if revision else ""
            wanted, error = (None, "") if misfit else maker.made(document)
        except _WRONG as wrong:
            wanted, error = None, f"the desired document of {supervisor.path}: {_told(wrong)}"
        members, unreadable = _members(found["members"])
        made: dict[str, Child] = {}
        for name, member in members.items():
            text = found["sources"].get(member.source.encode())
            children = maker.made(text.decode(errors="replace"))[0] if text else None
            if children and name in children:
                made[name] = children[name]
        wanted = of_their_kind(wanted, made)
        roster = Roster(source(document), document, wanted, error, members, unreadable, misfit, revision)
        return roster, declared | made | dict(wanted or {})


_WRONG = (msgspec.MsgspecError, ValueError, InvalidDocument)
"""What reading raises where other code has written; `UnicodeError` is a `ValueError`."""


def _told(error: Exception) -> str:
    return documents.clipped(f"it cannot be read ({error}); was it written by another version of the code?")


def _members(stored: Hash) -> tuple[dict[str, Member], dict[str, str]]:
    """The members, and why those that cannot be read cannot."""
    members: dict[str, Member] = {}
    unreadable: dict[str, str] = {}
    for field, text in stored.items():
        name = field.decode(errors="backslashreplace")
        try:
            members[name] = msgspec.json.decode(text, type=Member)
        except _WRONG as error:
            unreadable[name] = _told(error)
    return members, unreadable


def child_view(  # noqa: PLR0913 # what is known of it besides the hashes; all of it is named
    child: Child,
    found: Mapping[str, Hash],
    *,
    leaving: bool = False,
    stale_after_ms: int = STALE_AFTER_MS,
    resumed: int = 0,
    unreadable: str = "",
) -> ChildView:
    """What the store knows about ``child``, from the hashes ``found``."""
    name = child.name.encode()
    known: dict[str, Any] = {"child": child, "leaving": leaving, "stale_after_ms": stale_after_ms, "resumed": resumed}
    try:
        desired, revision, misfit = _desired(child, found["desired"].get(name))
        return ChildView(
            **known,
            record=_decoded(found["records"].get(name), ChildRecord),
            last_action=_decoded(found["last"].get(name), LastAction),
            desired=desired,
            revision=revision,
            observation=_observation(child, found["observed"].get(name), found["seen"].get(name)),
            in_flight=found["flight"].get(name, b"").decode(),
            misfit=misfit,
            unreadable=unreadable,
        )
    except _WRONG as error:
        return ChildView(**known, desired=child.desired, unreadable=_told(error))


def _leaves(name: str, roster: Roster) -> bool:
    member = roster.members.get(name)
    return member is not None and (bool(member.leaving) if roster.wanted is None else name not in roster.wanted)


def _circuit(supervisor: Supervisor, stored: bytes | None) -> Circuit:
    try:
        return _decoded(stored, Circuit) or Circuit()
    except msgspec.MsgspecError as error:
        raise InvalidDocument(
            f"{supervisor.path}: its circuit was written by another version of the code ({error}); "
            "ticks of this version leave it alone until that one is the only one, or the same"
        ) from error


def _whole_document(supervisor: Supervisor, desired: Hash) -> tuple[str, int]:
    """The supervisor's own desired document, set at run time or as declared, and its revision, then 0."""
    stored = desired.get(WHOLE.encode())
    if stored is None:
        return msgspec.json.encode(supervisor.desired).decode(), 0
    found = msgspec.json.decode(stored, type=Desired)
    return bytes(found.document).decode(), found.revision


def _desired(child: Child, stored: bytes | None) -> tuple[Any, int, str]:
    """What the child should be: set at run time, or as declared; one that does not fit the code is as if not set."""
    if stored is None:
        return _declared(child), 0, ""
    found = msgspec.json.decode(stored, type=Desired)
    try:
        fitting = documents.decode_desired(bytes(found.document), child.Desired, f"{child.path}: desired")
    except InvalidDocument as error:
        return _declared(child), found.revision, documents.clipped(str(error))
    return fitting, found.revision, ""


def _declared(child: Child) -> Any:
    """What is declared, anew each time: whoever changes what he is handed changes it for himself alone."""
    return msgspec.json.decode(msgspec.json.encode(child.desired), type=child.Desired)


def _observation(child: Child, document: bytes | None, mark: bytes | None) -> Observation | None:
    """What was last seen; a document that another version of the code wrote counts as not seen."""
    if document is None or mark is None:
        return None
    sequence, at = mark.split(b":")
    try:
        seen = documents.decode(document, child.Observed, f"{child.path}: observed")
        return Observation(seen, int(at), int(sequence))
    except InvalidDocument:
        return None


def _decoded(stored: bytes | None, kind: type[_T]) -> _T | None:
    return msgspec.json.decode(stored, type=kind) if stored else None
