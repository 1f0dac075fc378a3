"""The attempts of a circuit: whose turn it is to be restarted, whether it is time, and how many are left."""

from msgspec.structs import replace

from supervision.checks import Check, Fail
from supervision.circuit import Circuit, Round, tripped
from supervision.strategy import Errand

Failing = tuple[Check, Fail]


def probed(circuit: Circuit, around: Round) -> tuple[Circuit, Errand | None]:
    """The circuit with one more attempt made; as it was when it is not time, one is out, or nothing can be done."""
    failing = failing_one(circuit, around)
    if failing is None or around.probing or not _due(circuit, around):
        return circuit, None
    sighted = aimed(circuit, failing)
    first, *rest = around.restarts.get(sighted.child) or (None,)
    if first is None:
        return circuit, None
    begun = replace(
        sighted,
        attempt=circuit.attempt + 1,
        restarts=(*recent(circuit, around), around.now),
        probe_ended=0,
        sent_to=first.child,
        sent_at=around.now,
        errands=tuple(errand for errand in rest if errand),
    )
    return begun, first


def fails(circuit: Circuit, around: Round) -> list[Failing]:
    """The checks that fail now, as far as what they read was seen after the last probe's end."""
    return [
        (seen.check, seen.verdict)
        for seen in around.evaluations
        if isinstance(seen.verdict, Fail) and seen.seen_at > circuit.probe_ended
    ]


def failing_one(circuit: Circuit, around: Round) -> Failing | None:
    """What asks for a restart: the check in the sights, else another one that is tripped."""
    found = fails(circuit, around)
    own = [failing for failing in found if failing[0].name == circuit.check]
    others = [failing for failing in found if tripped(circuit, failing[0])]
    return next(iter(own + others), None)


def aimed(circuit: Circuit, failing: Failing) -> Circuit:
    """The circuit with this check in its sights, and with the child that it would have restarted."""
    check, verdict = failing
    return replace(circuit, check=check.name, child=verdict.restart or check.restart, reason=verdict.reason)


def used(circuit: Circuit, around: Round) -> int:
    """Restarts that count against ``max_attempts``: those of this incident, or those within the window if more."""
    return max(circuit.attempt, len(recent(circuit, around)))


def most(circuit: Circuit, around: Round) -> int:
    """How many restarts the check in the sights may have."""
    own = [seen.check.attempts for seen in around.evaluations if seen.check.name == circuit.check]
    return next((most for most in own if most is not None), around.rules.max_attempts)


def _due(circuit: Circuit, around: Round) -> bool:
    """Whether the next attempt may be made; a time further off than any delay is a clock that was set back."""
    longest = max(around.rules.backoff.longest_ms(around.rules.max_attempts), around.rules.slow_probe_ms)
    return around.now >= circuit.next_attempt_at or circuit.next_attempt_at - around.now > longest


def recent(circuit: Circuit, around: Round) -> tuple[int, ...]:
    """Restarts within the sliding window; it is never cleared for another reason than time."""
    return tuple(at for at in circuit.restarts if 0 <= around.now - at < around.rules.window_ms)
