"""Waits: what is waited for, for how long, whom it expects, and how it ended.

Rules:
- A wait is data: a tree of signals (`Node`) of which so many must come, and its `Terms`. It ends exactly once.
- Every wait has an end in time. Its parts may have earlier ones of their own.
- A part that can no longer come is lost; when too many are lost for the whole to come true, the whole ends the way the
  last of them did.
- The store's script decides which of several ends is first (`lua/prelude_waits.lua`); `judged` is the same rule here,
  for those who explain a wait, and for the test that holds one against the other.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Literal, get_args

import msgspec

from supervision.coordination.signals import MAX_NAME_LENGTH, valid_signal
from supervision.errors import Cancelled, CoordinatorDied, InvalidWait, PartsFailed, SignalTimeout, WaitEnded
from supervision.model import shown

DEFAULT_TIMEOUT_S = 1800.0
"""Half an hour, as a wait that nobody thought about should not last for days."""

MIN_TIMEOUT_S = 0.001
MAX_TIMEOUT_S = 30 * 86_400.0
"""A month: what should last longer is no wait but a plan."""

MOST_LEAVES = 100
"""Signals in one wait; more of them are what `gather` and swarms are for."""

MOST_DEPTH = 10

INSTEAD = "-instead"
"""What stands behind a wait's id in that of the wait which takes its place on timeout."""

OnDeath = Literal["fail", "replace", "escalate"]


class How(StrEnum):
    """How a wait ended; the last two are a gather's: all parts ended well, or some did not."""

    SIGNALLED = "signalled"
    RELEASED = "released"
    TIMED_OUT = "timed_out"
    DIED = "died"
    CANCELLED = "cancelled"
    GATHERED = "gathered"
    FAILED = "failed"


ERRORS: Mapping[How, type[WaitEnded]] = {
    How.TIMED_OUT: SignalTimeout,
    How.DIED: CoordinatorDied,
    How.CANCELLED: Cancelled,
    How.FAILED: PartsFailed,
}
"""What is raised where a wait has ended without a value."""


class Node(msgspec.Struct, frozen=True, omit_defaults=True):
    """A part of what is waited for: one ``signal``, or ``k`` of the nodes in ``of``.

    ``within`` (seconds) is an end of its own, ``expects`` the coordinator who should send it; a signal's only.
    """

    signal: str = ""
    within: float = 0.0
    expects: str = ""
    k: int = 0
    of: tuple["Node", ...] = ()

    def leaves(self) -> Iterator["Node"]:
        """Its signals, from left to right: their numbers are their places in this order, from 1."""
        if self.of:
            for node in self.of:
                yield from node.leaves()
        else:
            yield self


