"""The history played again: what it says that is, of everything that it tells about, and what must have been counted.

Whoever plays it has it checked: each record begins where the one before it about the same thing has ended, and every
move of a circuit and of an action is one that is declared.
"""

from collections import Counter
from collections.abc import Iterable

from supervision.actions import TRANSITIONS as ACTION_MOVES
from supervision.circuit import TRANSITIONS as CIRCUIT_MOVES
from supervision.circuit import State
from supervision.store.history import Past

MEMBER_MOVES = {
    "": {"joined"},
    "joined": {"leaving", "removed"},
    "leaving": {"stays", "removed"},
    "stays": {"leaving", "removed"},
}
"""What becomes of a child that comes and goes; one that nothing makes any more is removed from anywhere."""

COUNTED = (
    *("supervisor_transitions_total", "supervisor_infrastructure_check_failures_total"),
    *("supervisor_circuit_breaker_recoveries_total", "supervisor_escalations_total"),
    *("supervisor_actions_enqueued_total", "supervisor_actions_completed_total"),
)
"""The counts of which the history tells."""

_CIRCUIT = {"open": COUNTED[1], "closed": COUNTED[2], "escalated": COUNTED[3]}


class Replayed:
    """What the records played so far lead to, by subject; ``actions`` by their ids, ``kinds`` how often which came."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.circuits: dict[str, str] = {}
        self.actions: dict[str, str] = {}
        self.members: dict[str, str] = {}
        self.revisions: dict[str, str] = {}
        self.switches: dict[str, str] = {}
        self.unobservable: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self._escalated: set[str] = set()
        self._times: dict[str, int] = {}

    def play(self, history: Iterable[Past]) -> str:
        """Go on with ``history``; answers the id of its last record, empty when there was none."""
        last = ""
        for event in history:
            last = event.id
            self.kinds[f"{event.kind} {event.after}" if event.kind in _TOLD_APART else event.kind] += 1
            if handle := _HANDLED.get(event.kind):
                handle(self, event)
        return last

    def _state(self, event: Past) -> None:
        _moved(self.states, event.subject, "", event)
        above = event.subject.rpartition("/")[0]
        self.counts[f"{COUNTED[0]}|supervisor={above}|state={event.after}"] += 1

    def _circuit(self, event: Past) -> None:
        before = self.circuits.get(event.subject, State.CLOSED.value)
        assert State(event.after) in CIRCUIT_MOVES[State(before)], event
        _moved(self.circuits, event.subject, State.CLOSED.value, event)
        again = event.after == "escalated" and event.subject in self._escalated
        by_hand = event.after == "closed" and event.reason == "reset by a person"
        if event.after == "escalated":
            self._escalated.add(event.subject)
        if event.after in _CIRCUIT and not again and not by_hand:
            self.counts[f"{_CIRCUIT[event.after]}|supervisor={event.subject}"] += 1

    def _incident_ended(self, event: Past) -> None:
        self._escalated.discard(event.subject)

    def _action(self, event: Past) -> None:
        assert event.after in ACTION_MOVES[self.actions.get(event.action, "")], event
        _moved(self.actions, event.action, "", event)
        labels = f"|supervisor={event.subject.rpartition('/')[0]}|action_type={event.reason.split(':')[0]}"
        if event.before == "":
            self.counts[f"{COUNTED[4]}{labels}"] += 1
        if event.after in {"succeeded", "failed"}:
            self.counts[f"{COUNTED[5]}{labels}|status={event.after}"] += 1

    def _member(self, event: Past) -> None:
        if event.after == "forgotten":
            self._forgotten(event.subject)
            return
        before = self.members.get(event.subject, "")
        assert event.after == "removed" or event.after in MEMBER_MOVES[before], (before, event)
        self.members[event.subject] = event.after
        if event.after == "removed":
            for found in (self.states, self.members, self.revisions, self.unobservable):
                found.pop(event.subject, None)
            for word in ("switched", "paused"):
                self.switches.pop(f"{event.subject} {word}", None)

    def _forgotten(self, supervisor: str) -> None:
        for found in (self.states, self.members, self.revisions, self.unobservable, self.switches):
            for name in [name for name in found if name.split(" ")[0].rpartition("/")[0] == supervisor]:
                del found[name]
        for found in (self.circuits, self.revisions, self.switches):  # its state is its parent's to tell
            for name in [name for name in found if name.split(" ")[0] == supervisor]:
                del found[name]
        for name in [name for name in self.counts if f"|supervisor={supervisor}|" in f"{name}|"]:
            del self.counts[name]
        self._escalated.discard(supervisor)

    def _desired(self, event: Past) -> None:
        if event.after != "refused":
            _moved(self.revisions, event.subject, "0", event)

    def _order(self, event: Past) -> None:
        for word, values in _SWITCHES.items():
            if event.before in values and event.after in values and event.before != event.after:
                self.switches[f"{event.subject} {word}"] = event.after

    def _unobservable(self, event: Past) -> None:
        assert event.subject not in self.unobservable, event
        self.unobservable[event.subject] = event.after

    def _observable(self, event: Past) -> None:
        assert self.unobservable.pop(event.subject) == event.before, event


_TOLD_APART = frozenset({"circuit", "member", "order"})

_SWITCHES = {
    "mode": {"act", "observe", "off"},
    "switched": {"enabled", "disabled"},
    "paused": {"", "paused"},
    "silenced": {"", "silenced"},
}
"""What orders switch back and forth, and the words that the history has for that."""

_HANDLED = {
    "state": Replayed._state,
    "circuit": Replayed._circuit,
    "incident_ended": Replayed._incident_ended,
    "action": Replayed._action,
    "member": Replayed._member,
    "desired": Replayed._desired,
    "order": Replayed._order,
    "unobservable": Replayed._unobservable,
    "observable": Replayed._observable,
}


def _moved(found: dict[str, str], name: str, start: str, event: Past) -> None:
    assert event.before == found.get(name, start), (found.get(name, start), event)
    found[name] = event.after
