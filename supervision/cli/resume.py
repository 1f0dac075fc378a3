"""``supervision resume``: end a pause."""

import click

from supervision.cli.address import client, store_options
from supervision.cli.asking import answered, highest_above, say_order, who_options
from supervision.cli.printing import output_option


@click.command("resume", short_help="End a pause.")
@click.argument("path")
@store_options
@output_option
@who_options
@click.pass_context
def command(ctx: click.Context, path: str, *, output: str, by: str, reason: str) -> None:
    """End the pause of exactly PATH: a child stays paused while its supervisor is."""
    source = client(ctx)
    with answered(path, f"supervision resume {path}"):
        was_paused = source.resume(path, by=by, reason=reason)
        paused = source.get(path).paused_until
        above = highest_above(source, path, lambda seen: bool(seen.paused_until)) if paused else ""
    sentence = "resumed" if was_paused else "was not paused"
    say_order(path, output, f"{sentence}, but stays paused while {above} is" if above else sentence, resumed=was_paused)
