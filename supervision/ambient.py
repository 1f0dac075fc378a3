"""For code inside Celery tasks: one client per process, made of the current app when it is first needed.

    @app.task
    @coordinator(lambda order: f"ship-{order}")
    def ship(order):
        ...
        send(f"shipped/{order}", {"parcels": 3})

A task that is a coordinator beats while it runs, is complete when it returns and has failed when it raises. Its process
is watched by its worker, whose app imports this module, so those who wait for it are told at once when it is killed.
"""

import functools
import inspect
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from supervision.burying import bury
from supervision.client import Client
from supervision.coordination.signals import Receipt
from supervision.engine import current, deaths
from supervision.errors import InvalidWait
from supervision.model import shown
from supervision.participant import Coordinator

_P = ParamSpec("_P")
_R = TypeVar("_R")

deaths.install_in_workers(bury)

_clients: dict[int, Client] = {}
"""The client of this process, by its id: connections and threads do not survive a fork."""

_within: ContextVar[tuple[int, Coordinator] | None] = ContextVar("coordinator", default=None)
"""Whose task or block this thread is in, the innermost one, and in which process: a fork has nobody's heart."""


def client() -> Client:
    """The client of this process, for what the current Celery app is configured with."""
    found = _clients.get(os.getpid())
    if found is None:
        _clients.clear()
        found = _clients[os.getpid()] = Client.from_app(current.app())
    return found


def send(name: str, payload: Any = None, **options: Any) -> Receipt:
    """As `Client.send`, through the current app; inside a coordinator's task or block that one is the sender."""
    if within := _within.get():
        options.setdefault("sender", within[1].name)
    return client().send(name, payload, **options)


def progress(doing: str | None = None) -> None:
    """Say that the coordinator moves in whose task or block this is, and what it is ``doing``.

    The next heartbeat tells it. One with a ``progress`` of so many seconds that has not said so for as long is declared
    dead, though it beats. In another thread, in a forked process and in a generator that has a block of its own use the
    `Coordinator` that the block gives.

    Raises:
        InvalidWait: nobody is a coordinator in this thread and process, or ``doing`` is no line of text.
    """
    pid, me = _within.get() or (0, None)
    if me is None or pid != os.getpid():
        raise InvalidWait(
            "progress(): no coordinator in this thread and process; it belongs into a function, or a block, of "
            "`coordinator`, or use what that block gives"
        )
    if doing is not None:
        me.doing(doing)
    me.progress()


class coordinator(AbstractContextManager[Coordinator]):  # noqa: N801 # a decorator and context manager, as in contextlib
    """Make a block, or every call of a function, a coordinator; takes what `Client.coordinator` takes.

    As a decorator ``name`` may be a function of the call's arguments, as for the decorated function (without ``self``
    of a bound task).
    """

    def __init__(self, name: str | Callable[..., str], **options: Any) -> None:
        self._name, self._options = name, options
        self._entered: list[tuple[Coordinator, tuple[int, Coordinator] | None]] = []

    def __enter__(self) -> Coordinator:
        if not isinstance(self._name, str):
            raise InvalidWait("coordinator(function): a name that depends on arguments works for @coordinator only")
        kind = "task" if current.in_task() else "process"
        made = client().coordinator(self._name, **{"kind": kind, **self._options})
        self._entered.append((made, _within.get()))
        _within.set((os.getpid(), made))
        return made

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        made, before = self._entered.pop()
        _within.set(before)
        made.__exit__(kind, error, trace)

    def __call__(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """``function`` as a coordinator."""
        if not callable(function):
            raise InvalidWait(f"@coordinator stands on {shown(self._name)} without a name: @coordinator('review-42')")
        if current.is_task(function):
            raise InvalidWait("@coordinator stands above @app.task, where no worker calls it: put it directly below")
        if inspect.iscoroutinefunction(function):
            raise InvalidWait(f"@coordinator: {function.__qualname__} is async def; use aio.Client().coordinator in it")

        @functools.wraps(function)
        def wrapped(*arguments: _P.args, **named: _P.kwargs) -> _R:
            with coordinator(self._named(arguments, named), **self._options):
                return function(*arguments, **named)

        return wrapped

    def _named(self, arguments: Any, named: Any) -> str:
        if isinstance(self._name, str):
            return self._name
        bound = arguments[1:] if arguments and hasattr(arguments[0], "request_stack") else arguments
        return self._name(*bound, **named)
