"""The order book: what people want of one supervisor and of its children, each written by one script with who and why.

An order that is given again by somebody who did not hear the answer takes effect once: a mode, a switch, a resume, the
end of a silence and a reset by what they say, all others by the ``request`` that they carry. What a tick takes off when
it has heard it (force-open, restart) leaves its request behind, so that asking again after that is not a second order.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

import msgspec

from supervision.documents import clipped
from supervision.orders import WHOLE, Forced, Mode, Orders, Pause, Silence
from supervision.store.keys import Keys
from supervision.store.outbox import Entry, entries
from supervision.store.scripts import Scripts

_PAUSE = "pause:"
_ENABLED = "enabled:"
_SILENCE = "silence"
_FORCE_OPEN = "force-open"
INHERITED: Final = (_PAUSE + WHOLE, _ENABLED + WHOLE, _SILENCE)
"""The fields that are read of those above; see `inherited`."""

_MODES = {mode.value.encode(): mode for mode in Mode}
_T = TypeVar("_T")


class Asked(NamedTuple):
    """Who wants it, why, and under which name (empty where the order itself is name enough)."""

    by: str
    reason: str
    request: str = ""


class _Order(NamedTuple):
    """What is ordered: a field of the hash, its value (empty takes it off), and how that reads in the history.

    ``default`` is the value that stands while the field is not there; ``fence`` is that of the run which orders.
    """

    field: str
    value: str
    word: str = ""
    default: str = ""
    fence: str = ""


class _Answer(NamedTuple):
    """What became of an order: ``set``, ``same`` or ``over``, the value that stands, and the wake to send."""

    outcome: str
    stands: bytes
    wakes: tuple[Entry, ...]


class OrderBook:
    """Writes orders."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self._scripts = scripts
        self._keys = keys

    def set_mode(self, supervisor: str, mode: Mode, asked: Asked, *, declared: str = Mode.ACT) -> None:
        """How far ``supervisor`` may go from now on, instead of as ``declared``."""
        self._order(supervisor, WHOLE, _Order("mode", mode.value, default=declared), asked)

    def switch(self, supervisor: str, child: str, *, on: bool, declared: bool, asked: Asked) -> bool:
        """Switch ``child`` or the `WHOLE`, which is ``declared`` so, on or off; whether it was not so already."""
        order = _Order(_ENABLED + child, str(int(on)), default=str(int(declared)))
        return self._order(supervisor, child, order, asked).outcome == "set"

    def pause(self, supervisor: str, child: str, pause: Pause) -> Pause:
        """Leave ``child`` or the `WHOLE` alone; answers the pause that stands: the first one of its request."""
        return self._until(supervisor, child, _PAUSE + child, "paused", pause)

    def resume(self, supervisor: str, child: str, asked: Asked) -> bool:
        """End the pause of ``child`` or of the `WHOLE`; whether there was one."""
        return self._order(supervisor, child, _Order(_PAUSE + child, "", "paused"), asked).outcome == "set"

    def silence(self, supervisor: str, silence: Silence) -> Pause:
        """Call nobody about ``supervisor``; answers the silence that stands: the first one of its request."""
        return self._until(supervisor, WHOLE, _SILENCE, "silenced", silence)

    def end_silence(self, supervisor: str, asked: Asked) -> bool:
        """Call people again; whether they were not."""
        return self._order(supervisor, WHOLE, _Order(_SILENCE, "", "silenced"), asked).outcome == "set"

    def force_open(self, supervisor: str, forced: Forced) -> None:
        """Open the circuit of ``supervisor`` until it is reset; once per request, also after a tick has heard it."""
        value = msgspec.json.encode(forced).decode()
        order = _Order(_FORCE_OPEN, value, _FORCE_OPEN)
        self._order(supervisor, WHOLE, order, Asked(forced.by, forced.reason, forced.request))

    def restart_all(
        self, supervisor: str, action_id: str, by: str, reason: str, *, fence: int | None = None
    ) -> tuple[Entry, ...]:
        """Restart everything below ``supervisor``, for a parent's action; answers the wake to send, if there is one.

        Once per action: a later run of the same one orders nothing, also after a tick has heard it. A run that was
        given up, and whose ``fence`` is no longer the action's, orders nothing either.
        """
        order = _Order("restart", action_id, "restart", fence="" if fence is None else str(fence))
        return self._order(supervisor, WHOLE, order, Asked(by, reason, action_id)).wakes

    def reset(self, supervisor: str, incident: str, asked: Asked) -> str | None:
        """End ``incident``; None, or, when that is over, the incident that is there instead, empty for none."""
        outcome, found, _ = self._order(supervisor, WHOLE, _Order("reset", incident, "reset"), asked)
        return found.decode() if outcome == "over" else None

    def desire(
        self, supervisor: str, child: str, document: str, *, expected: int | None, asked: Asked
    ) -> tuple[bool, int]:
        """Set what ``child`` should be, if its revision is ``expected`` (None: any); whether so, and its revision.

        `WHOLE` instead of a child is the supervisor's own document.
        """
        keys = self._keys
        at = "any" if expected is None else expected
        outcome, revision, *_ = self._scripts.run(
            "desire",
            [*(keys.of(supervisor, what) for what in ("control", "desired")), keys.outbox, keys.entries, keys.events],
            [supervisor, child, at, document, asked.request, asked.by, clipped(asked.reason)],
        )
        return outcome != b"conflict", int(revision)

    def _until(self, supervisor: str, child: str, field: str, word: str, pause: Pause) -> Pause:
        order = _Order(field, msgspec.json.encode(pause).decode(), word)
        answer = self._order(supervisor, child, order, Asked(pause.by, pause.reason, pause.request))
        return msgspec.json.decode(answer.stands, type=type(pause))

    def _order(self, supervisor: str, child: str, order: _Order, asked: Asked) -> _Answer:
        keys = self._keys
        subject = supervisor if child == WHOLE else f"{supervisor}/{child}"
        outcome, stands, *wakes = self._scripts.run(
            "order",
            [
                *(keys.of(supervisor, what) for what in ("control", "orders")),
                *(keys.outbox, keys.entries, keys.events, keys.action(asked.request)),
            ],
            [
                *(supervisor, subject, order.field, order.value, asked.request, order.word),
                *(asked.by, clipped(asked.reason), order.default, order.fence),
            ],
        )
        return _Answer(outcome.decode(), stands, entries(wakes))


