"""Asking the checks: each over the children that it reads, while all of them are fresh.

Whatever a rule does besides answering (it raises, it answers nonsense) is the same as not knowing, and is told once.
"""

from supervision import documents, freshness
from supervision.checks import Broken, Check, Fail, Ok, Seen, Unknown, Verdict
from supervision.child import RESTART_CHILD
from supervision.circuit import Evaluation
from supervision.contained import asked, fault
from supervision.derive import quarantined
from supervision.model import Event, shown
from supervision.view import ChildView, View

DYNAMIC = "dynamic children"
UNREADABLE = "unreadable children"
ORDERS = "unreadable orders"
"""The names under which they stand among what is broken; no check can have them."""

_MOST_NAMES = 10


def evaluated(check: Check, view: View, now: int) -> Evaluation:
    """What ``check`` says now; unknown while a child that it reads is not fresh, or its state is not kept up."""
    missing = [name for name in (*check.reads, check.restart) if name not in view.children]
    if missing:
        return Evaluation(check, Unknown(f"not there: {', '.join(missing)}"))
    read = [view.children[name] for name in check.reads]
    target = view.children.get(check.restart)
    off = [seen.child.name for seen in (*read, *([target] if target else [])) if resting(seen, view)]
    if off:
        return Evaluation(check, Unknown(f"switched off or leaving: {', '.join(off)}"))
    stale = [seen.child.name for seen in read if not seen.fresh(now)]
    unborn = [seen.child.name for seen in read if seen.record is None]
    if stale or unborn:
        due = not unborn and not any(freshness.missed(seen, now) for seen in read)
        return Evaluation(check, Unknown(f"not fresh: {', '.join(stale or unborn)}"), due=due)
    frozen = [seen.child.name for seen in read if seen.unreadable or (seen.record and quarantined(seen.record, now))]
    if frozen:  # in the state that it was in then, whatever has become of it
        return Evaluation(check, Unknown(f"in quarantine or unreadable: {', '.join(frozen)}"))
    looks = [seen.observation for seen in read if seen.observation]
    verdict = _judged(check, [_seen(seen) for seen in read], view)
    return Evaluation(check, verdict, mark=min(look.seq for look in looks), seen_at=min(look.at for look in looks))


def resting(seen: ChildView, view: View) -> bool:
    """Whether a child is to rest in stopped: people have switched it off, or it is leaving."""
    return seen.leaving or not view.orders.enabled(seen.child.name, declared=seen.child.enabled)


def _judged(check: Check, seen: list[Seen], view: View) -> Verdict:
    """The rule's answer; whatever else it does (raise, answer nonsense) is the same as not knowing."""
    try:
        return _sound(check, asked(check.rule, *seen), view)
    except BaseException as error:  # noqa: BLE001 # user code: contained here, shown as the reason
        return Broken(f"{check.name} raised {documents.told(fault(error))}")


def _sound(check: Check, verdict: object, view: View) -> Verdict:
    """``verdict`` if the circuit can go by it, and what is wrong with it otherwise."""
    if isinstance(verdict, Ok):
        return verdict
    if not isinstance(verdict, (Fail, Unknown)) or not isinstance(verdict.reason, str) or not verdict.reason:
        return Broken(f"{check.name} returned {shown(verdict)}; needs ok(), fail('a reason') or unknown('a reason')")
    reason = documents.clipped(verdict.reason)
    if isinstance(verdict, Unknown):
        return Unknown(reason)
    failed = verdict.restart or check.restart
    if not _can_be_restarted(failed, view):
        return Broken(f"{check.name} would restart {shown(failed)}, which is no child that can be restarted")
    return Fail(reason, verdict.restart)


def broken(view: View, evaluations: list[Evaluation]) -> tuple[str, ...]:
    """The checks that are wrong themselves, and what else is; a check that could not be asked now is as it was."""
    found = tuple(
        seen.check.name
        for seen in evaluations
        if isinstance(seen.verdict, Broken) or (not seen.mark and seen.check.name in view.circuit.broken)
    )
    return (*found, *(name for name, _ in _wrong_otherwise(view)))


def told_broken(view: View, evaluations: list[Evaluation]) -> list[Event]:
    """One record when something breaks: it decides nothing from then on, and nobody would notice."""
    wrong = [(seen.check.name, seen.verdict.reason) for seen in evaluations if isinstance(seen.verdict, Broken)]
    told = [(name, Event("check_broken", view.supervisor.path, why)) for name, why in wrong]
    return [event for name, event in (*told, *_wrong_otherwise(view)) if name not in view.circuit.broken]


def refused_document(revision: int) -> str:
    """The name under which a supervisor's document that its code cannot read stands among what is broken."""
    return f"desired document {revision}"


def _wrong_otherwise(view: View) -> list[tuple[str, Event]]:
    path, roster = view.supervisor.path, view.roster
    unreadable = [seen for seen in view.children.values() if seen.unreadable]
    wrong: list[tuple[str, Event]] = []
    if roster.error:
        wrong.append((DYNAMIC, Event("check_broken", path, f"the function of dynamic children: {roster.error}")))
    if roster.misfit:
        told = Event("desired", path, roster.misfit, str(roster.revision), "refused")
        wrong.append((refused_document(roster.revision), told))
    if unreadable:
        names = ", ".join(seen.child.name for seen in unreadable[:_MOST_NAMES])
        why = f"{len(unreadable)} children were written by other code and are left alone ({names}): "
        wrong.append((UNREADABLE, Event("check_broken", path, f"{why}{unreadable[0].unreadable}")))
    return wrong


def _seen(seen: ChildView) -> Seen:
    record, observation = seen.record, seen.observation
    assert record is not None and observation is not None  # noqa: S101, PT018 # only fresh, born children get here
    return Seen(seen.child.name, record.state, record.phase, observation.document)


def _can_be_restarted(name: str, view: View) -> bool:
    found = view.children.get(name)
    return found is not None and found.child.spec(RESTART_CHILD) is not None
