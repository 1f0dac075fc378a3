"""What a script has just made true, for those who are to hear of it in this process: log lines and hooks.

The history has the same for everybody. Nothing here is kept, and nothing is told twice: the process whose script made
it true is the one that tells it. Of a wait that ended that is whoever goes on with it first, who alone knows how.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple


class Happened(NamedTuple):
    """One transition, with the fields that its event has.

    ``on`` is what a wait is for, or a message's id; ``expected`` whether somebody waits for a coordinator that is no
    more.
    """

    kind: str
    subject: str
    before: str
    after: str
    reason: str = ""
    actor: str = ""
    on: str = ""
    expected: bool = False


Hear = Callable[[Iterable[Happened]], object]


class Heard:
    """Who hears of it: nobody, until somebody is put in; shared by all of one store."""

    def __init__(self) -> None:
        self.by: Hear | None = None

    def tell(self, *happened: Happened) -> None:
        """Tell of these, which are true by now."""
        if self.by is not None and happened:
            self.by(happened)
