"""Claims: a wait as whoever goes on with it gets it from the scripts, and what of that is news."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from supervision.coordination.waits import ERRORS, How, Node, Outcome
from supervision.errors import InvalidWait
from supervision.store.happened import Happened


class Leaf(msgspec.Struct, frozen=True, array_like=True):
    """One signal of a wait, as the scripts have it."""

    signal: str
    expects: str = ""
    within_ms: int = 0


class Stored(msgspec.Struct, frozen=True, omit_defaults=True):
    """A wait's terms as the scripts read them; ``tree`` is absent for a single signal, ``leaves`` empty for a gather.

    ``replacement`` is a signature as text, which no script looks into; ``digest`` tells a gather's parts from others.
    """

    leaves: tuple[Leaf, ...]
    told: str
    tree: Any = None
    owner: str | None = None
    on_death: str = "fail"
    replacement: str | None = None
    carry: bool = False
    on_timeout: dict[str, Any] | None = None
    home: str = ""
    parts: int = 0
    digest: str = ""
    instead_of: str = ""
    fail_fast: bool = False


class Claimed(msgspec.Struct, frozen=True):
    """A wait as whoever goes on with it got it: ``state`` received, or why there is nothing to go on with.

    ``start`` counts those who have gone on with it, and is what they end their claim with; ``left`` are the seconds
    that one still has which waits, or whoever else has claimed it. ``news``: it began to wait, or was given up, by this
    very answer; ``told_of`` is the coordinator of whose death a parent was told by it.
    """

    id: str
    state: str
    outcome: Outcome | None = None
    stored: Stored | None = None
    mail: str = ""
    start: int = 0
    left: float = 0.0
    news: bool = False
    told_of: str = ""


def answer(claim: Claimed) -> Any:
    """What a wait that was claimed answers its program; raises the `WaitEnded` that says how it ended without that."""
    outcome = claim.outcome
    if outcome is None or claim.stored is None:
        raise InvalidWait(f"wait {claim.id} has no outcome")
    if outcome.how in ERRORS:
        raise ERRORS[outcome.how](outcome.why)
    if outcome.how is How.RELEASED:
        return outcome.value
    return dict(outcome.payloads) if claim.stored.tree is not None else next(iter(outcome.payloads.values()))


def handed(answer: Iterable[Sequence[bytes]]) -> list[Claimed]:
    """What a script has handed over to go on with."""
    return [claimed(wait_id.decode(), rest) for wait_id, *rest in answer]


def claimed(wait_id: str, answer: Sequence[bytes]) -> Claimed:
    """A claim as `lua/prelude_claims.lua` answers it, or a message to send for one that was not claimed."""
    state, *rest = (part.decode() if isinstance(part, bytes) else str(part) for part in answer)
    if state == "ended":
        return Claimed(wait_id, state, mail=rest[0])
    if state == "waiting":
        return Claimed(wait_id, state, left=int(rest[0]) / 1000, news=len(rest) > 1, told_of="".join(rest[2:]))
    if state == "busy":
        return Claimed(wait_id, state, left=int(rest[0]) / 1000)
    if state == "given_up":
        return Claimed(wait_id, "dead_letter", news=True)
    if state not in {"received", "processed"}:
        return Claimed(wait_id, state)
    how, why, what, mail, start, value, *named = rest
    payloads = {name: msgspec.json.decode(text) for name, text in zip(named[::2], named[1::2], strict=True)}
    return Claimed(
        wait_id,
        state,
        msgspec.convert({"how": how, "why": why, "payloads": payloads, "value": _json(value)}, Outcome),
        msgspec.json.decode(what, type=Stored),
        mail,
        int(start),
    )


def _json(text: str) -> Any:
    return msgspec.json.decode(text) if text else None


def news(claims: Iterable[Claimed]) -> list[Happened]:
    """What the first claim of each wait that has ended tells; who is given that one again has told it already."""
    told = (_news(claim) for claim in claims)
    return [each for each in told if each is not None]


def _news(claim: Claimed) -> Happened | None:
    if claim.state == "received" and claim.start == 1 and claim.outcome and claim.stored:
        on, owner = claim.stored.told, claim.stored.owner or ""
        return Happened("wait", claim.id, "waiting", claim.outcome.how.value, claim.outcome.why, owner, on=on)
    if claim.state == "dead_letter" and claim.news:
        return Happened("wait", claim.id, "received", "dead_letter", "what follows it was started too often")
    return None


def told_to_parent(coordinator: str, wait_id: str = "") -> Happened:
    """That the death of ``coordinator`` was told to the mailbox of its parent."""
    return Happened("coordinator", coordinator, "dead", "escalated", "told to the mailbox of its parent", wait_id)


def leaves(stored: Stored) -> Mapping[int, Leaf]:
    """The leaves by their numbers."""
    return dict(enumerate(stored.leaves, 1))


def node(stored: Stored) -> Node:
    """What is waited for, as it was described."""
    numbered = leaves(stored)

    def made(part: Any) -> Node:
        if isinstance(part, int):
            leaf = numbered[part]
            return Node(signal=leaf.signal, within=leaf.within_ms / 1000, expects=leaf.expects)
        return Node(k=part[0], of=tuple(made(each) for each in part[1:]))

    return made(stored.tree or 1)
