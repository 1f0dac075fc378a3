"""One step of a circuit: from what it was and what is seen now to what it is next, and to at most one restart.

One function per state, found in a table; each makes one of the moves in `circuit.TRANSITIONS`, or none, and says why.
"""

from dataclasses import dataclass

from msgspec.structs import replace

from supervision.attempts import Failing, aimed, failing_one, fails, most, probed, recent, used
from supervision.checks import Ok, Unknown
from supervision.child import START, STOP
from supervision.circuit import PROBE_LEASE_MS, Circuit, Round, State, Streak, stable_ms, tripped
from supervision.model import Event
from supervision.strategy import Errand

VERIFY_OBSERVATIONS = 2
"""Good evaluations that close a circuit: one may be the moment before it fails again."""


@dataclass(frozen=True, slots=True)
class Step:
    """The next circuit, what to write into the history, and the restart's action to send now, if any."""

    circuit: Circuit
    events: tuple[Event, ...] = ()
    errand: Errand | None = None


def step(circuit: Circuit, around: Round) -> Step:
    """The one move this circuit makes in this round, if any."""
    counted = _counted(_after_probe(circuit, around), around)
    if counted.state is State.OPEN and counted.forced:
        return Step(counted)
    declared = not circuit.check or any(seen.check.name == circuit.check for seen in around.evaluations)
    known = counted.state is State.CLOSED or declared
    moved = _STEPS[counted.state](counted, around) if known else _closed(counted, around, "check no longer declared")
    return Step(_tidy(_noted(moved)), moved.events, moved.errand)


def _noted(moved: Step) -> Circuit:
    """The circuit that remembers whom it stops, until that one is started."""
    errand, stopped = moved.errand, moved.circuit.stopped
    if errand is None or errand.action != STOP or errand.child in stopped:
        return moved.circuit
    return replace(moved.circuit, stopped=(*stopped, errand.child))


def _after_probe(circuit: Circuit, around: Round) -> Circuit:
    """Note that the probe has ended: from here on, only what was seen since speaks for it."""
    circuit = replace(circuit, stopped=around.stopped)
    if circuit.probe_ended > around.now:  # the clock was set back
        circuit = replace(circuit, probe_ended=around.now)
    over = around.probe.ended and not circuit.errands
    if circuit.state is State.VERIFYING and over and not circuit.probe_ended:
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
    return replace(circuit, streaks={name: s for name, s in circuit.streaks.items() if s.fails}, stopped=())


def _while_closed(circuit: Circuit, around: Round) -> Step:
    for failing in fails(circuit, around):
        if tripped(circuit, failing[0]):
            return _opened(circuit, failing, around)
    if not circuit.incident:
        return Step(circuit)
    calm = around.now - circuit.closed_at
    if calm < 0 or any(streak.fails for streak in circuit.streaks.values()):  # set back, or not so calm
        return Step(replace(circuit, closed_at=around.now))
    if calm >= stable_ms(circuit, around.rules) and not _unknown(circuit, around) and not around.probing:
        ended = Event("incident_ended", around.supervisor, f"{circuit.incident} stable for {calm // 1000} s")
        over = Circuit(streaks=circuit.streaks, restarts=recent(circuit, around), suspected=circuit.suspected)
        return Step(over, (ended,))
    return Step(circuit)


