"""What the sweeps of coordination would handle at a moment: each reads what its script would, and changes nothing."""

from typing import Any

from supervision.coordination.liveness import WARNING_S
from supervision.store.history import past
from supervision.store.keys import Keys
from supervision.store.swept import MOST_LISTED, Swept, scored

CLEARED_MS = 24 * 3_600_000
"""How long what has ended is kept."""


def deadlines(client: Any, keys: Keys, at: int) -> list[Swept]:
    """Waits, or parts of them, whose time is over."""
    found = [(member.partition("#"), since) for member, since in scored(client, keys.deadlines, at)]
    return [
        Swept(wait_id, since, "wait" if leaf == "0" else f"part {leaf} of a wait")
        for (leaf, _, wait_id), since in found
    ]


def undelivered(client: Any, keys: Keys, at: int) -> list[Swept]:
    """Ended waits that nobody has gone on with, and signals that have not released everybody."""
    waits = [Swept(wait_id, since, "wait to go on with") for wait_id, since in scored(client, keys.undelivered, at)]
    return waits + [Swept(name, since, "signal that releases") for name, since in scored(client, keys.releasing, at)]


def gathers(client: Any, keys: Keys, at: int) -> list[Swept]:
    """Gathers that nothing was heard of for a minute."""
    return [Swept(wait_id, since, "gather to look after") for wait_id, since in scored(client, keys.gathers, at)]


def liveness(client: Any, keys: Keys, at: int) -> list[Swept]:
    """Coordinators without a heartbeat for `WARNING_S`, dead ones not told of yet, and those not replaced in time."""
    late = scored(client, keys.beats, at - round(WARNING_S * 1000))
    registries = (
        ("dead coordinator that some expect", keys.mourning),
        ("dead coordinator whose replacement is late", keys.replacing),
    )
    return [Swept(name, since, "late coordinator") for name, since in late] + [
        Swept(name, since, what) for what, key in registries for name, since in scored(client, key, at)
    ]


def mail(client: Any, keys: Keys, at: int) -> list[Swept]:
    """Mailboxes whose batch's time, or pause, is over, or whose handler is to be sent for again."""
    return [Swept(name, since, "mailbox to go on with") for name, since in scored(client, keys.mail_due, at)]


def cleared(client: Any, keys: Keys, at: int) -> list[Swept]:
    """What has ended for longer than it is kept."""
    registries = (
        ("ended wait", keys.ended, at - CLEARED_MS),
        ("signal", keys.signals, at),
        ("coordinator", keys.coordinators, at),
        ("mailbox to look at", keys.mailboxes, at),
    )
    return [Swept(name, since, what) for what, key, until in registries for name, since in scored(client, key, until)]


def hooks(client: Any, keys: Keys, _at: int) -> list[Swept]:
    """What has happened since the last sweep, whether or not a hook wants to hear of it."""
    cursor = (client.get(keys.hooked) or b"").decode()
    if not cursor:
        return []
    records = map(past, client.xrange(keys.events, f"({cursor}", "+", count=MOST_LISTED + 1))
    return [Swept(record.id, record.at, f"{record.kind} {record.subject}") for record in records]
