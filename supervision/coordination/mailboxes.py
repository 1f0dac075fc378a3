"""Mailboxes: what may be put into one, how its messages are handed over, and when one is given up.

Rules:
- A mailbox is named like the coordinator that it belongs to, and is there whether or not that one lives.
- Messages are handed over in the order in which they were put in, one batch at a time: the next one follows when the
  one before was handled. The same id is the same message, also after it was handled.
- A batch that failed, or whose time was over, comes again. A message that comes again comes alone, so that one that is
  poison takes no other one with it. After `MOST_ATTEMPTS` it is a dead letter, and the next one follows.
- A full mailbox refuses; nothing is ever dropped.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from supervision.coordination.waits import valid_timeout
from supervision.errors import InvalidWait
from supervision.model import shown

BOUND: Final = 1000
"""Messages that a mailbox holds when nobody said otherwise; what is to be a dead letter counts until it is one."""

MOST_BOUND: Final = 100_000

MOST_ATTEMPTS: Final = 5
"""Times that a message is handed over before it is a dead letter."""

MOST_AT_ONCE: Final = 200
"""Messages in one batch, and no more than 1 MiB: handing over so many takes the store 3 ms."""

LEASE_S: Final = 60.0
"""Seconds that a process which takes messages has for them, when it does not say."""

HANDLER_TIMEOUT_S: Final = 300.0
"""Seconds from a batch's hand-over until it is handed over again, when nobody said otherwise."""

LONGEST_PAUSE_S: Final = 60.0


class Message(msgspec.Struct, frozen=True):
    """One message as it was handed over: for the ``attempt``-th time, ``at`` (store milliseconds) it was put in.

    ``token`` names the batch; whoever has it may say how that ended.
    """

    id: str
    payload: Any
    sender: str
    at: int
    attempt: int
    token: str


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that was given up after so many ``attempts``, ``since`` when (store milliseconds) and ``why``."""

    id: str
    payload: Any
    sender: str
    at: int
    attempts: int
    since: int
    why: str


class MailboxView(msgspec.Struct, frozen=True):
    """One mailbox: messages in it (``depth``), those of them that are being handled, and those that were given up.

    ``state`` is resting, called (its handler was sent for), handed (a batch is being handled) or paused (one failed);
    ``handler`` the name of the handler's task, ``handled`` how many messages there have been.
    """

    name: str
    depth: int
    bound: int
    state: str
    in_flight: tuple[str, ...]
    handled: int
    dead: int
    handler: str = ""
    at_once: int = 1
    timeout: float = HANDLER_TIMEOUT_S


def pause_s(attempt: int) -> float:
    """Seconds until a message that has failed ``attempt`` times is handed over again."""
    return min(LONGEST_PAUSE_S, 2.0 ** (attempt - 1))


def valid_number(number: object, what: str, most: int) -> int:
    """``number`` if it is whole and from 1 to ``most``, else `InvalidWait`."""
    if isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= most:
        return number
    raise InvalidWait(f"{what}={shown(number)}: needs a whole number from 1 to {most}")


def valid_handler(signature: object) -> str:
    """A handler as it is stored, if ``signature`` is that of one task which takes an argument, else `InvalidWait`."""
    if not isinstance(signature, Mapping) or not isinstance(signature.get("task"), str) or not signature["task"]:
        raise InvalidWait(f"handler {shown(signature)}: needs a Celery signature, for example retry_build.s()")
    if signature.get("subtask_type"):
        raise InvalidWait(f"handler {shown(signature)}: needs the signature of one task, which may call others itself")
    if signature.get("immutable"):
        raise InvalidWait(f"handler {signature['task']}: an immutable signature gets no message; needs .s(), not .si()")
    conf = getattr(getattr(signature, "app", None), "conf", None)
    home = str(getattr(conf, "task_default_queue", "") or "")
    try:
        return msgspec.json.encode({"signature": dict(signature), "home": home}).decode()
    except Exception as error:  # whatever its arguments do
        raise InvalidWait(f"handler {signature['task']}: its arguments cannot be written as JSON ({error})") from error


def valid_lease(seconds: object, what: str = "lease") -> int:
    """``seconds`` in milliseconds if a batch can be lent for so long, else `InvalidWait`."""
    return round(valid_timeout(seconds, what) * 1000)
