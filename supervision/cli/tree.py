"""``supervision tree``: every supervisor with its children."""

from collections.abc import Sequence

import click

from supervision.cli.address import client, store_options
from supervision.cli.printing import output_option, say_json, say_table
from supervision.cli.rows import COLUMNS, Row, tree_rows
from supervision.cli.watching import changed_only, watch, watch_table


@click.command("tree", short_help="All supervisors and children.")
@store_options
@output_option
@click.option("-w", "--watch", "follow", is_flag=True, help="Go on showing what changes, until Ctrl-C.")
@click.pass_context
def command(ctx: click.Context, output: str, *, follow: bool) -> None:
    """Show all supervisors and children.

    SEEN is how long ago: the last good look at a child, the last tick of a supervisor.
    """
    source = client(ctx)

    def read() -> Sequence[Row]:
        return tree_rows(source.tree())

    def as_json(*, lines: bool) -> None:
        say_json({"supervisors": source.tree()}, lines=lines)

    if follow and output == "json":
        watch(source, read, changed_only(lambda _rows: as_json(lines=True)))
    elif follow:
        watch_table(source, read, COLUMNS, output)
    elif output == "json":
        as_json(lines=False)
    elif rows := read():
        say_table(rows, COLUMNS, output)
    else:
        nothing = "Nothing is declared here yet; a worker declares what supervision_imports names."
        click.echo(f"{nothing}\nTry: supervision doctor", err=True)