class Terms(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that was said about one wait, as it travels in a signature and stands in the store.

    ``on_timeout`` is None to raise, or one of ``{"value": ...}`` and ``{"signature": ...}``; ``owner`` the coordinator
    that waits, if one does; ``home`` the default queue of the app that made the wait, where what follows goes on;
    ``instead_of`` the wait whose place it took on timeout, under an id made of that one's.
    """

    on: Node
    timeout: float = DEFAULT_TIMEOUT_S
    on_timeout: dict[str, Any] | None = None
    on_death: OnDeath = "fail"
    replacement: dict[str, Any] | None = None
    owner: str = ""
    carry: bool = False
    home: str = ""
    instead_of: str = ""


class Outcome(msgspec.Struct, frozen=True):
    """How a wait ended: ``why`` for people, ``payloads`` by signal, ``value`` if somebody released it with one."""

    how: How
    why: str
    payloads: Mapping[str, Any] = {}
    value: Any = None


_OF_THE_CALL = ("timeout", "on_timeout", "on_death", "replacement", "owner", "carry")


def terms(data: object) -> Terms:
    """The terms in ``data`` (as they came with a message), checked; else `InvalidWait`."""
    try:
        found = msgspec.convert(data, Terms)
    except msgspec.ValidationError as error:
        raise InvalidWait(f"a wait was described by {shown(data)}, which nobody here can read: {error}") from error
    return valid_terms(found)


def node_of(on: object, expects: str | None = None) -> Node:
    """What a program waits ``on``: a signal's name, or a signature of ours, which is known without Celery.

    What only the call itself decides is refused in a signature, where nobody would heed it.
    """
    if isinstance(on, str):
        return Node(signal=on, expects=expects or "")
    if isinstance(on, dict) and expects:
        raise InvalidWait(
            f"expects={shown(expects)} beside a signature: give it to its signals, as wait_for('a', expects='bob')"
        )
    if isinstance(on, dict) and "on" in on.get("kwargs", {}):
        wait = terms(on["kwargs"])
        unset = Terms(wait.on)
        said = [name for name in _OF_THE_CALL if getattr(wait, name) != getattr(unset, name)]
        if said:
            odd = [f"{name}={shown(getattr(wait, name))}" for name in said]
            raise InvalidWait(
                f"{', '.join(odd)} with the signature of a wait for {shown(described(wait.on))}, which a program's own "
                "wait would not heed: give timeout and on_death to the call; the others are for chains"
            )
        return wait.on
    raise InvalidWait(f"on={shown(on)}: needs a signal's name, or all_of(...), any_of(...), k_of(...)")


def valid_terms(wait: Terms) -> Terms:
    """``wait`` if it can work, else `InvalidWait`."""
    valid_timeout(wait.timeout)
    _valid_node(wait.on, 1)
    leaves = list(wait.on.leaves())
    if len(leaves) > MOST_LEAVES:
        raise InvalidWait(f"a wait for {len(leaves)} signals; at most {MOST_LEAVES} fit into one, `gather` takes more")
    if len({leaf.signal for leaf in leaves}) < len(leaves):
        names = [leaf.signal for leaf in leaves]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidWait(f"a wait names the signal {twice!r} twice; a signal happens once, so name it once")
    if wait.owner:
        valid_signal(wait.owner, "coordinator")
        own = next((leaf.signal for leaf in leaves if leaf.expects == wait.owner), None)
        if own is not None:
            raise InvalidWait(f"{wait.owner} waits for itself to send {own!r}: nobody else would; name who does")
    if wait.on_death not in get_args(OnDeath):
        raise InvalidWait(f"on_death={shown(wait.on_death)}: needs one of {', '.join(get_args(OnDeath))}")
    if (wait.on_death == "replace") != (wait.replacement is not None):
        raise InvalidWait(f"on_death={wait.on_death!r} and replacement={shown(wait.replacement)}: they go together")
    if wait.on_death != "fail" and not any(leaf.expects for leaf in leaves):
        raise InvalidWait(
            f"on_death={wait.on_death!r} without expects=...: there is nobody whose death could be met; name them"
        )
    return wait


def valid_timeout(seconds: object, what: str = "timeout") -> float:
    """``seconds`` if a wait can last so long, else `InvalidWait`."""
    number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if number and MIN_TIMEOUT_S <= seconds <= MAX_TIMEOUT_S:  # type: ignore[operator] # a number, see above
        return float(seconds)  # type: ignore[arg-type] # likewise
    raise InvalidWait(
        f"{what}={shown(seconds)}: needs seconds from {MIN_TIMEOUT_S} to {MAX_TIMEOUT_S:.0f} (30 days), "
        f"for example {DEFAULT_TIMEOUT_S:.0f}"
    )


def _valid_node(node: Node, depth: int) -> None:
    if depth > MOST_DEPTH:
        raise InvalidWait(f"a wait is nested {depth} deep; at most {MOST_DEPTH} levels")
    if node.signal and node.of:
        raise InvalidWait(f"a part of a wait is {shown(node)}: needs one signal, or several parts")
    if not node.of:
        valid_signal(node.signal)
        if node.within:
            valid_timeout(node.within)
        if node.expects:
            valid_signal(node.expects, "expects: coordinator")
        return
    if not 1 <= node.k <= len(node.of):
        raise InvalidWait(f"{node.k} of {len(node.of)}: needs a whole number from 1 to {len(node.of)}")
    for part in node.of:
        _valid_node(part, depth + 1)


Tree = int | Sequence["Tree"]
"""A node as the store's scripts have it: a leaf's number, or ``[k, node, ...]``."""


def tree(node: Node) -> Tree:
    """``node`` with the numbers of its leaves."""
    numbers = iter(range(1, MOST_LEAVES + 1))

    def numbered(part: Node) -> Tree:
        return [part.k, *map(numbered, part.of)] if part.of else next(numbers)

    return numbered(node)


def judged(node: Tree, came: Mapping[int, bool]) -> bool | None:
    """Whether ``node`` has come true or can no longer (None: open); ``came`` says it of the leaves that are decided."""
    if isinstance(node, int):
        return came.get(node)
    k, *parts = node
    verdicts = [judged(part, came) for part in parts]
    if verdicts.count(True) >= int(k):  # type: ignore[arg-type] # the first is the number
        return True
    return False if len(parts) - verdicts.count(False) < int(k) else None  # type: ignore[arg-type] # likewise


def described(node: Node) -> str:
    """``node`` as people read it: ``validated``, ``all of a, b``, ``2 of (a, b, any of (c, d))``."""
    if not node.of:
        return node.signal
    word = {1: "any", len(node.of): "all"}.get(node.k, str(node.k)) if len(node.of) > 1 else "all"
    parts = ", ".join(f"({described(part)})" if part.of else described(part) for part in node.of)
    return f"{word} of {parts}"


def brief(node: Node) -> str:
    """``node`` as a part of a key: as it is described, or a digest of that where it is long."""
    told = described(node)
    return told if len(told) <= MAX_NAME_LENGTH else blake2b(told.encode(), digest_size=16).hexdigest()
