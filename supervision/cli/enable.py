"""``supervision enable``: let a child, or the children of a supervisor, go on."""

import click

from supervision.cli.address import client, store_options
from supervision.cli.asking import answered, highest_above, say_order, who_options
from supervision.cli.printing import output_option


@click.command("enable", short_help="Let one go on that was disabled.")
@click.argument("path")
@store_options
@output_option
@who_options
@click.pass_context
def command(ctx: click.Context, path: str, *, output: str, by: str, reason: str) -> None:
    """Let the child at PATH, or the children of the supervisor, go on; one that is disabled by itself stays so."""
    source = client(ctx)
    with answered(path, f"supervision enable {path}"):
        was_disabled = source.enable(path, by=by, reason=reason)
        enabled = source.get(path).enabled
        above = "" if enabled else highest_above(source, path, lambda seen: not seen.enabled)
    sentence = "enabled" if was_disabled else "was not disabled"
    say_order(path, output, f"{sentence}, but stays off while {above} is" if above else sentence, enabled=enabled)
