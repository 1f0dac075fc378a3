"""Monitors: the smallest child there is, one function that says whether something is as it should be.

    @monitor(interval=5)
    def disk():                                  # I/O, sync or async, as every observe()
        used = shutil.disk_usage("/").used
        return healthy(f"{used} bytes used") if used < LIMIT else degraded(f"{used} bytes used")

    plant = Supervisor("plant", [disk])

It is looked at every ``interval`` seconds, and has one action if it is given one: ``restart``, which people and checks
can ask for. A function that raises, or returns anything else, is a look that failed: the last one that did not still
stands until it is stale. A reason that differs at every look is a change each time; round what it tells.
"""

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, Unpack, overload

import msgspec

from supervision import documents
from supervision.actions import Run, action
from supervision.child import Child, Common, Undocumented, state
from supervision.errors import InvalidDeclaration, InvalidDocument
from supervision.model import Go, Move, Phase, Snapshot, Stay, shown


class Health(msgspec.Struct, frozen=True):
    """What a monitor observes: whether it is ``well``, and why it thinks so."""

    well: bool
    reason: str


def healthy(reason: str = "healthy") -> Health:
    """What a monitor returns when all is well."""
    return Health(well=True, reason=_told("healthy", reason))


def degraded(reason: str) -> Health:
    """What a monitor returns when something is not as it should be; ``reason`` says what."""
    return Health(well=False, reason=_told("degraded", reason))


class Monitor(Child):
    """A child made of one function; made by `monitor`."""

    kind = "monitor"
    Desired: ClassVar[type] = Undocumented
    Observed: ClassVar[type] = Health

    def __init__(
        self, name: str, function: Callable[[], object], *, interval: float | None = None, **common: Unpack[Common]
    ) -> None:
        self.interval = interval
        super().__init__(name, **common)
        self._function = function
        if inspect.iscoroutinefunction(function):
            self.observe = self._awaited  # type: ignore[method-assign] # whoever looks asks whether it is to be awaited

    def observe(self) -> Any:
        """Call the function."""
        return self._sound(self._function())

    async def _awaited(self) -> Health:
        answer: Any = self._function()
        return self._sound(await answer)

    def _sound(self, answer: object) -> Health:
        if isinstance(answer, Health):
            return answer
        raise InvalidDocument(
            f"{self!r}: returned {shown(answer)}; a monitor returns healthy() or degraded('what is wrong')"
        )

    @state(Phase.STARTING, initial=True)
    def unknown(self, seen: Snapshot) -> Move:
        """Not looked at yet."""
        return Go("healthy" if seen.observed.well else "degraded", seen.observed.reason)

    @state(Phase.RUNNING)
    def healthy(self, seen: Snapshot) -> Move:
        """All is well."""
        return Stay(seen.observed.reason) if seen.observed.well else Go("degraded", seen.observed.reason)

    @state(Phase.DEGRADED)
    def degraded(self, seen: Snapshot) -> Move:
        """Something is wrong."""
        return Go("healthy", seen.observed.reason) if seen.observed.well else Stay(seen.observed.reason)


class RestartableMonitor(Monitor):
    """A monitor of something that can be restarted."""

    kind = "monitor"

    def __init__(self, name: str, function: Callable[[], object], restart: Callable[[Run], object], **own: Any) -> None:
        super().__init__(name, function, **own)
        self._restart = restart

    @action
    def restart(self, run: Run) -> None:
        """Call the function that restarts it."""
        self._restart(run)


@overload
def monitor(function: Callable[[], object], /) -> Monitor: ...
@overload
def monitor(
    *,
    interval: float | None = ...,
    name: str | None = ...,
    restart: Callable[[Run], object] | None = ...,
    **common: Unpack[Common],
) -> Callable[[Callable[[], object]], Monitor]: ...
def monitor(
    function: Callable[[], object] | None = None,
    /,
    *,
    interval: float | None = None,
    name: str | None = None,
    restart: Callable[[Run], object] | None = None,
    **common: Unpack[Common],
) -> Any:
    """Make a child of a function that returns `healthy` or `degraded`: ``@monitor`` or ``@monitor(interval=5)``.

    Args:
        function: called without arguments; may be ``async def``.
        interval: seconds between two looks, a day at most; its supervisor's when it is not given, or is longer.
        name: what the child is called; by default as the function is.
        restart: called with a `Run`, as every action, when people or checks restart it.

    Raises:
        InvalidDeclaration: the function cannot be called as ``function()``, or ``restart`` as ``restart(run)``.
    """
    if function is not None:
        return monitor()(function)

    def declare(function: Callable[[], object]) -> Monitor:
        _valid_call("monitor", function, ())
        called = getattr(function, "__name__", None) if name is None else name
        if called is None:
            raise InvalidDeclaration(f"monitor {shown(function)}: needs a name, for example monitor(name='disk')")
        if restart is None:
            return Monitor(called, function, interval=interval, **common)
        _valid_call(f"monitor {called}: restart", restart, ("run",))
        if inspect.iscoroutinefunction(restart):
            raise InvalidDeclaration(f"monitor {called}: restart={shown(restart)}: is async def; write def")
        return RestartableMonitor(called, function, restart, interval=interval, **common)

    return declare


def _valid_call(what: str, function: object, arguments: tuple[str, ...]) -> None:
    example = f"def f({', '.join(arguments)})"
    if not callable(function):
        raise InvalidDeclaration(f"{what}: {shown(function)}: needs a function, for example {example}")
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError as error:
        raise InvalidDeclaration(f"{what} {shown(function)}: {error}; it is called as {example}") from None
    except ValueError:  # some of those built into Python do not tell how they are called
        return


def _told(what: str, reason: object) -> str:
    if isinstance(reason, str) and reason:
        return documents.clipped(reason)
    raise InvalidDocument(f"{what}({shown(reason)}): needs a reason, for example {what}('the disk is 91 % full')")
