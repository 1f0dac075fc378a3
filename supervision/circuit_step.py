"""One step of a circuit: from what it was and what is seen now to what it is next, and to at most one restart.

One function per state, found in a table; each makes one of the moves in `circuit.TRANSITIONS`, or none, and says why.
"""

from dataclasses import dataclass

from msgspec.structs import replace

from supervision.checks import Check, Fail, Ok, Unknown
from supervision.circuit import Circuit, Round, State, Streak, stable_ms, tripped
from supervision.model import Event

VERIFY_OBSERVATIONS = 2
"""Good evaluations that close a circuit: one may be the moment before it fails again."""

SLOW_PROBE_MS = 5 * 60 * 1000
"""How often an escalated circuit still tries."""

_Failing = tuple[Check, Fail]


@dataclass(frozen=True, slots=True)
class Step:
    """The next circuit, what to write into the history, and whether to send the restart probe now."""

    circuit: Circuit
    events: tuple[Event, ...] = ()
    restart: bool = False


def step(circuit: Circuit, around: Round) -> Step:
    """The one move this circuit makes in this round, if any."""
    counted = _counted(_after_probe(circuit, around), around)
    known = counted.state is State.CLOSED or any(seen.check.name == circuit.check for seen in around.evaluations)
    moved = _STEPS[counted.state](counted, around) if known else _closed(counted, around, "check no longer declared")
    return Step(_tidy(moved.circuit), moved.events, moved.restart)


def _after_probe(circuit: Circuit, around: Round) -> Circuit:
    """Note that the probe has ended: from here on, only what was seen since speaks for it."""
    if circuit.probe_ended > around.now:  # the clock was set back
        circuit = replace(circuit, probe_ended=around.now)
    if circuit.state is State.VERIFYING and around.probe.ended and not circuit.probe_ended:
        circuit = replace(circuit, probe_ended=around.probe.ended, streaks=_without_oks(circuit))
    return circuit


def _counted(circuit: Circuit, around: Round) -> Circuit:
    streaks = {seen.check.name: circuit.streaks.get(seen.check.name, Streak()) for seen in around.evaluations}
    for seen in around.evaluations:
        if seen.seen_at > circuit.probe_ended:
            streaks[seen.check.name] = streaks[seen.check.name].counted(seen.verdict, seen.mark)
    return replace(circuit, streaks=streaks)


def _tidy(circuit: Circuit) -> Circuit:
    """Forget what no rule will look at, so that a calm circuit is written once and then never again."""
    if circuit.state is not State.CLOSED:
        return circuit
    return replace(circuit, streaks={name: s for name, s in circuit.streaks.items() if s.fails})


def _while_closed(circuit: Circuit, around: Round) -> Step:
    for failing in _fails(circuit, around):
        if tripped(circuit, failing[0]):
            return _opened(circuit, failing, around)
    if not circuit.incident:
        return Step(circuit)
    calm = around.now - circuit.closed_at
    if calm < 0 or any(streak.fails for streak in circuit.streaks.values()):  # set back, or not so calm
        return Step(replace(circuit, closed_at=around.now))
    if calm >= stable_ms(circuit, around.rules) and not _unknown(circuit, around) and not around.probing:
        ended = Event("incident_ended", around.supervisor, f"{circuit.incident} stable for {calm // 1000} s")
        return Step(Circuit(streaks=circuit.streaks, restarts=_recent(circuit, around)), (ended,))
    return Step(circuit)


def _opened(circuit: Circuit, failing: _Failing, around: Round) -> Step:
    incident = circuit.incident or f"{around.supervisor}@{around.epoch}"
    opened = replace(
        _aimed(circuit, failing),
        state=State.OPEN,
        incident=incident,
        opened_at=circuit.opened_at if circuit.incident else around.now,
        next_attempt_at=around.now + around.rules.backoff.delay_ms(circuit.attempt, incident),
        probe_ended=0,
        streaks=_without_oks(circuit),
    )
    return Step(opened, (_changed(circuit, opened, around, f"{opened.check}: {opened.reason}"),))


def _while_open(circuit: Circuit, around: Round) -> Step:
    if _holds(circuit, around):
        return _closed(circuit, around, "recovered by itself")
    if _used(circuit, around) >= around.rules.max_attempts:
        return _escalated(circuit, around)
    probed = _probed(circuit, around)
    if probed is None:
        return Step(circuit)
    sent = replace(probed, state=State.VERIFYING)
    events = [_changed(circuit, sent, around, f"restart of {sent.child}, attempt {sent.attempt}")]
    remaining = around.rules.max_attempts - _used(sent, around)
    if remaining <= 1 and not circuit.warned:
        sent = replace(sent, warned=True)
        left = f"attempts_remaining: {remaining}"
        events.append(Event("escalation_near", around.supervisor, left, attempt=sent.attempt))
    return Step(sent, tuple(events), restart=True)


def _while_verifying(circuit: Circuit, around: Round) -> Step:
    if not around.probe.ended:
        return Step(circuit)
    if not around.probe.succeeded:
        return _reopened(circuit, around, f"restart of {circuit.child} failed: {around.probe.error}")
    if failing := _failing(circuit, around):
        check, verdict = failing
        return _reopened(_aimed(circuit, failing), around, f"{check.name} fails after the restart: {verdict.reason}")
    if _holds(circuit, around):
        return _closed(circuit, around, f"restart of {circuit.child} healed it")
    return Step(circuit)


