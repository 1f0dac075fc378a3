"""One run of one action in this process: the user's code, and the report of how it ended.

The report is repeated until the store has heard it. It is fenced, so saying it twice has one effect; not saying it
would hold the child's slot until the deadline, and then run an action again that had long succeeded.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import structlog

from supervision.actions import ActionSpec, Run, encoded_result
from supervision.backoff import Backoff
from supervision.child import Child
from supervision.contained import TERMINATED
from supervision.documents import told
from supervision.errors import NotRetryable
from supervision.restarting import refused
from supervision.store.actions import GRACE_MS, MOST_HAND_BACKS, MOST_PASSED_ON, Ended, Record
from supervision.store.snapshots import Snapshots
from supervision.store.store import Store
from supervision.supervisor import Supervisor
from supervision.view import Claim

REPORT_AGAIN_S = 0.5
"""Seconds between two tries to report an end while the store is away; it is usually back within one or two."""

_STOPPED = "its worker was told to stop"
_EXITED = "its code exited, or its hard limit was reached"

_log = structlog.get_logger("supervision")


class _Unknown(Exception):
    """What is to be run is not in the code of this process: of an older or a newer version, while both are at work."""


@dataclass(frozen=True, slots=True)
class _Done:
    """How a run ended: as what, why, whether trying again may help, and what it returned, as JSON.

    ``hand_backs`` is how often an interrupted one is handed back to whoever takes it next.
    """

    outcome: str
    error: str = ""
    retry: bool = False
    result: str = ""
    hand_backs: int = MOST_HAND_BACKS


class Acting:
    """Runs the actions of the declared ``supervisors``."""

    def __init__(self, store: Store, supervisors: Mapping[str, Supervisor]) -> None:
        self._store = store
        self._supervisors = supervisors
        self._snapshots = Snapshots(store.scripts, store.keys)

    def child(self, record: Record) -> Child | None:
        """The child that ``record`` is about, None when this process does not declare it."""
        supervisor = self._supervisors.get(record.supervisor)
        if supervisor is None:
            return None
        declared = supervisor.children.get(record.child)
        return declared or self._store.ticks.loading.children(supervisor).get(record.child)

    def delay_ms(self, record: Record) -> int:
        """How long the next run of this action waits, should this one fail."""
        child = self.child(record)
        spec = child.spec(record.name) if child else None
        return (spec.backoff if spec else Backoff()).delay_ms(record.attempt, record.id)

    def run(self, record: Record) -> tuple[Ended, str]:
        """Run the user's code under ``record``'s fence and report how it ended; answers that, and the error if any."""
        deadline = time.monotonic() + (record.timeout_ms + GRACE_MS) / 1000
        done = self._performed(record)
        while True:
            try:
                return self._reported(record, done), done.error
            except Exception as interrupted:
                # Whatever it was (the store away, a time limit that fired just now): the end must still be reported.
                if time.monotonic() > deadline:
                    raise
                _log.warning("action_end_not_reported", action=record.id, outcome=done.outcome, error=told(interrupted))
                time.sleep(REPORT_AGAIN_S)

    def _reported(self, record: Record, done: _Done) -> Ended:
        return self._store.actions.finish(
            record,
            outcome=done.outcome,
            error=done.error,
            retry=done.retry,
            delay_ms=self.delay_ms(record),
            result=done.result,
            hand_backs=done.hand_backs,
        )

    def _performed(self, record: Record) -> _Done:
        """Run the user's code: how it ended, and whether trying again may help."""
        what = {"action": record.id, "action_type": record.name, "fence": record.fence, "attempt": record.attempt}
        log = _log.bind(child=f"{record.supervisor}/{record.child}", **what)
        begun = time.monotonic()
        hopeless: tuple[type[Exception], ...] = (NotRetryable,)
        try:
            child, spec, run = self._prepared(record, log)
            hopeless += spec.not_retryable
            log.info("action_started")
            result = encoded_result(spec.code(child, run), f"{child.path}: {spec.name}")
        except SystemExit as error:  # sys.exit() in user code must not end a worker's thread
            told_to_stop = error.code in TERMINATED and time.monotonic() - begun < record.timeout_ms / 1000
            why = f"{told(error)}: {_STOPPED if told_to_stop else _EXITED}"
            log.warning("action_interrupted" if told_to_stop else "action_failed", error=why, exc_info=True)
            return _Done("interrupted" if told_to_stop else "failed", why, retry=True)
        except _Unknown as error:
            log.warning("action_handed_back", error=str(error))  # it says all there is
            return _Done("interrupted", str(error), hand_backs=MOST_PASSED_ON)
        except BaseException as error:  # user code: not even its KeyboardInterrupt may end a worker's thread
            log.warning("action_failed", error=told(error), exc_info=True)
            return _Done("failed", told(error), retry=not isinstance(error, hopeless))
        log.info("action_succeeded")
        return _Done("succeeded", result=result)

    def _prepared(self, record: Record, log: Any) -> tuple[Child, ActionSpec, Run]:
        child = self.child(record)
        spec = child.spec(record.name) if child else None
        if not child or not spec:
            what = f"{record.supervisor}/{record.child} with action {record.name!r} is not in the code of this worker"
            raise _Unknown(f"{what}; start all workers with the same version of it")
        seen = self._snapshots.of(record.supervisor, child)
        state, since = (seen.record.state, seen.record.since) if seen.record else (child.initial, 0)
        snapshot = seen.snapshot(state, since, record.started)
        params: dict[str, Any] = msgspec.json.decode(record.params)
        below = partial(self._restart_below, child.path, record) if child.reported else None
        return child, spec, Run(record.id, record.fence, record.attempt, snapshot, params, log, below)

    def _restart_below(self, path: str, record: Record) -> None:
        """Order it, unless it can be seen that nothing would come of it: a person is told so, and why."""
        if (below := self._supervisors.get(path)) and not record.incident:
            view = self._store.ticks.loading.view(below, Claim(0, record.started, 0))
            if why := refused(view):
                raise NotRetryable(why)
        self._store.orders.restart_all(path, record.id, record.actor, record.reason, fence=record.fence)
