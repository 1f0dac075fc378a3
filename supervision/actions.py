"""Actions: named, idempotent operations on one child.

A method of a `Child` becomes an action by `@action`. It may be run more than once for one decision (a worker died, the
broker doubled a message), so it must be idempotent; what it touches outside can compare ``run.fence``, which only
grows, and refuse an older one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

import msgspec

from supervision.backoff import Backoff
from supervision.contained import fault
from supervision.documents import told
from supervision.errors import InvalidDeclaration, NotRetryable
from supervision.model import Snapshot, shown, valid_count, valid_name, valid_seconds
from supervision.valid import valid_method

if TYPE_CHECKING:
    from supervision.child import Child

DEFAULT_TIMEOUT_S = 30.0
"""An action that has not ended after half a minute is taken to hang."""

DEFAULT_RETRIES = 3
"""Runs after the first one, with delays of 1, 2 and 4 s before them."""

HARD_LIMIT_EXTRA_S = 5.0
"""Seconds between the soft limit, which raises in the action, and the hard one, which kills its process."""

MAX_RESULT_BYTES = 16 * 1024
"""What an action may return, as JSON: every tick reads it, so what is larger belongs into a file or a database."""

RECONFIGURE = "reconfigure"
"""The built-in action that applies what is desired now: the child's own, or else its restart."""


class Log(Protocol):
    """What an action may do with ``run.log``; the library hands in a structlog logger bound to the run."""

    def info(self, event: str, **fields: object) -> object:
        """Write one line at INFO."""

    def warning(self, event: str, **fields: object) -> object:
        """Write one line at WARNING."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of an action: its identity, its fence and what the child looked like when it began.

    ``(id, fence)`` is the idempotency key; ``attempt`` counts from 1.
    """

    id: str
    fence: int
    attempt: int
    snapshot: Snapshot
    params: Mapping[str, Any]
    log: Log
    restart_below: Callable[[], object] | None = None
    """Orders the supervisor that goes by this child's path to restart its children; the library's own."""


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """An action as declared: its code and its limits.

    ``timeout`` in seconds; ``retries`` are runs after the first; what is ``not_retryable`` ends it at once.
    """

    name: str
    code: Callable[..., object]
    timeout: float
    retries: int
    backoff: Backoff
    not_retryable: tuple[type[Exception], ...] = ()

    @property
    def timeout_ms(self) -> int:
        """The soft limit in milliseconds."""
        return round(self.timeout * 1000)

    def called(self, name: str, **changes: Any) -> "ActionSpec":
        """The same code under another name, or with other limits."""
        return replace(self, name=name, **changes)


TRANSITIONS: Mapping[str, Mapping[str, str]] = {
    "": {"queued": "a tick reserved the child's only slot, or a person did"},
    "queued": {
        "running": "a worker started it, under a new fence",
        "failed": "it is a restart probe, and nobody started it in its time",
    },
    "running": {
        "succeeded": "its code returned",
        "retrying": "it raised, hung or died, and runs are left; or its worker was told to stop",
        "failed": "it raised, hung or died for the last time, or in a way that trying again would not help",
    },
    "retrying": {"queued": "its backoff is over"},
    "succeeded": {},
    "failed": {},
}
"""The life of one action; every arrow is one record in the history."""

_Code = TypeVar("_Code", bound=Callable[..., object])


@overload
def action(code: _Code, /) -> _Code: ...
@overload
def action(
    name: str | None = None,
    /,
    *,
    timeout: float = ...,
    retries: int = ...,
    backoff: Backoff = ...,
    not_retryable: tuple[type[Exception], ...] = ...,
) -> Callable[[_Code], _Code]: ...
def action(  # the whole declaration of an action; all but the name are named
    name: Any = None,
    /,
    *,
    timeout: float = DEFAULT_TIMEOUT_S,
    retries: int = DEFAULT_RETRIES,
    backoff: Backoff | None = None,
    not_retryable: tuple[type[Exception], ...] = (),
) -> Any:
    """Declare a method of a `Child` as an action: ``@action`` or ``@action("name", timeout=10)``.

    ``timeout`` is the soft limit of one run in seconds; the process is killed `HARD_LIMIT_EXTRA_S` later. A run that
    raises is repeated up to ``retries`` times after ``backoff``, unless it raised `NotRetryable` or one of the classes
    in ``not_retryable``. Raises `InvalidDeclaration` at once for limits that could not work.
    """
    if callable(name):
        return action()(name)
    if name is not None:
        valid_name(name, "action")
    valid_seconds(timeout, f"action {name or ''}: timeout", "timeout=30")
    valid_count(retries, f"action {name or ''}: retries", least=0, example="retries=3")
    hopeless = _exceptions(not_retryable, f"action {name or ''}: not_retryable")
    pauses = Backoff() if backoff is None else backoff
    if not isinstance(pauses, Backoff):
        raise InvalidDeclaration(
            f"action {name or ''}: backoff={pauses!r}: needs a Backoff, for example Backoff(base=1)"
        )

    def declare(code: _Code) -> _Code:
        called = name or valid_name(code.__name__, "action")
        valid_method("action", code, "run")
        code.__action__ = ActionSpec(called, code, timeout, retries, pauses, hopeless)  # type: ignore[attr-defined] # the marker that Child collects
        return code

    return declare


def _exceptions(classes: object, what: str) -> tuple[type[Exception], ...]:
    """``classes`` if it is a tuple of exception classes, else `InvalidDeclaration`."""
    if isinstance(classes, tuple) and all(isinstance(each, type) and issubclass(each, Exception) for each in classes):
        return classes
    raise InvalidDeclaration(
        f"{what}={shown(classes)}: needs a tuple of exception classes, for example not_retryable=(ValueError,)"
    )


def encoded_result(result: object, what: str) -> str:
    """What an action returned as JSON, empty for None.

    Raises `NotRetryable` for what cannot be kept: the action has had its effect, so running it again is no remedy.
    """
    if result is None:
        return ""
    try:
        plain: Any = msgspec.to_builtins(result)
        data = msgspec.json.encode(plain)
        kept = _kept(plain, msgspec.json.decode(data))
    except BaseException as error:  # not only msgspec's: it reads properties and iterates over what users wrote
        wrong = f"{shown(result)}, which JSON cannot hold ({told(fault(error))})"
        raise NotRetryable(f"{what} returned {wrong}; {_RIGHT}") from error
    if not kept:
        raise NotRetryable(f"{what} returned {shown(result)}, which would be read back as another value; {_RIGHT}")
    if len(data) > MAX_RESULT_BYTES:
        large = f"{len(data):,} bytes as JSON, at most {MAX_RESULT_BYTES:,} are kept"
        raise NotRetryable(f"{what} returned {large}; {_RIGHT}")
    return data.decode()


_RIGHT = "it ran, and is not run again; return None, text, finite numbers, lists, or mappings with texts as keys"


def _kept(plain: Any, back: Any) -> bool:
    """Whether ``back`` says the same as ``plain``, of which it was made: NaN and keys that are no texts do not last."""
    if isinstance(plain, (list, tuple)):
        return all(map(_kept, plain, back))
    if isinstance(plain, dict):
        return plain.keys() == back.keys() and all(_kept(plain[key], back[key]) for key in plain)
    return bool(plain == back)


def noop(_child: "Child", _run: Run) -> None:
    """Do nothing, successfully: the built-in action to try a deployment with."""


NOOP = ActionSpec("noop", noop, DEFAULT_TIMEOUT_S, 0, Backoff())
