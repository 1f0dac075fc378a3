"""Tasks and actions that are asked for by key: who did not hear the answer asks again, and nothing is done twice."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, overload

import msgspec

from supervision.child import RESTART_CHILD
from supervision.coordination.signals import encoded_payload, valid_signal
from supervision.coordination.submissions import Submission, asked, encoded, valid_message
from supervision.errors import Conflict, InvalidDeclaration, NotFound
from supervision.mail_client import sending
from supervision.model import Reservation
from supervision.order_terms import line, request
from supervision.reaching import Reaching
from supervision.store.actions import Record
from supervision.store.declarations import Declarations
from supervision.store.overview import Overview
from supervision.store.places import Place, child_place
from supervision.store.store import Store
from supervision.store.submissions import Submissions


class Submitting:
    """What a client submits."""

    _store: Store
    _declared: Declarations
    _overview: Overview
    _reaching: Reaching

    @overload
    def submit(
        self,
        what: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        key: str,
        queue: str = "",
        by: str = "",
    ) -> Submission: ...
    @overload
    def submit(
        self, what: str, *, kwargs: Mapping[str, Any] | None = None, key: str, child: str, by: str, reason: str
    ) -> Record: ...
    def submit(  # noqa: PLR0913 # one task or action; all but what it is and its arguments are named
        self,
        what: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        key: str,
        queue: str = "",
        child: str = "",
        by: str = "",
        reason: str = "",
    ) -> Submission | Record:
        """Have a task run, or an action of a ``child``, once for this ``key``.

        A task is written down before it is sent: what the broker does not take now the workers' sweep sends within
        about two seconds. Submitting the same again under the same key starts nothing and answers the first, for a day
        (of an action: after its end); whoever got `StoreUnavailable` does that. The message may come twice all the
        same, as any of Celery's; `once` on the task makes that one effect.

        Args:
            what: a task's name or the signature of one task; with ``child`` the name of one of its actions.
            args: arguments of the task, in front of the signature's own.
            kwargs: named ones; of an action, what it finds as ``run.params``.
            key: 1 to 200 letters, digits and _ - . : / @, of an action without the /.
            queue: where the task's workers listen; by default where the client's app sends it, else ``celery``.
            child: the path of the child whose action is meant.
            by: who asks, for the history; needed for an action.
            reason: why; needed for an action.

        Raises:
            Conflict: under that key something else was submitted; or an action on this child is in flight.
            NotFound: no such child, or it has no such action.
            InvalidWait, InvalidDocument, InvalidDeclaration: a key, a task or an argument is not what it may be.
            StoreUnavailable: it is unknown whether it was submitted.
        """
        if child:
            if args or queue or not isinstance(what, str):
                raise InvalidDeclaration("submit: an action is named, has kwargs only, and its queue is ours")
            return self._act(child, what, kwargs or {}, by=by, reason=reason, request_id=key)
        name, message = valid_signal(key, "key"), valid_message(what, args, kwargs)
        queue = queue or str(message.options.get("queue") or "") or self._reaching.queue(message.task)
        message = message._replace(options={**message.options, "queue": queue})
        task_id, sender = str(uuid.uuid4()), line(by, "by") if by else ""
        text, same = encoded(message, task_id, queue), asked(message, queue)
        found = self._submissions.submit(name, text, task=message.task, task_id=task_id, asked=same, sender=sender)
        sending(self._reaching.publish, self._store.outbox)(found.entries)
        return msgspec.structs.replace(self._submissions.get(name), repeated=found.repeated)

    @overload
    def submission(self, key: str) -> Submission: ...
    @overload
    def submission(self, key: str, *, child: str) -> Record: ...
    def submission(self, key: str, *, child: str = "") -> Submission | Record:
        """What was submitted under ``key``, for ``child`` if it was an action; `NotFound` a day later."""
        if not child:
            return self._submissions.get(valid_signal(key, "key"))
        return self.action(_action_id(child, key))

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
        return self._act(path, RESTART_CHILD, {}, by=by, reason=reason, request_id=request_id)

    def has_action_in_progress(self, path: str) -> bool:
        """Whether an action on this child is queued, running or waiting for its next run; raises `NotFound`."""
        return bool(self._overview.in_flight(child_place(self._declared.all(), path)))

    def action(self, action_id: str) -> Record:
        """One action; raises `NotFound` a day after its end."""
        found = self._store.actions.get(action_id)
        if found is None:
            raise NotFound(f"no action {action_id!r}; the records of actions are kept for a day after their end")
        return found

    @property
    def _submissions(self) -> Submissions:
        return self._store.submissions

    def _act(  # noqa: PLR0913 # as `submit`
        self, path: str, name: str, params: Mapping[str, Any], *, by: str, reason: str, request_id: str | None
    ) -> Record:
        found = child_place(self._declared.all(), path)
        limits = found.child.actions.get(name)
        if limits is None:
            offered = ", ".join(found.child.actions)
            cannot = " cannot be restarted: it" if name == RESTART_CHILD else ""
            raise NotFound(f"{path}{cannot} has no action {name!r}, it has {offered}")
        given = msgspec.json.decode(encoded_payload(dict(params), f"{path}: {name}"))
        wish = Reservation(
            id=_action_id(path, request_id),
            child=found.name,
            action=name,
            reason=line(reason, "reason"),
            params=given,
            timeout_ms=limits.timeout_ms,
            retries=limits.retries,
        )
        outcome, _ = self._store.actions.reserve(found.supervisor.name, line(by, "by"), wish)
        if outcome == "busy":
            raise Conflict(f"{path}: {self._in_flight(found)} is in flight, and one action at a time runs on a child")
        if outcome == "gone":
            raise NotFound(f"{path} was removed while it was asked for")
        record = self.action(wish.id)
        if record.name != name or msgspec.json.decode(record.params) != given:
            raise Conflict(f"{path}: {record.name} with {record.params} was asked for under that key already")
        return record

    def _in_flight(self, found: Place) -> str:
        action_id = self._overview.in_flight(found)
        record = self._store.actions.get(action_id) if action_id else None
        return f"{record.name} {record.id} ({record.state}, for {record.actor})" if record else "an action"


def _action_id(path: str, key: str | None) -> str:
    return f"{path.replace('/', '~')}~ask-{request(key)}"
