"""What the log tests supervise: something that is always there, and something whose code is broken."""

from supervision import Child, Phase, Snapshot, Stay, Supervisor, state
from supervision.model import Move


class Stone(Child):
    """Lies there."""

    def observe(self) -> dict[str, bool]:
        print("said by a child")  # noqa: T201 # what user code prints ends up in the log, too
        return {"there": True}

    @state(Phase.RUNNING, initial=True)
    def lying(self, _seen: Snapshot) -> Move:
        return Stay("it is there")


class Rotten(Stone):
    """Its rule raises."""

    @state(Phase.RUNNING, initial=True)
    def lying(self, _seen: Snapshot) -> Move:
        raise ValueError("it is rotten")


garden = Supervisor("town/garden", [Stone("stone"), Rotten("rotten")], interval=0.01)
