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

from typing import TYPE_CHECKING, Any

from supervision.actions import Run, action
from supervision.backoff import Backoff
from supervision.checks import Seen, check, fail, ok, unknown
from supervision.child import Child, state
from supervision.errors import (
    ActionFailed,
    Conflict,
    InvalidDeclaration,
    InvalidDocument,
    InvalidMove,
    NotFound,
    NotRetryable,
    ServerNotFound,
    StoreUnavailable,
    Superseded,
    SupervisionError,
)
from supervision.model import Do, Go, Phase, Snapshot, Stay
from supervision.monitor import degraded, healthy, monitor
from supervision.supervisor import Supervisor

if TYPE_CHECKING:
    from supervision.client import Client

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
    # For other Python programs
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
    "StoreUnavailable",
    "ServerNotFound",
]


def __getattr__(name: str) -> Any:
    """Public names that need redis are imported when they are first asked for."""
    if name != "Client":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from supervision.client import Client  # noqa: PLC0415 # see above

    return Client
