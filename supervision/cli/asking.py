"""What all orders share: who gives one and why, until when, whether it is meant, and how it is answered."""

import getpass
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import click

from supervision.cli.exits import CONDITION_FAILED, UNREACHABLE, USAGE, Refusal
from supervision.cli.printing import moment as when
from supervision.cli.printing import say, say_json
from supervision.errors import Conflict, InvalidDocument, StoreUnavailable
from supervision.order_terms import LONGEST_PAUSE_S

if TYPE_CHECKING:
    from supervision.client import Client, SupervisorView

_Command = TypeVar("_Command", bound=Callable[..., Any])

_UNITS_MS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


_LONGEST_MS: Final = round(LONGEST_PAUSE_S * 1000)
_TOO_LONG: Final = f"at most {LONGEST_PAUSE_S // 86_400}d"


def who_options(command: _Command) -> _Command:
    """``--by`` and ``--reason``, for the history."""
    why = click.option("--reason", default="ordered on the command line", show_default=True, help="Why.")
    by = click.option("--by", default=getpass.getuser, show_default="the user of this machine", help="Who asks.")
    return by(why(command))


request_option: Callable[[_Command], _Command] = click.option(
    "--request-id", default=None, help="A name for this order: giving it again with it changes nothing."
)


class End(NamedTuple):
    """When something ends, as the client takes it: one of both."""

    until: int | None
    for_s: float | None


def end_options(command: _Command) -> _Command:
    """``--for`` and ``--until``."""
    until = click.option("--until", default=None, help="Until when, in UTC: 2026-05-01T18:00:00Z.")
    lasting = click.option("--for", "lasting", default=None, help="How long: 30s, 10m, 2h, 7d.")
    return lasting(until(command))


def end(command: str, lasting: str | None, until: str | None, now: Callable[[], int]) -> End:
    """The one end that is given, or a refusal that shows ``command`` with one; ``now`` asks the store's clock."""
    if lasting is not None and until is None:
        if (found := duration_ms(lasting)) is None:
            raise _no_end(f"--for {lasting}: needs a number and one of s, m, h, d", command)
        if not 0 < found <= _LONGEST_MS:
            raise _no_end(f"--for {lasting}: {_TOO_LONG if found else 'at least 1s'}", command)
        return End(None, found / 1000)
    if until is None or lasting is not None:
        raise _no_end("it needs one end, --for or --until", command)
    try:
        moment = datetime.fromisoformat(until)
    except ValueError as error:
        raise _no_end(f"--until {until}: needs a moment in UTC, as 2026-05-01T18:00:00Z", command) from error
    ends = round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    if not 0 < ends - (clock := now()) <= _LONGEST_MS:
        wrong = f"{_TOO_LONG} ahead" if ends > clock else "it is past"
        raise _no_end(f"--until {until}: {wrong}; the store's clock says {when(clock)}", command)
    return End(ends, None)


def _no_end(what: str, command: str) -> Refusal:
    return Refusal(what, USAGE, f"{command} --for 10m")


yes_option: Callable[[_Command], _Command] = click.option(
    "--yes", is_flag=True, help="Do not ask; needed where nobody can answer."
)


def confirmed(question: str, *, yes: bool, command: str) -> None:
    """Ask a person whether ``command`` is meant; where nobody can be asked, it needs ``--yes``."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refusal(f"{question} Nobody can be asked here", USAGE, f"{command} --yes")
    if not click.confirm(question, err=True):
        raise Refusal("nothing was done", CONDITION_FAILED, "supervision tree")


def duration_ms(text: str) -> int | None:
    """``30s``, ``10m``, ``2h`` or ``7d`` in milliseconds; None when ``text`` is no duration."""
    found = re.fullmatch(r"(\d+)([smhd])", text)
    return int(found[1]) * _UNITS_MS[found[2]] if found else None


class _Lasting(click.ParamType):  # type: ignore[type-arg] # at run time not every click takes an argument
    """Seconds, or a duration as everywhere else."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if (found := duration_ms(str(value))) is not None:
            return found / 1000
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is no duration: needs seconds, or a number and one of s, m, h, d", param, ctx)


LASTING: Final = _Lasting()
"""An option's time, in seconds."""


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


def next_tick(source: "Client", path: str) -> str:
    """Who hears an order that moves a circuit: in the mode off nobody does, until that is over."""
    off = getattr(source.get(path), "mode", "") == "off"
    return f"the first tick once {path} is in the mode act again; it is off" if off else "the next tick"


def highest_above(source: "Client", path: str, holds: "Callable[[SupervisorView], bool]") -> str:
    """The highest supervisor above ``path`` of which ``holds``, empty when there is none: what is below inherits it."""
    parts = path.split("/")
    known = {seen.path: seen for seen in source.tree()}
    above = ("/".join(parts[:count]) for count in range(1, len(parts)))
    return next((each for each in above if each in known and holds(known[each])), "")


def say_order(path: str, output: str, sentence: str, **shape: object) -> None:
    """Print what stands now."""
    if output == "json":
        say_json({"path": path, **shape})
    else:
        say(path if output == "name" else f"{path}: {sentence}")
