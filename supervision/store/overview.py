"""What is, for those who only look: any program sees supervisors and children without the code that declares them.

Rules:
- One supervisor is read in one transaction with the store's time: its ages and states belong together.
- Ages are computed from the store's clock; a moment in the future (the clock was set back) is an age of 0.
- What cannot be read is told where it stands, and hides nothing else: neither siblings nor other supervisors.
- Nothing here writes, and nothing here needs the user's modules.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
import redis

from supervision.circuit import Circuit
from supervision.evaluate import refused_document
from supervision.model import ChildRecord, LastAction
from supervision.orders import WHOLE, Mode
from supervision.store.actions import Actions, Record
from supervision.store.connection import translated
from supervision.store.history import Past
from supervision.store.keys import Keys
from supervision.store.loading import Desired
from supervision.store.orders import INHERITED, above, inherited, orders_in
from supervision.store.places import Place
from supervision.store.registry import DeclaredSupervisor
from supervision.store.scripts import Scripts
from supervision.store.viewing import Found, Hash, child_view, supervisor_view, tried
from supervision.store.views import ChildDescription, ChildView, SupervisorDescription, SupervisorView

_HASHES = ("control", "records", "seen", "errors", "flight", "last", "orders", "members")


class Overview:
    """Reads what is."""

    def __init__(self, scripts: Scripts, keys: Keys, actions: Actions) -> None:
        self._client = scripts.client
        self._keys = keys
        self._actions = actions

    def supervisor(self, declared: DeclaredSupervisor) -> SupervisorView:
        """One supervisor with all of its children."""
        found = self._found(declared)
        children = (child_view(found, name, child) for name, child in declared.children.items())
        return supervisor_view(found, tuple(children))

    def described(self, place: Place, seen: ChildView, events: Iterable[Past]) -> ChildDescription:
        """A child that was ``seen`` with its documents: what it should be, what was seen, how its last action ended."""
        what = ("desired", "observed", "last", "records")
        desired, observed, last, record = self._fields(place.supervisor.name, place.name, what)
        stored, odd = tried(desired, Desired)
        stored = stored or Desired(0, msgspec.Raw(msgspec.json.encode(odd)) if odd else place.child.desired)
        known, _ = tried(record, ChildRecord)
        return ChildDescription(
            child=seen,
            states=place.child.states,
            actions=tuple(place.child.actions),
            desired=msgspec.json.decode(stored.document),
            desired_revision=stored.revision,
            desired_refused=bool(known and stored.revision and known.refused == stored.revision),
            observed=_plain(observed),
            last_action=tried(last, LastAction)[0],
            events=tuple(events),
        )

    def described_whole(self, declared: DeclaredSupervisor, events: Iterable[Past]) -> SupervisorDescription:
        """A supervisor with its own document, if it declares one."""
        (desired,) = self._fields(declared.name, WHOLE, ("desired",))
        (circuit,) = self._fields(declared.name, "circuit", ("control",))
        known, _ = tried(circuit, Circuit)
        stored, odd = tried(desired, Desired)
        stored = stored or Desired(0, msgspec.Raw(msgspec.json.encode(odd)) if odd else declared.desired)
        return SupervisorDescription(
            supervisor=self.supervisor(declared),
            desired=msgspec.json.decode(stored.document),
            desired_revision=stored.revision,
            desired_refused=bool(known and refused_document(stored.revision) in known.broken),
            events=tuple(events),
        )

    def in_flight(self, place: Place) -> str:
        """The id of the action in flight on one child, empty when there is none."""
        (found,) = self._fields(place.supervisor.name, place.name, ("flight",))
        return found.decode() if found else ""

    def _found(self, declared: DeclaredSupervisor) -> Found:
        pipeline = self._client.pipeline(transaction=True)
        pipeline.time()
        for what in _HASHES:
            pipeline.hgetall(self._keys.of(declared.name, what))
        for path in above(declared.name) if declared.parent else ():
            pipeline.hmget(self._keys.of(path, "orders"), INHERITED)
        with translated("overview"):
            (seconds, micros), *read = pipeline.execute(raise_on_error=False)
        # Some other type than a hash is a field that cannot be read: it says so, and nothing else is hidden by it.
        wrong = [str(each) for each in read if isinstance(each, redis.ResponseError)]
        read = [{} if isinstance(each, redis.ResponseError) else each for each in read]
        hashes: dict[str, Hash] = dict(zip(_HASHES, read, strict=False))
        circuit, odd = tried(hashes["control"].get(b"circuit"), Circuit)
        ordered = [each for each in read[len(_HASHES) :] if each]
        orders = inherited(orders_in(hashes["orders"], Mode(declared.mode)), ordered)
        unreadable = [declared.unreadable, f"its circuit {odd}" if odd else "", orders.unreadable, *wrong]
        return Found(
            declared=declared,
            at=seconds * 1000 + micros // 1000,
            hashes=hashes,
            actions=self._in_flight(hashes["flight"].values()),
            circuit=None if odd else circuit or Circuit(),
            orders=orders,
            unreadable="; ".join(each for each in unreadable if each),
        )

    def _fields(self, supervisor: str, child: str, what: Iterable[str]) -> list[bytes | None]:
        pipeline = self._client.pipeline(transaction=True)
        for each in what:
            pipeline.hget(self._keys.of(supervisor, each), child)
        with translated("documents"):
            found: list[Any] = pipeline.execute(raise_on_error=False)
        return [None if isinstance(each, redis.ResponseError) else each for each in found]

    def _in_flight(self, ids: Iterable[bytes]) -> dict[bytes, Record]:
        # One that ended since the transaction has no place among those in flight: its record says so by itself.
        records = ((action_id, self._record(action_id)) for action_id in ids)
        return {action_id: record for action_id, record in records if record and not record.ended}

    def _record(self, action_id: bytes) -> Record | None:
        try:
            return self._actions.get(action_id.decode())
        except (msgspec.MsgspecError, UnicodeError, redis.ResponseError):
            return None


def _plain(document: bytes | None) -> Any:
    """A document as it stands; what is none says so."""
    found, odd = tried(document, msgspec.Raw)
    return odd or (msgspec.json.decode(found) if found is not None else None)
