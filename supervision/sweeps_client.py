"""What a person may see and order of the sweeps through the client."""

from supervision.errors import NotFound
from supervision.order_terms import line, request
from supervision.store.orders import Asked
from supervision.store.sweeps import SWEEPS, Sweeps, SweepView


class Sweeping:
    """The sweeps of a client: idempotent clean-ups that run by themselves each second or minute."""

    _sweeps: Sweeps

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


def _known(name: str) -> str:
    if name in SWEEPS:
        return name
    there = "; ".join(f"{known}: {sweep.about}" for known, sweep in SWEEPS.items())
    raise NotFound(f"no sweep {name!r}; there are {there}")
