"""``supervision wait``: block a shell script until a signal has come."""

import time
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from supervision.cli.address import client, store_options
from supervision.cli.asking import LASTING
from supervision.cli.exits import TIMED_OUT, Refusal
from supervision.cli.printing import on_terminal, output_option, say, say_json
from supervision.coordination.waits import valid_timeout
from supervision.errors import NotFound, StoreUnavailable

if TYPE_CHECKING:
    from supervision.client import Client

POLL_S: Final = 0.2
"""Seconds between two looks: a person or a script does not notice, and the store answers in microseconds."""

DEFAULT_WAIT_S: Final = 1800.0
"""What a wait has that nobody said more about."""


@click.command("wait", short_help="Block until a signal has come.")
@click.argument("signal")
@store_options
@output_option
@click.option("--timeout", type=LASTING, default=DEFAULT_WAIT_S, show_default=True, help="Seconds, or 10m, at most.")
@click.pass_context
def command(ctx: click.Context, signal: str, output: str, timeout: float) -> None:
    """Block until SIGNAL stands, and print its payload as JSON; exit status 4 when it does not come in time.

    This looks, it does not register: it is in no receipt, and nobody's death ends it.
    """
    valid_timeout(timeout)
    source = client(ctx)
    if on_terminal():
        click.echo(f"waiting for {signal}, {timeout:g} s at most; to send it: supervision signal {signal}", err=True)
    found = _awaited(source, signal, timeout)
    if output == "json":
        receipt = source.receipt(signal)
        sent = {"signal": signal, "id": receipt.id, "sender": receipt.sender, "at": receipt.at}
        say_json({**sent, "payload": found})
    else:
        say(signal if output == "name" else msgspec.json.encode(found).decode())


def _awaited(source: "Client", signal: str, timeout: float) -> Any:
    """Its payload; a store that goes away meanwhile is waited for, too."""
    deadline = time.monotonic() + timeout
    answered = False
    while True:
        try:
            return source.payload(signal)
        except NotFound as error:
            answered = True
            if time.monotonic() >= deadline:
                why = f"{signal} did not come within {timeout:g} s"
                raise Refusal(why, TIMED_OUT, f"supervision waits --signal {signal}") from error
        except StoreUnavailable:
            if not answered or time.monotonic() >= deadline:
                raise
        time.sleep(min(POLL_S, max(deadline - time.monotonic(), 0.01)))
