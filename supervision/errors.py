"""Every error this library raises, as one tree.

    SupervisionError
    ├── InvalidDeclaration      a Child, Supervisor, action, check or setting is wrong; raised when it is loaded
    ├── InvalidDocument         a desired or observed document has the wrong type, size or content
    ├── InvalidMove             a state function returned something that is not exactly one move
    ├── InvalidWait             a wait that could not work: its names, times, parts, or a circle of waits
    ├── NotFound                a supervisor, child, action, wait, signal or coordinator that does not exist
    ├── Conflict                somebody else was faster: revision, fence or action slot
    │   ├── Superseded          the caller's epoch, fence or incarnation is old; its write was refused
    │   └── SignalAlreadySent   another signal stands under that name
    ├── MailboxFull             a mailbox holds as many messages as it may; it says when to try again
    ├── WaitEnded               a wait ended without the signal
    │   ├── SignalTimeout       its time was over first
    │   ├── CoordinatorDied     whoever was expected to send it died
    │   ├── PartsFailed         parts of a gather failed
    │   └── Cancelled           somebody cancelled it
    ├── ActionFailed            an action ended without success
    │   └── NotRetryable        the same, and trying again would not help
    └── StoreUnavailable        the store did not answer in time; nothing is known about the effect
        └── ServerNotFound      no server binary for the embedded store

Each message says what was wrong, the value, and what would be right.
"""

from collections.abc import Mapping
from typing import Any


class SupervisionError(Exception):
    """Root of the tree: catch this to catch everything this library raises on purpose."""


class InvalidDeclaration(SupervisionError, ValueError):
    """A declaration or setting is wrong."""


class InvalidDocument(SupervisionError, ValueError):
    """A document has the wrong type, does not serialise, or is too large."""


class InvalidMove(SupervisionError, TypeError):
    """A state function returned something that is not exactly one move."""


class InvalidWait(SupervisionError, ValueError):
    """A wait could not work as it was described; nothing was registered."""


class NotFound(SupervisionError, LookupError):
    """No such supervisor, child, action, wait, signal or coordinator; the message says what there is."""


class Conflict(SupervisionError):
    """Somebody else was faster; read again and decide again."""


class Superseded(Conflict):
    """The caller's epoch, fence or incarnation is old; its write was refused."""


class Lost(SupervisionError):
    """The store has lost what was written for this instance of a coordinator, in a failover; it registers again."""


class SignalAlreadySent(Conflict):
    """Another signal stands under that name; a signal happens once, so repeated rounds put the round into the name."""


class MailboxFull(SupervisionError):
    """A mailbox holds as many messages as it may; nothing was put in. ``retry_after`` is in seconds."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message, retry_after)
        self.retry_after = retry_after

    def __str__(self) -> str:
        return str(self.args[0])


class WaitEnded(SupervisionError):
    """A wait ended without the signal; its subclasses say how."""


class SignalTimeout(WaitEnded):
    """The wait's time was over before the signal came, by the store's clock.

    No `TimeoutError`: that is ``socket.timeout``, which Celery and kombu take for trouble of their own connections.
    """


class CoordinatorDied(WaitEnded):
    """Whoever was expected to send the signal was declared dead, or failed."""


class PartsFailed(WaitEnded):
    """Parts of a gather failed; ``failed`` has the first hundred of them by their index, from 0, and why."""

    def __init__(self, message: str, failed: Mapping[Any, str] | None = None) -> None:
        told = {str(index): why for index, why in (failed or {}).items()}
        super().__init__(message, told)  # a result backend keeps the arguments as JSON, whose keys are texts
        self.failed = {int(index): why for index, why in told.items()}

    def __str__(self) -> str:
        return str(self.args[0])


class Cancelled(WaitEnded):
    """Somebody cancelled the wait."""


class ActionFailed(SupervisionError):
    """An action ended without success; raise it in an action to fail with a sentence instead of a traceback."""


class NotRetryable(ActionFailed):
    """An action failed in a way that trying again would not help."""


class StoreUnavailable(SupervisionError, ConnectionError):
    """The store did not answer in time; whether the last write took effect is unknown."""


class ServerNotFound(StoreUnavailable):
    """No server binary for the embedded store could be found."""
