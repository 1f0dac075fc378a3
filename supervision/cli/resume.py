"""``supervision resume``: end a pause."""

from typing import TYPE_CHECKING

import click

from supervision.cli.address import client, store_options
from supervision.cli.asking import answered, say_order, who_options
from supervision.cli.printing import output_option

if TYPE_CHECKING:
    from supervision.client import Client


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
        above = _paused_above(source, path)
    sentence = "resumed" if was_paused else "was not paused"
    say_order(path, output, f"{sentence}, but stays paused while {above} is" if above else sentence, resumed=was_paused)


def _paused_above(source: "Client", path: str) -> str:
    """The highest supervisor above ``path`` that is paused, empty when none is: pauses are inherited."""
    if not source.get(path).paused_until:
        return ""
    parts = path.split("/")
    paths = {seen.path: seen for seen in source.tree()}
    higher = ("/".join(parts[:count]) for count in range(1, len(parts)))
    return next((each for each in higher if each in paths and paths[each].paused_until), "")
