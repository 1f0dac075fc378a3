"""What the takeover tests supervise: something that is ticked and looked at once a minute."""

from dataclasses import dataclass

from supervision import Child, Phase, Snapshot, Stay, Supervisor, state
from supervision.model import Move


@dataclass(frozen=True)
class Level:
    height: int = 0


class Tank(Child):
    """Changes when somebody says so."""

    Observed = Level

    def observe(self) -> Level:
        return Level()

    @state(Phase.RUNNING, initial=True)
    def full(self, seen: Snapshot) -> Move:
        return Stay(f"it is {seen.observed.height} high")


plant = Supervisor("plant", [Tank("tank")], interval=60, stale_after=180)
