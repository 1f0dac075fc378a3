"""Hooks: functions of yours that are called when something has happened here, connected as to Celery's signals.

    from supervision import hooks

    @hooks.coordinator_died.connect
    def page_somebody(sender, reason, **_fields):
        ...

Rules:
- A hook is called in the process that made it true, once, after it was committed: for a circuit the worker that ticked,
  for a wait that ended the one that goes on with it, for a coordinator the one that found it dead.
- It is decoration: what it raises is logged, what it takes is its own time. Each receiver has a thread and a queue of
  its own; one that hangs holds that thread and nothing else, and what finds its queue full is logged, not told to it.
- It gets the fields of the event by name: ``kind``, ``subject``, ``before``, ``after``, ``reason``, ``actor``, and
  ``sender``, which is the subject, and ``signal``, which is the hook. More may come, so take ``**fields``.
- A process that ends takes what waits in its queues with it. What must not be lost is a task of yours, which workers
  send for: ``supervision_hooks = {"coordinator_died": page.s("oncall").set(queue="ops")}``, a signature or a task's
  name; it gets the event's fields as keyword arguments, and may run in any process (see `notifying`, docs/hooks.md).
"""

import logging
import os
import queue
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

SLOW_S: Final = 5.0
"""Seconds after which a hook that has not come back is logged."""

MOST_WAITING: Final = 1000
"""Calls that wait for one receiver."""

_log = logging.getLogger("supervision")
_Receiver = TypeVar("_Receiver", bound=Callable[..., Any])


