"""``supervision get``: some supervisors or children, or all children."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from supervision.cli.address import client, store_options
from supervision.cli.printing import output_option, say_json, say_table
from supervision.cli.rows import COLUMNS, Row, child_row, supervisor_row
from supervision.cli.watching import changed_only, watch, watch_table

if TYPE_CHECKING:
    from supervision.client import ChildView, Client, SupervisorView


@click.command("get", short_help="Some supervisors or children.")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@store_options
@output_option
@click.option("-w", "--watch", "follow", is_flag=True, help="Go on showing what changes, until Ctrl-C.")
@click.pass_context
def command(ctx: click.Context, paths: tuple[str, ...], output: str, *, follow: bool) -> None:
    """Show the supervisors and children at PATH, all children by default."""
    source = client(ctx)

    def read() -> Sequence[Row]:
        return [_row(item) for item in _items(source, paths)]

    def as_json(*, lines: bool) -> None:
        say_json({"items": [_typed(item) for item in _items(source, paths)]}, lines=lines)

    if follow and output == "json":
        watch(source, read, changed_only(lambda _rows: as_json(lines=True)))
    elif follow:
        watch_table(source, read, COLUMNS, output)
    elif output == "json":
        as_json(lines=False)
    else:
        say_table(read(), COLUMNS, output)


def _items(source: "Client", paths: Sequence[str]) -> Sequence["SupervisorView | ChildView"]:
    if paths:
        return [source.get(path) for path in paths]
    return [child for supervisor in source.tree() for child in supervisor.children]


def _row(item: "SupervisorView | ChildView") -> Row:
    from supervision.client import ChildView  # noqa: PLC0415 # loaded with the client by now

    return child_row(item) if isinstance(item, ChildView) else supervisor_row(item)


def _typed(item: "SupervisorView | ChildView") -> dict[str, object]:
    """An item that says which of the two it is."""
    from supervision.client import ChildView  # noqa: PLC0415 # as above

    return {"type": "child" if isinstance(item, ChildView) else "supervisor", **_fields(item)}


def _fields(item: "SupervisorView | ChildView") -> dict[str, object]:
    return {name: getattr(item, name) for name in item.__struct_fields__}
