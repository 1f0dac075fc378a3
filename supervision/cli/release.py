"""``supervision release``: let one wait go on as if its signal had come."""

import click

from supervision.cli.address import client, store_options
from supervision.cli.asking import confirmed, say_order, who_options, yes_option
from supervision.cli.printing import output_option
from supervision.cli.waiting_terms import ended, known, payload


@click.command("release", short_help="Let a wait go on without its signal.")
@click.argument("wait")
@click.argument("document", default="null", metavar="[PAYLOAD]")
@store_options
@output_option
@who_options
@yes_option
@click.pass_context
def command(  # noqa: PLR0913 # click hands in every option
    ctx: click.Context, wait: str, document: str, *, output: str, by: str, reason: str, yes: bool
) -> None:
    """Let WAIT alone go on, with PAYLOAD (JSON, or - for the standard input) as its result; no signal is sent."""
    value = payload(document, f"supervision release '{wait}'")
    source = client(ctx)
    with known():
        on = source.explain(wait).on
    again = f"supervision release '{wait}' '{document}'"
    confirmed(f"Release {wait}? It waits for {on}, and goes on without it.", yes=yes, command=again)
    with ended(wait, f"{again} --yes"):
        source.release(wait, value, by=by, reason=reason)
    say_order(wait, output, "released", how="released")
