"""``supervision disable``: stop a child, or all children of a supervisor, until they are enabled."""

import click

from supervision.cli.address import client, store_options
from supervision.cli.asking import answered, confirmed, say_order, who_options, yes_option
from supervision.cli.printing import output_option


@click.command("disable", short_help="Stop one of them until it is enabled.")
@click.argument("path")
@store_options
@output_option
@who_options
@yes_option
@click.pass_context
def command(ctx: click.Context, path: str, *, output: str, by: str, reason: str, yes: bool) -> None:  # noqa: PLR0913 # click hands in every option
    """Stop the child at PATH, or all children of the supervisor, whatever their documents desire."""
    source = client(ctx)
    whole = hasattr(source.get(path), "children")  # nobody is asked about something that is not there
    question = f"Disable {path}? {'All of its children are' if whole else 'It is'} stopped until it is enabled."
    confirmed(question, yes=yes, command=f"supervision disable {path}")
    with answered(path, f"supervision disable {path} --yes"):
        was_enabled = source.disable(path, by=by, reason=reason)
    say_order(path, output, "disabled" if was_enabled else "was disabled already", enabled=False)
