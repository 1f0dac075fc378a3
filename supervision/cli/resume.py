"""``supervision resume``: end a pause."""

import click

from supervision.cli.address import client, store_options
from supervision.cli.asking import answered, say_order, who_options
from supervision.cli.printing import output_option


@click.command("resume", short_help="End a pause.")
@click.argument("path")
@store_options
@output_option
@who_options
@click.pass_context
def command(ctx: click.Context, path: str, *, output: str, by: str, reason: str) -> None:
    """End the pause of exactly PATH: a child stays paused while its supervisor is."""
    with answered(path, f"supervision resume {path}"):
        was_paused = client(ctx).resume(path, by=by, reason=reason)
    say_order(path, output, "resumed" if was_paused else "was not paused", resumed=was_paused)
