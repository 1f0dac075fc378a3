"""What a queue can be, without Celery: the observed document and the states of the kind ``celery_queue``."""

from typing import ClassVar

import msgspec

from supervision.child import RESTART, Child, Undocumented, state
from supervision.model import Do, Go, Move, Phase, Snapshot, Stay


class QueueObserved(msgspec.Struct, frozen=True):
    """What one look at a queue shows.

    ``depth`` is rounded down to one significant digit, so that a queue that goes about its work is no change at every
    look. ``consumers`` are the live workers that say they consume it. ``stalled``: nobody consumes, or a message that
    somebody could have taken waited through the whole look. ``task`` is then what waits first, where the broker shows
    it, and ``reason`` the trouble in a sentence.
    """

    depth: int
    consumers: tuple[str, ...] = ()
    stalled: bool = False
    task: str = ""
    reason: str = ""


class Queue(Child):
    """A queue that should be consumed; trouble counts once it has lasted ``stuck_after`` seconds."""

    Desired: ClassVar[type] = Undocumented
    Observed: ClassVar[type] = QueueObserved
    stuck_after: float

    @state(Phase.STARTING, initial=True)
    def unknown(self, seen: Snapshot) -> Move:
        """Not looked at yet."""
        return _trouble(seen) or Go("running", _calm(seen))

    @state(Phase.RUNNING)
    def running(self, seen: Snapshot) -> Move:
        """Consumed: nothing waits, or messages are taken, or every consumer has its hands full."""
        return _trouble(seen) or Stay(_calm(seen))

    @state(Phase.DEGRADED)
    def waiting(self, seen: Snapshot) -> Move:
        """Nobody consumes it, or messages wait while consumers have their hands free; for less than `stuck_after`."""
        if not seen.observed.stalled:
            return Go("running", _calm(seen))
        if seen.at - seen.since >= self.stuck_after * 1000:
            return Go("stuck", f"{seen.observed.reason}, for {self.stuck_after:g} s")
        return Stay(seen.observed.reason)

    @state(Phase.DEGRADED)
    def stuck(self, seen: Snapshot) -> Move:
        """The same for `stuck_after` and longer: remote control is tried."""
        if not seen.observed.stalled:
            return Go("running", _calm(seen))
        last = seen.last_action
        if last and last.name == RESTART and last.outcome == "failed" and last.ended >= seen.since:
            return Go("incurable", last.error or "remote control did not help")
        return Do(RESTART, seen.observed.reason)

    @state(Phase.DEGRADED)
    def incurable(self, seen: Snapshot) -> Move:
        """Remote control did not help: restart the worker process. A check can, when that is a supervised child."""
        # Tried again and again all the same: the worker may have been deaf for a moment, and no check may be there.
        if not seen.observed.stalled:
            return Go("running", _calm(seen))
        return Do(RESTART, seen.observed.reason)


def _trouble(seen: Snapshot) -> Go | None:
    return Go("waiting", seen.observed.reason) if seen.observed.stalled else None


def _calm(seen: Snapshot) -> str:
    return f"about {seen.observed.depth} wait, and are taken" if seen.observed.depth else "nothing waits"


def rounded(depth: int) -> int:
    """``depth`` down to one significant digit."""
    digit: int = 10 ** (len(str(depth)) - 1)
    return depth // digit * digit
