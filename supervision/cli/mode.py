"""``supervision mode``: how far a supervisor may go."""

import click

from supervision.cli.address import client, store_options
from supervision.cli.asking import answered, say_order, who_options
from supervision.cli.printing import output_option

MODES = ("act", "observe", "off")


@click.command("mode", short_help="How far a supervisor may go.")
@click.argument("path")
@click.argument("mode", type=click.Choice(MODES))
@store_options
@output_option
@who_options
@click.pass_context
def command(ctx: click.Context, path: str, mode: str, *, output: str, by: str, reason: str) -> None:  # noqa: PLR0913 # click hands in every option
    """Let the supervisor at PATH act, only observe and record what it would do, or be off."""
    with answered(path, f"supervision mode {path} {mode}"):
        client(ctx).set_mode(path, mode, by=by, reason=reason)
    say_order(path, output, f"mode {mode}", mode=mode)
