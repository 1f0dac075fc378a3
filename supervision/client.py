"""The client: what any Python program may ask and ask for, with neither Celery nor the user's modules loaded.

    with Client() as client:
        for supervisor in client.tree():
            print(supervisor.path, supervisor.circuit, [child.phase for child in supervisor.children])

Rules:
- It reads what workers have declared and written. It publishes nothing: what it asks for goes into the outbox, and the
  workers' sweep sends it within about two seconds.
- Times are the store's clock in milliseconds; ages are measured there too, so this machine's clock does not matter.
- Every call answers or raises `StoreUnavailable` within seconds; nothing is repeated behind the caller's back.
- Connections open on first use and belong to the process that opened them: make a new client after a fork.
"""

import time
import uuid
from collections.abc import Iterator
from typing import Final, Self

from supervision import settings
from supervision.child import RESTART_CHILD
from supervision.errors import Conflict, InvalidDeclaration, NotFound, StoreUnavailable
from supervision.model import Reservation, valid_name
from supervision.orders_client import Ordering, line
from supervision.store.actions import Record
from supervision.store.health import Facts, Health
from supervision.store.history import Past
from supervision.store.keys import DEFAULT_NAMESPACE
from supervision.store.overview import ChildDescription, ChildView, Overview, SupervisorDescription, SupervisorView
from supervision.store.places import Place, child_place, place
from supervision.store.store import Store
from supervision.store.tail import LONGEST_BLOCK_S, Tail, about, newer_than

__all__ = [
    "ENDED",
    "ChildDescription",
    "ChildView",
    "Client",
    "Facts",
    "Past",
    "Record",
    "SupervisorDescription",
    "SupervisorView",
]

MOST_EVENTS: Final = 20
"""Events at the end of a description."""

OUTAGE_S: Final = 60.0
"""Seconds without the store after which following its events gives up."""

RECONNECT_S: Final = 0.5
"""Seconds between two tries to go on following; a store that restarts is back within one or two."""

ENDED: Final = frozenset({"succeeded", "failed"})
"""The states of an action that is over."""


