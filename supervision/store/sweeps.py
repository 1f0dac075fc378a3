"""Sweeps as people see them: which there are, what one would handle now, and one that is ordered out of turn.

A look changes nothing: `due` lists without moving a due time, `history` without removing a record.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from supervision.documents import clipped
from supervision.store import coordination_sweeps
from supervision.store.actions import Actions
from supervision.store.connection import translated
from supervision.store.history import KEEP_MS, SLICE, Past, past
from supervision.store.keys import Keys
from supervision.store.orders import Asked
from supervision.store.outbox import PATIENCE_MS, UNPUBLISHED_MS, Entry
from supervision.store.registry import FORGET_MS
from supervision.store.scripts import Scripts
from supervision.store.swept import MOST_LISTED, Swept, scored
from supervision.store.ticks import LEASE_MS

_MOST_DOUBLED = 6
"""How often `rewake` doubles its patience."""


class SweepView(msgspec.Struct, frozen=True):
    """What the sweep ``name`` would handle at the moment ``at``, oldest first; ``more``: there is more than that.

    ``removes`` says that what it handles is gone afterwards.
    """

    name: str
    at: int
    removes: bool
    items: tuple[Swept, ...]
    more: bool


class Sweeps:
    """Looks at what sweeps would do, and orders them."""

    def __init__(self, scripts: Scripts, keys: Keys, actions: Actions) -> None:
        self._scripts = scripts
        self.client: Any = scripts.client
        self.keys = keys
        self.actions = actions

    def look(self, name: str) -> SweepView:
        """What the sweep ``name``, one of `SWEEPS`, would handle now."""
        sweep = SWEEPS[name]
        with translated("sweep"):
            seconds, micros = self.client.time()
            at = seconds * 1000 + micros // 1000
            found = sweep.handled(self, at)
        return SweepView(name, at, sweep.removes, tuple(found[:MOST_LISTED]), len(found) > MOST_LISTED)

    def ago(self) -> int | None:
        """Milliseconds since the sweep of due actions ran last, which it does each second; None if it never has."""
        with translated("sweep"):
            swept = (self.client.get(self.keys.swept) or b"").partition(b":")[0]
            seconds, micros = self.client.time()
        return max(0, seconds * 1000 + micros // 1000 - int(swept)) if swept else None

    def order(self, name: str, asked: Asked) -> None:
        """Have the sweep ``name`` run as soon as the outbox is sent, besides its own rhythm."""
        self._scripts.run(
            "sweep",
            [self.keys.sweeps, self.keys.outbox, self.keys.entries, self.keys.events],
            [name, asked.request, asked.by, clipped(asked.reason)],
        )


class Sweep(NamedTuple):
    """One sweep: what it is for, whether it removes what it handles, and what it would handle at a moment.

    ``handled`` answers one thing more than `MOST_LISTED` where there are more.
    """

    about: str
    removes: bool
    handled: Callable[[Sweeps, int], list[Swept]]


def _due(sweeps: Sweeps, at: int) -> list[Swept]:
    waiting = scored(sweeps.client, sweeps.keys.due, at)
    records = [sweeps.actions.get(action_id) for action_id, _ in waiting]
    return [
        Swept(action_id, since, f"{found.name} of {found.supervisor}/{found.child}: {found.state}" if found else "gone")
        for (action_id, since), found in zip(waiting, records, strict=True)
    ]


def _outbox(sweeps: Sweeps, at: int) -> list[Swept]:
    waiting = scored(sweeps.client, sweeps.keys.outbox, at - UNPUBLISHED_MS)
    if not waiting:
        return []
    stored = sweeps.client.hmget(sweeps.keys.entries, [entry_id for entry_id, _ in waiting])
    return [Swept(entry_id, since, _message(entry)) for (entry_id, since), entry in zip(waiting, stored, strict=True)]


def _message(stored: bytes | None) -> str:
    if stored is None:
        return "sent meanwhile"
    try:
        entry = msgspec.json.decode(stored, type=Entry)
    except msgspec.MsgspecError:
        return "written by another version, and left to it"
    return f"{entry.kind} {entry.subject}"


def _wakes(sweeps: Sweeps, at: int) -> list[Swept]:
    """As `rewake` decides: where something changed, and neither a tick nor a wake-up came for too long."""
    paths = [path.decode() for path in sorted(sweeps.client.hkeys(sweeps.keys.supervisors))]
    pipeline = sweeps.client.pipeline(transaction=False)
    for path in paths:
        pipeline.hmget(sweeps.keys.of(path, "control"), _WAITING)
    states = pipeline.execute() if paths else []
    found = ((path, state, _quiet_ms(state, at)) for path, state in zip(paths, states, strict=True))
    return [
        Swept(path, at - quiet, f"change {state[0].decode()} waits for a tick")
        for path, state, quiet in found
        if quiet is not None
    ]


_WAITING = ("dirty", "clean", "lease_until", "claimed", "woken", "rewoken")


def _quiet_ms(state: list[bytes | None], at: int) -> int | None:
    """For how long nothing came, if that is too long by now."""
    dirty, clean, lease, claimed, woken = (int(field or 0) for field in state[:-1])
    settled, _, times = (state[-1] or b"").decode().partition(":")
    patience = PATIENCE_MS * 2 ** min(int(times) if settled == str(clean) else 0, _MOST_DOUBLED)
    quiet = min(_ago(claimed, at), _ago(woken, at))
    due = max(patience - quiet, -_ago(lease, at))
    return quiet if dirty > clean and quiet >= PATIENCE_MS / 2 and due <= PATIENCE_MS else None


def _ago(moment: int, at: int) -> int:
    """How long ago; a moment in the future is from before the clock was set back."""
    return at - moment if moment <= at + LEASE_MS else at


def _history(sweeps: Sweeps, at: int) -> list[Swept]:
    """As `trim` decides: what is older than it keeps, but for the records of incidents that are open."""
    pipeline = sweeps.client.pipeline(transaction=True)
    pipeline.hgetall(sweeps.keys.incidents)
    pipeline.hkeys(sweeps.keys.supervisors)
    began, declared = pipeline.execute()
    # An incident is a supervisor's or a child's.
    known = {path: moment for path, moment in began.items() if {path, path.rpartition(b"/")[0]} & set(declared)}
    kept = {path.decode(): int(moment) for path, moment in known.items() if moment.isdigit()}
    old = (record for record in _older(sweeps, at - KEEP_MS) if not _of_an_incident(record, kept))
    return [Swept(record.id, record.at, f"{record.kind} {record.subject}") for record in islice(old, MOST_LISTED + 1)]


def _older(sweeps: Sweeps, moment: int) -> Iterator[Past]:
    """The records from before ``moment``, page by page."""
    start = "-"
    while page := sweeps.client.xrange(sweeps.keys.events, start, f"({max(moment, 1)}-0", count=SLICE):
        yield from map(past, page)
        start = f"({page[-1][0].decode()}"


def _of_an_incident(record: Past, began: Mapping[str, int]) -> bool:
    """Whether it is about what an open incident is about, or about something below that, since it began."""
    written = int(record.id.partition("-")[0])
    return any(
        written >= moment and f"{record.subject}/".startswith(f"{subject}/") for subject, moment in began.items()
    )


def _forgotten(sweeps: Sweeps, at: int) -> list[Swept]:
    """As `forget` and `prune` decide, the latter for what they have noted already."""
    declared = sweeps.client.hgetall(sweeps.keys.declared)
    found = [Swept(path.decode(), int(moment), "supervisor that nobody declares") for path, moment in declared.items()]
    for path in declared:
        orphans = sweeps.client.hgetall(sweeps.keys.of(path.decode(), "orphans"))
        found += [
            Swept(f"{path.decode()}/{child.decode()}", int(since), "child that is not in the code")
            for child, since in orphans.items()
        ]
    return sorted((each for each in found if at - each.since > FORGET_MS), key=lambda each: each.since)


def _of(handled: Callable[[Any, Keys, int], list[Swept]]) -> Callable[[Sweeps, int], list[Swept]]:
    return lambda sweeps, at: handled(sweeps.client, sweeps.keys, at)


SWEEPS: Mapping[str, Sweep] = {
    "due": Sweep("actions whose time has come: retries, messages nobody started, runs without an end", False, _due),
    "outbox": Sweep("messages that were decided on and not sent", False, _outbox),
    "wakes": Sweep("supervisors that a tick is missing of", False, _wakes),
    "history": Sweep("records of the history that are older than a week", True, _history),
    "forgotten": Sweep("what no worker has declared for a week", True, _forgotten),
    "deadlines": Sweep("waits whose time is over", False, _of(coordination_sweeps.deadlines)),
    "undelivered": Sweep("waits that ended and nobody has gone on with", False, _of(coordination_sweeps.undelivered)),
    "gathers": Sweep(
        "gathers with parts that are not published or not heard of", False, _of(coordination_sweeps.gathers)
    ),
    "liveness": Sweep("coordinators that are late or died", False, _of(coordination_sweeps.liveness)),
    "mail": Sweep("mailboxes whose handler did not end, or that pause", False, _of(coordination_sweeps.mail)),
    "hooks": Sweep(
        "events that hooks in other processes have not been told yet", False, _of(coordination_sweeps.hooks)
    ),
    "cleared": Sweep("waits, signals and coordinators of yesterday", True, _of(coordination_sweeps.cleared)),
}
"""Sweeps by the name that beat and the command line use."""
