"""One thing that a sweep would handle, and how sweeps find what is due."""

from typing import Any

import msgspec

MOST_LISTED = 500
"""Things that a look lists: as many as one run of a sweep handles."""


class Swept(msgspec.Struct, frozen=True):
    """One thing that a sweep would handle: since when (store milliseconds) it waits for that, and what it is."""

    id: str
    since: int
    what: str


def scored(client: Any, key: str, until: int) -> list[tuple[str, int]]:
    """Members of ``key`` by their moments, up to ``until``; one more than `MOST_LISTED` where there are more."""
    found = client.zrange(key, "-inf", until, byscore=True, offset=0, num=MOST_LISTED + 1, withscores=True)
    return [(member.decode(), int(score)) for member, score in found]
