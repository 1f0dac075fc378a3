"""Waits as people see them: read only, from the registry of those that are open, or one by its id."""

from collections.abc import Iterable, Mapping, Sequence
from heapq import nsmallest
from typing import Any, NamedTuple

import msgspec

from supervision.coordination.waits import described
from supervision.documents import told
from supervision.errors import NotFound
from supervision.model import shown
from supervision.store.claims import Leaf, Stored, node
from supervision.store.connection import translated
from supervision.store.keys import Keys
from supervision.store.scripts import Scripts

MOST_LISTED = 1000

_MEMBER = "0#{}"


class Part(msgspec.Struct, frozen=True):
    """One signal of a wait: whether it ``came``, is ``lost`` or ``open``; whom it expects, seen when."""

    signal: str
    state: str
    expects: str = ""
    expects_state: str = ""
    expects_seen: int = 0


class WaitView(msgspec.Struct, frozen=True):
    """One wait. Times in store milliseconds: ``since``, ``deadline`` (0 when it has ended), ``ended`` (0 while open).

    ``state`` is waiting, ended (nobody has gone on with it yet), received, processed or dead_letter; ``how`` and
    ``why`` it ended. ``kind`` is task (the id is Celery's), process, or damaged: a record that nobody can read.
    """

    id: str
    kind: str
    on: str
    parts: tuple[Part, ...]
    owner: str
    state: str
    since: int
    deadline: int
    on_death: str
    how: str = ""
    why: str = ""
    ended: int = 0
    sent: int = 0
    started: int = 0


