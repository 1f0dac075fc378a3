"""``supervision sweep``: have a clean-up run now, or run it here, or see what it would do."""

import uuid
from typing import TYPE_CHECKING, Final

import click

from supervision.cli.address import address, client, store_options
from supervision.cli.asking import answered, confirmed, request_option, say_order, who_options, yes_option
from supervision.cli.exits import NOT_FOUND, Refusal
from supervision.cli.printing import Column, age, moment, output_option, say_json, say_table
from supervision.errors import NotFound

if TYPE_CHECKING:
    from supervision.client import Client, SweepView

_COLUMNS: Final = (
    Column("ID", lambda item: item.id),
    Column("SINCE", lambda item: moment(item.since)),
    Column("WHAT", lambda item: item.what),
)


@click.command("sweep", short_help="Have a clean-up run now, or see what it would do.")
@click.argument("name")
@store_options
@output_option
@click.option("--dry-run", is_flag=True, help="Only list what it would handle.")
@click.option("--here", is_flag=True, help="Run it in this process: for when no worker is there.")
@who_options
@yes_option
@request_option
@click.pass_context
def command(  # noqa: PLR0913 # click hands in every option
    ctx: click.Context,
    name: str,
    *,
    output: str,
    dry_run: bool,
    here: bool,
    by: str,
    reason: str,
    yes: bool,
    request_id: str | None,
) -> None:
    """Have the sweep NAME (due, outbox, history ...) run now; it runs by itself, too. One that removes things asks.

    With --here this process runs it, without any worker; what only workers can run is ordered all the same.
    """
    source, again = client(ctx), f"supervision sweep {name}"
    found = _looked(source, name)
    if dry_run:
        _say(found, output)
        return
    if found.removes and found.items:
        count = f"more than {len(found.items)}" if found.more else str(len(found.items))
        confirmed(f"Run the sweep {name}? It removes {count}; --dry-run lists them.", yes=yes, command=again)
    handled = _run_here(ctx, name) if here else None
    if handled is not None:
        _say_here(name, handled, output)
        return
    request_id = request_id or uuid.uuid4().hex[:12]
    with answered(name, f"{again} --yes --request-id {request_id}"):
        source.sweep(name, by=by, reason=reason, request_id=request_id)
    if output == "json":
        say_json({"sweep": name, "ordered": True})
    else:
        say_order(name, output, f"ordered; {'left to workers: ' if here else ''}{_when(source)}")


def _run_here(ctx: click.Context, name: str) -> int | None:
    """What it handled; what it says of that, each removal for example, goes to the error stream."""
    from supervision.telemetry import logs  # noqa: PLC0415 # loads structlog, which half of the commands do not need

    configured = address(ctx).configured
    logs.to_stderr(configured.log_format)
    return client(ctx).sweep_here(name, patience=configured.patience)


def _say_here(name: str, handled: int, output: str) -> None:
    if output == "json":
        say_json({"sweep": name, "ordered": False, "handled": handled})
    else:
        say_order(name, output, f"{handled} handled here")


def _when(source: "Client") -> str:
    if source.is_swept():
        return "a worker does it within about two seconds"
    ago = source.swept_ago()
    since = "no worker has swept yet" if ago is None else f"no worker has swept for {age(ago)}"
    return f"{since}, so it is done when one runs"


def _looked(source: "Client", name: str) -> "SweepView":
    try:
        return source.sweepable(name)
    except NotFound as error:
        raise Refusal(str(error), NOT_FOUND, "supervision sweep due --dry-run") from error


def _say(found: "SweepView", output: str) -> None:
    if output == "json":
        say_json(
            {"sweep": found.name, "at": found.at, "removes": found.removes, "items": found.items, "more": found.more}
        )
        return
    if found.items or output == "name":
        say_table(found.items, _COLUMNS, output)
    else:
        click.echo(f"{found.name}: nothing waits for it", err=True)
    if found.more:
        click.echo(f"and more than these {len(found.items)}", err=True)
