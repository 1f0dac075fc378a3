"""One child as a run of an action needs it: its documents at one moment, and nobody else's, in one round trip."""

from supervision.child import Child
from supervision.store.connection import translated
from supervision.store.keys import Keys
from supervision.store.loading import child_view
from supervision.store.scripts import Scripts
from supervision.view import ChildView

_HASHES = ("records", "desired", "observed", "seen", "flight", "last")


class Snapshots:
    """Reads single children."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self._client = scripts.client
        self._keys = keys

    def of(self, supervisor: str, child: Child) -> ChildView:
        """What the store knows about ``child`` of ``supervisor``; costs the same whatever its siblings are."""
        pipeline = self._client.pipeline(transaction=True)
        for what in _HASHES:
            pipeline.hget(self._keys.of(supervisor, what), child.name)
        with translated("snapshot"):
            found = pipeline.execute()
        name, stored = child.name.encode(), zip(_HASHES, found, strict=True)
        return child_view(child, {what: {name: value} if value else {} for what, value in stored})
