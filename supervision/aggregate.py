"""The health of many as one phase, and what a supervisor tells its parent about itself."""

from collections import Counter
from collections.abc import Iterable

from supervision.branch import Summary
from supervision.circuit import Circuit, State
from supervision.decide import Plan
from supervision.derive import quarantined
from supervision.helping import Help, help_for
from supervision.model import ChildRecord, Phase
from supervision.view import View

NO_HELP = Help("", (), 0)

_WORST_FIRST = (Phase.DEGRADED, Phase.STARTING, Phase.STOPPING, Phase.RUNNING)


def health(phases: Iterable[Phase], circuit: State) -> Phase:
    """The worst of ``phases``; degraded while the circuit is not closed, stopped when nothing is meant to run.

    A stopped child is neutral: it makes nobody degraded, and where others run it does not count.
    """
    if circuit is not State.CLOSED:
        return Phase.DEGRADED
    found = set(phases)
    return next((phase for phase in _WORST_FIRST if phase in found), Phase.STOPPED)


def after(view: View, plan: Plan) -> Summary:
    """A supervisor as it is once ``plan`` is committed."""
    records = {name: seen.record for name, seen in view.children.items()}
    records |= {update.child: update.record for update in plan.updates}
    removed = {name for name, member in plan.members.members.items() if member is None}
    phases = [
        Phase.DEGRADED if name in view.children and view.children[name].unreadable else _phase(record, view.now)
        for name, record in records.items()
        if name not in removed
    ]
    circuit = plan.circuit or view.circuit
    return summary(circuit, phases, help_for(view, circuit) if circuit.incident else NO_HELP)


def _phase(record: ChildRecord | None, now: int) -> Phase:
    return Phase.STARTING if record is None else phase(record, now)


def phase(record: ChildRecord, now: int) -> Phase:
    """The phase of one child; degraded while its state is only the last one known: nobody sees it, or asks its code."""
    return Phase.DEGRADED if unobservable(record) or quarantined(record, now) else record.phase


def unobservable(record: ChildRecord) -> bool:
    """Whether nobody can see the child any more."""
    return record.unseen is not None and bool(record.unseen.incident)


def summary(circuit: Circuit, phases: Iterable[Phase], known: Help = NO_HELP) -> Summary:
    """A supervisor with this circuit and children in these ``phases``, as its parent sees it."""
    found = list(phases)
    counts = Counter(phase.value for phase in found)
    return Summary(
        circuit=circuit.state.value,
        phase=health(found, circuit.state),
        children={phase.value: counts[phase.value] for phase in Phase if counts[phase.value]},
        incident=circuit.incident,
        reason=circuit.reason if circuit.incident else "",
        opened_at=known.since,
        runbook_url=known.runbook_url,
        manual_steps=known.manual_steps,
    )
