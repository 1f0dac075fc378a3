"""The command line: ``supervision …``, and the same group as a Celery plugin, ``celery -A APP supervision …``.

Rules:
- Commands read and ask through `supervision.client`; none of them knows the store.
- One module per command, imported when it is called: a command pays only for what it needs.
- Whatever is printed passes `printing`, which masks secrets and takes away what would control a terminal.
"""

from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from supervision.cli import warning
from supervision.cli.address import sought, store_options
from supervision.cli.exits import UNREACHABLE, Refusal, refused
from supervision.errors import SupervisionError

COMMANDS = (
    *("demo", "tree", "get", "describe", "events"),
    *("restart", "set", "mode", "enable", "disable", "pause", "resume", "silence", "force-open", "reset", "sweep"),
    *("waits", "explain", "wait", "signal", "receipts", "coordinators"),
    *("cancel", "extend", "release", "dead-letters", "retry"),
    *("doctor", "exporter", "config", "version"),
)
"""Each is a module of this package (with _ for -), with the command in its global ``command``."""


class Commands(click.Group):
    """A group that imports a command when it is asked for, and turns our errors into exit statuses."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 # the signature is click's
        """The names, in the order of their use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 # as above
        """The command of that name, None when there is none."""
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = import_module(f"{__name__}.{cmd_name.replace('-', '_')}").command
        return found

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """As click does it, which suggests options and no commands."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(args[0], COMMANDS, n=1)
            if not near or args[0] in COMMANDS:
                raise
            raise click.UsageError(f"{error.message} Did you mean '{near[0]}'?", ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except SupervisionError as error:
            raise self._located(refused(error, f"supervision {ctx.invoked_subcommand}"), ctx) from error
        except Refusal as refusal:
            raise self._located(refusal, ctx) from refusal.__cause__

    def _located(self, refusal: Refusal, ctx: click.Context) -> Refusal:
        """Whoever does not reach the store wants to know which one, also in the middle of an order."""
        where = sought(ctx) if refusal.exit_code == UNREACHABLE else ""
        return Refusal(f"{refusal.message}; {where}", UNREACHABLE, refusal.next_command) if where else refusal


@click.group(
    "supervision",
    cls=Commands,
    short_help="Supervised children: see, restart, diagnose.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="celery-supervision", prog_name="celery-supervision")
@store_options
def cli(**_preload: object) -> None:  # Celery hands in whatever options an app gives to all of its commands
    """Supervised children: what they are, what happened to them, and what can be done.

    Exit status: 0 done, 1 the condition failed, 2 usage, 3 not found, 4 timed out, 69 store unreachable.
    """
    click.get_current_context().with_resource(warning.on_stderr())


def main() -> None:
    """The console script."""
    cli(prog_name="supervision")
