"""How this library says something: through structlog where the program has configured it, else to `logging` alone.

A library prints nothing. structlog that nobody has configured writes to the standard output, into what a program says
there, and with the local variables of a traceback where rich is installed, among which are addresses with passwords.
"""

import logging
from typing import Any, Final

import structlog

OURS: Final = "supervision"
"""The logger of our lines."""

silent: Final = logging.NullHandler()
"""Without it `logging` writes warnings to the error stream where nobody listens."""

_plain = logging.getLogger(OURS)
_plain.addHandler(silent)
_structured = structlog.get_logger(OURS)
_LEVELS: Final = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR, "exception": logging.ERROR}


class Log:
    """Lines by their event name and fields, as structlog has them."""

    def info(self, event: str, **fields: Any) -> None:
        """What should be."""
        self._say("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """What somebody may want to look at."""
        self._say("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """What somebody has to look at."""
        self._say("error", event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """As `error`, with the traceback of what is being handled."""
        self._say("exception", event, fields)

    def _say(self, level: str, event: str, fields: dict[str, Any]) -> None:
        if structlog.is_configured():
            getattr(_structured, level)(event, **fields)
        elif _plain.isEnabledFor(_LEVELS[level]):
            pairs = " ".join(f"{name}={value!r}" for name, value in fields.items())
            _plain.log(_LEVELS[level], "%s %s", event, pairs, exc_info=level == "exception")


log: Final = Log()
