"""``supervision extend``: give a wait more time."""

import click

from supervision.cli.address import client, store_options
from supervision.cli.asking import duration_ms, say_order, who_options
from supervision.cli.exits import USAGE, Refusal
from supervision.cli.printing import moment, output_option
from supervision.cli.waiting_terms import ended


@click.command("extend", short_help="Give a wait more time.")
@click.argument("wait")
@click.argument("duration")
@store_options
@output_option
@who_options
@click.pass_context
def command(ctx: click.Context, wait: str, duration: str, *, output: str, by: str, reason: str) -> None:  # noqa: PLR0913 # click hands in every option
    """Give WAIT more time: DURATION (30s, 10m, 2h, 7d) from its deadline on, not from now."""
    longer = duration_ms(duration)
    if not longer:
        raise Refusal(f"{duration}: needs a number and one of s, m, h, d", USAGE, f"supervision extend '{wait}' 10m")
    with ended(wait, f"supervision explain '{wait}'"):  # twice would be twice as long, so it is looked at first
        until = client(ctx).extend(wait, longer / 1000, by=by, reason=reason)
    say_order(wait, output, f"waits until {moment(until)}", deadline=until)
