"""Waits as people see them: read only, from the registry of those that are open, or one by its id."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from supervision.coordination.waits import described
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
    ``why`` it ended. ``kind`` is task (the id is Celery's) or process.
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
        """Open waits, by their deadlines, ``most`` at most; only those for ``signal`` or of ``owner`` where given."""
        with translated("waits"):
            if signal:
                members = self._client.zrange(self._keys.waiters(signal), 0, most - 1)
                ids = [member.decode().partition("#")[2] for member in members]
            elif owner:
                ids = [each.decode() for each in self._client.smembers(self._keys.waits_of(owner))]
            else:
                ids = [each.decode() for each in self._client.zrange(self._keys.open, 0, most - 1)]
        found = [view for view in self._read(ids) if view.state == "waiting" and owner in {"", view.owner}]
        return sorted(found, key=lambda view: view.deadline)

    def get(self, wait_id: str) -> WaitView:
        """One wait; `NotFound` if there is none."""
        found = self._read([wait_id])
        if not found:
            raise NotFound(f"no wait {shown(wait_id)}; ended ones are kept for a day, refused ones are none")
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
            answers = pipeline.execute() if ids else []
        pairs = zip(answers[::2], answers[1::2], strict=True)
        known = [(wait_id, _plain(fields), deadline) for wait_id, (fields, deadline) in zip(ids, pairs, strict=True)]
        there = [(wait_id, fields, deadline) for wait_id, fields, deadline in known if fields]
        seen = self._expected(fields for _, fields, _ in there)
        return [_view(wait_id, fields, int(deadline or 0), seen) for wait_id, fields, deadline in there]

    def _expected(self, all_fields: Any) -> Mapping[str, tuple[str, int]]:
        """State and last heartbeat of everybody whom some of these waits expect."""
        names = sorted({leaf.expects for fields in all_fields for leaf in _stored(fields).leaves if leaf.expects})
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


def _plain(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in fields.items()}


def _stored(fields: Mapping[str, str]) -> Stored:
    return msgspec.json.decode(fields["what"], type=Stored)


def _view(wait_id: str, fields: Mapping[str, str], deadline: int, seen: Mapping[str, tuple[str, int]]) -> WaitView:
    stored = _stored(fields)
    whole = "came" if fields.get("how") == "signalled" and stored.tree is None else "open"
    told = {
        name: fields[name] for name in ("state", "since", "how", "why", "ended", "sent", "started") if name in fields
    }
    return msgspec.convert(
        {
            **told,
            "id": wait_id,
            "kind": "process" if "channel" in fields else "task",
            "on": described(node(stored)) if stored.leaves else stored.told,
            "parts": tuple(
                _part(leaf, fields.get(f"leaf:{i}", ""), whole, seen) for i, leaf in enumerate(stored.leaves, 1)
            ),
            "owner": stored.owner or "",
            "deadline": deadline,
            "on_death": stored.on_death,
        },
        WaitView,
        strict=False,
    )


def _part(leaf: Leaf, noted: str, whole: str, seen: Mapping[str, tuple[str, int]]) -> Part:
    state = {"": whole, "+": "came"}.get(noted[:1], f"lost: {noted[1:]}")
    expects_state, at = seen.get(leaf.expects, ("", 0))
    return Part(leaf.signal, state, leaf.expects, expects_state, at)
