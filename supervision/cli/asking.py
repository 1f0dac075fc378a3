"""What all orders share: who gives one and why, durations, and how it is answered."""

import getpass
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import click

from supervision.cli.exits import CONDITION_FAILED, UNREACHABLE, USAGE, Refusal
from supervision.cli.printing import say, say_json
from supervision.errors import Conflict, InvalidDocument, StoreUnavailable

_Command = TypeVar("_Command", bound=Callable[..., Any])

_UNITS_MS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def who_options(command: _Command) -> _Command:
    """``--by`` and ``--reason``, for the history."""
    why = click.option("--reason", default="ordered on the command line", show_default=True, help="Why.")
    by = click.option("--by", default=getpass.getuser, show_default="the user of this machine", help="Who asks.")
    return by(why(command))


request_option: Callable[[_Command], _Command] = click.option(
    "--request-id", default=None, help="A name for this order: giving it again with it changes nothing."
)


def duration_ms(text: str) -> int | None:
    """``30s``, ``10m``, ``2h`` or ``7d`` in milliseconds; None when ``text`` is no duration."""
    found = re.fullmatch(r"(\d+)([smhd])", text)
    return int(found[1]) * _UNITS_MS[found[2]] if found else None


@contextmanager
def answered(path: str, again: str) -> Iterator[None]:
    """Turn what can become of an order into a refusal: ``again`` is the command that gives it once more."""
    try:
        yield
    except Conflict as error:
        raise Refusal(str(error), CONDITION_FAILED, f"supervision describe {path}") from error
    except InvalidDocument as error:
        raise Refusal(str(error), USAGE, f"supervision describe {path}") from error
    except StoreUnavailable as error:
        raise Refusal(f"{error}; it may have been ordered or not", UNREACHABLE, again) from error


def say_order(path: str, output: str, sentence: str, **shape: object) -> None:
    """Print what stands now."""
    if output == "json":
        say_json({"path": path, **shape})
    else:
        say(path if output == "name" else f"{path}: {sentence}")
