"""The store's moments as people read them."""

from datetime import UTC, datetime


def moment(milliseconds: int, *, precise: bool = True) -> str:
    """A moment of the store's clock in UTC, as ISO 8601 without blanks; to the second where it is not ``precise``."""
    found = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return found.isoformat(timespec="milliseconds" if precise else "seconds").replace("+00:00", "Z")
