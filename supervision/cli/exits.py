"""How a command ends when it does not end well: a status for scripts, a sentence and the next command for people."""

from typing import IO, Any, Final

import click

from supervision.cli.masking import masked
from supervision.errors import (
    Conflict,
    InvalidDeclaration,
    InvalidDocument,
    InvalidWait,
    NotFound,
    StoreUnavailable,
    SupervisionError,
)

CONDITION_FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
TIMED_OUT: Final = 4
UNREACHABLE: Final = 69
"""EX_UNAVAILABLE of sysexits.h, which Celery's commands use for the same."""

_STATUS: tuple[tuple[type[SupervisionError], int, str], ...] = (
    (NotFound, NOT_FOUND, "supervision tree"),
    (StoreUnavailable, UNREACHABLE, "supervision doctor"),
    (Conflict, CONDITION_FAILED, "supervision tree"),
    (InvalidDeclaration, USAGE, "supervision config"),
    (InvalidWait, USAGE, "{command} --help"),
    (InvalidDocument, USAGE, "{command} --help"),
    (SupervisionError, CONDITION_FAILED, "supervision doctor"),
)


class Refusal(click.ClickException):
    """A command that did not do what it was asked: ``status`` is its exit status, ``next_command`` what to try."""

    def __init__(self, message: str, status: int, next_command: str) -> None:
        super().__init__(masked(message))
        self.exit_code = status  # type: ignore[misc] # click reads it from the exception, and documents it as its class's
        self.next_command = next_command

    def show(self, file: IO[Any] | None = None) -> None:
        """Say it on the error stream."""
        click.echo(f"Error: {self.format_message()}\nTry: {self.next_command}", file=file, err=file is None)


def refused(error: SupervisionError, command: str) -> Refusal:
    """``error`` as the end of ``command``."""
    _, status, next_command = next(row for row in _STATUS if isinstance(error, row[0]))
    return Refusal(str(error), status, _unhidden(next_command.format(command=command), str(error)))


def _unhidden(next_command: str, message: str) -> str:
    """`config` shows every setting, unless one of them is what is wrong: it needs them all, too."""
    if "celeryconfig cannot be loaded" in message:
        return "python -c 'import celeryconfig'"
    return "env | grep SUPERVISION_" if message.startswith("SUPERVISION_") else next_command
