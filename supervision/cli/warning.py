"""What the library warns of while a command runs, on the error stream: no output is mixed with it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click

from supervision.cli.masking import masked

OURS: Final = "supervision"
"""As `supervision.saying` has it, which loads structlog: half of the commands do not need that."""


class _ToStderr(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            click.echo(masked(f"{record.levelname.capitalize()}: {self._text(record)}"), err=True)
        except Exception:  # noqa: BLE001 # as every handler: a broken pipe ends no thread of the library's
            self.handleError(record)

    def _text(self, record: logging.LogRecord) -> str:
        if not isinstance(record.msg, dict):
            return self.format(record)
        fields = dict(record.msg)  # of an app that has configured structlog, as `celery -A tasks` has
        event = fields.pop("event", "")
        return " ".join([str(event), *(f"{name}={value!r}" for name, value in fields.items())])


@contextmanager
def on_stderr() -> Iterator[None]:
    """There, and nowhere else: a handler of the app's would write the same line again, secrets and all."""
    logger = logging.getLogger(OURS)
    before = logger.handlers[:], logger.propagate
    logger.handlers[:], logger.propagate = [_ToStderr(logging.WARNING)], False
    try:
        yield
    finally:
        logger.handlers[:], logger.propagate = before
