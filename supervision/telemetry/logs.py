"""Our own log lines: one JSON object each, on stderr, with the name of what happened under ``event``.

Celery's lines keep Celery's format for now; both end up in the worker's log.
"""

import sys

import structlog


def configure() -> None:
    """One JSON object per line, tracebacks as plain text and without local variables, which may hold secrets."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
