"""What a person may see, order and run of the sweeps through the client.

Workers run the sweeps by themselves. `Sweeping.sweep_here` runs one in the calling process, for the hours in which no
worker is there: what it decides stands in the store, what is to be sent goes to the broker, or waits for the workers.
"""

from collections.abc import Callable, Mapping

from supervision.coordinating import Coordination
from supervision.coordination.liveness import Patience
from supervision.errors import NotFound
from supervision.mailing import Mailing
from supervision.order_terms import line, request
from supervision.store.orders import Asked
from supervision.store.store import Store
from supervision.store.sweeps import SWEEPS, Sweeps, SweepView

SILENT_MS = 10_000
"""After so long without a sweep no worker is there: they sweep each second."""


class Sweeping:
    """The sweeps of a client: idempotent clean-ups that run by themselves each second or minute."""

    _sweeps: Sweeps
    _store: Store
    _coordination: Coordination
    _mailing: Mailing

    def sweepable(self, name: str) -> SweepView:
        """What the sweep ``name`` would handle now; changes nothing. Raises `NotFound` with the sweeps there are."""
        return self._sweeps.look(_known(name))

    def sweep(self, name: str, *, by: str, reason: str, request_id: str | None = None) -> None:
        """Have the sweep ``name`` run now, besides its own rhythm; workers do it within about two seconds.

        Raises:
            NotFound: no such sweep.
            InvalidDeclaration: ``by`` or ``reason`` is no line, ``request_id`` is no name.
        """
        self._sweeps.order(_known(name), Asked(line(by, "by"), line(reason, "reason"), request(request_id)))

    def sweep_here(self, name: str, *, patience: Patience | None = None) -> int | None:
        """Run the sweep ``name`` once in this process; answers how many things it handled.

        None where only workers can run it, as it takes what they have loaded (your code, hooks, results): `sweep` has
        them do it. While workers sweep ``liveness`` is theirs, and none is handled here: two who judge by different
        times declare the living dead. ``patience`` is what it judges by, as the workers have it; by default the
        environment's.

        Raises:
            NotFound: no such sweep.
        """
        if name == "liveness" and self.is_swept():
            return 0
        run = self._here(patience).get(_known(name))
        return run() if run else None

    def swept_ago(self) -> int | None:
        """Milliseconds since workers swept last, which they do each second; None if they never have."""
        return self._sweeps.ago()

    def is_swept(self) -> bool:
        """Whether workers have swept in the last 10 seconds."""
        ago = self.swept_ago()
        return ago is not None and ago < SILENT_MS

    def _here(self, patience: Patience | None) -> Mapping[str, Callable[[], int]]:
        """Those that take a store and at most a broker.

        ``outbox`` is not among them: which queues its messages go to only the workers' app knows, and they wait as well
        in the outbox as at the broker.
        ``forgotten`` is not among them: while no worker is there nobody declares anything, so all would be forgotten.
        """
        return {
            "deadlines": self._coordination.sweep_deadlines,
            "undelivered": self._coordination.sweep_undelivered,
            "liveness": lambda: self._coordination.sweep_liveness(patience),
            "mail": self._mailing.sweep,
            "history": self._store.history.trim,
            "cleared": lambda: self._coordination.sweep_cleared() + self._mailing.sweep_cleared(),
        }


def _known(name: str) -> str:
    if name in SWEEPS:
        return name
    there = "; ".join(f"{known}: {sweep.about}" for known, sweep in SWEEPS.items())
    raise NotFound(f"no sweep {name!r}; there are {there}")
