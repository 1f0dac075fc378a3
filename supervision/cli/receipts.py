"""``supervision receipts``: how far a signal has got with each of its waiters."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

from supervision.cli.address import client, store_options
from supervision.cli.exits import NOT_FOUND, Refusal
from supervision.cli.printing import Column, moment, output_option, say, say_json, say_table
from supervision.errors import NotFound

if TYPE_CHECKING:
    from supervision.client import Receipt

_COLUMNS: Final[Sequence[Column]] = (
    Column("PROGRESS", lambda row: row[1]),
    Column("WAITER", lambda row: row[0]),
)
"""The waiter last: the id of a process's wait may contain blanks."""


@click.command("receipts", short_help="How far a signal has got.")
@click.argument("signal")
@store_options
@output_option
@click.pass_context
def command(ctx: click.Context, signal: str, output: str) -> None:
    """Show how far SIGNAL has got with each of those who waited for it."""
    try:
        receipt = client(ctx).receipt(signal)
    except NotFound as error:
        raise Refusal(str(error), NOT_FOUND, f"supervision waits --signal {signal}") from error
    say_receipt(receipt, output)


def say_receipt(receipt: "Receipt", output: str) -> None:
    """Print one receipt."""
    if output == "json":
        say_json({"receipt": receipt})
    elif output == "name":
        for waiter in receipt.everybody():
            say(waiter)
    else:
        by = receipt.sender or "somebody"
        repeated = ", which it had been before" if receipt.repeated else ""
        say(
            f"{receipt.signal}: sent as {receipt.id} by {by} at {moment(receipt.at)}{repeated}; it stands until "
            f"{moment(receipt.until)}, {len(receipt.waiters)} were reached, {receipt.pending} still wait"
        )
        if everybody := receipt.everybody():
            say_table(sorted(everybody.items()), _COLUMNS, output)
