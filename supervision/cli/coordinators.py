"""``supervision coordinators``: who takes part, how it is, and what it waits for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from supervision.cli.address import client, store_options
from supervision.cli.printing import output_option, say_json, say_table
from supervision.cli.waits_rows import COORDINATOR_COLUMNS, CoordinatorRow, coordinator_row
from supervision.cli.watching import changed_only, watch, watch_table

if TYPE_CHECKING:
    from supervision.client import CoordinatorView


@click.command("coordinators", short_help="Who takes part, and how it is.")
@store_options
@output_option
@click.option("-w", "--watch", "follow", is_flag=True, help="Go on with what changes, until Ctrl-C.")
@click.pass_context
def command(ctx: click.Context, output: str, *, follow: bool) -> None:
    """Show everybody who has registered: the living, and those who ended in the last day."""
    source = client(ctx)
    found: list[CoordinatorView] = []

    def read() -> Sequence[CoordinatorRow]:
        found[:] = source.coordinators()
        now = source.now()
        return [coordinator_row(seen, now) for seen in found]

    def as_json(*, lines: bool) -> None:
        say_json({"at": source.now(), "coordinators": found}, lines=lines)

    if follow and output == "json":
        watch(source, read, changed_only(lambda _rows: as_json(lines=True)))
        return
    if follow:
        watch_table(source, read, COORDINATOR_COLUMNS, output)
        return
    rows = read()
    if output == "json":
        as_json(lines=False)
    elif rows or output == "name":
        say_table(rows, COORDINATOR_COLUMNS, output)
    else:
        click.echo("nobody has registered in the last day", err=True)
