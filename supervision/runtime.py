"""The use cases: tick, collect, act, sweep. Store, publisher and the user's code meet here and nowhere else.

Each keeps nothing between two calls, and may be killed at any line: the next tick or a sweep heals what it left behind.
"""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from supervision import aggregate, limiting, looking, telling
from supervision.acting import Acting
from supervision.backoff import Backoff
from supervision.child import Child
from supervision.continuing import NOWHERE, Continuing
from supervision.coordinating import DEFAULT_PATIENCE, Coordination
from supervision.coordination.liveness import Patience
from supervision.decide import Plan, decide
from supervision.documents import told
from supervision.errors import InvalidDocument, NotFound, StoreUnavailable
from supervision.gathering import NO_PARTS, Gathering, Parts
from supervision.looking import Looker
from supervision.mailing import Mailing
from supervision.notifying import NO_HOOKS, Notifying, Wanted
from supervision.saying import log as _log
from supervision.store.actions import PROBE_LEASE_MS, Record
from supervision.store.observations import Look, Sight
from supervision.store.outbox import UNPUBLISHED_MS, Entry, Publisher
from supervision.store.store import Store
from supervision.store.ticks import LEASE_MS, LOOK_AGAIN_MS
from supervision.supervisor import Supervisor
from supervision.telemetry import lines
from supervision.view import Claim, Mode, View

REDELIVERY = Backoff(base=LOOK_AGAIN_MS / 1000, cap=300.0, jitter=0.0)
"""An action nobody starts is sent again after 5, 10, 20 … s, every 5 min at last: a deploy is no reason to give up."""