def _opened(circuit: Circuit, failing: Failing, around: Round) -> Step:
    incident = circuit.incident or f"{around.supervisor}@{around.epoch}"
    opened = replace(
        aimed(circuit, failing),
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
    if used(circuit, around) >= most(circuit, around):
        return _escalated(circuit, around)
    begun, errand = probed(circuit, around)
    if errand is None:
        return _started_again(circuit, around)
    sent = replace(begun, state=State.VERIFYING)
    events = [_changed(circuit, sent, around, f"restart of {sent.child}, attempt {sent.attempt}")]
    remaining = most(circuit, around) - used(sent, around)
    if remaining <= 1 and not circuit.warned:
        sent = replace(sent, warned=True)
        left = f"attempts_remaining: {remaining}"
        events.append(Event("escalation_near", around.supervisor, left, attempt=sent.attempt))
    return Step(sent, tuple(events), errand)


def _while_verifying(circuit: Circuit, around: Round) -> Step:
    if not around.probe.ended:
        return Step(circuit)
    if not around.probe.succeeded:
        return _reopened(circuit, around, f"restart of {circuit.sent_to or circuit.child} failed: {around.probe.error}")
    if circuit.errands:
        return _continued(circuit, around)
    if failing := failing_one(circuit, around):
        check, verdict = failing
        return _reopened(aimed(circuit, failing), around, f"{check.name} fails after the restart: {verdict.reason}")
    if _holds(circuit, around):
        all_of_them = "everything was restarted" if circuit.sent_to else "recovered by itself"
        healed = f"restart of {circuit.child} healed it" if circuit.child else all_of_them
        return _closed(circuit, around, healed)
    return Step(circuit)


def _continued(circuit: Circuit, around: Round) -> Step:
    """The restart's next action, as soon as its child can take one, which it must within the lease."""
    errand, *rest = circuit.errands
    if errand.child in around.free:
        return Step(replace(circuit, sent_to=errand.child, sent_at=around.now, errands=tuple(rest)), (), errand)
    if around.now - around.probe.ended > PROBE_LEASE_MS:
        return _reopened(
            circuit, around, f"{errand.child} could not take {errand.action!r} for {PROBE_LEASE_MS // 1000} s"
        )
    return Step(circuit)


def _while_escalated(circuit: Circuit, around: Round) -> Step:
    if _holds(circuit, around):
        return _closed(circuit, around, "recovered")
    if circuit.errands and around.probe.ended:
        return _continued_slowly(circuit, around)
    begun, errand = probed(circuit, around) if around.rules.slow_probe_ms else (circuit, None)
    if errand is None:
        return _started_again(circuit, around)
    slow = replace(begun, next_attempt_at=_slowly(around))
    return Step(slow, (Event("slow_probe", around.supervisor, f"restart of {slow.child}"),), errand)


def _started_again(circuit: Circuit, around: Round) -> Step:
    """The start of one that a restart has stopped and that it did not come to, while nothing of it is out."""
    if circuit.errands or around.probing or not around.probe.ended or not around.startable:
        return Step(circuit)
    name = around.startable[0]
    return Step(replace(circuit, sent_to=name, sent_at=around.now), (), Errand(name, START))


def _slowly(around: Round) -> int:
    """When the next slow probe is due, 0 if none is."""
    return around.now + around.rules.slow_probe_ms if around.rules.slow_probe_ms else 0


def _continued_slowly(circuit: Circuit, around: Round) -> Step:
    """The slow probe's next action; one that cannot go on is given up, and the next slow probe begins anew."""
    step = _continued(circuit, around) if around.probe.succeeded else _reopened(circuit, around, around.probe.error)
    return step if step.circuit.state is State.ESCALATED else Step(replace(circuit, errands=()))


_STEPS = {
    State.CLOSED: _while_closed,
    State.OPEN: _while_open,
    State.VERIFYING: _while_verifying,
    State.ESCALATED: _while_escalated,
}


def _reopened(circuit: Circuit, around: Round, reason: str) -> Step:
    wait = around.rules.backoff.delay_ms(circuit.attempt, circuit.incident)
    opened = replace(
        circuit,
        state=State.OPEN,
        reason=reason,
        next_attempt_at=around.now + wait,
        streaks=_without_oks(circuit),
        errands=(),
    )
    return Step(opened, (_changed(circuit, opened, around, reason),))


def _closed(circuit: Circuit, around: Round, reason: str) -> Step:
    closed = replace(circuit, state=State.CLOSED, closed_at=around.now, reason=reason, errands=())
    return Step(closed, (_changed(circuit, closed, around, reason),))


def _escalated(circuit: Circuit, around: Round) -> Step:
    count = used(circuit, around)
    escalated = replace(
        circuit,
        state=State.ESCALATED,
        reason=f"{count} restart{'s' * (count != 1)} did not help: {circuit.reason}" if count else circuit.reason,
        next_attempt_at=_slowly(around),
        escalated_at=circuit.escalated_at or around.now,
    )
    return Step(escalated, (_changed(circuit, escalated, around, escalated.reason),))


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


def _without_oks(circuit: Circuit) -> dict[str, Streak]:
    return {name: replace(streak, oks=0) for name, streak in circuit.streaks.items()}


def _changed(before: Circuit, after: Circuit, around: Round, reason: str) -> Event:
    return Event("circuit", around.supervisor, reason, before.state.value, after.state.value, after.attempt)
