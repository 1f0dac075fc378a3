"""``supervision restart``: ask for the restart of one child."""

import getpass
import uuid
from typing import TYPE_CHECKING, Final

import click

from supervision.cli.address import client, store_options
from supervision.cli.asking import LASTING, confirmed, yes_option
from supervision.cli.exits import CONDITION_FAILED, NOT_FOUND, TIMED_OUT, UNREACHABLE, Refusal
from supervision.cli.printing import output_option, say, say_json
from supervision.errors import Conflict, NotFound, StoreUnavailable

if TYPE_CHECKING:
    from supervision.client import ChildView, Client, Record, SupervisorView

DEFAULT_WAIT_S: Final = 120.0
"""Seconds to wait for the end: four runs of half a minute, which is what an action has by default."""

MOST_LISTED: Final = 10
"""Children that a refusal lists."""


@click.command("restart", short_help="Restart one child.")
@click.argument("path")
@store_options
@output_option
@click.option("--by", default=None, help="Who asks, for the history; by default the user of this machine.")
@click.option("--reason", default="asked for on the command line", show_default=True, help="Why, for the history.")
@yes_option
@click.option("--wait", is_flag=True, help="Wait for the end; the exit status says how it ended.")
@click.option(
    "--timeout", type=LASTING, default=DEFAULT_WAIT_S, show_default=True, help="Seconds, or 10m, to wait at most."
)
@click.option("--request-id", default=None, help="A name for this request: asking again with it starts nothing new.")
@click.pass_context
def command(  # noqa: PLR0913 # click hands in every option
    ctx: click.Context,
    path: str,
    *,
    output: str,
    by: str | None,
    reason: str,
    yes: bool,
    wait: bool,
    timeout: float,
    request_id: str | None,
) -> None:
    """Restart the child at PATH: a worker runs its restart within about two seconds."""
    source = client(ctx)
    _no_top(source.get(path))  # nobody is asked about something that is not there
    confirmed(f"Restart {path}? It interrupts what it does.", yes=yes, command=f"supervision restart {path}")
    asked = _asked(source, path, by or getpass.getuser(), reason, request_id or uuid.uuid4().hex[:12])
    if not wait:
        _say(path, asked, output)
        return
    ended = source.wait_for_action(asked.id, timeout)
    _say(path, ended, output)
    if ended.state == "failed":
        raise Refusal(f"{path}: the restart failed: {ended.error}", CONDITION_FAILED, f"supervision describe {path}")
    if ended.state != "succeeded":
        waited = f"{path}: the restart is still {ended.state} after {timeout:g} s"
        raise Refusal(waited, TIMED_OUT, "supervision doctor" if ended.state == "queued" else f"supervision get {path}")


def _no_top(found: "ChildView | SupervisorView") -> None:
    """Refuse a supervisor that is nobody's child: only what stands below another one can be restarted as a whole."""
    children = [child.path for child in getattr(found, "children", ())]
    if children and not getattr(found, "parent", ""):
        what = f"{found.path} is a supervisor; restart a child of it: {', '.join(children[:MOST_LISTED])}"
        more = f" and {len(children) - MOST_LISTED} more" if len(children) > MOST_LISTED else ""
        raise Refusal(what + more, NOT_FOUND, f"supervision restart {children[0]}")


def _asked(source: "Client", path: str, by: str, reason: str, request_id: str) -> "Record":
    try:
        return source.restart(path, by=by, reason=reason, request_id=request_id)
    except NotFound as error:  # the child is there, so it is its action that is not
        cure = "declare one: @action on a method named 'restart'"
        raise Refusal(f"{error}; {cure}", NOT_FOUND, f"supervision describe {path}") from error
    except Conflict as error:
        raise Refusal(str(error), CONDITION_FAILED, f"supervision describe {path}") from error
    except StoreUnavailable as error:
        again = f"supervision restart {path} --yes --request-id {request_id}"
        raise Refusal(f"{error}; it may have been asked for or not", UNREACHABLE, again) from error


def _say(path: str, action: "Record", output: str) -> None:
    if output == "json":
        say_json({"action": action})
    elif output == "name":
        say(action.id)
    else:
        lasted = f" after {(action.ended - action.created) / 1000:.1f}s" if action.ended else ""
        say(f"{path}: {action.name} {action.state}{lasted}, for {action.actor} ({action.reason}): {action.id}")