class Runtime:
    """The use cases over one store, one publisher and the declared ``supervisors``."""

    def __init__(  # noqa: PLR0913 # the composition root's: it is built in one place
        self,
        store: Store,
        publisher: Publisher,
        supervisors: Mapping[str, Supervisor],
        continuing: Continuing = NOWHERE,
        patience: Patience = DEFAULT_PATIENCE,
        *,
        parts: Parts = NO_PARTS,
        hooks: Wanted = NO_HOOKS,
    ) -> None:
        self.store = store
        self.notifying = Notifying(store, hooks, self._publish)
        self.coordination = Coordination(store, continuing, self._publish, patience)
        self.mail = Mailing(store.mailboxes, self._publish)
        self.gathering = Gathering(store, self.coordination, parts, self._publish)
        self.supervisors = supervisors
        self._publisher = publisher
        self._looker = Looker()
        self._acting = Acting(store, supervisors)

    def tick(self, supervisor: str, mode: Mode = "slot") -> str:
        """One tick, if it is ours to do: claim, load, decide, commit, publish."""
        declared = self._declared(supervisor)
        claim = self.store.ticks.claim(declared, mode)
        if not isinstance(claim, Claim):
            return claim
        try:
            with limiting.bounded():
                view = self.store.ticks.load(declared, claim)
                plan = decide(view, claim.now)
        except InvalidDocument as error:  # another version of the code is at work, and knows better
            _log.error("tick_left_to_another_version", supervisor=supervisor, error=str(error))  # it says all there is
            self.store.ticks.leave(declared, claim)
            return "unreadable"
        committed = self.store.ticks.commit(view, plan, claim)
        self._publish(committed.entries)
        if declared.parent and committed.outcome != "superseded":
            self._report(view, plan, claim)
        sent = (entry.subject for entry in committed.entries)
        telling.ticked(view, lines.committed(plan, committed.outcome, sent))
        return committed.outcome

    def collect(self, supervisor: str) -> int | None:
        """Look at all children of ``supervisor``; answers at how many, None when another process does it."""
        declared = self._declared(supervisor)
        with limiting.bounded():
            children = self.store.ticks.loading.children(declared).values()
        return self._look(declared, [child for child in children if not child.reported], periodic=True)

    def look_alone(self, path: str) -> bool:
        """Look at one child only, in a process that was started for it; whether nobody else does so already."""
        supervisor, child = self._child(path)
        look = self.store.observations.look_alone(supervisor, child.name)
        if look is not None:
            self._see(supervisor, look, [child])
        return look is not None

    def look_s(self, path: str) -> float:
        """How many seconds one look at that child may take."""
        return self._child(path)[0].observe_timeout_ms / 1000

    @property
    def worn(self) -> str:
        """Why this process had better be replaced, empty if it need not: looks that never come back."""
        return self._looker.worn()

    def run_action(self, action_id: str, *, tell: Callable[[str, Record], None] | None = None) -> str:
        """One run of one action: start, the user's code, finish, and a look at its child.

        ``tell`` hears how the run ended (``retrying``, ``failed`` …); a run that is one too many answers the state
        that the action is in, and does nothing.
        """
        record = self.store.actions.start(action_id)
        if not isinstance(record, Record):
            return record
        if tell:
            tell("running", record)
        ended, error = self._acting.run(record)
        self._publish(ended.entries)
        if tell:
            tell(ended.outcome, msgspec.structs.replace(record, error=error))
        if (child := self._acting.child(record)) and not child.reported:
            self._look(self.supervisors[record.supervisor], [child], periodic=False)
        return ended.outcome

    def sweep_due(self) -> int:
        """Look after actions whose time has come: retries, messages nobody started, runs that did not end."""
        overdue = self.store.actions.overdue()
        for record in overdue:
            try:
                self._look_after(record)
            except StoreUnavailable:
                raise
            except Exception as error:  # noqa: BLE001 # whatever is wrong with one is no reason to leave the others
                _log.exception("action_not_looked_after", action=record.id, error=told(error))
        return len(overdue)

    def sweep_outbox(self) -> int:
        """Send what was decided and not sent."""
        return self._publish(self.store.outbox.unpublished(UNPUBLISHED_MS))

    def sweep_wakes(self) -> int:
        """Wake the supervisors that a tick is missing of: it died, or the message for it is lost."""
        return self._publish(self.store.outbox.rewake([each.path for each in self.supervisors.values()], LEASE_MS))

    def sweep_history(self) -> int:
        """Remove old records of the history."""
        return self.store.history.trim()

    def sweep_forgotten(self) -> int:
        """Say again what is declared here, and forget what nobody has declared for long."""
        self.declare()
        pruned = sum(self._prune(each) for each in self.supervisors.values())
        return pruned + len(self.store.registry.forget())

    def _prune(self, supervisor: Supervisor) -> int:
        roster, made = self.store.ticks.loading.there(supervisor)
        return len(self.store.registry.prune(supervisor, made=made, source=roster.source))

    def declare(self) -> None:
        """Tell the store what this process has declared, for those that do not have the code."""
        for supervisor in self.supervisors.values():
            self.store.registry.declare(supervisor)

    def _report(self, view: View, plan: Plan, claim: Claim) -> None:
        """What the parent sees of this supervisor; said after every tick, so that one that is lost does not matter."""
        below = view.supervisor
        above = self.supervisors[below.parent]
        sight = Sight(below.name, msgspec.json.encode(aggregate.after(view, plan)).decode())
        self._publish(self.store.observations.seen(above, Look(claim.epoch, claim.now, frozenset()), [sight]))

    def _declared(self, supervisor: str) -> Supervisor:
        try:
            return self.supervisors[supervisor]
        except KeyError:
            known = ", ".join(self.supervisors) or "none"
            raise NotFound(f"no supervisor {supervisor!r} is declared in this process; declared are {known}") from None

    def _publish(self, entries: Iterable[Entry]) -> int:
        """Send and forget; what cannot be sent stays in the outbox for the sweep."""
        sent = self._publisher.publish(entries)
        self.store.outbox.published(sent)
        return len(sent)

    def _look(self, supervisor: Supervisor, children: list[Child], *, periodic: bool) -> int | None:
        look = self.store.observations.look(supervisor, children, periodic=periodic)
        if look is None:
            return None
        due = [child for child in children if not (periodic and child.name in look.not_now)]
        for some, named in looking.in_turns(due, look):
            self._see(supervisor, look, some, named=named)
        return len(due)

    def _see(self, supervisor: Supervisor, look: Look, children: list[Child], *, named: bool = False) -> None:
        for batch in self._looker.look(children, supervisor.observe_timeout_ms / 1000, named=named):
            self._publish(self.store.observations.seen(supervisor, look, batch.sights, batch.under_way))

    def _child(self, path: str) -> tuple[Supervisor, Child]:
        above, _, name = path.rpartition("/")
        declared = self._declared(above)
        children = self.store.ticks.loading.children(declared)
        return declared, children[name] if name in children else declared.child(name)

    def _expired(self, record: Record) -> bool:
        """Give up a restart probe that nobody has started in its time: what it was decided on is no longer known."""
        if not record.incident or record.state != "queued":
            return False
        why = f"nobody started it within {PROBE_LEASE_MS / 1000:g} s; does a worker consume supervision.actions?"
        ended = self.store.actions.finish(record, outcome="expired", error=why, retry=False)
        self._publish(ended.entries)
        return ended.outcome == "failed"

    def _look_after(self, record: Record) -> None:
        """One action whose time has come."""
        if record.state == "running":
            self._reap(record)
        elif not self._expired(record):
            # Each run took one message; what was sent beyond that was sent in vain, and only that makes us slower.
            look_again = REDELIVERY.delay_ms(record.sent - record.attempt + 1, record.id)
            self._publish(self.store.actions.requeue(record.id, look_again))

    def _reap(self, record: Record) -> None:
        """End a run that cannot end itself: its process died, or hangs beyond its hard limit."""
        ended = self.store.actions.finish(
            record,
            outcome="dead",
            error=f"no end within {record.timeout_ms / 1000:g} s; its process died or hung",
            delay_ms=self._acting.delay_ms(record),
        )
        self._publish(ended.entries)


SWEEPS: Mapping[str, Callable[[Runtime], int]] = {
    "due": Runtime.sweep_due,
    "outbox": Runtime.sweep_outbox,
    "wakes": Runtime.sweep_wakes,
    "history": Runtime.sweep_history,
    "forgotten": Runtime.sweep_forgotten,
    "deadlines": lambda runtime: runtime.coordination.sweep_deadlines(),
    "undelivered": lambda runtime: runtime.coordination.sweep_undelivered(),
    "gathers": lambda runtime: runtime.gathering.sweep(),
    "liveness": lambda runtime: runtime.coordination.sweep_liveness(),
    "mail": lambda runtime: runtime.mail.sweep(),
    "hooks": lambda runtime: runtime.notifying.sweep(),
    "cleared": lambda runtime: runtime.coordination.sweep_cleared() + runtime.mail.sweep_cleared(),
}
"""Sweeps by the name that beat and the command line use."""
