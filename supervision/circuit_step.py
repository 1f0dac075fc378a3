"""One step of a circuit: from what it was and what is seen now to what it is next, and to at most one restart.

One function per state, found in a table; each says which of the moves in `circuit.TRANSITIONS` is made, and why.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from supervision.checks import Check, Fail, Ok, Verdict
from supervision.circuit import Circuit, Rules, State, Streak, stable_ms
from supervision.model import Event

VERIFY_OBSERVATIONS = 2
"""Good evaluations that close a circuit: one may be the moment before it fails again."""

SLOW_PROBE_MS = 5 * 60 * 1000
"""How often an escalated circuit still tries."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One check's answer; ``mark`` orders evaluations, ``seen_at`` is when the oldest observation it read began."""

    check: Check
    verdict: Verdict
    mark: int = 0
    seen_at: int = 0


@dataclass(frozen=True, slots=True)
class Probe:
    """What became of the restart probe: ``ended`` is 0 while it runs."""

    ended: int
    succeeded: bool
    error: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """The next circuit, what to write into the history, and whether to send the restart probe now."""

    circuit: Circuit
    events: tuple[Event, ...] = ()
    restart: bool = False


@dataclass(frozen=True, slots=True)
class Round:
    """Everything one step looks at besides the circuit itself."""

    supervisor: str
    evaluations: Sequence[Evaluation]
    probe: Probe | None
    busy: bool
    """Whether the child to restart has an action in flight, so that a probe would be refused."""
    rules: Rules
    now: int
    epoch: int


def step(circuit: Circuit, around: Round) -> Step:
    """The one move this circuit makes in this round, if any."""
    counted = _counted(circuit, around.evaluations)
    known = counted.state is State.CLOSED or any(seen.check.name == circuit.check for seen in around.evaluations)
    moved = _STEPS[counted.state](counted, around) if known else _closed(counted, around, "check no longer declared")
    return Step(_tidy(moved.circuit), moved.events, moved.restart)


def _counted(circuit: Circuit, evaluations: Sequence[Evaluation]) -> Circuit:
    streaks = {
        seen.check.name: circuit.streaks.get(seen.check.name, Streak()).counted(seen.verdict, seen.mark)
        for seen in evaluations
    }
    return msgspec.structs.replace(circuit, streaks=streaks)


def _tidy(circuit: Circuit) -> Circuit:
    """Forget what no rule will look at, so that a calm circuit is written once and then never again."""
    if circuit.state is not State.CLOSED:
        return circuit
    return msgspec.structs.replace(circuit, streaks={name: s for name, s in circuit.streaks.items() if s.fails})


def _while_closed(circuit: Circuit, around: Round) -> Step:
    for seen in around.evaluations:
        verdict = seen.verdict
        if isinstance(verdict, Fail) and circuit.streaks[seen.check.name].fails >= seen.check.trip_after:
            return _opened(circuit, seen.check, verdict, around)
    calm = around.now - circuit.closed_at
    if circuit.incident and calm >= stable_ms(circuit, around.rules):
        ended = Event("incident_ended", around.supervisor, f"{circuit.incident} stable for {calm // 1000} s")
        return Step(Circuit(streaks=circuit.streaks, restarts=_recent(circuit, around)), (ended,))
    return Step(circuit)


def _opened(circuit: Circuit, check: Check, verdict: Fail, around: Round) -> Step:
    again = bool(circuit.incident)
    incident = circuit.incident or f"{around.supervisor}@{around.epoch}"
    wait = around.rules.backoff.delay_ms(circuit.attempt, incident)
    opened = msgspec.structs.replace(
        circuit,
        state=State.OPEN,
        incident=incident,
        check=check.name,
        child=verdict.restart or check.restart,
        reason=verdict.reason,
        opened_at=circuit.opened_at if again else around.now,
        next_attempt_at=around.now + wait,
        probe="",
        probe_ended=0,
        streaks=_without_oks(circuit),
    )
    return Step(opened, (_changed(circuit, opened, around, f"{check.name}: {verdict.reason}"),))


def _while_open(circuit: Circuit, around: Round) -> Step:
    if _holds(circuit, around, after=0):
        return _closed(circuit, around, "recovered by itself")
    if circuit.attempt >= around.rules.max_attempts or len(_recent(circuit, around)) >= around.rules.max_attempts:
        return _escalated(circuit, around)
    if around.busy or not _due(circuit, around):
        return Step(circuit)
    probed = _probing(circuit, around, State.VERIFYING)
    events = [_changed(circuit, probed, around, f"restart of {circuit.child}, attempt {probed.attempt}")]
    if probed.attempt == around.rules.max_attempts - 1:
        events.append(Event("escalation_near", around.supervisor, "attempts_remaining: 1", attempt=probed.attempt))
    return Step(probed, tuple(events), restart=True)


