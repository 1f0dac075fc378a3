"""One run of one action in this process: the user's code, and the report of how it ended.

The report is repeated until the store has heard it. It is fenced, so saying it twice has one effect; not saying it
would hold the child's slot until the deadline, and then run an action again that had long succeeded.
"""

import time
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog

from supervision.actions import ActionSpec, Run
from supervision.backoff import Backoff
from supervision.child import Child
from supervision.documents import told
from supervision.errors import NotRetryable
from supervision.store.actions import GRACE_MS, Ended, Record
from supervision.store.store import Store
from supervision.supervisor import Supervisor
from supervision.view import Claim

REPORT_AGAIN_S = 0.5
"""Seconds between two tries to report an end while the store is away; it is usually back within one or two."""

_log = structlog.get_logger("supervision")


class Acting:
    """Runs the actions of the declared ``supervisors``."""

    def __init__(self, store: Store, supervisors: Mapping[str, Supervisor]) -> None:
        self._store = store
        self._supervisors = supervisors

    def child(self, record: Record) -> Child | None:
        """The child that ``record`` is about, None when this process does not declare it."""
        supervisor = self._supervisors.get(record.supervisor)
        return supervisor.children.get(record.child) if supervisor else None

    def delay_ms(self, record: Record) -> int:
        """How long the next run of this action waits, should this one fail."""
        child = self.child(record)
        spec = child.spec(record.name) if child else None
        return (spec.backoff if spec else Backoff()).delay_ms(record.attempt, record.id)

    def run(self, record: Record) -> tuple[Ended, str]:
        """Run the user's code under ``record``'s fence and report how it ended; answers that, and the error if any."""
        deadline = time.monotonic() + (record.timeout_ms + GRACE_MS) / 1000
        outcome, error, retry = self._performed(record)
        while True:
            try:
                delay_ms = self.delay_ms(record)
                return self._store.actions.finish(
                    record, outcome=outcome, error=error, retry=retry, delay_ms=delay_ms
                ), error
            except Exception as interrupted:
                # Whatever it was (the store away, a time limit that fired just now): the end must still be reported.
                if time.monotonic() > deadline:
                    raise
                _log.warning("action_end_not_reported", action=record.id, outcome=outcome, error=told(interrupted))
                time.sleep(REPORT_AGAIN_S)

    def _performed(self, record: Record) -> tuple[str, str, bool]:
        """Run the user's code: outcome, error, and whether trying again may help."""
        log = _log.bind(action=record.id, action_type=record.name, fence=record.fence, attempt=record.attempt)
        try:
            child, spec, run = self._prepared(record, log)
            log.info("action_started", child=child.path)
            spec.code(child, run)
        except SystemExit as error:  # sys.exit() in user code must not end a worker's thread
            why = f"{told(error)}: its code exited, its worker was told to stop, or its hard limit was reached"
            log.warning("action_failed", error=why, exc_info=True)
            return "failed", why, True
        except Exception as error:
            log.warning("action_failed", error=told(error), exc_info=True)
            return "failed", told(error), not isinstance(error, NotRetryable)
        log.info("action_succeeded", child=child.path)
        return "succeeded", "", False

    def _prepared(self, record: Record, log: Any) -> tuple[Child, ActionSpec, Run]:
        supervisor, child = self._supervisors.get(record.supervisor), self.child(record)
        spec = child.spec(record.name) if child else None
        if not supervisor or not child or not spec:
            raise NotRetryable(f"{record.supervisor}/{record.child} with action {record.name!r} is not declared here")
        seen = self._store.ticks.load(supervisor, Claim(0, record.started, 0)).children[child.name]
        state, since = (seen.record.state, seen.record.since) if seen.record else (child.initial, 0)
        snapshot = seen.snapshot(state, since, record.started)
        params: dict[str, Any] = msgspec.json.decode(record.params)
        return child, spec, Run(record.id, record.fence, record.attempt, snapshot, params, log)
