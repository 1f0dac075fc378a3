"""What a person may order through the client: desired documents, modes, pauses, resets; each with who and why.

An order stands in the history and wakes a tick, which goes by it. Whoever got `StoreUnavailable` gives it again: a
mode, a resume and a reset take effect once by themselves, a pause and a document with the same ``request_id``.
"""

import uuid
from collections.abc import Mapping
from dataclasses import is_dataclass
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

import msgspec

from supervision import documents
from supervision.errors import Conflict, InvalidDeclaration, InvalidDocument, NotFound
from supervision.model import shown, valid_name, valid_seconds
from supervision.orders import WHOLE, Mode, Pause
from supervision.store.health import Health
from supervision.store.orders import Asked
from supervision.store.places import Place, child_place, place
from supervision.store.store import Store

MOST_REASON: Final = 1000
"""Characters of a reason: it stands in the history for a week."""

LONGEST_PAUSE_S: Final = 30 * 86_400
"""Seconds that a pause may last: a month is a decision, and what should last longer is a mode."""


class Ordering:
    """The orders of a client; all of them raise `NotFound` for a path that is not there."""

    _store: Store
    _health: Health

    def set_desired(  # noqa: PLR0913 # all but the child and its document are named
        self,
        path: str,
        document: Any,
        *,
        revision: int | None = None,
        by: str,
        reason: str,
        request_id: str | None = None,
    ) -> int:
        """Set what the child at ``path`` should be; answers the document's revision.

        ``revision`` is the one that the caller has read, 0 while nothing was set: whoever comes second gets `Conflict`.
        None sets it in any case. A document that the workers' code cannot read is not used: the declared one stays in
        force, and the history says why.

        Raises:
            Conflict: another document was set since ``revision``.
            InvalidDocument: no mapping, dataclass or Struct, not to be written as JSON, or too large.
            InvalidDeclaration: ``by`` or ``reason`` is no line, ``request_id`` is no name.
        """
        found = child_place(self._store.registry.all(), path)
        done, now_at = self._store.orders.desire(
            found.supervisor.name,
            found.name,
            _encoded(document, path),
            expected=revision,
            asked=Asked(line(by, "by"), line(reason, "reason"), _request(request_id)),
        )
        if done:
            return now_at
        raise Conflict(
            f"{path}: the desired document is at revision {now_at}, not {revision}; read it and decide again"
        )

    def set_mode(self, path: str, mode: str, *, by: str, reason: str) -> None:
        """How far the supervisor at ``path`` may go: ``act``, ``observe`` or ``off``; see `supervision.orders`.

        Raises:
            InvalidDeclaration: there is no such mode, or ``by`` or ``reason`` is no line.
        """
        if mode not in tuple(Mode):
            raise InvalidDeclaration(f"mode={shown(mode)}: needs one of {', '.join(Mode)}, for example 'observe'")
        supervisor = self._supervisor(path, "a mode")
        self._store.orders.set_mode(supervisor, Mode(mode), Asked(line(by, "by"), line(reason, "reason")))

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
            InvalidDeclaration: no end, or one that is past or further away than `LONGEST_PAUSE_S`; ``by`` or ``reason``
                is no line; ``request_id`` is no name.
        """
        supervisor, child = self._subject(path)
        end = _end(self._health.now(), until, for_s)
        why = f"{line(reason, 'reason')} (until {_moment(end)})"
        return self._store.orders.pause(supervisor, child, Pause(end, line(by, "by"), why, _request(request_id))).until

    def resume(self, path: str, *, by: str, reason: str) -> bool:
        """End the pause of exactly this child or supervisor; answers whether there was one.

        Raises:
            InvalidDeclaration: ``by`` or ``reason`` is no line.
        """
        supervisor, child = self._subject(path)
        return self._store.orders.resume(supervisor, child, Asked(line(by, "by"), line(reason, "reason")))

    def reset(self, path: str, *, incident: str, by: str, reason: str) -> None:
        """Close the circuit of the supervisor at ``path``, all attempts unused, if ``incident`` is what it is about.

        Raises:
            Conflict: ``incident`` is over; the message names the one that is there now, if there is one.
            InvalidDeclaration: ``incident``, ``by`` or ``reason`` is no line.
        """
        supervisor = self._supervisor(path, "a reset")
        asked = Asked(line(by, "by"), line(reason, "reason"))
        other = self._store.orders.reset(supervisor, line(incident, "incident"), asked)
        if other is not None:
            raise Conflict(f"{path}: {incident} is over; {f'now it is {other}' if other else 'the circuit is closed'}")

    def _subject(self, path: str) -> tuple[str, str]:
        """The supervisor, and the child's name or `WHOLE`."""
        found = place(self._store.registry.all(), path)
        return (found.supervisor.name, found.name) if isinstance(found, Place) else (found.name, WHOLE)

    def _supervisor(self, path: str, what: str) -> str:
        supervisor, child = self._subject(path)
        if child != WHOLE:
            raise NotFound(f"{path} is a child, and {what} is for its supervisor, {supervisor}")
        return supervisor


def line(text: str, what: str) -> str:
    """``text`` if it can stand in the history as one line, else `InvalidDeclaration`."""
    if text.strip() and len(text) <= MOST_REASON and text.isprintable():
        return text.strip()
    raise InvalidDeclaration(f"{what}={text[:80]!r}: needs one line of 1 to {MOST_REASON} printable characters")


def _request(request_id: str | None) -> str:
    return valid_name(request_id or uuid.uuid4().hex, "request_id")


def _encoded(document: Any, path: str) -> str:
    what = f"{path}: desired"
    if isinstance(document, Mapping):
        return documents.encode(dict(document), dict, what).decode()
    if isinstance(document, msgspec.Struct) or (is_dataclass(document) and not isinstance(document, type)):
        return documents.encode(document, type(document), what).decode()
    raise InvalidDocument(
        f"{what}: {shown(document)} is a {type(document).__name__}; "
        'needs a mapping, a dataclass or a msgspec.Struct, for example {"running": false}'
    )


def _end(now: int, until: int | None, for_s: float | None) -> int:
    if (until is None) == (for_s is None):
        _refuse_end(f"until={until!r} and for_s={for_s!r}: a pause has one end")
    if for_s is not None:
        until = now + round(valid_seconds(for_s, "for_s", "600") * 1000)
    if not isinstance(until, int) or isinstance(until, bool):
        _refuse_end(f"until={shown(until)}: needs milliseconds of the store's clock")
    if not now < until <= now + LONGEST_PAUSE_S * 1000:
        _refuse_end(
            f"until={until}: the store's clock says {now}, and a pause ends within {LONGEST_PAUSE_S // 86_400} d"
        )
    return until


def _refuse_end(what: str) -> NoReturn:
    raise InvalidDeclaration(f"{what}; for example for_s=600, or until=client.now() + 600_000")


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
