"""``supervision doctor``: one line per fact, with its cure."""

import os
from collections.abc import Iterator
from importlib.util import find_spec

import click

from supervision.cli.address import Address, address, app, client, searched_here, store_options
from supervision.cli.app_facts import app_facts, found_app, import_facts
from supervision.cli.exits import CONDITION_FAILED, UNREACHABLE
from supervision.cli.facts import FAILED, OK, WARNING, Fact, store_facts
from supervision.cli.install_facts import environment_facts, install_facts
from supervision.cli.masking import masked
from supervision.cli.printing import Column, on_terminal, output_option, say_json, say_table
from supervision.errors import StoreUnavailable

REACHABLE = "store"

OUR_APP = "tasks"

_COLUMNS = (
    Column("STATE", lambda row: row.state),
    Column("FACT", lambda row: row.name if on_terminal() else row.name.replace(" ", "-")),
    Column("VALUE-AND-CURE", lambda row: f"{row.value}; cure: {row.cure}" if row.cure else row.value),
)


@click.command("doctor", short_help="What must hold, and what to do where it does not.")
@store_options
@output_option
@click.option("--app", "app_name", default=OUR_APP, show_default=True, help="The Celery app, without `celery -A`.")
@click.pass_context
def command(ctx: click.Context, output: str, app_name: str) -> None:
    """Check everything that must hold, and say what to do where it does not.

    Exit status: 0 when nothing failed (warnings aside), 1 when something did, 69 when the store is unreachable; as a
    plugin of `celery -A`, which asks about the app, 1 for that, too.
    """
    ours_is_meant = app_name == OUR_APP and getattr(app(ctx), "main", OUR_APP) == OUR_APP
    found = [*_store(ctx), *_app(ctx, app_name), *install_facts(ours_is_meant=ours_is_meant)]
    found += environment_facts(os.environ)
    if output == "json":
        say_json({"facts": [{name: masked(text) for name, text in fact._asdict().items()} for fact in found]})
    else:
        say_table(found, _COLUMNS, output)
    failed = [fact.name for fact in found if fact.state == FAILED]
    if failed:
        # `celery -A yourapp` asks about an app: without its store the settings are still an answer.
        ctx.exit(UNREACHABLE if REACHABLE in failed and not app(ctx) else CONDITION_FAILED)


def _store(ctx: click.Context) -> Iterator[Fact]:
    where = address(ctx)
    try:
        facts = client(ctx).facts()
    except StoreUnavailable as error:
        cure = "start it, or correct the address; supervision config says where it came from"
        yield Fact(REACHABLE, FAILED, f"{_shown(where)}: {error}", cure)
        return
    yield Fact(REACHABLE, OK, f"{_shown(where)} answers")
    yield from store_facts(facts)


def _shown(where: Address) -> str:
    return f"{where}, namespace {where.namespace}"


def _app(ctx: click.Context, name: str) -> Iterator[Fact]:
    loaded = app(ctx)
    with searched_here():
        there = loaded or find_spec(name.partition(":")[0].partition(".")[0])
    if not there:
        yield Fact("Celery app", WARNING, f"no module {name!r} here: its queues and settings are unchecked", "--app")
        return
    try:
        loaded = loaded or found_app(name)
    except Exception as error:  # noqa: BLE001 # the user's modules may raise anything
        yield Fact("Celery app", FAILED, f"{name} cannot be loaded: {type(error).__name__}: {error}", "correct it")
        return
    yield from import_facts(loaded)
    yield from app_facts(loaded)
