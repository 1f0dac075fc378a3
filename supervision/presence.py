"""One instance of a coordinator, as it tells the store of itself: that it is there, lives, and has left.

A store that has lost it in a failover is told of it again, under the incarnation that it had: of two instances of one
name the newer one stays the newer one, whichever is heard first.
"""

from typing import Final

from supervision.beating import this_process
from supervision.coordination.liveness import valid_presence, valid_text
from supervision.coordination.signals import valid_signal
from supervision.errors import InvalidWait, Lost
from supervision.store.coordinators import Beat, Coordinators, Registered


class Presence:
    """Registered when it is made; ``every`` is how often it has to beat, in seconds, 0 if that is unknown."""

    def __init__(  # noqa: PLR0913 # what a coordinator says of itself, all named
        self,
        name: str,
        coordinators: Coordinators,
        *,
        host: str,
        kind: str = "process",
        doing: str = "",
        parent: str = "",
        progress: float = 0.0,
    ) -> None:
        self.name: Final = valid_signal(name, "coordinator")
        valid_presence(kind, doing, progress)
        self._coordinators, self._kind, self._host, self._progress_s = coordinators, kind, host, progress
        self._parent = valid_signal(parent, "parent: coordinator") if parent else ""
        if self._parent == self.name:
            raise InvalidWait(f"parent={parent!r} of {name!r}: nobody hears of its own death; name another, or none")
        self._doing = doing
        self._moves = self._sent = self._heard = 0
        registered = self._register()
        self.incarnation: Final = registered.incarnation
        self.every: Final = registered.every

    def doing(self, text: str) -> None:
        """What it is at; the next heartbeat tells it."""
        self._doing = valid_text(text, "doing")

    def progress(self) -> None:
        """It moves; the next heartbeat that is heard tells it."""
        self._moves += 1

    def beat(self) -> Beat:
        """Its next heartbeat; `heard` says that it was."""
        self._sent = self._moves
        return Beat(self.name, self.incarnation, self._doing, moved=self._sent != self._heard)

    def heard(self) -> None:
        """The last one was heard, and that it moved need not be said again."""
        self._heard = self._sent

    def come_back(self) -> bool:
        """Tell a store that has lost it that it is there; answers whether its name is still its own."""
        return self._register(self.incarnation).incarnation == self.incarnation

    def leave(self, *, failed: bool, why: str) -> None:
        """It is complete, or has failed; whoever expects it is told so also by a store that has lost it."""
        try:
            self._coordinators.leave(self.name, self.incarnation, failed=failed, why=why)
        except Lost:
            if self.come_back():
                self._coordinators.leave(self.name, self.incarnation, failed=failed, why=why)

    def _register(self, again: int = 0) -> Registered:
        return self._coordinators.register(
            self.name,
            kind=self._kind,
            process=this_process(),
            host=self._host,
            doing=self._doing,
            parent=self._parent,
            progress_s=self._progress_s,
            again=again,
        )
