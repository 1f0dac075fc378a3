"""``supervision config``: every setting and where it came from, without secrets."""

from collections.abc import Iterator
from dataclasses import fields
from typing import NamedTuple

import click

from supervision import settings
from supervision.cli.address import address, conf_name, configuration, store_options
from supervision.cli.masking import masked, remember
from supervision.cli.printing import Column, output_option, say_json, say_table

_COLUMNS = (
    Column("NAME", lambda row: row.name),
    Column("VALUE", lambda row: row.value),
    Column("ORIGIN", lambda row: row.origin),
)


class Value(NamedTuple):
    """One setting."""

    name: str
    value: str
    origin: str


@click.command("config", short_help="Every setting and where it came from.")
@store_options
@output_option
@click.pass_context
def command(ctx: click.Context, output: str) -> None:
    """Show every setting and where it came from; passwords are masked."""
    values = list(_values(ctx))
    if output == "json":
        say_json({"settings": [value._asdict() for value in values]})
    else:
        say_table(values, _COLUMNS, output)


def _values(ctx: click.Context) -> Iterator[Value]:
    found, conf, named = address(ctx), configuration(ctx), conf_name(ctx)
    used = {"store_url": (found.url, found.url_origin), "namespace": (found.namespace, found.namespace_origin)}
    read = settings.read(conf, conf_name=named)
    for field in fields(read):
        if field.name != "origin":
            value, origin = used.get(field.name, (getattr(read, field.name), read.origin[field.name]))
            yield Value(f"supervision_{field.name}", _text(value), origin)
    for name in ("broker_url", "result_backend"):
        yield Value(name, _text(conf.get(name)), f"{named} {name}" if conf.get(name) else "not set")


def _text(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(_text(each) for each in value)
    remember(value)
    return masked("" if value is None else str(value))
