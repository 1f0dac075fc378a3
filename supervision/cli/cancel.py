"""``supervision cancel``: end a wait that nobody should go on waiting in."""

import click

from supervision.cli.address import client, store_options
from supervision.cli.asking import confirmed, say_order, who_options, yes_option
from supervision.cli.printing import output_option
from supervision.cli.waiting_terms import ended, known


@click.command("cancel", short_help="End a wait without its signal.")
@click.argument("wait")
@store_options
@output_option
@who_options
@yes_option
@click.pass_context
def command(ctx: click.Context, wait: str, *, output: str, by: str, reason: str, yes: bool) -> None:  # noqa: PLR0913 # click hands in every option
    """End WAIT: whoever waits gets `Cancelled`, with the reason."""
    source = client(ctx)
    with known():
        on = source.explain(wait).on
    again = f"supervision cancel '{wait}'"
    confirmed(f"Cancel {wait}? It waits for {on}, and what follows it fails.", yes=yes, command=again)
    with ended(wait, f"{again} --yes"):
        source.cancel(wait, by=by, reason=reason)
    say_order(wait, output, "cancelled", how="cancelled")
