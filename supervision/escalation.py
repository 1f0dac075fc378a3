"""How long it takes at most until trouble that stays is told to people, computed from the declaration.

For one check that fails in every fresh evaluation: ``trip_after`` evaluations until the circuit opens, and then, for
each of ``max_attempts`` restarts, the longest delay before it, all its actions at their limits, and one evaluation. A
check may name another child than it declares, so the longest restart of any child counts. Where a parent restarts what
is below it, each of its attempts also lasts until everything there was restarted and has escalated once more.

It counts from the first fresh failure, and only while the store, the ticks, the looks and the workers go on: nothing is
decided on what nobody can see, and moments of calm below `circuit.stable_ms` come on top, as do actions that a child
had under way when its restart was due, and what people order.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from supervision.actions import HARD_LIMIT_EXTRA_S
from supervision.branch import escalated
from supervision.checks import Check
from supervision.circuit import PROBE_LEASE_MS
from supervision.errors import InvalidDeclaration
from supervision.strategy import Strategy, errands

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
    evaluation = 2 * supervisor.interval_ms + supervisor.observe_timeout_ms
    restart = _longest_restart(supervisor, evaluation)
    own = [_of(check, supervisor, evaluation, restart) for check in supervisor.checks]
    worst = max(own, default=0)
    if worst > LONGEST_MS:
        raise InvalidDeclaration(
            f"{supervisor!r}: max_attempts={supervisor.max_attempts} with {supervisor.restart!r} would escalate after "
            f"{worst / 3_600_000:,.1f} h at worst, which is never in practice; allowed are "
            f"{LONGEST_MS // 3_600_000} h, for example with max_attempts=5 and restart=Backoff(base=1, cap=60)"
        )
    below = [_attempts(check, supervisor) * _below(check, supervisor) for check in supervisor.checks]
    return max((sum(both) for both in zip(own, below, strict=True)), default=0)


def _attempts(check: Check, supervisor: "Supervisor") -> int:
    return supervisor.max_attempts if check.attempts is None else check.attempts


def _of(check: Check, supervisor: "Supervisor", evaluation: int, restart: int) -> int:
    attempts = _attempts(check, supervisor)
    delays = sum(supervisor.restart.longest_ms(n) for n in range(min(attempts, _EVERY_DELAY)))
    delays += max(0, attempts - _EVERY_DELAY) * supervisor.restart.longest_ms(_EVERY_DELAY)
    return check.trip_after * evaluation + delays + attempts * (restart + evaluation)


def _longest_restart(supervisor: "Supervisor", evaluation: int) -> int:
    """One restart with all its actions at their limits; children that are not made yet count with a lease alone."""
    names = tuple(supervisor.children)
    groups: list[Sequence[str]] = [(name,) for name in names]  # as the others may rest
    if supervisor.strategy is not Strategy.ONE_FOR_ONE:
        groups.append(names)  # the group of the first child has all the others
    return max((_lasting(supervisor, group, evaluation) for group in groups), default=0) or PROBE_LEASE_MS


def _below(check: Check, supervisor: "Supervisor") -> int:
    """How long one restart of everything below takes until that has failed as well."""
    below = supervisor.below.get(check.restart)
    if below is None or check.name != escalated(check.restart):
        return 0
    evaluation = 2 * below.interval_ms + below.observe_timeout_ms
    return evaluation + _lasting(below, tuple(below.children), evaluation) + below.worst_case_ms


def _lasting(supervisor: "Supervisor", names: Sequence[str], evaluation: int) -> int:
    """The restart of these children, one action after the other."""
    specs = [
        supervisor.children[errand.child].spec(errand.action)
        for errand in errands([supervisor.children[name] for name in names])
    ]
    return sum(PROBE_LEASE_MS + spec.timeout_ms + _REAPED_MS + evaluation for spec in specs if spec)
