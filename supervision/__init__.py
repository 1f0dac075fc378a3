"""Supervision that heals and coordination that waits, on Celery and Redis or Valkey.

    from supervision import Supervisor, check, fail, ok
    from supervision.kinds.process import Process

    broker = Process("broker", ["plant-broker"])
    flow = Process("flow", ["plant-flow"])

    @check("broker", "flow", restart="flow")
    def flow_is_connected(broker, flow):
        return ok() if flow.observed.connections else fail("the flow has no connection")

    plant = Supervisor("plant", [broker, flow], checks=[flow_is_connected])

Put the module's name into ``supervision_imports``, start workers and beat of the app ``tasks``, and this happens once a
second, on any number of machines, whoever of them dies:

    beat ─> tick ──claim──> load ──> decide(view, now) ──> commit ──> publish ──> act ──> finish
            │                        pure                  one script             user code, fenced
            └ the store holds the truth, messages carry ids

Importing this package imports neither Celery nor Redis.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from supervision.actions import Run, action
from supervision.backoff import Backoff
from supervision.checks import Seen, check, fail, ok, unknown
from supervision.child import Child, state
from supervision.errors import (
    ActionFailed,
    Cancelled,
    Conflict,
    CoordinatorDied,
    InvalidDeclaration,
    InvalidDocument,
    InvalidMove,
    InvalidWait,
    MailboxFull,
    NotFound,
    NotRetryable,
    PartsFailed,
    ServerNotFound,
    SignalAlreadySent,
    SignalTimeout,
    StoreUnavailable,
    Superseded,
    SupervisionError,
    WaitEnded,
)
from supervision.model import Do, Go, Phase, Snapshot, Stay
from supervision.monitor import degraded, healthy, monitor
from supervision.supervisor import Supervisor

if TYPE_CHECKING:
    from supervision.ambient import coordinator, progress, send
    from supervision.client import Client
    from supervision.engine.canvas import all_of, any_of, k_of, wait_for
    from supervision.engine.gathering import gather
    from supervision.engine.once import once

__all__ = [  # noqa: RUF022 # grouped by what they are for: the API read in 20 seconds
    # Declaring
    "Child",
    "Supervisor",
    "state",
    "action",
    "check",
    "monitor",
    "Backoff",
    "Phase",
    # What a state function sees and returns
    "Snapshot",
    "Stay",
    "Go",
    "Do",
    # What a check sees and returns
    "Seen",
    "ok",
    "fail",
    "unknown",
    # What a monitor returns
    "healthy",
    "degraded",
    # What an action gets
    "Run",
    # Waiting, as Celery signatures
    "wait_for",
    "all_of",
    "any_of",
    "k_of",
    "gather",
    # Inside Celery tasks
    "once",
    "send",
    "coordinator",
    "progress",
    # For other Python programs; `supervision.aio` has the same for asyncio
    "Client",
    # Errors
    "SupervisionError",
    "InvalidDeclaration",
    "InvalidDocument",
    "InvalidMove",
    "NotFound",
    "Conflict",
    "Superseded",
    "ActionFailed",
    "NotRetryable",
    "InvalidWait",
    "SignalAlreadySent",
    "WaitEnded",
    "SignalTimeout",
    "CoordinatorDied",
    "PartsFailed",
    "Cancelled",
    "MailboxFull",
    "StoreUnavailable",
    "ServerNotFound",
]


def __getattr__(name: str) -> Any:
    """Public names that need redis or Celery are imported when they are first asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_LAZY[name]), name)
    globals()[name] = found
    return found


_LAZY = {
    "Client": "supervision.client",
    **dict.fromkeys(("wait_for", "all_of", "any_of", "k_of"), "supervision.engine.canvas"),
    "gather": "supervision.engine.gathering",
    "once": "supervision.engine.once",
    **dict.fromkeys(("send", "coordinator", "progress"), "supervision.ambient"),
}
