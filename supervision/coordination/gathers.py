"""Gathers: what parts there are, how they end, and what is said when some of them failed.

Rules:
- A part is a task or a chain of tasks: a row of steps, whose last one's result is the part's.
- A part is known by its index, from 0, as in the list of results.
- A gather ends when all parts have ended; with ``fail_fast`` at the first that failed. Its end is a wait's.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from supervision.coordination.waits import DEFAULT_TIMEOUT_S, valid_timeout
from supervision.errors import InvalidWait
from supervision.model import shown

MOST_PARTS = 10_000
"""Parts of one gather: about 3 MB of messages and store, and some ten seconds until all are published."""

MOST_TOLD = 10
"""Failed parts that a message names."""

MOST_KEPT = 100
"""Failed parts that an error carries: it travels in results and to errbacks."""

Step = dict[str, Any]


class Gather(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that was said about one gather, as it travels in a signature; ``instead_of`` as of a wait's terms."""

    parts: tuple[tuple[Step, ...], ...]
    fail_fast: bool = False
    timeout: float = DEFAULT_TIMEOUT_S
    on_timeout: dict[str, Any] | None = None
    home: str = ""
    instead_of: str = ""


class Arrival(NamedTuple):
    """How one part ended: ``came`` with ``value``, its result as JSON, or failed, and ``value`` says why."""

    part: int
    came: bool
    value: str


def gather_terms(data: object) -> Gather:
    """The gather in ``data`` (as it came with a message), checked; else `InvalidWait`."""
    try:
        found = msgspec.convert(data, Gather)
    except msgspec.ValidationError as error:
        raise InvalidWait(f"a gather was described by {shown(data)}, which nobody here can read: {error}") from error
    return valid_gather(found)


def valid_gather(gather: Gather) -> Gather:
    """``gather`` if it can work, else `InvalidWait`."""
    valid_timeout(gather.timeout)
    if not 1 <= len(gather.parts) <= MOST_PARTS:
        raise InvalidWait(f"a gather of {len(gather.parts)} parts; needs from 1 to {MOST_PARTS}")
    for index, steps in enumerate(gather.parts):
        if not steps or not all(isinstance(step.get("task"), str) and step["task"] for step in steps):
            raise InvalidWait(
                f"part {index} of a gather is {shown(steps)}: needs a task's signature, or a chain of them"
            )
    return gather


def told(parts: int) -> str:
    """What a gather of so many waits for, as people read it."""
    return f"all {parts} parts"


def failures(found: Mapping[int, str], parts: int) -> str:
    """What an error says when those ``found`` have failed of so many."""
    named = [why for _, why in sorted(found.items())][:MOST_TOLD]
    more = f"; and {len(found) - len(named)} more" if len(found) > len(named) else ""
    return f"{len(found)} of {parts} parts failed: {'; '.join(named)}{more}"
