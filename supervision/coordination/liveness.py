"""Liveness: from when on a silent coordinator is worth a warning, and from when on it is dead.

Rules:
- Silence is judged by the store's clock, from a registry that holds everybody until somebody has judged: keys that
  expire would make the dead invisible.
- Dead is who was found silent in `JUDGEMENTS` judgements in a row, each in a heartbeat of its own, and for longer than
  ``dead``. A clock that jumps is one judgement, and everybody who lives has beaten before the third.
- Judgements begin at ``warning`` and come once per heartbeat, so a death is declared at the latest by
  ``dead + heartbeat`` or ``warning + 3 * heartbeat``, whichever is later: two minutes at most.
"""

from dataclasses import dataclass

from supervision.coordination.signals import MAX_NAME_LENGTH
from supervision.errors import InvalidDeclaration, InvalidWait
from supervision.model import shown, valid_seconds

HEARTBEAT_S = 5.0
WARNING_S = 15.0
CRITICAL_S = 30.0
DEAD_S = 60.0

JUDGEMENTS = 3

MIN_PROGRESS_S = 0.001
MAX_PROGRESS_S = 30 * 86_400.0
"""Seconds within which one may be asked for progress: as long as a wait may last."""

STATES = ("healthy", "warning", "critical", "complete", "failed", "dead")
"""What a coordinator may be in a count of them: alive, by its last heartbeat, or at its end, for a day."""

MAX_DEAD_S = 110.0
MAX_TOLD_S = 120.0
"""Seconds from the last beat until the last judgement that a death takes; they come one ``heartbeat`` after another."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds between heartbeats, and of silence until a warning, until it is critical, and until death."""

    heartbeat: float = HEARTBEAT_S
    warning: float = WARNING_S
    critical: float = CRITICAL_S
    dead: float = DEAD_S

    def __post_init__(self) -> None:
        for name in ("heartbeat", "warning", "critical", "dead"):
            valid_seconds(getattr(self, name), name, "5")
        if not self.heartbeat < self.warning < self.critical < self.dead <= MAX_DEAD_S:
            raise InvalidDeclaration(
                f"heartbeat={self.heartbeat:g}, warning={self.warning:g}, critical={self.critical:g}, "
                f"dead={self.dead:g}: each needs to be longer than the one before, and the last {MAX_DEAD_S:g} s at "
                "most; for example 5, 15, 30, 60"
            )
        if self.dead < JUDGEMENTS * self.heartbeat:
            raise InvalidDeclaration(
                f"heartbeat={self.heartbeat:g}, dead={self.dead:g}: dead needs {JUDGEMENTS} heartbeats at least, "
                f"for example {JUDGEMENTS * self.heartbeat:g}"
            )
        told = max(self.dead + self.heartbeat, self.warning + JUDGEMENTS * self.heartbeat)
        if told > MAX_TOLD_S:
            raise InvalidDeclaration(
                f"heartbeat={self.heartbeat:g}, warning={self.warning:g}, dead={self.dead:g}: one may be declared dead "
                f"{told:g} s after its last beat (dead + heartbeat, or warning + {JUDGEMENTS} heartbeats), "
                f"{MAX_TOLD_S:g} s at most; for example 5, 15, 30, 60"
            )


def valid_presence(kind: object, doing: object, progress: object) -> None:
    """Refuse, with `InvalidWait`, what no coordinator can say of itself when it registers."""
    if len(valid_text(kind, "kind")) > MAX_NAME_LENGTH:
        raise InvalidWait(
            f"kind={shown(kind)} of {len(str(kind))} characters: needs {MAX_NAME_LENGTH} at most, for example 'process'"
        )
    valid_text(doing, "doing")
    number = isinstance(progress, (int, float)) and not isinstance(progress, bool)
    if not (number and (progress == 0 or MIN_PROGRESS_S <= progress <= MAX_PROGRESS_S)):  # type: ignore[operator] # a number, see above
        raise InvalidWait(
            f"progress={shown(progress)}: needs seconds from {MIN_PROGRESS_S} to {MAX_PROGRESS_S:.0f} (30 days), "
            "or 0 for never"
        )


def valid_text(text: object, what: str) -> str:
    """``text`` if it is one, else `InvalidWait`: it goes with the heartbeats, where nobody would see what is wrong."""
    if isinstance(text, str):
        return text
    raise InvalidWait(f"{what}={shown(text)}: needs a text, for example 'building'")
