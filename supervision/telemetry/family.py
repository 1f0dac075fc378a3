"""What a metric is, for the tables of them."""

from typing import Final, Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram"]

WORKER_ID: Final = "worker_id"
"""Optional wherever it stands; the plans fixed its name."""


class Family(NamedTuple):
    """One metric; ``buckets`` are the upper bounds of a histogram in seconds, as its script has them.

    ``values`` are those that its only label may have, where they are known: each is there from the start with 0.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str
    source: str
    buckets: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
