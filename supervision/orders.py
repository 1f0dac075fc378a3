"""Orders: what people have told one supervisor, from outside of its code, until they tell it otherwise.

- The mode says how far it may go: `act`; `observe`, where all is decided and nothing is sent; `off`.
- A pause lets one child, or all of them, alone until a moment that it names; it cannot be without one.
- A reset ends the incident that it names, and no other one, however late it is heard.

A person's own restart is no decision of the supervisor's: it is possible in every mode and in every pause.
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

WHOLE = ""
"""The name under which a pause of the whole supervisor stands among those of its children."""


class Mode(StrEnum):
    """How far a supervisor may go."""

    ACT = "act"
    OBSERVE = "observe"
    OFF = "off"


class Pause(msgspec.Struct, frozen=True):
    """Until when, in store milliseconds, and on whose behalf; ``request`` tells two pauses alike apart."""

    until: int
    by: str
    reason: str
    request: str = ""


class Orders(msgspec.Struct, frozen=True):
    """All orders to one supervisor; ``reset`` is the id of an incident, empty when none is to be reset."""

    mode: Mode = Mode.ACT
    pauses: Mapping[str, Pause] = {}
    reset: str = ""

    def paused_until(self, child: str, now: int) -> int:
        """When the pause of ``child`` (or of the `WHOLE`) ends, its own or the whole's; 0 if it is not paused."""
        ends = [self.pauses[name].until for name in {WHOLE, child} if name in self.pauses]
        return max((end for end in ends if end > now), default=0)
