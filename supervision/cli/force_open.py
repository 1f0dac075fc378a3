"""``supervision force-open``: open a circuit by hand."""

import uuid

import click

from supervision.cli.address import client, store_options
from supervision.cli.asking import answered, confirmed, next_tick, request_option, say_order, who_options, yes_option
from supervision.cli.printing import output_option


@click.command("force-open", short_help="Open a circuit until it is reset.")
@click.argument("path")
@store_options
@output_option
@who_options
@yes_option
@request_option
@click.pass_context
def command(  # noqa: PLR0913 # click hands in every option
    ctx: click.Context, path: str, *, output: str, by: str, reason: str, yes: bool, request_id: str | None
) -> None:
    """Open the circuit of the supervisor at PATH: nothing is derived and nothing restarted until it is reset."""
    source, again = client(ctx), f"supervision force-open {path}"
    source.get(path)  # nobody is asked about something that is not there
    confirmed(f"Open the circuit of {path}? Nothing below it is healed until it is reset.", yes=yes, command=again)
    request_id = request_id or uuid.uuid4().hex[:12]
    with answered(path, f"{again} --yes --request-id {request_id}"):
        source.force_open(path, by=by, reason=reason, request_id=request_id)
    say_order(path, output, f"will be forced open by {next_tick(source, path)}", forced=True)
