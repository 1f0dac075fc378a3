"""The nouns of the system, all of them immutable.

Times are the store's clock in integer milliseconds. A child is named by its path, ``plant/line-1/pump``: the path of
its supervisor and its own name. Names never become patterns, so characters that mean something to a shell, a glob or a
key are refused at the door.

``gc=False``: a tick makes tens of thousands of these, none can be part of a cycle, and the collector would walk them.
"""

import re
import reprlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from supervision.errors import InvalidDeclaration, NotFound

MAX_PATH_LENGTH = 200

MIN_SECONDS = 0.001
"""The clock's own step: a shorter duration would be rounded to none at all."""

MAX_SECONDS = 10 * 365 * 86_400
"""Ten years: what is longer is a mistake, and would leave the whole numbers that the store can count with."""

MAX_COUNT = 1_000_000

_NAME = re.compile(r"[A-Za-z0-9_.:@-]+")


class Phase(StrEnum):
    """The lifecycle that every state of every child maps to; only `RUNNING` is healthy, `STOPPED` is neutral."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    DEGRADED = "degraded"
    STOPPING = "stopping"


def valid_name(name: object, what: str) -> str:
    """``name`` if it can be one segment of a path, else `InvalidDeclaration`."""
    if isinstance(name, str) and _NAME.fullmatch(name) and name not in {".", ".."} and len(name) <= MAX_PATH_LENGTH:
        return name
    raise InvalidDeclaration(
        f"{what} {shown(name)}: a name has 1 to {MAX_PATH_LENGTH} letters, digits and _ - . : @, for example 'line-1'"
    )


def valid_path(path: object, what: str) -> str:
    """``path`` if every segment is a valid name and the whole is short enough, else `InvalidDeclaration`."""
    if not isinstance(path, str):
        raise InvalidDeclaration(f"{what} {shown(path)}: a path is a text, for example 'plant/line-1'")
    if len(path) > MAX_PATH_LENGTH:
        raise InvalidDeclaration(
            f"{what} {shown(path)}: {len(path)} characters, at most {MAX_PATH_LENGTH} are allowed, "
            "for example 'plant/line-1'"
        )
    for segment in path.split("/"):
        valid_name(segment, f"{what} {path!r}: segment")
    return path


def valid_seconds(value: object, what: str, example: str) -> float:
    """``value`` if it is a duration in seconds that a clock of milliseconds can measure, else `InvalidDeclaration`."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and MIN_SECONDS <= value <= MAX_SECONDS:
        return value
    raise InvalidDeclaration(
        f"{what}={shown(value)}: needs a number of seconds from {MIN_SECONDS} to {MAX_SECONDS}, for example {example}"
    )


def valid_count(value: object, what: str, *, least: int, example: str) -> int:
    """``value`` if it is a whole number, not below ``least``, else `InvalidDeclaration`."""
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= MAX_COUNT:
        return value
    raise InvalidDeclaration(
        f"{what}={shown(value)}: needs a whole number from {least} to {MAX_COUNT}, for example {example}"
    )


def shown(value: object) -> str:
    """``value`` as a message shows it, however large or deep it is."""
    return _brief.repr(value)


_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = 80


class Identity(msgspec.Struct, frozen=True):
    """Who a child is: the first of its three documents."""

    path: str
    kind: str


class Observation(msgspec.Struct, frozen=True, gc=False):
    """What was last seen: ``document`` as `observe` returned it, begun at ``at``; ``seq`` grows with every look."""

    document: Any
    at: int
    seq: int


class LastAction(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """How the last action on a child ended; it stands in the snapshot until the next one ends.

    ``result`` is what its code returned, as JSON reads it back; None unless it succeeded.
    """

    id: str
    name: str
    outcome: str
    ended: int
    attempt: int = 1
    error: str = ""
    result: Any = None


class Try(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """How often an action was given since the child was last calm, and when it was given last."""

    count: int
    at: int


class Unseen(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Since when a child is not seen, and the looks at it alone; with an ``incident`` it is unobservable."""

    since: int
    looks: int = 0
    looked_at: int = 0
    incident: str = ""


class ChildRecord(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a tick writes about one child; everything else about it is written by those who see or change it.

    ``refused`` is the revision of a desired document that does not fit the code, 0 when there is none.
    """

    state: str
    phase: Phase
    reason: str
    since: int
    tries: dict[str, Try] = {}
    not_before: int = 0
    faults: tuple[int, ...] = ()
    quarantined_until: int = 0
    refused: int = 0
    unseen: Unseen | None = None


class Siblings:
    """The children of one supervisor as each of them sees the others: as names and states."""

    __slots__ = ("_seen",)

    def __init__(self, seen: Mapping[str, Any]) -> None:
        self._seen = seen

    def state(self, name: str) -> str:
        """The last known state of the child ``name``, however old; raises `NotFound` with the names there are."""
        if name not in self._seen:
            raise NotFound(f"no child {name!r} beside this one; there is {', '.join(self._seen) or 'none'}")
        record: ChildRecord | None = self._seen[name].record
        return record.state if record else str(self._seen[name].child.initial)


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """The three documents of one child at one moment: all that a state function may look at.

    ``at`` is the moment, ``since`` when the present state began, both in milliseconds of the store's clock.
    ``siblings`` tells the states of the children beside it; an action sees none of them.
    """

    identity: Identity
    desired: Any
    observed: Any
    state: str
    since: int
    at: int
    revision: int = 0
    last_action: LastAction | None = None
    siblings: Siblings = Siblings({})


class Stay(msgspec.Struct, frozen=True, gc=False):
    """Nothing to do."""

    reason: str


class Go(msgspec.Struct, frozen=True, gc=False):
    """Change to ``state``."""

    state: str
    reason: str


class Do(msgspec.Struct, frozen=True, gc=False):
    """Ask for one action; ``params`` must be JSON."""

    action: str
    reason: str
    params: Mapping[str, Any] = {}


Move = Stay | Go | Do
"""What a state function returns: exactly one of these, always with a reason."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """One record of the history, before the script that makes it true adds time and epoch."""

    kind: str
    subject: str
    reason: str = ""
    before: str = ""
    after: str = ""
    attempt: int = 0


class Reservation(msgspec.Struct, frozen=True, gc=False):
    """The wish to run one action on one child; the commit turns it into a fenced action record or refuses it."""

    id: str
    child: str
    action: str
    reason: str
    params: Mapping[str, Any]
    timeout_ms: int
    retries: int
    incident: str = ""


class Update(msgspec.Struct, frozen=True, gc=False):
    """All that one tick changes about one child: written whole or not at all.

    ``look`` asks for a look at it alone, in a process of its own.
    """

    child: str
    record: ChildRecord
    events: tuple[Event, ...] = ()
    reservation: Reservation | None = None
    look: bool = False
