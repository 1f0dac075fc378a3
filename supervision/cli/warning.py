"""What the library warns of while a command runs, on the error stream: no output is mixed with it."""

import logging
from typing import Final

import click

from supervision.cli.masking import masked

OURS: Final = "supervision"
"""As `supervision.saying` has it, which loads structlog: half of the commands do not need that."""


class _ToStderr(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        click.echo(masked(f"{record.levelname.capitalize()}: {self.format(record)}"), err=True)


def to_stderr() -> None:
    """From now on; whatever wrote our lines before writes them no more."""
    logging.getLogger(OURS).handlers[:] = [_ToStderr(logging.WARNING)]
