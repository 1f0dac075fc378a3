"""``supervision dead-letters``: what was given up, until a person has it tried again."""

from collections.abc import Sequence
from typing import Final

import click

from supervision.cli.address import client, store_options
from supervision.cli.printing import Column, moment, output_option, say_json, say_table

_COLUMNS: Final[Sequence[Column]] = (
    Column("ID", lambda letter: letter.id),
    Column("OF", lambda letter: letter.of),
    Column("AT", lambda letter: moment(letter.at)),
    Column("OWNER", lambda letter: letter.owner, wide=True),
    Column("ABOUT", lambda letter: letter.about),
    Column("WHY", lambda letter: letter.why),
)


@click.command("dead-letters", short_help="What was given up.")
@store_options
@output_option
@click.pass_context
def command(ctx: click.Context, output: str) -> None:
    """Show what was tried too often and given up, the oldest first; `supervision retry ID` has it tried again."""
    found = client(ctx).dead_letters()
    if output == "json":
        say_json({"dead_letters": found})
    elif found or output == "name":
        say_table(found, _COLUMNS, output)
    else:
        click.echo("there are none", err=True)
