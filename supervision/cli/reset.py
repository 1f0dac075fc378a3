"""``supervision reset``: close a circuit as if nothing had happened."""

import click

from supervision.cli.address import client, store_options
from supervision.cli.asking import answered, say_order, who_options
from supervision.cli.exits import CONDITION_FAILED, USAGE, Refusal
from supervision.cli.printing import output_option


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
        found = getattr(source.get(path), "incident", "")
        what = f"a reset names its incident; {path} has {found}" if found else f"{path} has no incident"
        again = f"supervision reset {path} --incident {found}" if found else f"supervision describe {path}"
        raise Refusal(what, USAGE if found else CONDITION_FAILED, again)
    with answered(path, f"supervision reset {path} --incident {incident}"):
        source.reset(path, incident=incident, by=by, reason=reason)
    say_order(path, output, f"{incident} will be reset by the next tick", incident=incident)
