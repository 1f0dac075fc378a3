"""Lines of machines that each want one `noop` whenever the number in a file has become odd."""

from dataclasses import dataclass

from benchmarks.stage import folder
from supervision import Backoff, Child, Do, Go, Phase, Snapshot, Stay, Supervisor, state
from supervision.model import Move

LINES = 10
CHILDREN = 20
NUMBER = "burst"


@dataclass(frozen=True)
class Asked:
    """The number in the file."""

    number: int


class Machine(Child):
    """A child that asks for one action, waits for its end, and is calm again when the number is even."""

    Observed = Asked

    def observe(self) -> Asked:
        """Read the number."""
        return Asked(int((folder() / NUMBER).read_text()))

    @state(Phase.STOPPED, initial=True)
    def calm(self, seen: Snapshot) -> Move:
        """Until the number is odd."""
        return Go("asking", "the number is odd") if seen.observed.number % 2 else Stay("the number is even")

    @state(Phase.RUNNING)
    def asking(self, seen: Snapshot) -> Move:
        """One action, and then nothing more until the number is even."""
        if seen.observed.number % 2 == 0:
            return Go("calm", "the number is even")
        done = seen.last_action is not None and seen.last_action.ended >= seen.since
        return Stay("done") if done else Do("noop", "the number is odd")


line_0, line_1, line_2, line_3, line_4, line_5, line_6, line_7, line_8, line_9 = lines = [
    Supervisor(
        f"line-{i}",
        [Machine(f"machine-{j}") for j in range(CHILDREN)],
        interval=0.01,
        stale_after=6000.0,
        restart=Backoff(base=0.001, cap=0.001),
    )
    for i in range(LINES)
]
"""All of them. Each is a global of its own too, which is how a worker finds what is declared; no beat looks at them."""