class Client(Ordering):
    """Supervisors, children, actions and events of one ``namespace``.

    Args:
        url: the store; by default ``SUPERVISION_STORE_URL``, or else a server on this machine.
        namespace: the first part of every key, as the workers have it.

    Raises:
        InvalidDeclaration: the url or the namespace is none.
    """

    def __init__(self, url: str | None = None, *, namespace: str = DEFAULT_NAMESPACE) -> None:
        self._url = url or settings.read({}).store_url
        try:
            self._store = Store(self._url, namespace)
        except ValueError as error:
            if isinstance(error, InvalidDeclaration):
                raise
            # Not chained, and without the address: the parser's sentence quotes parts of it, a password among them.
            raise InvalidDeclaration(
                "the store's address cannot be read; it is redis://, rediss:// or unix://, for example "
                f"{settings.DEFAULT_STORE_URL}, and in a password / # ? @ and % are written %2F %23 %3F %40 and %25"
            ) from None
        self._overview = Overview(self._store.scripts, self._store.keys, self._store.actions)
        self._tail = Tail(self._url, self._store.keys)
        self._health = Health(self._store.scripts, self._store.keys)

    def now(self) -> int:
        """The store's clock."""
        return self._health.now()

    def tree(self) -> list[SupervisorView]:
        """Every declared supervisor with its children, by path."""
        return [self._overview.supervisor(declared) for declared in self._store.registry.all().values()]

    def get(self, path: str) -> SupervisorView | ChildView:
        """One supervisor or child; raises `NotFound` with what there is."""
        found = place(self._store.registry.all(), path)
        return self._seen(found) if isinstance(found, Place) else self._overview.supervisor(found)

    def describe(self, path: str, *, events: int = MOST_EVENTS) -> SupervisorDescription | ChildDescription:
        """All that is known about one supervisor or child, with its last ``events``; raises `NotFound`."""
        found = place(self._store.registry.all(), path)
        past = self.latest_events(events, subject=path)
        if isinstance(found, Place):
            return self._overview.described(found, self._seen(found), past)
        return SupervisorDescription(supervisor=self._overview.supervisor(found), events=tuple(past))

    def restart(self, path: str, *, by: str, reason: str, request_id: str | None = None) -> Record:
        """Ask for a restart of one child, on behalf of ``by``; answers the action as it is in the store.

        Workers send it to one of theirs within about two seconds; `wait_for_action` tells how it ended. Asking again
        with the same ``request_id`` answers the same action and starts nothing, for a day after its end: whoever got
        `StoreUnavailable` does that.

        Raises:
            NotFound: no such child, or it cannot be restarted.
            Conflict: an action on this child is in flight.
            InvalidDeclaration: ``by`` or ``reason`` is empty, too long or not one line; ``request_id`` is no name.
        """
        found = child_place(self._store.registry.all(), path)
        limits = found.child.actions.get(RESTART_CHILD)
        if limits is None:
            offered = ", ".join(found.child.actions)
            raise NotFound(f"{path} cannot be restarted: it has no action {RESTART_CHILD!r}, it has {offered}")
        wish = Reservation(
            id=f"{path.replace('/', '~')}~ask-{valid_name(request_id or uuid.uuid4().hex, 'request_id')}",
            child=found.name,
            action=RESTART_CHILD,
            reason=line(reason, "reason"),
            params={},
            timeout_ms=limits.timeout_ms,
            retries=limits.retries,
        )
        outcome, _ = self._store.actions.reserve(found.supervisor.name, line(by, "by"), wish)
        if outcome == "busy":
            raise Conflict(f"{path}: {self._in_flight(found)} is in flight, and one action at a time runs on a child")
        return self.action(wish.id)

    def has_action_in_progress(self, path: str) -> bool:
        """Whether an action on this child is queued, running or waiting for its next run; raises `NotFound`."""
        return bool(self._overview.in_flight(child_place(self._store.registry.all(), path)))

    def action(self, action_id: str) -> Record:
        """One action; raises `NotFound` a day after its end."""
        found = self._store.actions.get(action_id)
        if found is None:
            raise NotFound(f"no action {action_id!r}; the records of actions are kept for a day after their end")
        return found

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

    def last_event_id(self) -> str:
        """The id of the newest event: whoever follows from here on misses nothing that comes later."""
        return self._tail.last_id()

    def latest_events(self, most: int, *, subject: str = "") -> list[Past]:
        """The last ``most`` events of ``subject`` and what is below it (of all when empty), oldest first."""
        return self._tail.latest(most, subject) if most > 0 else []

    def events_after(self, event_id: str, timeout: float) -> list[Past]:
        """What happened after the event ``event_id``; waits up to ``timeout`` seconds (10 at most) for the first."""
        return self._tail.after(event_id, timeout)

    def events(self, *, since: str | int = 0, subject: str = "", follow: bool = False) -> Iterator[Past]:
        """Events of ``subject`` and what is below it (of all when empty), oldest first.

        ``since`` is the id of the last event that is already known, or a moment of the store's clock. With ``follow``
        it goes on for ever, waiting in the server for the next one, and survives an outage of `OUTAGE_S` seconds.
        Raises `StoreUnavailable`, and `InvalidDeclaration` when ``since`` is neither.
        """
        last_id = newer_than(since)
        while page := list(self._store.history.since(last_id)):
            last_id = page[-1].id
            yield from (event for event in page if about(event, subject))
        while follow:
            for event in self._awaited(last_id):
                last_id = event.id
                if about(event, subject):
                    yield event

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
        """Close the connections; using the client again opens new ones."""
        self._store.close()
        self._tail.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _seen(self, found: Place) -> ChildView:
        seen = self._overview.supervisor(found.supervisor)
        return next(child for child in seen.children if child.path == f"{seen.path}/{found.name}")

    def _in_flight(self, found: Place) -> str:
        action_id = self._overview.in_flight(found)
        record = self._store.actions.get(action_id) if action_id else None
        return f"{record.name} {record.id} ({record.state}, for {record.actor})" if record else "an action"

    def _next_about(self, last_id: str, action_id: str, seconds: float) -> str:
        """Wait for news of one action; answers the id to go on from."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            for event in self._tail.after(last_id, left):
                last_id = event.id
                if event.action == action_id:
                    return last_id
        return last_id

    def _awaited(self, last_id: str) -> list[Past]:
        """The next events, after as many tries as fit into `OUTAGE_S`."""
        deadline = time.monotonic() + OUTAGE_S
        while True:
            try:
                return self._tail.after(last_id, LONGEST_BLOCK_S)
            except StoreUnavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(RECONNECT_S)