class Hook:
    """One thing that can happen; `connect` to be told of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._lines: list[_Line] = []
        self._forked()
        os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        self._lock = threading.Lock()  # somebody may have held it at that moment, who is not there any more

    def __repr__(self) -> str:
        return f"<hook {self.name}>"

    def connect(
        self,
        receiver: _Receiver | None = None,
        *,
        sender: str | None = None,
        weak: bool = True,
        dispatch_uid: object = None,
    ) -> Any:
        """Call ``receiver`` from now on, for ``sender`` (a subject) alone where one is given; also a decorator.

        With ``weak`` it is forgotten when nobody else holds it. The same receiver and sender, or the same
        ``dispatch_uid``, is connected once.
        """
        if receiver is None:
            return lambda found: self.connect(found, sender=sender, weak=weak, dispatch_uid=dispatch_uid)
        line = _Line(self, receiver, sender, dispatch_uid, weak=weak)
        with self._lock:
            if line.key not in {each.key for each in self._living()}:
                self._lines.append(line)
        return receiver

    def disconnect(
        self, receiver: Callable[..., Any] | None = None, *, sender: str | None = None, dispatch_uid: object = None
    ) -> bool:
        """Call it no longer; answers whether it was connected."""
        key = _key(receiver, sender, dispatch_uid)
        with self._lock:
            left = [each for each in self._living() if each.key != key]
            found, self._lines = len(left) < len(self._lines), left
        return found

    def send(self, sender: str, **fields: Any) -> int:
        """Have all receivers called that want to hear of ``sender``; answers how many. Never raises nor waits."""
        if not self._lines:
            return 0
        call = {"signal": self, "sender": sender, **fields}
        with self._lock:
            return sum(each.put(call) for each in self._living() if each.sender in {None, sender})

    def _living(self) -> "list[_Line]":
        self._lines = [each for each in self._lines if each.receiver() is not None]
        return self._lines


class _Line:
    """One receiver, its queue and its thread."""

    def __init__(
        self, hook: Hook, receiver: Callable[..., Any], sender: str | None, uid: object, *, weak: bool
    ) -> None:
        self.hook, self.sender, self.key = hook, sender, _key(receiver, sender, uid)
        self.receiver: Callable[[], Callable[..., Any] | None] = _reference(receiver) if weak else lambda: receiver
        self._process = 0
        self._calls: queue.Queue[Mapping[str, Any]] = queue.Queue(MOST_WAITING)
        self._since: float | None = None
        self._told = False

    def put(self, fields: Mapping[str, Any]) -> bool:
        """Have it called with ``fields``; whether there was room."""
        if self._process != os.getpid():  # threads and locks do not survive a fork
            self._process, self._calls, self._since = os.getpid(), queue.Queue(MOST_WAITING), None
            threading.Thread(target=self._work, name=f"hook-{self.hook.name}", daemon=True).start()
        self._watch()
        try:
            self._calls.put_nowait(fields)
        except queue.Full:
            _log.warning(
                "hook %s: %d calls wait already; %s is not told", self.hook.name, MOST_WAITING, fields["sender"]
            )
            return False
        return True

    def _watch(self) -> None:
        """Say of a call that has not come back, once, that it has not."""
        since = self._since
        if since is not None and time.monotonic() - since > SLOW_S and not self._told:
            self._told = True
            _log.warning("hook %s: a receiver has not come back for over %g s", self.hook.name, SLOW_S)

    def _work(self) -> None:
        calls = self._calls
        while True:
            self._call(calls.get())

    def _call(self, fields: Mapping[str, Any]) -> None:
        receiver = self.receiver()
        if receiver is None:
            return
        self._since = began = time.monotonic()
        try:
            receiver(**fields)
        except Exception:  # noqa: BLE001 # whatever it is, it is its own affair
            _log.exception("hook %s failed for %s", self.hook.name, fields["sender"])
        finally:
            self._since, lasted = None, time.monotonic() - began
        if lasted > SLOW_S and not self._told:
            _log.warning("hook %s took %.1f s for %s", self.hook.name, lasted, fields["sender"])
        self._told = False


def _reference(receiver: Callable[..., Any]) -> Callable[[], Callable[..., Any] | None]:
    return weakref.WeakMethod(receiver) if hasattr(receiver, "__self__") else weakref.ref(receiver)


def _key(receiver: Callable[..., Any] | None, sender: str | None, uid: object) -> tuple[object, str | None]:
    if uid is not None:
        return uid, sender
    owner, function = getattr(receiver, "__self__", None), getattr(receiver, "__func__", receiver)
    return (id(owner), id(function)), sender


blocking_started = Hook("blocking_started")
signal_received = Hook("signal_received")
blocking_timed_out = Hook("blocking_timed_out")
coordinator_died = Hook("coordinator_died")
coordinator_recovered = Hook("coordinator_recovered")
escalated = Hook("escalated")
circuit_opened = Hook("circuit_opened")
circuit_closed = Hook("circuit_closed")

HOOKS: Final[Mapping[str, Hook]] = {
    hook.name: hook
    for hook in (
        *(blocking_started, signal_received, blocking_timed_out, coordinator_died, coordinator_recovered),
        *(escalated, circuit_opened, circuit_closed),
    )
}
"""All of them, by name."""


def called(kind: str, before: str, after: str) -> str:
    """The name of the hook that an event calls, empty for most."""
    return _CALLED.get((kind, before, after)) or _CALLED.get((kind, "*", after), "")


_CALLED: Final[Mapping[tuple[str, str, str], str]] = {
    ("wait", "", "waiting"): "blocking_started",
    ("wait", "waiting", "signalled"): "signal_received",
    ("wait", "waiting", "timed_out"): "blocking_timed_out",
    ("coordinator", "*", "dead"): "coordinator_died",
    **{("coordinator", over, "registered"): "coordinator_recovered" for over in ("dead", "failed")},
    ("coordinator", "*", "healthy"): "coordinator_recovered",
    **{(kind, "*", "escalated"): "escalated" for kind in ("circuit", "coordinator")},
    ("coordinator", "*", "unreplaced"): "escalated",
    **{("circuit", "closed", troubled): "circuit_opened" for troubled in ("open", "verifying")},
    ("circuit", "*", "closed"): "circuit_closed",
}
"""By kind, before (* for any) and after of the event."""
