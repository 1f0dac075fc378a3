"""Telling what has just become true in this process, as log lines.

In a process of ours lines go the way of all others. In a program that only uses the client, and has configured no
structlog, they go to the logger ``supervision`` of `logging` and nowhere else: a library prints nothing.
"""

import logging
from collections.abc import Iterable

import structlog

from supervision.store.happened import Happened
from supervision.telemetry import coordination_lines, logs
from supervision.telemetry.lines import Line

_log = structlog.get_logger(logs.OURS)
_plain = logging.getLogger(logs.OURS)
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def heard(happened: Iterable[Happened]) -> None:
    """Tell of these transitions."""
    if structlog.is_configured():
        logs.write(_log, map(coordination_lines.line, happened))
        return
    for each in happened:
        line = coordination_lines.line(each)
        if _plain.isEnabledFor(_LEVELS[line.level]):
            _plain.log(_LEVELS[line.level], "%s %s", line.event, _pairs(line))


def _pairs(line: Line) -> str:
    return " ".join(f"{name}={value!r}" for name, value in line.fields.items())
