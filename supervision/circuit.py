"""The circuit of one supervisor: what repeated contradictions between children lead to.

    closed ──(a check failed trip_after times in a row)──> open
    open ──(its time has come: one restart probe)──> verifying
    verifying ──(restart done, checks ok on 2 newer observations)──> closed
    verifying ──(fresh failure, or the restart failed)──> open
    open, escalated ──(checks ok on 2 newer observations, by themselves)──> closed
    open ──(max_attempts used, or as many restarts within the window)──> escalated
    closed, open, escalated ──(the parent restarts everything below)──> verifying

Rules:
- Only fresh evaluations count, each once: an evaluation is as new as the oldest observation that it read. What was
  seen before a probe's end says nothing about its effect.
- A restart needs a check that fails now; nothing is restarted on trouble that was seen once and cannot be seen today.
- One check is in the sights, its child is restarted. When it holds and another one is tripped, that one's turn comes.
- Attempts return to 0 only after a stretch of calm; opening again sooner continues the same incident.
- Exactly one restart is out at a time. It is one action, or several one after the other, as the strategy says; the one
  that is out is known by its id, and what it led to is read from its child.
- Who was stopped to be started again is started, also when that restart fails before it comes to it: once per attempt,
  between two attempts, and after the last one.
- Forced open, a circuit stays open until it is reset.
- Time and identity are arguments. A circuit is a value; `circuit_step.step` returns the next one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from supervision.backoff import Backoff
from supervision.checks import Check, Fail, Ok, Unknown, Verdict
from supervision.strategy import Errand

MIN_STABLE_MS = 60_000
"""The least calm after which attempts return to 0, unless declared otherwise."""

SLOW_PROBE_MS = 5 * 60 * 1000
"""How often an escalated circuit still tries, unless declared otherwise."""

PROBE_LEASE_MS = 30_000
"""How old an action of a restart may be when it is started: later, the child may long be well, or be another one."""


class State(StrEnum):
    """Where a circuit is."""

    CLOSED = "closed"
    OPEN = "open"
    VERIFYING = "verifying"
    ESCALATED = "escalated"


TRANSITIONS: Mapping[State, Mapping[State, str]] = {
    State.CLOSED: {
        State.OPEN: "a check failed trip_after times in a row, or a person forced it",
        State.VERIFYING: "the parent restarts everything below",
    },
    State.OPEN: {
        State.VERIFYING: "the restart probe is sent",
        State.CLOSED: "recovered by itself, or reset by a person",
        State.ESCALATED: "no attempts left",
    },
    State.VERIFYING: {
        State.CLOSED: "restarted, and the checks hold; or reset by a person",
        State.OPEN: "the restart failed, or the checks still fail; or a person forced it",
    },
    State.ESCALATED: {
        State.CLOSED: "recovered by itself, by the slow probe, or reset by a person",
        State.OPEN: "a person forced it",
        State.VERIFYING: "the parent restarts everything below",
    },
}


class Streak(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one check has answered lately; ``mark`` is the newest evaluation counted."""

    fails: int = 0
    oks: int = 0
    mark: int = 0

    def counted(self, verdict: Verdict, mark: int) -> "Streak":
        """With one more fresh verdict; unknown counts for nothing, and neither does the same evaluation again."""
        if mark <= self.mark or not isinstance(verdict, (Ok, Fail)):
            return self
        if isinstance(verdict, Ok):
            return Streak(oks=self.oks + 1, mark=mark)
        return Streak(fails=self.fails + 1, mark=mark)


