"""What a person may order through the client, each order with who and why.

An order stands in the history and wakes a tick, which goes by it. Whoever got `StoreUnavailable` gives it again: a
mode, a switch, a resume and a reset take effect once by themselves, all others with the same ``request_id``.
"""

from typing import Any

from supervision.errors import Conflict, InvalidDeclaration, NotFound
from supervision.fitting import Fields
from supervision.model import shown
from supervision.order_terms import encoded, end, ending, fitted, line, request
from supervision.orders import WHOLE, Forced, Mode, Pause, Silence
from supervision.store.declarations import Declarations
from supervision.store.health import Health
from supervision.store.orders import Asked
from supervision.store.places import Place, child_place, place
from supervision.store.store import Store


class Ordering:
    """The orders of a client.

    All of them raise `NotFound` for a path that is not there, and `InvalidDeclaration` when ``by`` or ``reason`` is no
    line or ``request_id`` is no name; then nothing was written.
    """

    _store: Store
    _health: Health
    _declared: Declarations

    def set_desired(  # noqa: PLR0913 # all but the path and the document are named
        self,
        path: str,
        document: Any,
        *,
        revision: int | None = None,
        by: str,
        reason: str,
        request_id: str | None = None,
    ) -> int:
        """Set what the child at ``path`` should be, or a supervisor's own document; answers the document's revision.

        ``revision`` is the one that the caller has read, 0 while nothing was set: whoever comes second gets `Conflict`.
        None sets it in any case. A document with a field that is not declared, without one that has no default, or with
        a value of another kind is refused. What the workers' code cannot read all the same is not used, and the history
        says why: a child then goes by the declared document, a supervisor leaves its children as they are.

        Raises:
            Conflict: another document was set since ``revision``.
            InvalidDocument: no mapping, dataclass or Struct, not to be written as JSON, too large, or not fitting.
        """
        supervisor, child, fields = self._document_place(path)
        asked = Asked(line(by, "by"), line(reason, "reason"), request(request_id))
        text = fitted(encoded(document, path), fields, path)
        done, now_at = self._store.orders.desire(supervisor, child, text, expected=revision, asked=asked)
        if done:
            return now_at
        raise Conflict(
            f"{path}: the desired document is at revision {now_at}, not {revision}; read it and decide again"
        )

    def set_mode(self, path: str, mode: str, *, by: str, reason: str) -> None:
        """How far the supervisor at ``path`` may go: ``act``, ``observe`` or ``off``; see `supervision.orders`.

        Raises:
            InvalidDeclaration: there is no such mode.
        """
        if mode not in tuple(Mode):
            raise InvalidDeclaration(f"mode={shown(mode)}: needs one of {', '.join(Mode)}, for example 'observe'")
        supervisor = self._supervisor(path, "a mode")
        declared = self._declared.all()[supervisor].mode
        self._store.orders.set_mode(supervisor, Mode(mode), _asked(by, reason), declared=declared)

    def enable(self, path: str, *, by: str, reason: str) -> bool:
        """Let a child, or the children of a supervisor, go on after `disable`; answers whether it was disabled.

        A child goes on when neither it nor its supervisor is disabled.
        """
        return self._switch(path, _asked(by, reason), on=True)

    def disable(self, path: str, *, by: str, reason: str) -> bool:
        """Stop a child, or all children of a supervisor, until it is enabled; answers whether it was enabled.

        It is brought to rest in stopped, whatever its documents desire.
        """
        return self._switch(path, _asked(by, reason), on=False)

    def pause(  # noqa: PLR0913 # all but the path are named
        self,
        path: str,
        *,
        until: int | None = None,
        for_s: float | None = None,
        by: str,
        reason: str,
        request_id: str | None = None,
    ) -> int:
        """Leave a child, or a supervisor with all of its children, alone; answers until when.

        Its state functions are not asked, and it is not restarted by a circuit; checks and circuit go on. Give one of
        ``until`` (store milliseconds) and ``for_s`` (seconds). Pausing again sets another end.

        Raises:
            InvalidDeclaration: no end, or one that is past or further away than `order_terms.LONGEST_PAUSE_S`.
        """
        supervisor, child = self._subject(path)
        ends = end(self._health.now(), until, for_s)
        pause = Pause(ends, line(by, "by"), ending(reason, ends), request(request_id))
        return self._store.orders.pause(supervisor, child, pause).until

    def resume(self, path: str, *, by: str, reason: str) -> bool:
        """End the pause of exactly this child or supervisor; answers whether there was one."""
        supervisor, child = self._subject(path)
        return self._store.orders.resume(supervisor, child, _asked(by, reason))

    def silence(  # noqa: PLR0913 # all but the path are named
        self,
        path: str,
        *,
        until: int | None = None,
        for_s: float | None = None,
        by: str,
        reason: str,
        request_id: str | None = None,
    ) -> int:
        """Call nobody when the supervisor at ``path`` escalates; answers until when. Nothing else is stopped.

        Give one of ``until`` (store milliseconds) and ``for_s`` (seconds). Silencing again sets another end.

        Raises:
            InvalidDeclaration: no end, or one that is past or further away than `order_terms.LONGEST_PAUSE_S`.
        """
        supervisor = self._supervisor(path, "a silence")
        ends = end(self._health.now(), until, for_s)
        silence = Silence(ends, line(by, "by"), ending(reason, ends), request(request_id))
        return self._store.orders.silence(supervisor, silence).until

    def end_silence(self, path: str, *, by: str, reason: str) -> bool:
        """Call people again; answers whether there was a silence."""
        return self._store.orders.end_silence(self._supervisor(path, "a silence"), _asked(by, reason))

    def force_open(self, path: str, *, by: str, reason: str, request_id: str | None = None) -> None:
        """Open the circuit of the supervisor at ``path`` until it is reset: nothing is derived, nothing restarted."""
        supervisor = self._supervisor(path, "an open circuit")
        forced = Forced(line(by, "by"), line(reason, "reason"), request(request_id))
        self._store.orders.force_open(supervisor, forced)

    def reset(self, path: str, *, incident: str, by: str, reason: str) -> None:
        """Close the circuit of the supervisor at ``path``, all attempts unused, if ``incident`` is what it is about.

        Raises:
            Conflict: ``incident`` is over; the message names the one that is there now, if there is one.
            InvalidDeclaration: ``incident`` is no line.
        """
        supervisor = self._supervisor(path, "a reset")
        other = self._store.orders.reset(supervisor, line(incident, "incident"), _asked(by, reason))
        if other is not None:
            raise Conflict(f"{path}: {incident} is over; {f'now it is {other}' if other else 'the circuit is closed'}")

    def _switch(self, path: str, asked: Asked, *, on: bool) -> bool:
        found = place(self._declared.all(), path)
        # What is declared counts until people have said something; a supervisor as a whole is declared to be on.
        declared = not isinstance(found, Place) or found.child.enabled
        supervisor, child = _at(found)
        return self._store.orders.switch(supervisor, child, on=on, declared=declared, asked=asked)

    def _document_place(self, path: str) -> tuple[str, str, Fields | None]:
        """Where the document of ``path`` stands, a supervisor's own if it declares one, else a child's; its fields."""
        declared = self._declared.all()
        if path in declared and declared[path].dynamic:
            return path, WHOLE, declared[path].fields
        found = child_place(declared, path)
        return (*_at(found), found.child.fields)

    def _subject(self, path: str) -> tuple[str, str]:
        return _at(place(self._declared.all(), path))

    def _supervisor(self, path: str, what: str) -> str:
        supervisor, child = self._subject(path)
        if child != WHOLE:
            raise NotFound(f"{path} is a child, and {what} is for its supervisor, {supervisor}")
        return supervisor


def _at(found: Any) -> tuple[str, str]:
    """The supervisor, and the child's name or `WHOLE`."""
    return (found.supervisor.name, found.name) if isinstance(found, Place) else (found.name, WHOLE)


def _asked(by: str, reason: str) -> Asked:
    return Asked(line(by, "by"), line(reason, "reason"))
