"""Room for actions: how many a tick may still give before the queue is full.

    fitted(updates, view.children, room) -> the same updates, without the actions that there is no room for

Rules:
- "Queue full" is an answer: a child whose action finds no room stays as it is, says so in its reason, and is asked
  again by the next tick. Nothing waits, nothing is remembered, and no try is counted.
- A restart probe always finds room: there is one per supervisor, and what it heals may be why the queue is full. So do
  the actions of a child that is on its way out, and what a person asks for, which no tick decides.
- The bound is for the namespace, and each tick reads it once: ticks of several supervisors at one moment may exceed it
  by what the others give.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from supervision.documents import clipped
from supervision.model import Event, Update
from supervision.view import ChildView

QUEUE_FULL = "queue full"
"""How the reason of such a child begins, and the kind of the one event when it begins to wait."""


class Room(NamedTuple):
    """``in_flight`` actions of the namespace, of ``most`` that may be."""

    in_flight: int
    most: int

    @property
    def left(self) -> int:
        """How many more may be given."""
        return max(0, self.most - self.in_flight)


class Fitted(NamedTuple):
    """What is left of a tick's updates, and how many actions found no room."""

    updates: tuple[Update, ...]
    refused: int


def fitted(
    updates: Iterable[Update], children: Mapping[str, ChildView], room: Room, leaving: Collection[str] = ()
) -> Fitted:
    """``updates`` with as many of their actions as there is ``room`` for, in their order; those of ``leaving`` stay."""
    kept: list[Update] = []
    left, refused = room.left, 0
    for update in updates:
        wish = update.reservation
        if wish is None or wish.incident or update.child in leaving:
            kept.append(update)
            continue
        if left > 0:
            left -= 1
            kept.append(update)
            continue
        refused += 1
        if waiting := _waiting(update, children[update.child], room):
            kept.append(waiting)
    return Fitted(tuple(kept), refused)


def _waiting(update: Update, seen: ChildView, room: Room) -> Update | None:
    """The child as it was, with the reason why it waits; None when it says so already."""
    wish, record = update.reservation, seen.record
    if wish is None or record is None:
        return None
    why = clipped(f"{QUEUE_FULL}, {room.most} actions in flight; it wants {wish.action}: {wish.reason}")
    if record.reason == why:
        return None
    began = not record.reason.startswith(QUEUE_FULL)
    told = (Event("queue_full", seen.child.path, why, after=wish.action),) if began else ()
    return Update(update.child, replace(record, reason=why), told)
