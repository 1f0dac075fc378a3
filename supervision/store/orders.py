"""The order book: what people want of one supervisor and of its children, each written by one script with who and why.

An order that is given again by somebody who did not hear the answer takes effect once: a mode, a resume and a reset by
what they say, a pause and a desired document by the ``request`` that they carry.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from supervision.documents import clipped
from supervision.orders import WHOLE, Mode, Orders, Pause
from supervision.store.keys import Keys
from supervision.store.scripts import Scripts

_PAUSE = "pause:"
_MODES = {mode.value.encode(): mode for mode in Mode}


class Asked(NamedTuple):
    """Who wants it, why, and under which name (empty where the order itself is name enough)."""

    by: str
    reason: str
    request: str = ""


class OrderBook:
    """Writes orders."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self._scripts = scripts
        self._keys = keys

    def set_mode(self, supervisor: str, mode: Mode, asked: Asked) -> None:
        """How far ``supervisor`` may go from now on."""
        self._order(supervisor, supervisor, "mode", mode.value, mode.value, asked)

    def pause(self, supervisor: str, child: str, pause: Pause) -> Pause:
        """Leave ``child`` or the `WHOLE` alone; answers the pause that stands: the first one of its request."""
        asked = Asked(pause.by, pause.reason, pause.request)
        value = msgspec.json.encode(pause).decode()
        _, stands = self._order(supervisor, _subject(supervisor, child), _PAUSE + child, value, "paused", asked)
        return msgspec.json.decode(stands, type=Pause)

    def resume(self, supervisor: str, child: str, asked: Asked) -> bool:
        """End the pause of ``child`` or of the `WHOLE`; whether there was one."""
        outcome, _ = self._order(supervisor, _subject(supervisor, child), _PAUSE + child, "", "", asked)
        return outcome == "set"

    def reset(self, supervisor: str, incident: str, asked: Asked) -> str | None:
        """End ``incident``; None, or, when that is over, the incident that is there instead, empty for none."""
        outcome, found = self._order(supervisor, supervisor, "reset", incident, "reset", asked)
        return found.decode() if outcome == "over" else None

    def desire(
        self, supervisor: str, child: str, document: str, *, expected: int | None, asked: Asked
    ) -> tuple[bool, int]:
        """Set what ``child`` should be, if its revision is ``expected`` (None: any); whether so, and its revision."""
        keys = self._keys
        at = "any" if expected is None else expected
        outcome, revision, *_ = self._scripts.run(
            "desire",
            [*(keys.of(supervisor, what) for what in ("control", "desired")), keys.outbox, keys.entries, keys.events],
            [supervisor, child, at, document, asked.request, asked.by, clipped(asked.reason)],
        )
        return outcome != b"conflict", int(revision)

    def _order(  # noqa: PLR0913, PLR0917 # one order: whose, what about, what it is, how it reads, and who asks
        self, supervisor: str, subject: str, field: str, value: str, after: str, asked: Asked
    ) -> tuple[str, bytes]:
        keys = self._keys
        outcome, found, *_ = self._scripts.run(
            "order",
            [*(keys.of(supervisor, what) for what in ("control", "orders")), keys.outbox, keys.entries, keys.events],
            [supervisor, subject, field, value, asked.request, after, asked.by, clipped(asked.reason)],
        )
        return outcome.decode(), found


def orders_in(stored: Mapping[bytes, bytes]) -> Orders:
    """The orders in a supervisor's hash. A mode that a newer version knows and this one does not stops this one."""
    return Orders(
        mode=_MODES.get(stored.get(b"mode", b"act"), Mode.OFF),
        pauses={
            field.decode().removeprefix(_PAUSE): msgspec.json.decode(value, type=Pause)
            for field, value in stored.items()
            if field.startswith(_PAUSE.encode())
        },
        reset=stored.get(b"reset", b"").decode(),
    )


def _subject(supervisor: str, child: str) -> str:
    return supervisor if child == WHOLE else f"{supervisor}/{child}"