class Circuit(msgspec.Struct, frozen=True, omit_defaults=True):
    """The circuit at one moment; times in store milliseconds.

    ``probe`` is the id of the last restart action sent, on the child ``sent_to`` at ``sent_at``; ``errands`` are those
    that follow it. ``probe_ended`` is when the last one of them had ended, ``closed_at`` since when it has been calm.
    ``stopped`` are those who were stopped to be started again and were not started since, as far as was noted;
    ``restarting.round_of`` knows who was. ``escalated_at`` is when the incident first escalated. ``warned`` says that
    people were told that escalation is near, ``called`` that they were called, ``broken`` names the checks of which
    they were told that the check itself is wrong. ``forced`` says who forced it open, ``suspected`` since when the
    store or the network is suspected.
    """

    state: State = State.CLOSED
    incident: str = ""
    check: str = ""
    child: str = ""
    reason: str = ""
    opened_at: int = 0
    closed_at: int = 0
    attempt: int = 0
    next_attempt_at: int = 0
    probe: str = ""
    probe_ended: int = 0
    restarts: tuple[int, ...] = ()
    warned: bool = False
    streaks: dict[str, Streak] = {}
    broken: tuple[str, ...] = ()
    sent_to: str = ""
    sent_at: int = 0
    errands: tuple[Errand, ...] = ()
    stopped: tuple[str, ...] = ()
    escalated_at: int = 0
    called: bool = False
    forced: str = ""
    suspected: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """What a supervisor's declaration says about its circuit."""

    backoff: Backoff
    max_attempts: int
    window_ms: int
    slow_probe_ms: int = SLOW_PROBE_MS
    """How often an escalated circuit still tries; 0 for never."""
    stable_after_ms: int = MIN_STABLE_MS


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One check's answer; ``mark`` orders evaluations, ``seen_at`` is when the oldest observation it read began.

    ``due``: it is unknown only because the next look has not come yet.
    """

    check: Check
    verdict: Verdict
    mark: int = 0
    seen_at: int = 0
    due: bool = False


@dataclass(frozen=True, slots=True)
class Probe:
    """What became of the restart probe: ``ended`` is 0 while it runs."""

    ended: int
    succeeded: bool
    error: str = ""


@dataclass(frozen=True, slots=True)
class Round:
    """Everything one step looks at besides the circuit itself."""

    supervisor: str
    evaluations: Sequence[Evaluation]
    probe: Probe
    probing: bool
    """Whether the last probe is still in flight, whatever became of the circuit that sent it, on whatever child."""
    restarts: Mapping[str, tuple[Errand, ...]]
    """What restarts a child, by the child that failed; only what could begin right now."""
    free: frozenset[str]
    """The children that an action could be given to right now, among those that errands are waiting for."""
    stopped: tuple[str, ...]
    """Who was stopped by a restart and is not started again yet, in the declared order."""
    startable: tuple[str, ...]
    """Those of them who can be started right now, and were not tried since the last attempt."""
    rules: Rules
    now: int
    epoch: int


def suppressed(circuit: Circuit, evaluations: Sequence[Evaluation], children: Iterable[str]) -> frozenset[str]:
    """The ``children`` that ``circuit`` holds: they are given no action but those of a restart.

    A check that knows nothing now suppresses nobody: what it waits for (a dead child, one that cannot be seen) may be
    just what only derivation brings back, and a gate must never stop what would open it. One that waits for nothing
    but the next look holds them as before: after a pause of the ticks siblings are seen one after the other. A child
    that is stopped in the middle of a restart is not started by its own rules before its turn.
    """
    if circuit.state is State.CLOSED:
        return frozenset()
    if circuit.forced:
        return frozenset(children)
    waiting = frozenset(errand.child for errand in circuit.errands)
    gates = [
        seen.check
        for seen in evaluations
        if (seen.due or not isinstance(seen.verdict, Unknown))
        and (seen.check.name == circuit.check or tripped(circuit, seen.check))
    ]
    gated = (child for child in children if any(not gate.affects or child in gate.affects for gate in gates))
    return waiting | frozenset(gated)


def tripped(circuit: Circuit, check: Check) -> bool:
    """Whether ``check`` has failed often enough in a row to open the circuit, or to keep it open."""
    return circuit.streaks.get(check.name, Streak()).fails >= check.trip_after


def stable_ms(circuit: Circuit, rules: Rules) -> int:
    """The calm after which the incident is over: as declared at least, and twice the next delay."""
    return max(rules.stable_after_ms, 2 * rules.backoff.longest_ms(circuit.attempt))
