"""The client: what any Python program may ask and ask for, with neither Celery nor the user's modules loaded.

    with Client() as client:
        for supervisor in client.tree():
            print(supervisor.path, supervisor.circuit, [child.phase for child in supervisor.children])

Rules:
- It reads what workers have declared and written. What it asks for goes into the outbox, and the workers' sweep sends
  it within about two seconds; only a signal is gone on with at once, through the broker (see `waits_client`).
- Times are the store's clock in milliseconds; ages are measured there too, so this machine's clock does not matter.
- Every call answers or raises `StoreUnavailable` within seconds; nothing is repeated behind the caller's back.
- Connections open on first use and belong to the process that opened them: make a new client after a fork.
"""

import os
import time
from typing import Any, Final, Self

from supervision import settings
from supervision.beating import Heart
from supervision.coordinating import Coordination
from supervision.coordination.mailboxes import DeadLetter, MailboxView, Message
from supervision.coordination.signals import Progress, Receipt
from supervision.coordination.submissions import Submission
from supervision.events_client import Following
from supervision.listening import Listener
from supervision.mail_client import Mailbox, Mailed, sending
from supervision.mailing import Mailing
from supervision.orders_client import Ordering
from supervision.reaching import Reaching
from supervision.store.actions import Record
from supervision.store.coordinators import CoordinatorView
from supervision.store.dead_letters import GivenUp
from supervision.store.declarations import Declarations
from supervision.store.health import Facts, Health
from supervision.store.history import Past
from supervision.store.open_waits import Part, WaitView
from supervision.store.overview import Overview
from supervision.store.places import Place, place
from supervision.store.store import Store
from supervision.store.sweeps import Sweeps, SweepView
from supervision.store.swept import Swept
from supervision.store.tail import LONGEST_BLOCK_S, Tail
from supervision.store.views import ChildDescription, ChildView, SupervisorDescription, SupervisorView
from supervision.submitting import Submitting
from supervision.sweeps_client import Sweeping
from supervision.waits_client import Waiting

__all__ = [
    "ENDED",
    "ChildDescription",
    "ChildView",
    "Client",
    "CoordinatorView",
    "DeadLetter",
    "Facts",
    "GivenUp",
    "Mailbox",
    "MailboxView",
    "Message",
    "Part",
    "Past",
    "Progress",
    "Receipt",
    "Record",
    "Submission",
    "SupervisorDescription",
    "SupervisorView",
    "SweepView",
    "Swept",
    "WaitView",
]

MOST_EVENTS: Final = 20
"""Events at the end of a description."""

ENDED: Final = frozenset({"succeeded", "failed"})
"""The states of an action that is over."""


class Client(Ordering, Following, Sweeping, Waiting, Mailed, Submitting):
    """Supervisors, children, actions, events, signals, waits, coordinators and mailboxes of one ``namespace``.

    Args:
        url: the store; by default ``SUPERVISION_STORE_URL``, or else what ``app`` says, or a server on this machine.
        namespace: the first part of every key, as the workers have it; by default ``SUPERVISION_NAMESPACE``, or else
            what ``app`` says, or ``supervision``.
        broker: the broker of the workers; by default ``SUPERVISION_BROKER_URL``, or else the store.
        app: a Celery app to send through instead; see `from_app`.

    Raises:
        InvalidDeclaration: the url or the namespace is none.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        namespace: str | None = None,
        broker: str | None = None,
        app: Any = None,
    ) -> None:
        configured = settings.read(app.conf if app else {})
        self._url = url or configured.store_url
        self._store = Store(self._url, configured.namespace if namespace is None else namespace)
        broker_url = broker or os.environ.get("SUPERVISION_BROKER_URL", self._url)
        self._reaching = Reaching(broker_url, app)
        self._coordination = Coordination(self._store, self._reaching, self._reaching.publish, configured.patience)
        self._mailing = Mailing(self._store.mailboxes, sending(self._reaching.publish, self._store.outbox))
        self._heartbeat = configured.heartbeat
        self._listener, self._heart = self._ear_and_heart()
        self._overview = Overview(self._store.scripts, self._store.keys, self._store.actions)
        self._tail = Tail(self._url, self._store.keys)
        self._declared = Declarations(self._store.scripts, self._store.keys)
        self._health = Health(self._store.scripts, self._store.keys)
        self._sweeps = Sweeps(self._store.scripts, self._store.keys, self._store.actions)

    @classmethod
    def from_app(cls, app: Any) -> Self:
        """A client for what a Celery ``app`` is configured with; it sends through that app."""
        return cls(app=app)

    def now(self) -> int:
        """The store's clock."""
        return self._health.now()

    def tree(self) -> list[SupervisorView]:
        """Every declared supervisor with its children, by path."""
        return [self._overview.supervisor(declared) for declared in self._declared.all().values()]

    def get(self, path: str) -> SupervisorView | ChildView:
        """One supervisor or child; raises `NotFound` with what there is."""
        found = place(self._declared.all(), path)
        return self._seen(found) if isinstance(found, Place) else self._overview.supervisor(found)

    def describe(self, path: str, *, events: int = MOST_EVENTS) -> SupervisorDescription | ChildDescription:
        """All that is known about one supervisor or child, with its last ``events``; raises `NotFound`."""
        found = place(self._declared.all(), path)
        past = self.latest_events(events, subject=path)
        if isinstance(found, Place):
            return self._overview.described(found, self._seen(found), past)
        return self._overview.described_whole(found, past)

    def wait_for_action(self, action_id: str, timeout: float) -> Record:
        """The action at its end, or as it is after ``timeout`` seconds: its state is in `ENDED` or not."""
        deadline = time.monotonic() + timeout
        last_id = self._tail.last_id()  # before the first look, so that no end can fall between look and wait
        while True:
            record = self.action(action_id)
            left = deadline - time.monotonic()
            if record.state in ENDED or left <= 0:
                return record
            last_id = self._next_about(last_id, action_id, min(left, LONGEST_BLOCK_S))

    def facts(self) -> Facts:
        """What the server says about itself, and how old the last tick of every supervisor is."""
        asked = time.monotonic()
        before = time.time() * 1000
        now = self.now()
        round_trip = (time.monotonic() - asked) * 1000
        return Facts(
            server=self._health.facts(),
            round_trip_ms=round(round_trip, 3),
            clock_skew_ms=round(now - (before + round_trip / 2)),
            supervisors=tuple(self.tree()),
        )

    def close(self) -> None:
        """Close the connections; using the client again opens new ones.

        Coordinators registered before beat no longer and cannot wait; whoever goes on registers its name again.
        """
        self._heart.close()  # first the threads: one in the middle of a beat would find its connection gone
        self._listener.close()
        self._store.close()
        self._tail.close()
        self._reaching.close()
        self._listener, self._heart = self._ear_and_heart()  # an ended thread would serve nobody who comes later

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _ear_and_heart(self) -> tuple[Listener, Heart]:
        listener = Listener(self._url, self._store.keys.channel, self._store.waits)
        return listener, Heart(self._store.coordinators, self._heartbeat)

    def _seen(self, found: Place) -> ChildView:
        seen = self._overview.supervisor(found.supervisor)
        return next(child for child in seen.children if child.path == f"{seen.path}/{found.name}")
