"""``supervision explain``: all that is known about one wait, ending with its events."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from supervision.cli.address import client, store_options
from supervision.cli.describe import say_fields
from supervision.cli.events import COLUMNS as EVENT_COLUMNS
from supervision.cli.printing import age, left, moment, output_option, say, say_json, say_table
from supervision.cli.waiting_terms import known
from supervision.cli.waits_rows import expectation

if TYPE_CHECKING:
    from supervision.client import WaitView


@click.command("explain", short_help="All that is known about one wait.")
@click.argument("wait")
@store_options
@output_option
@click.option("--events", default=20, show_default=True, type=click.IntRange(0, 1000), help="How many events.")
@click.pass_context
def command(ctx: click.Context, wait: str, output: str, events: int) -> None:
    """Show what WAIT waits for, whom it expects, how it was delivered when it has ended, and its last events."""
    source = client(ctx)
    with known():
        found = source.explain(wait)
    past = source.latest_events(events, subject=wait)
    if output == "name":
        say(found.id)
    elif output == "json":
        say_json({"at": source.now(), "wait": found, "events": past})
    else:
        say_fields(_fields(found, source.now()))
        say("Events:" if past else "Events: none")
        if past:
            say_table(past, EVENT_COLUMNS, output)


def _fields(seen: "WaitView", now: int) -> Iterator[tuple[str, str]]:
    yield "Wait", seen.id
    yield "Kind", "a Celery task of that id" if seen.kind == "task" else "a process"
    yield "Owner", seen.owner or "no coordinator"
    yield "Waits for", seen.on
    yield "State", _state(seen)
    yield "Since", f"{moment(seen.since)} ({age(now - seen.since)} ago)"
    if seen.deadline:
        yield "Until", f"{moment(seen.deadline)} ({left(seen.deadline, now, of=' left')})"
    for part in seen.parts:
        whom = f"; expects {expectation(part, now)}" if part.expects else "; expects nobody"
        yield f"Part {part.signal}", f"{part.state}{whom}"
    yield "On death", f"of somebody expected: {seen.on_death}"
    if seen.ended:
        yield "Ended", f"{seen.how} at {moment(seen.ended)}: {seen.why}"
        yield "Deliveries", f"sent {seen.sent} times, started {seen.started} times"


def _state(seen: "WaitView") -> str:
    meaning = {
        "ended": "nobody has gone on with it yet; it is sent again until somebody does",
        "received": "what follows it is being started",
        "processed": "what follows it is on its way",
        "dead_letter": f"given up; supervision retry {seen.id}",
    }.get(seen.state)
    return f"{seen.state}: {meaning}" if meaning else seen.state
