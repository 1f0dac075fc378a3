"""Orders: what people have told one supervisor, from outside of its code, until they tell it otherwise.

- The mode says how far it may go: `act`; `observe`, where all is decided and nothing is sent; `off`.
- A pause lets one child, or all of them, alone until a moment that it names; it cannot be without one.
- A silence keeps an escalation from calling people until a moment that it names; it stops nothing else.
- A child that is switched off rests in stopped, whatever its documents desire; switched on, it goes on.
- A reset ends the incident that it names, and no other one, however late it is heard.
- Forced open, a circuit stays so until it is reset: nothing is derived, nothing is restarted, nothing closes it.
- A restart of everything below is what a parent orders, under the id of its action.

The last three are heard once, by one tick, which takes them off. A person's own restart of a child is no decision of
the supervisor's: it is possible in every mode and in every pause. Only that of a whole supervisor is carried out by its
ticks, so where those restart nothing the action fails, and says why.
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from supervision.errors import InvalidDeclaration
from supervision.model import shown

WHOLE = ""
"""The name under which an order to the whole supervisor stands among those to its children."""


class Mode(StrEnum):
    """How far a supervisor may go."""

    ACT = "act"
    OBSERVE = "observe"
    OFF = "off"


def valid_mode(value: object, what: str) -> Mode:
    """``value`` as a `Mode`, else `InvalidDeclaration`."""
    if isinstance(value, str) and value in tuple(Mode):
        return Mode(value)
    raise InvalidDeclaration(f"{what}={shown(value)}: needs one of {', '.join(Mode)}, for example 'observe'")


class Pause(msgspec.Struct, frozen=True):
    """Until when, in store milliseconds, and on whose behalf; ``request`` tells two pauses alike apart."""

    until: int
    by: str
    reason: str
    request: str = ""


class Silence(Pause, frozen=True):
    """Until when nobody is called; otherwise as a pause."""


class Forced(msgspec.Struct, frozen=True):
    """Who wants the circuit open, and why; ``request`` tells two such orders apart."""

    by: str
    reason: str
    request: str


class Orders(msgspec.Struct, frozen=True):
    """All orders to one supervisor.

    ``reset`` is the id of an incident, ``restart`` that of a parent's action; both are empty when nothing is ordered.
    ``switched`` holds what people have switched on (true) or off, by child, `WHOLE` among them. ``unreadable`` says why
    some orders cannot be read: nobody may go further than they allow, whatever that is, so the mode is off.
    """

    mode: Mode = Mode.ACT
    pauses: Mapping[str, Pause] = {}
    reset: str = ""
    silence: Silence | None = None
    forced: Forced | None = None
    switched: Mapping[str, bool] = {}
    restart: str = ""
    unreadable: str = ""

    def paused_until(self, child: str, now: int) -> int:
        """When the pause of ``child`` (or of the `WHOLE`) ends, its own or the whole's; 0 if it is not paused."""
        if not self.pauses:
            return 0
        ends = [self.pauses[name].until for name in {WHOLE, child} if name in self.pauses]
        return max((end for end in ends if end > now), default=0)

    def silenced(self, now: int) -> bool:
        """Whether nobody is to be called."""
        return self.silence is not None and now < self.silence.until

    def enabled(self, child: str, *, declared: bool) -> bool:
        """Whether ``child`` is switched on: by people, or else as ``declared``; off as a whole is off for each."""
        return self.switched.get(child, declared) and self.switched.get(WHOLE, True)
