"""Actions: start a run, end it, look after those that nobody ends. Every write compares the fence."""

from dataclasses import dataclass
from typing import Any

import msgspec
import redis

from supervision.actions import HARD_LIMIT_EXTRA_S
from supervision.documents import clipped
from supervision.model import Reservation
from supervision.saying import log as _log
from supervision.store.connection import translated
from supervision.store.keys import Keys
from supervision.store.outbox import Entry, entries
from supervision.store.scripts import Scripts
from supervision.store.ticks import wish

GRACE_MS = round(HARD_LIMIT_EXTRA_S * 1000) + 2_000
"""Time after the soft limit at which a run without an end is taken to be dead: the hard limit, and 2 s to report."""

PROBE_LEASE_MS = 30_000
"""How old a restart probe may be when it is started: later, the child may long have healed, or be another one."""

MOST_HAND_BACKS = 3
"""Runs cut short by the end of their worker that cost the action none of its retries. Bounded, because an action that
ends its own process looks the same; a deploy is over before the fourth."""

MOST_PASSED_ON = 10
"""Runs that cost none of the retries because the worker's code does not know the action: with two versions at work one
of the next takes it, a second later each; where no worker knows it, it fails after about as many seconds."""

KEEP_S = 24 * 3600
"""How long the record of an ended action can be asked for."""

MOST_PER_SWEEP = 500

LONGEST_PAUSE_MS = 10_000
"""Sweeps come every second; after a longer pause, or a clock that was set, every wait goes on from where it was."""

SWEEP_RHYTHM_MS = 1_000
"""What has passed before a pause in any case, so that every wait ends even where each sweep comes after a pause."""

SLOW_SWEEPS_MS = 120_000
"""So far apart sweeps may come because their queue is behind; then it is their rhythm, and no pause any more."""