def _while_verifying(circuit: Circuit, around: Round) -> Step:
    if around.probe is None or not around.probe.ended:
        return Step(circuit)
    if not around.probe.succeeded:
        return _reopened(circuit, around, f"restart of {circuit.child} failed: {around.probe.error}")
    ended = around.probe.ended
    if circuit.probe_ended != ended:
        circuit = msgspec.structs.replace(circuit, probe_ended=ended, streaks=_without_oks(circuit))
        circuit = _counted(circuit, [seen for seen in around.evaluations if seen.seen_at > ended])
    for seen in around.evaluations:
        if isinstance(seen.verdict, Fail) and seen.seen_at > ended and seen.check.name == circuit.check:
            return _reopened(circuit, around, f"{seen.check.name} still fails: {seen.verdict.reason}")
    if _holds(circuit, around, after=ended):
        return _closed(circuit, around, f"restart of {circuit.child} healed it")
    return Step(circuit)


def _while_escalated(circuit: Circuit, around: Round) -> Step:
    if _holds(circuit, around, after=0):
        return _closed(circuit, around, "recovered")
    if around.busy or not _due(circuit, around):
        return Step(circuit)
    probed = _probing(circuit, around, State.ESCALATED)
    slow = msgspec.structs.replace(probed, next_attempt_at=around.now + SLOW_PROBE_MS)
    return Step(slow, (Event("slow_probe", around.supervisor, f"restart of {circuit.child}"),), restart=True)


_STEPS = {
    State.CLOSED: _while_closed,
    State.OPEN: _while_open,
    State.VERIFYING: _while_verifying,
    State.ESCALATED: _while_escalated,
}


def _probing(circuit: Circuit, around: Round, state: State) -> Circuit:
    return msgspec.structs.replace(
        circuit,
        state=state,
        attempt=circuit.attempt + 1,
        restarts=(*_recent(circuit, around), around.now),
        probe_ended=0,
    )


def _reopened(circuit: Circuit, around: Round, reason: str) -> Step:
    wait = around.rules.backoff.delay_ms(circuit.attempt, circuit.incident)
    opened = msgspec.structs.replace(
        circuit,
        state=State.OPEN,
        reason=reason,
        next_attempt_at=around.now + wait,
        streaks=_without_oks(circuit),
    )
    return Step(opened, (_changed(circuit, opened, around, reason),))


def _closed(circuit: Circuit, around: Round, reason: str) -> Step:
    closed = msgspec.structs.replace(circuit, state=State.CLOSED, closed_at=around.now, reason=reason)
    return Step(closed, (_changed(circuit, closed, around, reason),))


def _escalated(circuit: Circuit, around: Round) -> Step:
    escalated = msgspec.structs.replace(circuit, state=State.ESCALATED, next_attempt_at=around.now + SLOW_PROBE_MS)
    reason = f"{circuit.attempt} restarts of {circuit.child} did not help: {circuit.reason}"
    return Step(escalated, (_changed(circuit, escalated, around, reason),))


def _holds(circuit: Circuit, around: Round, *, after: int) -> bool:
    """Whether the tripped check was ok often enough, lately and since ``after``, and no other is tripped."""
    streak = circuit.streaks.get(circuit.check, Streak())
    fresh = any(
        seen.check.name == circuit.check and isinstance(seen.verdict, Ok) and seen.seen_at > after
        for seen in around.evaluations
    )
    tripped = any(circuit.streaks[seen.check.name].fails >= seen.check.trip_after for seen in around.evaluations)
    return fresh and streak.oks >= VERIFY_OBSERVATIONS and not tripped


def _due(circuit: Circuit, around: Round) -> bool:
    """Whether the next attempt may be made; a time further off than any delay is a clock that was set back."""
    longest = max(around.rules.backoff.longest_ms(around.rules.max_attempts), SLOW_PROBE_MS)
    return around.now >= circuit.next_attempt_at or circuit.next_attempt_at - around.now > longest


def _recent(circuit: Circuit, around: Round) -> tuple[int, ...]:
    """Restarts within the sliding window; it is never cleared for another reason than time."""
    return tuple(at for at in circuit.restarts if 0 <= around.now - at < around.rules.window_ms)


def _without_oks(circuit: Circuit) -> dict[str, Streak]:
    return {name: msgspec.structs.replace(streak, oks=0) for name, streak in circuit.streaks.items()}


def _changed(before: Circuit, after: Circuit, around: Round, reason: str) -> Event:
    return Event("circuit", around.supervisor, reason, before.state.value, after.state.value, after.attempt)
