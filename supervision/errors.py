"""Every error this library raises, as one tree.

    SupervisionError
    ├── InvalidDeclaration      a Child, Supervisor, action, check or setting is wrong; raised when it is loaded
    ├── InvalidDocument         a desired or observed document has the wrong type, size or content
    ├── InvalidMove             a state function returned something that is not exactly one move
    ├── NotFound                a supervisor, child or action that does not exist
    ├── Conflict                somebody else was faster: revision, fence or action slot
    │   └── Superseded          the caller's epoch or fence is old; its write was refused
    ├── ActionFailed            an action ended without success
    │   └── NotRetryable        the same, and trying again would not help
    └── StoreUnavailable        the store did not answer in time; nothing is known about the effect
        └── ServerNotFound      no server binary for the embedded store

Each message says what was wrong, the value, and what would be right.
"""


class SupervisionError(Exception):
    """Root of the tree: catch this to catch everything this library raises on purpose."""


class InvalidDeclaration(SupervisionError, ValueError):
    """A declaration or setting is wrong."""


class InvalidDocument(SupervisionError, ValueError):
    """A document has the wrong type, does not serialise, or is too large."""


class InvalidMove(SupervisionError, TypeError):
    """A state function returned something that is not exactly one move."""


class NotFound(SupervisionError, LookupError):
    """No such supervisor, child or action; the message lists what there is."""


class Conflict(SupervisionError):
    """Somebody else was faster; read again and decide again."""


class Superseded(Conflict):
    """The caller's epoch or fence is old; its write was refused."""


class ActionFailed(SupervisionError):
    """An action ended without success; raise it in an action to fail with a sentence instead of a traceback."""


class NotRetryable(ActionFailed):
    """An action failed in a way that trying again would not help."""


class StoreUnavailable(SupervisionError, ConnectionError):
    """The store did not answer in time; whether the last write took effect is unknown."""


class ServerNotFound(StoreUnavailable):
    """No server binary for the embedded store could be found."""
