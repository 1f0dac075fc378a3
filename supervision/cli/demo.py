"""``supervision demo``: the whole system on real processes of this machine."""

from pathlib import Path

import click

from supervision.cli.exits import USAGE, Refusal
from supervision.cli.printing import on_terminal


@click.command("demo", short_help="Everything here, broken for real, and healed.")
@click.option("--once", is_flag=True, help="End after the last check instead of staying up; so does a pipe.")
@click.option("--json", "as_json", is_flag=True, help="The same facts as JSON.")
@click.pass_context
def command(ctx: click.Context, *, once: bool, as_json: bool) -> None:
    """Start everything here, break it for real, and show how it heals.

    Ends with `n of n checks passed`; the exit status is 0 when all of them did.
    """
    try:
        from supervision.demo.main import run  # noqa: PLC0415 # brings the whole system
    except ModuleNotFoundError as error:
        cure = "pip install 'celery-supervision[demo]'"
        raise Refusal(f"the demo needs the package {error.name!r}, which is not installed", USAGE, cure) from error
    ctx.exit(run(once=once or not on_terminal(), as_json=as_json, folder=Path.cwd()))
