"""``supervision waits``: who waits for what, until when, and whom they expect."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from supervision.cli.address import client, store_options
from supervision.cli.printing import output_option, say_json, say_table
from supervision.cli.waits_rows import MOST_ROWS, WAIT_COLUMNS, WaitRow, cut, wait_row
from supervision.cli.watching import changed_only, watch, watch_table
from supervision.errors import NotFound

if TYPE_CHECKING:
    from supervision.client import Client, WaitView


@click.command("waits", short_help="Who waits for what, until when.")
@store_options
@output_option
@click.option("--signal", default="", help="Only those who wait for this signal.")
@click.option("--owner", default="", help="Only the waits of this coordinator.")
@click.option("-w", "--watch", "follow", is_flag=True, help="Go on with what changes, until Ctrl-C.")
@click.pass_context
def command(
    ctx: click.Context, output: str, signal: str, owner: str, *, follow: bool
) -> None:  # click hands in every option
    """Show the waits that are open, the first to end first: for what, whose, until when, and whom they expect."""
    source = client(ctx)

    def open_ones() -> list["WaitView"]:
        return source.waits(signal=signal, owner=owner, most=MOST_ROWS + 1)

    found = open_ones()
    more = cut(found, "that end first; --signal and --owner ask for some")
    if follow:
        _follow(source, _with_ends(source, lambda: open_ones()[:MOST_ROWS]), output)
    elif output == "json":
        say_json({"at": source.now(), "waits": found, "more": more})
    elif found or output == "name":
        say_table(_rows(source, found), WAIT_COLUMNS, output)
    else:
        click.echo("nobody waits", err=True)


def _follow(source: "Client", read: Callable[[], list["WaitView"]], output: str) -> None:
    if output == "json":
        found: list[WaitView] = []

        def rows() -> Sequence[WaitRow]:
            found[:] = read()
            return _rows(source, found)

        watch(source, rows, changed_only(lambda _: say_json({"at": source.now(), "waits": found}, lines=True)))
    else:
        watch_table(source, lambda: _rows(source, read()), WAIT_COLUMNS, output)


def _rows(source: "Client", found: Sequence["WaitView"]) -> list[WaitRow]:
    now = source.now()
    return [wait_row(seen, now) for seen in found]


def _with_ends(source: "Client", read: Callable[[], list["WaitView"]]) -> Callable[[], list["WaitView"]]:
    """``read``, and once more each that was open when it was read before: how it has ended."""
    last: list[str] = []

    def both() -> list["WaitView"]:
        found = read()
        there = {seen.id for seen in found}
        ended = [seen for wait_id in last if wait_id not in there for seen in _ended(source, wait_id)]
        last[:] = [seen.id for seen in found]
        return [*ended, *found]

    return both


def _ended(source: "Client", wait_id: str) -> list["WaitView"]:
    try:
        found = source.explain(wait_id)
    except NotFound:
        return []
    return [] if found.state == "waiting" else [found]  # it is none of the first any more
