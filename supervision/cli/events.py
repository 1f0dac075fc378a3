"""``supervision events``: what happened, to whom, why and by whom."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

import click

from supervision.cli.address import client, store_options
from supervision.cli.asking import duration_ms
from supervision.cli.exits import USAGE, Refusal
from supervision.cli.printing import (
    Aligned,
    Column,
    chosen,
    last_line,
    moment,
    on_terminal,
    output_option,
    say,
    say_json,
    say_table,
)

if TYPE_CHECKING:
    from supervision.client import Client, Past

    Show = Callable[[Sequence[Past]], None]

_T = TypeVar("_T")

COLUMNS: Final[Sequence[Column]] = (
    Column("TIME", lambda past: moment(past.at)),
    Column("KIND", lambda past: past.kind, spare=True),
    Column("SUBJECT", lambda past: past.subject),
    Column("BEFORE", lambda past: past.before),
    Column("AFTER", lambda past: past.after),
    Column("ACTOR", lambda past: past.actor, spare=True),
    Column("ATTEMPT", lambda past: str(past.attempt) if past.attempt else "", wide=True),
    Column("ACTION", lambda past: past.action, wide=True),
    Column("ID", lambda past: past.id, wide=True),
    Column("REASON", lambda past: last_line(past.reason), full=lambda past: past.reason),
)


@click.command("events", short_help="What happened, why and by whom.")
@click.argument("subject", default="")
@store_options
@output_option
@click.option("--since", help="How long ago (30s, 10m, 2h, 7d), or the id of the last event you know.")
@click.option(
    "--last",
    "--events",
    "last",
    default=100,
    show_default=True,
    type=click.IntRange(0, 20_000),
    help="How many; --events says the same, as in describe.",
)
@click.option("-w", "--watch", "follow", is_flag=True, help="Go on with what happens, until Ctrl-C.")
@click.pass_context
def command(ctx: click.Context, subject: str, output: str, since: str | None, last: int, *, follow: bool) -> None:  # noqa: PLR0913 # click hands in every option
    """Show what happened to SUBJECT and what is below it, oldest first; to everything by default."""
    source = client(ctx)
    last_id: str | int = source.last_event_id()  # before the first look, so that nothing falls between look and wait
    if since is None:
        past = source.latest_events(last, subject=subject)
    else:
        past = list(source.events(since=_since(source, since), subject=subject))
    if subject and not past and not follow:
        source.get(subject)  # raises when there is no such thing; nothing may have happened to one that there is
    if output == "json" and not follow:
        say_json({"events": past})
        return
    if on_terminal() and not follow and output != "name":
        say_table(past, COLUMNS, output)
        return
    show = _shower(output)
    show(past)
    if follow:
        _follow(source, past[-1].id if past else last_id, subject, show)


def _follow(source: "Client", last_id: str | int, subject: str, show: "Show") -> None:
    try:
        for past in source.events(since=last_id, subject=subject, follow=True):
            show([past])
    except KeyboardInterrupt:
        return


def _shower(output: str) -> "Show":
    """What prints some more events: one table, one JSON object per line, or ids."""
    if output == "json":
        return lambda events: _each(events, lambda past: say_json({"event": past}, lines=True))
    if output == "name":
        return lambda events: _each(events, lambda past: say(past.id))
    aligned = Aligned(chosen(COLUMNS, output))
    return lambda events: _each(aligned.lines(events), say)


def _each(things: Iterable[_T], do: Callable[[_T], None]) -> None:
    for thing in things:
        do(thing)


def _since(source: "Client", text: str) -> str | int:
    """A duration as a moment of the store's clock, or an id."""
    ago = duration_ms(text)
    if ago is not None:
        return max(0, source.now() - ago)
    if re.fullmatch(r"\d+(-\d+)?", text):
        return text
    needed = "needs an event's id, or how long ago: 30s, 10m, 2h, 7d"
    raise Refusal(f"--since {text}: {needed}", USAGE, "supervision events --since 10m")