class OpenWaits:
    """Reads waits."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self._client: Any = scripts.client
        self._keys = keys

    def all(self, *, signal: str = "", owner: str = "", most: int = MOST_LISTED) -> list[WaitView]:
        """Open waits, the ``most`` that end first, in that order; of ``owner`` or for ``signal`` only, where given."""
        with translated("waits"):
            ids = self._of(signal, owner, most) if signal or owner else self._soonest(most)
        found = [view for view in self._read(ids) if view.state == "waiting" and owner in {"", view.owner}]
        return sorted(found, key=lambda view: view.deadline)

    def _soonest(self, most: int) -> list[str]:
        """By the registry of deadlines, in which single signals of a wait may have some, too."""
        ids: dict[str, None] = {}
        start = 0
        while len(ids) < most and (some := self._client.zrange(self._keys.deadlines, start, start + MOST_LISTED - 1)):
            parted = [member.decode().partition("#") for member in some]
            ids |= {wait_id: None for leaf, _, wait_id in parted if leaf == "0"}
            start += len(some)
        return list(ids)[:most]

    def _of(self, signal: str, owner: str, most: int) -> list[str]:
        """Those that are in the indexes of both, where both are given."""
        found: list[set[str]] = []
        if signal:
            members = self._client.zscan_iter(self._keys.waiters(signal), count=MOST_LISTED)
            found.append({member.decode().partition("#")[2] for member, _ in members})
        if owner:
            found.append(
                {each.decode() for each in self._client.sscan_iter(self._keys.waits_of(owner), count=MOST_LISTED)}
            )
        ids = list(set.intersection(*found))
        deadlines: list[float | None] = []
        for i in range(0, len(ids), MOST_LISTED):
            some = [_MEMBER.format(wait_id) for wait_id in ids[i : i + MOST_LISTED]]
            deadlines += self._client.zmscore(self._keys.deadlines, some)
        return [wait_id for _, wait_id in nsmallest(most, zip((each or 0 for each in deadlines), ids, strict=True))]

    def get(self, wait_id: str) -> WaitView:
        """One wait; `NotFound` if there is none."""
        found = self._read([wait_id])
        if not found:
            raise NotFound(
                f"no wait {shown(wait_id)}; it may be in its queue still (see doctor), refused, or over for a day"
            )
        return found[0]

    def some(self, ids: Sequence[str]) -> list[WaitView]:
        """Those of ``ids`` that are known, whatever has become of them."""
        return self._read(ids)

    def _read(self, ids: Sequence[str]) -> list[WaitView]:
        pipeline = self._client.pipeline(transaction=False)
        for wait_id in ids:
            pipeline.hgetall(self._keys.wait(wait_id))
            pipeline.zscore(self._keys.deadlines, _MEMBER.format(wait_id))
        with translated("waits"):
            answers = [_readable(answer) for answer in pipeline.execute(raise_on_error=False)] if ids else []
        found = [_record(*each) for each in zip(ids, answers[::2], answers[1::2], strict=True)]
        there = [record for record in found if record]
        seen = self._expected(leaf for record in there if record.terms for leaf in record.terms.leaves)
        return [_view(record, seen) for record in there]

    def _expected(self, leaves: Iterable[Leaf]) -> Mapping[str, tuple[str, int]]:
        """State and last heartbeat of everybody whom some of these leaves expect."""
        names = sorted({leaf.expects for leaf in leaves if leaf.expects})
        pipeline = self._client.pipeline(transaction=False)
        for name in names:
            pipeline.hget(self._keys.coordinator(name), "state")
            pipeline.zscore(self._keys.beats, name)
        with translated("coordinators"):
            answers = pipeline.execute() if names else []
        return {
            name: ((answers[2 * i] or b"unknown").decode(), int(answers[2 * i + 1] or 0))
            for i, name in enumerate(names)
        }


class _Record(NamedTuple):
    """A wait as it is stored; one that somebody has damaged has no terms, and ``wrong`` says why."""

    id: str
    fields: Mapping[str, str]
    deadline: int
    terms: Stored | None
    wrong: str = ""


def _readable(answer: Any) -> Any:
    """``answer``, also where a record is of another type; raises what else a server says."""
    if isinstance(answer, Exception) and not str(answer).startswith("WRONGTYPE"):
        raise answer
    return answer


def _record(wait_id: str, answer: Any, deadline: float | None) -> _Record | None:
    if isinstance(answer, Exception):
        return _Record(wait_id, {}, 0, None, str(answer))
    fields = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in answer.items()}
    if not fields:
        return None
    try:
        return _Record(wait_id, fields, int(deadline or 0), msgspec.json.decode(fields["what"], type=Stored))
    except (KeyError, msgspec.MsgspecError) as error:
        return _Record(wait_id, fields, int(deadline or 0), None, told(error))


def _view(record: _Record, seen: Mapping[str, tuple[str, int]]) -> WaitView:
    if record.terms is not None:
        try:
            return _view_of(record, record.terms, seen)
        except msgspec.ValidationError as error:
            record = record._replace(wrong=told(error))
    why = record.fields.get("why") or f"its record is damaged: {record.wrong}"
    state = record.fields.get("state", "dead_letter")
    return WaitView(record.id, "damaged", "", (), "", state, 0, record.deadline, "", why=why)


def _view_of(record: _Record, terms: Stored, seen: Mapping[str, tuple[str, int]]) -> WaitView:
    fields = record.fields
    whole = "came" if fields.get("how") == "signalled" and terms.tree is None else "open"
    stood = ("state", "since", "how", "why", "ended", "sent", "started")
    parts = [_part(leaf, fields.get(f"leaf:{i}", ""), whole, seen) for i, leaf in enumerate(terms.leaves, 1)]
    return msgspec.convert(
        {
            **{name: fields[name] for name in stood if name in fields},
            "id": record.id,
            "kind": "process" if "channel" in fields else "task",
            "on": described(node(terms)) if terms.leaves else terms.told,
            "parts": tuple(parts),
            "owner": terms.owner or "",
            "deadline": record.deadline,
            "on_death": terms.on_death,
        },
        WaitView,
        strict=False,
    )


def _part(leaf: Leaf, noted: str, whole: str, seen: Mapping[str, tuple[str, int]]) -> Part:
    state = {"": whole, "+": "came"}.get(noted[:1], f"lost: {noted[1:]}")
    expects_state, at = seen.get(leaf.expects, ("", 0))
    return Part(leaf.signal, state, leaf.expects, expects_state, at)