class Record(msgspec.Struct, frozen=True):
    """One action as stored; times in store milliseconds, ``sent`` counts messages, ``attempt`` counts runs.

    ``handed`` of these runs were handed back by a worker that was told to stop, and come on top of ``retries``.
    ``result`` is what it returned, as JSON, empty for None.
    """

    id: str
    supervisor: str
    child: str
    name: str
    params: str
    reason: str
    actor: str
    state: str
    attempt: int
    retries: int
    timeout_ms: int
    fence: int
    sent: int
    created: int
    incident: str = ""
    started: int = 0
    deadline: int = 0
    ended: int = 0
    error: str = ""
    handed: int = 0
    result: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a run: succeeded, failed, retrying, late, or alive when it must not be reaped; and the wake-up."""

    outcome: str
    entries: tuple[Entry, ...]


class Actions:
    """The store's side of actions."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self._scripts = scripts
        self._keys = keys

    def start(self, action_id: str) -> Record | str:
        """The record under a new fence, or the state in which the action is, when this run is one too many."""
        keys = self._keys
        answer = self._scripts.run(
            "start",
            [keys.action(action_id), keys.fence, keys.due, keys.events, keys.counters],
            [action_id, GRACE_MS, PROBE_LEASE_MS],
        )
        return _record(answer[2:]) if answer[0] == b"run" else str(answer[1].decode())

    def finish(  # noqa: PLR0913 # one end of one run; all but the record are named
        self,
        record: Record,
        *,
        outcome: str,
        error: str = "",
        retry: bool = True,
        delay_ms: int = 0,
        result: str = "",
        hand_backs: int = MOST_HAND_BACKS,
    ) -> Ended:
        """End one run; ``outcome`` is succeeded or failed, and failed becomes retrying while runs are left.

        An interrupted run is one whose worker was told to stop: it is handed back and due at once, ``hand_backs``
        times per action, and has failed like any other after that. Two outcomes are a sweep's, and mean failed if the
        store's clock agrees, else nothing is done and the answer is alive: dead, for a run beyond its deadline, and
        expired, for a restart probe that nobody started in time.
        """
        keys = self._keys
        own = (keys.of(record.supervisor, what) for what in ("flight", "last"))
        answer = self._scripts.run(
            "finish",
            [
                keys.action(record.id),
                *own,
                keys.due,
                keys.of(record.supervisor, "control"),
                *(keys.outbox, keys.entries, keys.events, keys.counters),
            ],
            [
                *(record.id, record.fence, outcome, clipped(error), int(retry), delay_ms, KEEP_S, PROBE_LEASE_MS),
                *(hand_backs, result),
            ],
        )
        return Ended(answer[0].decode(), entries(answer[1:]))

    def requeue(self, action_id: str, look_again_ms: int, supervisor: str = "") -> tuple[Entry, ...]:
        """Send an action again whose time has come, if it still waits.

        One whose record is gone is forgotten, and the slot that it holds below ``supervisor`` is free again.
        """
        keys = self._keys
        answer = self._scripts.run(
            "requeue",
            [
                *(keys.action(action_id), keys.due, keys.outbox, keys.entries, keys.events),
                *(keys.of(supervisor, what) for what in ("control", "flight")),
            ],
            [action_id, look_again_ms, supervisor],
        )
        return () if answer[0] == b"left" else entries(answer[1:])

    def _holder(self, action_id: bytes) -> str:
        """The supervisor of the child whose slot that action holds, empty when there is none."""
        with translated("flight"):
            paths: list[bytes] = self._scripts.client.hkeys(self._keys.supervisors)  # type: ignore[assignment] # the sync client answers the value itself
            pipeline = self._scripts.client.pipeline(transaction=False)
            for path in paths:
                pipeline.hvals(self._keys.of(path.decode(), "flight"))
            taken: list[Any] = pipeline.execute(raise_on_error=False) if paths else []
        lists = ((path, ids) for path, ids in zip(paths, taken, strict=True) if isinstance(ids, list))
        return next((path.decode() for path, ids in lists if action_id in ids), "")

    def reserve(self, supervisor: str, actor: str, reservation: Reservation) -> tuple[str, tuple[Entry, ...]]:
        """Reserve the child's slot for a person, and the message to send; else ``busy``, ``duplicate`` or ``gone``."""
        keys = self._keys
        answer = self._scripts.run(
            "reserve",
            [
                *(keys.of(supervisor, what) for what in ("control", "flight")),
                keys.action(reservation.id),
                *(keys.due, keys.outbox, keys.entries, keys.events, keys.counters),
                *(keys.of(supervisor, what) for what in ("gone", "records")),
            ],
            [supervisor, actor, msgspec.msgpack.encode(wish(reservation))],
        )
        outcome = answer[0].decode()
        return outcome, entries(answer[1:]) if outcome == "reserved" else ()

    def overdue(self) -> list[Record]:
        """Actions that a sweep must look at now, the oldest first, `MOST_PER_SWEEP` at most.

        One that cannot be read is told, and left for the version of the code that wrote it.
        """
        found: list[Record] = []
        skipped = 0
        while page := self._overdue(skipped):
            unreadable = sum(not self._collect(action_id, found) for action_id in page)
            skipped += unreadable
            if found or not unreadable:
                break
        return found

    def _overdue(self, skipped: int) -> list[bytes]:
        keys = [self._keys.due, self._keys.swept]
        return list(
            self._scripts.run(
                "overdue", keys, [MOST_PER_SWEEP, LONGEST_PAUSE_MS, skipped, SWEEP_RHYTHM_MS, SLOW_SWEEPS_MS]
            )
        )

    def _collect(self, stored_id: bytes, found: list[Record]) -> bool:
        """Add the record to ``found``, if there is one; False if nobody here can read it."""
        action_id = stored_id.decode(errors="backslashreplace")
        try:
            record = self.get(stored_id.decode())
        except (msgspec.MsgspecError, UnicodeError, redis.ResponseError) as error:
            _log.error("action_unreadable", action=action_id, error=str(error))  # it says all there is
            return False
        if record:
            found.append(record)
        else:
            # Forgotten: without its record its due time would be in the way for ever, and its child would wait for it.
            # The wake-up goes with the outbox.
            self.requeue(action_id, 0, self._holder(stored_id))
        return True

    def in_flight(self) -> int:
        """How many actions of all supervisors wait, run or wait to be repeated."""
        with translated("actions in flight"):
            return int(self._scripts.client.zcard(self._keys.due))

    def get(self, action_id: str) -> Record | None:
        """The record of one action, or None when there is none (any more)."""
        with translated("action"):
            flat: dict[bytes, bytes] = self._scripts.client.hgetall(self._keys.action(action_id))  # type: ignore[assignment] # the sync client answers the value itself
        return _record([part for pair in flat.items() for part in pair]) if flat else None


def _record(flat: list[bytes]) -> Record:
    fields: dict[str, Any] = {name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)}
    return msgspec.convert(fields, Record, strict=False)
