"""A guard for tasks with an effect that must not happen twice: a message that comes twice runs the task once.

    @app.task
    @once
    def pay(order): ...

How it works:
- A run holds the task's id under a lease that it renews. A copy that comes meanwhile comes again when the lease is
  over: by then the run is settled, or its process died and the copy does the work.
- The value is kept until Celery has stored it and sent what follows. Whoever dies in between leaves a copy that returns
  the value without running the task, so a chain goes on.
- What raised has not happened: a retry, which has the same id, runs the task again.

What it cannot do: a process that is stopped for longer than its lease (SIGSTOP, a virtual machine that moves) and goes
on later has its effect all the same, and so has one that is killed between its effect and its return.
"""

import functools
import inspect
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, ParamSpec, TypeVar, overload

from celery import current_task, states
from celery.exceptions import Ignore
from celery.signals import task_postrun
from kombu.exceptions import EncodeError
from kombu.utils.json import dumps, loads

from supervision import settings
from supervision.engine import current
from supervision.errors import InvalidDeclaration, StoreUnavailable
from supervision.model import shown
from supervision.saying import log as _log
from supervision.store.once import Once, State
from supervision.store.store import Store

LEASE_S = 30.0
"""Seconds after which the work of a process that died is done by a copy; renewed at a third of it."""

MIN_LEASE_S, MAX_LEASE_S = 1.0, 3600.0

_P = ParamSpec("_P")
_R = TypeVar("_R")

_stores: dict[int, Once] = {}
_unsettled: dict[str, tuple[str, int]] = {}
"""Holder and lease of runs that are done, by task, until Celery has gone on."""


@overload
def once(function: Callable[_P, _R]) -> Callable[_P, _R]: ...
@overload
def once(*, lease: float = LEASE_S) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]: ...
def once(function: Any = None, *, lease: float = LEASE_S) -> Any:
    """Guard the function of a task, directly below ``@app.task``; see the head of this module.

    Args:
        function: the function.
        lease: seconds, 1 to 3600, after which a copy does the work of a process that died.

    Raises:
        InvalidDeclaration: ``lease`` is not that, or the function is ``async``.
    """
    if function is None:
        return functools.partial(once, lease=_valid(lease))
    if current.is_task(function):
        raise InvalidDeclaration("@once stands above @app.task, where no worker calls it: put it directly below")
    if inspect.iscoroutinefunction(function) or not callable(function):
        raise InvalidDeclaration(f"@once: {shown(function)} is async or no function; it guards the function of a task")

    @functools.wraps(function)
    def guarded(*arguments: Any, **named: Any) -> Any:
        request = current_task.request if current_task else None
        if request is None or not request.id or request.called_directly or request.is_eager:
            return function(*arguments, **named)  # nobody's message: nothing to guard
        return _once(str(request.id), round(_valid(lease) * 1000), lambda: function(*arguments, **named))

    guarded.__signature__ = inspect.signature(function)  # type: ignore[attr-defined] # by it Celery checks arguments
    return guarded


def _once(task_id: str, lease_ms: int, call: Callable[[], _R]) -> Any:
    holder = uuid.uuid4().hex
    begun = _store().begin(task_id, holder, lease_ms)
    if begun.met == "settled":
        raise Ignore
    if begun.met == "busy":
        _come_again(begun.left_ms / 1000)
        raise Ignore
    _unsettled[task_id] = holder, lease_ms
    if begun.met == "again":
        return loads(begun.value)
    try:
        with _renewed(task_id, holder, lease_ms):
            value = call()
    except BaseException:
        del _unsettled[task_id]
        _end(task_id, holder, "released", lease_ms)
        raise
    _end(task_id, holder, "done", lease_ms, _text(value))
    return value


def _come_again(seconds: float) -> None:
    """Publish this copy once more. Not by ``retry``: that would store RETRY over what the run has stored meanwhile."""
    request = current_task.request
    copy = current_task.signature_from_request(
        request, tuple(request.args or ()), dict(request.kwargs or {}), countdown=seconds, retries=request.retries
    )
    copy.apply_async(add_to_parent=False)


@contextmanager
def _renewed(task_id: str, holder: str, lease_ms: int) -> Iterator[None]:
    """Renew the lease while the block runs."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(lease_ms / 3000):
            with suppress(StoreUnavailable):  # the next time, or the lease is over
                _store().begin(task_id, holder, lease_ms)

    thread = threading.Thread(target=renew, name=f"once-{task_id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()  # so that it renews nothing that is over


def _end(task_id: str, holder: str, state: State, lease_ms: int, value: str = "") -> None:
    try:
        _store().end(task_id, holder, state, lease_ms, value)
    except StoreUnavailable as error:  # how the task ended is not changed by it
        _log.warning("once_not_said", task=task_id, state=state, error=str(error))


@task_postrun.connect(weak=False)
def _settle(task_id: str = "", state: str = "", **_signal: Any) -> None:
    """Celery has stored the value and sent what follows: from now on a copy has nothing to do."""
    found = _unsettled.pop(task_id, None)
    if found and state == states.SUCCESS:
        _end(task_id, found[0], "settled", found[1])


def _text(value: Any) -> str:
    try:
        return str(dumps(value))
    except (EncodeError, TypeError, ValueError):  # Celery will say so when it stores the value; the effect has happened
        return "null"


def _store() -> Once:
    """The guard's store in this process: connections do not survive a fork."""
    found = _stores.get(os.getpid())
    if found is None:
        configured = settings.read(current.app().conf)
        store = Store(configured.store_url, configured.namespace)
        _stores.clear()
        found = _stores[os.getpid()] = Once(store.scripts, store.keys)
    return found


def _valid(lease: object) -> float:
    number = isinstance(lease, (int, float)) and not isinstance(lease, bool)
    if number and MIN_LEASE_S <= lease <= MAX_LEASE_S:  # type: ignore[operator] # a number, see above
        return float(lease)  # type: ignore[arg-type] # likewise
    raise InvalidDeclaration(f"lease={shown(lease)}: needs seconds from {MIN_LEASE_S:g} to {MAX_LEASE_S:g}")
