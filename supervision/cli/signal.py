"""``supervision signal``: send a signal, and see how far it gets with those who wait for it."""

import uuid
from typing import Final

import click

from supervision.cli.address import client, store_options
from supervision.cli.asking import LASTING
from supervision.cli.exits import TIMED_OUT, Refusal
from supervision.cli.printing import output_option
from supervision.cli.receipts import say_receipt
from supervision.cli.waiting_terms import payload, sent
from supervision.coordination.signals import DEFAULT_TTL_S, Progress, Receipt

LEVELS: Final = (Progress.RECEIVED.value, Progress.PROCESSED.value)

MOST_NAMED: Final = 10
"""Waiters that a refusal names."""


@click.command("signal", short_help="Send a signal.")
@click.argument("name")
@click.argument("document", default="null", metavar="[PAYLOAD]")
@store_options
@output_option
@click.option("--id", "signal_id", default=None, help="Sending it again with the same id changes nothing.")
@click.option("--sender", default="", help="Who sends it; by default this process.")
@click.option(
    "--ttl",
    type=LASTING,
    default=DEFAULT_TTL_S,
    show_default=True,
    help="Seconds, or 10m, for which it lets pass who waits later.",
)
@click.option("--replace", is_flag=True, help="Take the place of another one that nobody has received yet.")
@click.option("--acks", default=0, type=click.IntRange(0), help="Acknowledgements to wait for.")
@click.option("--level", default=LEVELS[0], show_default=True, type=click.Choice(LEVELS), help="What counts as one.")
@click.option("--timeout", type=LASTING, default=10.0, show_default=True, help="Seconds, or 10m, to wait for them.")
@click.pass_context
def command(  # noqa: PLR0913 # click hands in every option
    ctx: click.Context,
    name: str,
    document: str,
    *,
    output: str,
    signal_id: str | None,
    sender: str,
    ttl: float,
    replace: bool,
    acks: int,
    level: str,
    timeout: float,
) -> None:
    """Send the signal NAME with PAYLOAD (JSON, or - for the standard input), and print its receipt."""
    value = payload(document, f"supervision signal {name}")
    signal_id = signal_id or uuid.uuid4().hex
    with sent(name, f"supervision signal {name} ... --id {signal_id}"):
        receipt = client(ctx).send(
            name,
            value,
            id=signal_id,
            sender=sender,
            ttl=ttl,
            replace=replace,
            acks=acks,
            level=level,
            timeout=timeout,
        )
    say_receipt(receipt, output)
    if receipt.acknowledged(Progress(level)) < acks:
        raise _unacknowledged(receipt, acks, Progress(level), timeout)


def _unacknowledged(receipt: Receipt, acks: int, level: Progress, timeout: float) -> Refusal:
    missing = [f"{who} ({progress})" for who, progress in receipt.missing(level).items()]
    unnamed = len(missing[MOST_NAMED:]) + receipt.pending - len(receipt.pending_waiters)
    named = ", ".join(missing[:MOST_NAMED]) + (f" and {unnamed} more" if unnamed else "")
    who = f"; missing: {named}" if missing else "; nobody else was reached"
    waiting = f", {receipt.pending} not released yet" if receipt.pending else ""
    return Refusal(
        f"{receipt.signal} was sent, but {receipt.acknowledged(level)} of {acks} have {level} it within "
        f"{timeout:g} s{who}{waiting}",
        TIMED_OUT,
        f"supervision receipts {receipt.signal}",
    )