def _while_escalated(circuit: Circuit, around: Round) -> Step:
    if _holds(circuit, around):
        return _closed(circuit, around, "recovered")
    probed = _probed(circuit, around)
    if probed is None:
        return Step(circuit)
    slow = replace(probed, next_attempt_at=around.now + SLOW_PROBE_MS)
    return Step(slow, (Event("slow_probe", around.supervisor, f"restart of {slow.child}"),), restart=True)


_STEPS = {
    State.CLOSED: _while_closed,
    State.OPEN: _while_open,
    State.VERIFYING: _while_verifying,
    State.ESCALATED: _while_escalated,
}


def _probed(circuit: Circuit, around: Round) -> Circuit | None:
    """The circuit with one more attempt made; None when it is not time, one is out, or nothing can be done."""
    failing = _failing(circuit, around)
    if failing is None or around.probing or not _due(circuit, around):
        return None
    aimed = _aimed(circuit, failing)
    if aimed.child not in around.restartable:
        return None
    restarts = (*_recent(circuit, around), around.now)
    return replace(aimed, attempt=circuit.attempt + 1, restarts=restarts, probe_ended=0)


def _fails(circuit: Circuit, around: Round) -> list[_Failing]:
    """The checks that fail now, as far as what they read was seen after the last probe's end."""
    return [
        (seen.check, seen.verdict)
        for seen in around.evaluations
        if isinstance(seen.verdict, Fail) and seen.seen_at > circuit.probe_ended
    ]


def _failing(circuit: Circuit, around: Round) -> _Failing | None:
    """What asks for a restart: the check in the sights, else another one that is tripped."""
    fails = _fails(circuit, around)
    own = [failing for failing in fails if failing[0].name == circuit.check]
    others = [failing for failing in fails if tripped(circuit, failing[0])]
    return next(iter(own + others), None)


def _aimed(circuit: Circuit, failing: _Failing) -> Circuit:
    """The circuit with this check in its sights, and with the child that it would have restarted."""
    check, verdict = failing
    return replace(circuit, check=check.name, child=verdict.restart or check.restart, reason=verdict.reason)


def _reopened(circuit: Circuit, around: Round, reason: str) -> Step:
    wait = around.rules.backoff.delay_ms(circuit.attempt, circuit.incident)
    opened = replace(
        circuit,
        state=State.OPEN,
        reason=reason,
        next_attempt_at=around.now + wait,
        streaks=_without_oks(circuit),
    )
    return Step(opened, (_changed(circuit, opened, around, reason),))


def _closed(circuit: Circuit, around: Round, reason: str) -> Step:
    closed = replace(circuit, state=State.CLOSED, closed_at=around.now, reason=reason)
    return Step(closed, (_changed(circuit, closed, around, reason),))


def _escalated(circuit: Circuit, around: Round) -> Step:
    escalated = replace(circuit, state=State.ESCALATED, next_attempt_at=around.now + SLOW_PROBE_MS)
    reason = f"{_used(circuit, around)} restarts did not help: {circuit.reason}"
    return Step(escalated, (_changed(circuit, escalated, around, reason),))


def _holds(circuit: Circuit, around: Round) -> bool:
    """Whether the check in the sights is ok, and was often enough in a row, and no other one is tripped."""
    own = [seen for seen in around.evaluations if seen.check.name == circuit.check]
    is_ok = all(
        isinstance(seen.verdict, Ok) and circuit.streaks[seen.check.name].oks >= VERIFY_OBSERVATIONS for seen in own
    )
    return is_ok and not any(tripped(circuit, seen.check) for seen in around.evaluations)


def _unknown(circuit: Circuit, around: Round) -> bool:
    """Whether nothing can be said about the check that opened the circuit last."""
    return any(seen.check.name == circuit.check and isinstance(seen.verdict, Unknown) for seen in around.evaluations)


def _used(circuit: Circuit, around: Round) -> int:
    """Restarts that count against ``max_attempts``: those of this incident, or those within the window if more."""
    return max(circuit.attempt, len(_recent(circuit, around)))


def _due(circuit: Circuit, around: Round) -> bool:
    """Whether the next attempt may be made; a time further off than any delay is a clock that was set back."""
    longest = max(around.rules.backoff.longest_ms(around.rules.max_attempts), SLOW_PROBE_MS)
    return around.now >= circuit.next_attempt_at or circuit.next_attempt_at - around.now > longest


def _recent(circuit: Circuit, around: Round) -> tuple[int, ...]:
    """Restarts within the sliding window; it is never cleared for another reason than time."""
    return tuple(at for at in circuit.restarts if 0 <= around.now - at < around.rules.window_ms)


def _without_oks(circuit: Circuit) -> dict[str, Streak]:
    return {name: replace(streak, oks=0) for name, streak in circuit.streaks.items()}


def _changed(before: Circuit, after: Circuit, around: Round, reason: str) -> Event:
    return Event("circuit", around.supervisor, reason, before.state.value, after.state.value, after.attempt)
