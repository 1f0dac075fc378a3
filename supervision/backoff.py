"""How long to wait before trying again: a value, not a timer.

The n-th delay is ``base * 2**(n - 1)``, never above ``cap``, made shorter (never longer, so ``cap`` is a real cap, and
never to nothing, which would be a hot loop) by a jitter that is derived from a key. The same key and n always give the
same delay: the core stays pure, and two tickers that race compute the same answer.
"""

from dataclasses import dataclass
from hashlib import blake2b

from supervision.errors import InvalidDeclaration
from supervision.model import valid_seconds

DEFAULT_BASE_S = 1.0
DEFAULT_CAP_S = 60.0
DEFAULT_JITTER = 0.2

_MAX_EXPONENT = 40
"""2**40 s is 35,000 years: clamping here, before the power is taken, is what keeps any n from overflowing."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential delays: ``base`` and ``cap`` in seconds, ``jitter`` as the share that may be taken off (0 to 1).

    Raises `InvalidDeclaration` for values that could not work.
    """

    base: float = DEFAULT_BASE_S
    cap: float = DEFAULT_CAP_S
    jitter: float = DEFAULT_JITTER

    def __post_init__(self) -> None:
        valid_seconds(self.base, "Backoff: base", "base=1")
        valid_seconds(self.cap, "Backoff: cap", "cap=60")
        if self.base > self.cap:
            raise InvalidDeclaration(
                f"Backoff(base={self.base}, cap={self.cap}): needs base <= cap, for example base=1, cap=60"
            )
        numeric = isinstance(self.jitter, (int, float)) and not isinstance(self.jitter, bool)
        if not numeric or not 0 <= self.jitter <= 1:
            raise InvalidDeclaration(f"Backoff: jitter={self.jitter!r}: needs a number from 0 to 1, for example 0.2")

    def delay_ms(self, n: int, key: str) -> int:
        """Milliseconds before try ``n + 1``, given that ``n`` have been made; 0 before the first."""
        if n < 1:
            return 0
        return max(1, round(self.longest_ms(n) * (1 - self.jitter * _share(f"{key}/{n}"))))

    def longest_ms(self, n: int) -> int:
        """The delay before try ``n + 1`` without its jitter: the bound that promises are computed from."""
        return 0 if n < 1 else round(1000 * min(self.cap, self.base * 2.0 ** min(n - 1, _MAX_EXPONENT)))


def _share(key: str) -> float:
    """A number in [0, 1) that depends on nothing but ``key``."""
    return int.from_bytes(blake2b(key.encode(), digest_size=6).digest()) / 2**48
