"""How long it takes at most until trouble that stays is told to people, computed from the declaration.

For one check that fails in every fresh evaluation: ``trip_after`` evaluations until the circuit opens, and then, for
each of ``max_attempts`` restarts, the longest delay before it, all its actions at their limits, and one evaluation. It
counts from the first fresh failure, and only while the store, the ticks and the looks go on: nothing is decided on what
nobody can see, and moments of calm below `circuit.stable_ms` come on top.
"""

from typing import TYPE_CHECKING

from supervision.actions import HARD_LIMIT_EXTRA_S
from supervision.checks import Check
from supervision.circuit import PROBE_LEASE_MS
from supervision.errors import InvalidDeclaration
from supervision.strategy import errands, group

if TYPE_CHECKING:
    from supervision.supervisor import Supervisor

LONGEST_MS = 24 * 3600 * 1000
"""An escalation that would take longer than a day is taken for one that was never meant to come."""

_REAPED_MS = round(HARD_LIMIT_EXTRA_S * 1000) + 2_000
"""What a run may take beyond its soft limit until it is given up; `store.actions.GRACE_MS`."""

_EVERY_DELAY = 64
"""Delays that are added up one by one; long before, they have reached any cap."""


def worst_case_ms(supervisor: "Supervisor") -> int:
    """Milliseconds from the first failure to the escalation, 0 without checks; raises `InvalidDeclaration`."""
    worst = max((_of(check, supervisor) for check in supervisor.checks), default=0)
    if worst > LONGEST_MS:
        raise InvalidDeclaration(
            f"{supervisor!r}: max_attempts={supervisor.max_attempts} with {supervisor.restart!r} would escalate after "
            f"{worst / 3_600_000:,.1f} h at worst, which is never in practice; allowed are "
            f"{LONGEST_MS // 3_600_000} h, for example with max_attempts=5 and restart=Backoff(base=1, cap=60)"
        )
    return worst


def _of(check: Check, supervisor: "Supervisor") -> int:
    evaluation = 2 * supervisor.interval_ms + supervisor.observe_timeout_ms
    attempts = supervisor.max_attempts if check.attempts is None else check.attempts
    delays = sum(supervisor.restart.longest_ms(n) for n in range(min(attempts, _EVERY_DELAY)))
    delays += max(0, attempts - _EVERY_DELAY) * supervisor.restart.longest_ms(_EVERY_DELAY)
    return check.trip_after * evaluation + delays + attempts * (_restart(check, supervisor, evaluation) + evaluation)


def _restart(check: Check, supervisor: "Supervisor", evaluation: int) -> int:
    """One restart with all its actions at their limits; a child that is not made yet counts with its lease alone."""
    if check.restart not in supervisor.children:
        return PROBE_LEASE_MS
    names = group(supervisor.strategy, check.restart, tuple(supervisor.children))
    specs = [
        supervisor.children[errand.child].spec(errand.action)
        for errand in errands([supervisor.children[name] for name in names])
    ]
    return sum(PROBE_LEASE_MS + spec.timeout_ms + _REAPED_MS + evaluation for spec in specs if spec)
