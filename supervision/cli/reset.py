"""``supervision reset``: close a circuit as if nothing had happened."""

from typing import TYPE_CHECKING

import click

from supervision.cli.address import client, store_options
from supervision.cli.asking import answered, next_tick, say_order, who_options
from supervision.cli.exits import CONDITION_FAILED, USAGE, Refusal
from supervision.cli.printing import output_option

if TYPE_CHECKING:
    from supervision.client import ChildView, SupervisorView


@click.command("reset", short_help="Close a circuit, all attempts unused.")
@click.argument("path")
@store_options
@output_option
@click.option("--incident", default=None, help="The incident that is to end; no other one is touched.")
@who_options
@click.pass_context
def command(ctx: click.Context, path: str, *, output: str, incident: str | None, by: str, reason: str) -> None:  # noqa: PLR0913 # click hands in every option
    """Close the circuit of the supervisor at PATH; checks that still fail open it again, as a new incident."""
    source = client(ctx)
    if incident is None:
        raise _nameless(path, source.get(path))
    with answered(path, f"supervision reset {path} --incident {incident}"):
        source.reset(path, incident=incident, by=by, reason=reason)
    say_order(path, output, f"{incident} will be reset by {next_tick(source, path)}", incident=incident)


def _nameless(path: str, found: "ChildView | SupervisorView") -> Refusal:
    """What a reset without an incident is told: which one there is."""
    incident = getattr(found, "incident", "")
    if not incident:
        return Refusal(f"{path}: nothing to reset", CONDITION_FAILED, f"supervision describe {path}")
    what = f"a reset names its incident, so that it cannot end a newer one; {path} has {incident}"
    return Refusal(what, USAGE, f"supervision reset {path} --incident {incident}")
