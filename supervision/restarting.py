"""What a circuit needs to know of the children to restart them, and what becomes of the restart that it asks for."""

from msgspec.structs import replace

from supervision import derive
from supervision.actions import RECONFIGURE
from supervision.checks import Fail
from supervision.child import RESTART_CHILD, START
from supervision.circuit import Circuit, Evaluation, Probe, Round, Rules, State
from supervision.circuit_step import Step
from supervision.evaluate import resting
from supervision.model import Event, Phase, Reservation
from supervision.orders import Mode
from supervision.strategy import Errand, errands, group
from supervision.supervisor import Supervisor
from supervision.view import ChildView, View


def round_of(view: View, evaluations: list[Evaluation], now: int, *, blind: bool) -> Round:
    """All that the circuit's step looks at; while ``blind``, nothing can be restarted."""
    declared, circuit = view.supervisor, view.circuit
    wanted = {name for seen in evaluations for name in _restarts(seen)}
    plans = {} if blind else {name: _plan(name, view) for name in wanted}
    waiting = set() if blind else {errand.child for errand in circuit.errands}
    return Round(
        supervisor=declared.path,
        evaluations=evaluations,
        probe=_probe(circuit, view, now),
        probing=any(seen.in_flight and seen.in_flight == circuit.probe for seen in view.children.values()),
        restarts={name: plan for name, plan in plans.items() if plan and _free(plan[0].child, view, now)},
        free=frozenset(name for name in waiting if _free(name, view, now)),
        stopped=(stopped := _still_stopped(view)),
        startable=() if blind else tuple(name for name in stopped if _startable(name, view, now)),
        rules=rules_of(declared),
        now=now,
        epoch=view.epoch,
    )


def of_those_who_are_there(view: View) -> Circuit:
    """The circuit without errands for children that were removed meanwhile: nobody could take them."""
    left = tuple(errand for errand in view.circuit.errands if errand.child in view.children)
    return replace(view.circuit, errands=left) if len(left) < len(view.circuit.errands) else view.circuit


def rules_of(declared: Supervisor) -> Rules:
    """What a declaration says about its circuit."""
    return Rules(
        backoff=declared.restart,
        max_attempts=declared.max_attempts,
        window_ms=declared.window_ms,
        slow_probe_ms=declared.slow_probe_ms,
        stable_after_ms=declared.stable_after_ms,
    )


def everything(view: View) -> tuple[Errand, ...]:
    """What restarts all children of a supervisor that are meant to run, and the one that failed."""
    found = view.children.items()
    return errands([seen.child for name, seen in found if _goes_along(name, view) or _failed(name, view)])


def refused(view: View) -> str:
    """Why nothing comes of an order to restart everything below, and what would be right; empty when it is followed."""
    path, mode, circuit = view.supervisor.path, view.orders.mode, view.circuit
    if mode is not Mode.ACT:
        return f"{path} is in the mode {mode}, so nothing below it is restarted; first: supervision mode {path} act"
    if circuit.forced:
        first = f"supervision reset {path} --incident {circuit.incident}"
        return f"{path} is forced open by {circuit.forced}, so nothing below it is restarted; first: {first}"
    if everything(view):
        return ""
    names = list(view.children)
    told = [f"{name} {_kept_from(name, view)}" for name in names[:_MOST_NAMES]]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    why = ", ".join(told) + more if told else "it has none"
    return f"{path}: none of its children can be restarted now ({why}); resume, enable or start one of them first"


_MOST_NAMES = 10


def _kept_from(name: str, view: View) -> str:
    """What keeps a child from being restarted with the others."""
    seen = view.children[name]
    reasons = {
        "leaves": seen.leaving,
        "is disabled": resting(seen, view),
        "is paused": view.orders.paused_until(name, view.now),
        "cannot be read or seen": not _within_reach(name, view),
        "was seen by no tick yet": seen.record is None,
        "is stopped": not _meant_to_run(name, view),
    }
    return next((reason for reason, holds in reasons.items() if holds), "offers no restart")


def _failed(name: str, view: View) -> bool:
    """Whether it is the child in the sights of an open circuit: that one is dead, and still meant to run."""
    open_now = view.circuit.state is not State.CLOSED and name == view.circuit.child
    return open_now and not resting(view.children[name], view) and _within_reach(name, view)


def with_probe(stepped: Step, view: View) -> tuple[Circuit, Reservation | None]:
    """The circuit that knows its probe, and the probe's reservation: one run, without retries of its own."""
    circuit, errand = stepped.circuit, stepped.errand
    seen = view.children.get(errand.child) if errand else None
    spec = seen.child.spec(errand.action) if seen and errand else None
    if seen is None or spec is None:
        return circuit, None
    probe = derive.reservation(seen, spec.called(spec.name, retries=0), circuit.reason, view.epoch)
    return replace(circuit, probe=probe.id), replace(probe, incident=circuit.incident)


