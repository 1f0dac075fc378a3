"""Supervisors under supervisors: how a parent sees one, and what it does when that one cannot go on.

The parent has a `Branch` among its children. Nobody looks at it: every tick of the supervisor below reports its
`Summary`, which is the branch's observed document. When the circuit below has escalated, the parent answers as
it declares with ``on_escalation``:

    restart     it restarts everything below, as often as its own budget allows, and escalates when that did not help
    degrade     it carries on; the supervisor below calls people itself
    escalate    it escalates at once, to its own parent or to people

Rules:
- A parent's answer is a check like any other, named ``<child>:escalated``, which only affects the branch. It holds when
  the incident below is over, fails while it is escalated, and is unknown in between, so that a parent does not take a
  moment of calm for recovery.
- The order to restart goes to the supervisor below, which restarts its children by its own actions, each in its slot.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar

import msgspec

from supervision.actions import Run, action
from supervision.checks import Check, Seen, Verdict, fail, ok, unknown
from supervision.child import Child, state
from supervision.errors import InvalidDeclaration, NotRetryable
from supervision.model import Go, Move, Phase, Snapshot, Stay, shown


class Response(StrEnum):
    """What a parent does when a supervisor below it has escalated."""

    RESTART = "restart"
    DEGRADE = "degrade"
    ESCALATE = "escalate"


class Summary(msgspec.Struct, frozen=True):
    """A supervisor as its parent sees it: its circuit, its health, and how many children are in which phase.

    While there is an incident: since when, in store milliseconds, and what people should read and do about it.
    """

    circuit: str
    phase: Phase
    children: Mapping[str, int]
    incident: str = ""
    reason: str = ""
    opened_at: int = 0
    runbook_url: str = ""
    manual_steps: tuple[str, ...] = ()


class Branch(Child):
    """A supervisor among its parent's children."""

    kind = "supervisor"
    reported = True
    Observed: ClassVar[type] = Summary

    @state(Phase.STOPPED, initial=True)
    def stopped(self, seen: Snapshot) -> Move:
        """None of its children is meant to run."""
        return _moved("stopped", seen.observed)

    @state(Phase.STARTING)
    def starting(self, seen: Snapshot) -> Move:
        """Some of its children are not there yet."""
        return _moved("starting", seen.observed)

    @state(Phase.RUNNING)
    def running(self, seen: Snapshot) -> Move:
        """All that is meant to run below it does."""
        return _moved("running", seen.observed)

    @state(Phase.DEGRADED)
    def degraded(self, seen: Snapshot) -> Move:
        """Something below it is not as it should be, and it is at work on that."""
        return _moved("degraded", seen.observed)

    @state(Phase.DEGRADED)
    def escalated(self, seen: Snapshot) -> Move:
        """It could not heal what is below it."""
        return _moved("escalated", seen.observed)

    @state(Phase.STOPPING)
    def stopping(self, seen: Snapshot) -> Move:
        """Some of its children are on their way down."""
        return _moved("stopping", seen.observed)

    @action(retries=3)
    def restart(self, run: Run) -> None:
        """Order the supervisor below to restart all of its children; ends when it is ordered."""
        if run.restart_below is None:
            raise NotRetryable(f"{self.path}: is restarted by a worker of ours, which hands in how")
        run.restart_below()


def _moved(present: str, seen: Summary) -> Move:
    wanted = "escalated" if seen.circuit == "escalated" else seen.phase.value
    counts = ", ".join(f"{count} {phase}" for phase, count in seen.children.items())
    reason = f"{seen.reason}; {counts}" if seen.reason else counts or "no children"
    return Stay(reason) if wanted == present else Go(wanted, reason)


def valid_response(value: object, what: str) -> Response:
    """``value`` as a `Response`, else `InvalidDeclaration`."""
    if isinstance(value, str) and value in tuple(Response):
        return Response(value)
    raise InvalidDeclaration(f"{what}: on_escalation={shown(value)}: needs one of {', '.join(Response)}")


def escalated(branch: str) -> str:
    """The name of that check."""
    return f"{branch}:escalated"


def escalation_check(branch: str, response: Response) -> Check | None:
    """The check by which a parent answers the escalation of ``branch``; None when it carries on."""
    if response is Response.DEGRADE:
        return None
    return Check(
        name=escalated(branch),
        reads=(branch,),
        rule=_judged,
        restart=branch,
        trip_after=1,
        affects=frozenset({branch}),
        attempts=0 if response is Response.ESCALATE else None,
    )


def _judged(below: Seen) -> Verdict:
    summary: Summary = below.observed
    if summary.circuit == "escalated":
        return fail(f"{summary.incident} escalated: {summary.reason}")
    if summary.circuit == "closed" and not summary.incident:
        return ok()
    return unknown(f"{summary.incident or below.name} is not over yet")
