"""``supervision retry``: have something tried again that was given up."""

import click

from supervision.cli.address import client, store_options
from supervision.cli.asking import say_order, who_options
from supervision.cli.printing import output_option
from supervision.cli.waiting_terms import ended


@click.command("retry", short_help="Try again what was given up.")
@click.argument("letter", metavar="ID")
@store_options
@output_option
@who_options
@click.pass_context
def command(
    ctx: click.Context, letter: str, *, output: str, by: str, reason: str
) -> None:  # click hands in every option
    """Have the dead letter ID tried again, with all of its tries; `supervision dead-letters` lists them."""
    with ended(letter.removeprefix("wait:"), f"supervision retry '{letter}'"):
        client(ctx).retry(letter, by=by, reason=reason)
    say_order(letter, output, "is tried again", retried=True)
