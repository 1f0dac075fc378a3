"""How log lines are written: one JSON object per line, or text for eyes, for our own lines and for everybody else's.

- Ours go through `logging`, to wherever the process logs (``-f``, a handler of your own), from INFO on whatever level
  the process has: the start of an action is worth its line in a worker that is otherwise quiet.
- `dress` gives a handler that Celery has made our format. A handler that somebody else installed keeps its own.
- Tracebacks are text without local variables, which may hold secrets.
"""

import logging
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import structlog
from structlog.typing import Processor

from supervision.saying import OURS, silent
from supervision.telemetry.lines import Line

_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)
"""What every line carries, ours and others': what was bound to the task, level, logger and time."""

_RENDERERS: Mapping[str, tuple[Processor, ...]] = {
    "json": (structlog.processors.format_exc_info, structlog.processors.JSONRenderer()),
    "console": (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback),
    ),
}


def configure() -> None:
    """Hand our lines to `logging`; without any handler there, warnings and errors end up on stderr."""
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logging.getLogger(OURS).setLevel(logging.INFO)
    logging.getLogger(OURS).removeHandler(silent)  # this is a process of ours, and may speak


def formatter(log_format: str) -> logging.Formatter:
    """The format ``json`` or ``console`` for `logging`'s handlers."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_RENDERERS[log_format]],
    )


def to_stderr(log_format: str) -> None:
    """Our lines in that format to the error stream, and nowhere else: for a program of ours that is no worker."""
    handler, logger = logging.StreamHandler(), logging.getLogger(OURS)
    handler.setFormatter(formatter(log_format))
    logger.handlers[:], logger.propagate = [handler], False
    configure()


def dress(logger: logging.Logger, log_format: str, *, only: type[logging.Formatter]) -> None:
    """Give our format to those handlers of ``logger`` that have a format of the kind ``only``."""
    for handler in logger.handlers:
        if isinstance(handler.formatter, only):
            handler.setFormatter(formatter(log_format))


def write(log: Any, lines: Iterable[Line]) -> None:
    """Write ``lines`` with ``log``."""
    for line in lines:
        getattr(log, line.level)(line.event, **line.fields)
