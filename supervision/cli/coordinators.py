"""``supervision coordinators``: who takes part, how it is, and what it waits for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from supervision.cli.address import client, store_options
from supervision.cli.printing import output_option, say_json, say_table
from supervision.cli.waits_rows import COORDINATOR_COLUMNS, MOST_ROWS, CoordinatorRow, coordinator_row, cut
from supervision.cli.watching import changed_only, watch, watch_table

if TYPE_CHECKING:
    from supervision.client import CoordinatorView


@click.command("coordinators", short_help="Who takes part, and how it is.")
@store_options
@output_option
@click.option("-w", "--watch", "follow", is_flag=True, help="Go on with what changes, until Ctrl-C.")
@click.pass_context
def command(ctx: click.Context, output: str, *, follow: bool) -> None:
    """Show who has registered: the living first, then those who ended in the last day."""
    source = client(ctx)
    found: list[CoordinatorView] = source.coordinators(most=MOST_ROWS + 1)
    more = cut(found, "that live, and those of the others that ended last")

    def rows() -> Sequence[CoordinatorRow]:
        now = source.now()
        return [coordinator_row(seen, now) for seen in found]

    def read() -> Sequence[CoordinatorRow]:
        found[:] = source.coordinators(most=MOST_ROWS)
        return rows()

    if follow and output == "json":
        told = changed_only(lambda _: say_json({"at": source.now(), "coordinators": found}, lines=True))
        watch(source, read, told)
    elif follow:
        watch_table(source, read, COORDINATOR_COLUMNS, output)
    elif output == "json":
        say_json({"at": source.now(), "coordinators": found, "more": more})
    elif found or output == "name":
        say_table(rows(), COORDINATOR_COLUMNS, output)
    else:
        click.echo("nobody has registered in the last day", err=True)