def called(circuit: Circuit, view: View, now: int) -> tuple[Circuit, tuple[Event, ...]]:
    """The circuit that has called for help, once per incident: unless a parent answers, and not into a silence."""
    due = circuit.state is State.ESCALATED and not circuit.called
    if not due or view.heard_above or view.orders.silenced(now) or view.orders.mode is not Mode.ACT:
        return circuit, ()
    call = Event("escalation", view.supervisor.path, circuit.reason, after=circuit.incident, attempt=circuit.attempt)
    return replace(circuit, called=True), (call,)


def _restarts(seen: Evaluation) -> tuple[str, ...]:
    """The child that this evaluation asks to restart, if it asks."""
    return (seen.verdict.restart or seen.check.restart,) if isinstance(seen.verdict, Fail) else ()


def _plan(failed: str, view: View) -> tuple[Errand, ...]:
    """What restarts ``failed`` and those that the strategy restarts with it, as far as they are meant to run."""
    names = group(view.supervisor.strategy, failed, tuple(view.children)) if failed in view.children else ()
    return errands([view.children[name].child for name in names if name == failed or _goes_along(name, view)])


def _goes_along(name: str, view: View) -> bool:
    return _meant_to_run(name, view) and _within_reach(name, view)


def _meant_to_run(name: str, view: View) -> bool:
    seen = view.children[name]
    runs = seen.record is not None and (seen.record.phase is not Phase.STOPPED or name in view.circuit.stopped)
    return runs and not resting(seen, view)


def _still_stopped(view: View) -> tuple[str, ...]:
    """Those whom a restart has stopped, without those who are gone or were started since, by whomever."""
    stopped = view.circuit.stopped
    there = [name for name in view.children if name in stopped] if stopped else []
    return tuple(name for name in there if not _started(view.children[name]))


def _started(seen: ChildView) -> bool:
    last = seen.last_action
    return not seen.in_flight and last is not None and last.name in _STARTING and last.outcome == "succeeded"


_STARTING = frozenset({START, RESTART_CHILD, RECONFIGURE})


def _startable(name: str, view: View, now: int) -> bool:
    """Whether it can be started now; one try in each attempt, so that a start that fails is no hot loop."""
    last, seen = view.children[name].last_action, view.children[name]
    tried = last is not None and last.name == START and last.ended >= max(view.circuit.restarts, default=0)
    return START in seen.child.actions and not tried and _free(name, view, now)


def _within_reach(name: str, view: View) -> bool:
    """Whether it can be restarted with others: waiting for one that nobody sees would leave them all as they are."""
    seen = view.children[name]
    unseen = seen.record is not None and seen.record.unseen is not None and seen.record.unseen.incident
    return not (seen.unreadable or unseen or view.orders.paused_until(name, view.now))


def _free(name: str, view: View, now: int) -> bool:
    """Whether an action could be given now: not blindly, not beside another action, and not against an order."""
    seen = view.children.get(name)
    if seen is None or seen.unreadable or resting(seen, view):
        return False
    allowed = view.orders.mode is Mode.ACT and not view.orders.paused_until(name, now)
    return allowed and seen.ready(now)


def _sent_before(circuit: Circuit, view: View, now: int) -> Probe:
    """Ordered from above, and nothing was sent since: a probe of the time before comes to its end first."""
    if any(seen.in_flight and seen.in_flight == circuit.probe for seen in view.children.values()):
        return Probe(0, succeeded=False)
    ends = [seen.last_action for seen in view.children.values() if seen.last_action]
    ended = max((last.ended for last in ends if last.id == circuit.probe), default=0)
    return Probe(max(circuit.next_attempt_at or now, min(ended, now)), succeeded=True)


def _probe(circuit: Circuit, view: View, now: int) -> Probe:
    """What became of the probe. If another action ended after it, that one's end is the news about the child."""
    if not circuit.sent_to and not circuit.child:
        return _sent_before(circuit, view, now)
    name = circuit.sent_to or circuit.child
    target = view.children.get(name)
    if target is None:
        return Probe(now, succeeded=False, error=f"child {name!r} is no longer declared")
    last, sent = target.last_action, circuit.sent_at or max(circuit.restarts, default=0)
    if target.in_flight or (last and now < last.ended < now + view.supervisor.stale_after_ms):
        return Probe(0, succeeded=False)  # it runs, or ended after this tick began
    if last and (last.id == circuit.probe or last.ended >= sent):
        return Probe(last.ended, succeeded=last.outcome == "succeeded", error=last.error)
    return Probe(now, succeeded=False, error="the probe is gone without an end; the store lost writes")