def orders_in(stored: Mapping[bytes, bytes], declared: Mode = Mode.ACT) -> Orders:
    """The orders in a supervisor's hash. One that only a newer version can read stops this one: its mode is off."""
    wrong: list[str] = []
    pauses = {child: _read(value, Pause, _PAUSE + child, wrong) for child, value in _by_child(stored, _PAUSE)}
    orders = Orders(
        mode=_mode(stored.get(b"mode"), declared, wrong),
        pauses={child: pause for child, pause in pauses.items() if pause},
        reset=_text(stored.get(b"reset")),
        silence=_read(stored.get(_SILENCE.encode()), Silence, _SILENCE, wrong),
        forced=_read(stored.get(_FORCE_OPEN.encode()), Forced, _FORCE_OPEN, wrong),
        switched={child: value == b"1" for child, value in _by_child(stored, _ENABLED)},
        restart=_text(stored.get(b"restart")),
    )
    return _stopped(orders, wrong)


def _mode(stored: bytes | None, declared: Mode, wrong: list[str]) -> Mode:
    if stored is not None and stored not in _MODES:
        wrong.append(f"the mode {_text(stored)!r} is none of {', '.join(Mode)}; order one of them")
    return declared if stored is None else _MODES.get(stored, Mode.OFF)


def _stopped(orders: Orders, wrong: Sequence[str]) -> Orders:
    """``orders``, of which some could not be read, if any are ``wrong``."""
    if not wrong:
        return orders
    told = "; ".join(each for each in (orders.unreadable, *wrong) if each)
    return msgspec.structs.replace(orders, mode=Mode.OFF, unreadable=clipped(told))


def above(supervisor: str) -> list[str]:
    """The paths of all supervisors that can be above that one; `INHERITED` of their orders hold for it, too."""
    parts = supervisor.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts))]


def inherited(orders: Orders, ordered_above: Iterable[Sequence[bytes | None]]) -> Orders:
    """``orders`` with what was ordered for the whole of those above, as read by `INHERITED`: a tree is one thing.

    The pause and the silence that last longest hold, and off is off. A mode is each supervisor's own.
    """
    wrong: list[str] = []
    for pause, switch, silence in ordered_above:
        pauses = [_read(pause, Pause, f"{_PAUSE} of one above", wrong), orders.pauses.get(WHOLE)]
        silences = [_read(silence, Silence, f"{_SILENCE} of one above", wrong), orders.silence]
        longest = max((each for each in pauses if each), key=_end, default=None)
        orders = msgspec.structs.replace(
            orders,
            pauses={**orders.pauses, WHOLE: longest} if longest else orders.pauses,
            silence=max((each for each in silences if each), key=_end, default=None),
            switched={**orders.switched, WHOLE: False} if switch == b"0" else orders.switched,
        )
    return _stopped(orders, wrong)


def _end(pause: Pause) -> int:
    return pause.until


def _by_child(stored: Mapping[bytes, bytes], prefix: str) -> list[tuple[str, bytes]]:
    return [
        (_text(field).removeprefix(prefix), value)
        for field, value in stored.items()
        if field.startswith(prefix.encode())
    ]


def _text(stored: bytes | None) -> str:
    """As text, whatever it is."""
    return (stored or b"").decode(errors="backslashreplace")


def _read(stored: bytes | None, kind: type[_T], field: str, wrong: list[str]) -> _T | None:
    """The order in ``stored``, None where there is none; what is wrong with it is added to ``wrong``."""
    try:
        return msgspec.json.decode(stored, type=kind) if stored else None
    except msgspec.MsgspecError as error:
        why = f"the order {field!r} cannot be read ({error})"
        wrong.append(f"{why}: tick with the version of the code that gave it, or give it anew")
        return None
