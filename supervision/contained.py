"""What user code raises stays with whoever it belongs to: a child, a check, an action. Even what is no `Exception`.

``sys.exit()`` in a library, a `KeyboardInterrupt` that somebody raises, a stray `asyncio.CancelledError`: each of them
would end the tick of a whole supervisor, every second anew. Only an order to end this very process goes on.
"""

from collections.abc import Callable
from signal import SIGQUIT, SIGTERM
from typing import Any

TERMINATED = frozenset({SIGTERM - 256, SIGQUIT - 256})
"""What a process of a worker's pool exits with when it is told to end: by its worker's shutdown, or a hard limit."""

_WORKERS_OWN = frozenset({"celery", "billiard"})


def is_order(error: BaseException) -> bool:
    """Whether ``error`` is how this process is told to end: as a pool process, or as a worker without a pool.

    The second kind are subclasses of `SystemExit` of Celery's own, which the core knows by where they are from only.
    """
    if not isinstance(error, SystemExit):
        return False
    return error.code in TERMINATED or type(error).__module__.partition(".")[0] in _WORKERS_OWN


def fault(error: BaseException) -> BaseException:
    """``error`` when it is the user's code's own; an order to end is raised again."""
    if is_order(error):
        raise error
    return error


class TookTooLong(BaseException):
    """User code that decides had no answer in its time. No `Exception`, so that its own clauses do not swallow it."""


def asked(code: Callable[..., Any], *arguments: Any) -> Any:
    """What ``code`` answers. Whoever bounds it finds by this frame that the user's code is at work, and since when."""
    return code(*arguments)
