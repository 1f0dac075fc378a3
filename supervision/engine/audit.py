"""Compares a user's own Celery app with what this system requires of it.

Rules:
- The table is `supervision.engine.requirements`; the judgement here knows no setting by name.
- `audit()` opens no connection and changes nothing: it judges what an app is configured to do, not a server.
- Rows that only Redis-like brokers need are skipped for others.
"""

from dataclasses import dataclass

from celery import Celery

from supervision.engine.requirements import REQUIREMENTS, Requirement, Severity, scheme
from supervision.engine.transport import ALIASES


@dataclass(frozen=True)
class Finding:
    """One thing to change in an app."""

    name: str
    """The setting, or the call that is missing."""
    value: object
    """What it is now."""
    advice: str
    """What to write instead."""
    why: str
    """What happens otherwise."""
    severity: Severity


def audit(app: Celery) -> list[Finding]:
    """What to change in ``app``, errors first; empty when there is nothing."""
    stored = scheme(app) in ALIASES
    findings = [_judge(row, app) for row in REQUIREMENTS if stored or not row.only_store]
    return sorted((found for found in findings if found), key=lambda found: found.severity)


def _judge(row: Requirement, app: Celery) -> Finding | None:
    value = row.read(app)
    if row.holds(value):
        return None
    return Finding(name=row.name, value=value, advice=row.advice, why=row.why, severity=row.severity)
