"""``supervision describe``: all that is known about one supervisor or child, ending with its events."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec
from click.core import ParameterSource

from supervision.cli.address import client, store_options
from supervision.cli.events import COLUMNS as EVENT_COLUMNS
from supervision.cli.printing import age, last_fitting, moment, on_terminal, output_option, say, say_json, say_table
from supervision.cli.rows import COLUMNS, child_row, circuit_sentence, held, last_said

if TYPE_CHECKING:
    from supervision.client import ChildDescription, ChildView, Past, SupervisorDescription, SupervisorView

    Description = ChildDescription | SupervisorDescription


@click.command("describe", short_help="All that is known about one of them.")
@click.argument("path")
@store_options
@output_option
@click.option(
    "--last",
    "--events",
    "events",
    default=20,
    show_default=True,
    type=click.IntRange(0, 1000),
    help="How many events; --events says the same.",
)
@click.pass_context
def command(ctx: click.Context, path: str, output: str, events: int) -> None:
    """Show the documents, the circuit or state, the actions and the last events of PATH."""
    from supervision.client import ChildDescription  # noqa: PLC0415 # loads redis

    as_many_as_fit = on_terminal() and ctx.get_parameter_source("events") is ParameterSource.DEFAULT
    found = client(ctx).describe(path, events=events)
    if output == "name":
        say(path)
    elif output == "json":
        say_json({name: getattr(found, name) for name in found.__struct_fields__})
    elif isinstance(found, ChildDescription):
        used = say_fields(_child_fields(found))
        _say_events(path, found, used if as_many_as_fit else None)
    else:
        used = say_fields(_supervisor_fields(found))
        children = [child_row(child) for child in found.supervisor.children]
        say("Children:")
        say_table(children, COLUMNS, output)
        _say_events(path, found, used + len(children) + 2 if as_many_as_fit else None)


def _child_fields(found: "ChildDescription") -> Iterator[tuple[str, str]]:
    seen = found.child
    yield "Path", seen.path
    yield "Kind", seen.kind
    yield "State", _state(seen)
    yield "Reason", "; ".join((*held(seen), last_said(seen)))
    yield "Enabled", "yes" if seen.enabled else "no, by itself or with its supervisor"
    yield "Paused", f"until {moment(seen.paused_until)}" if seen.paused_until else "no"
    yield "Quarantined", f"until {moment(seen.quarantined_until)}" if seen.quarantined else "no"
    yield "Next action", f"not before {moment(seen.not_before)}" if seen.not_before else "at any time"
    if action := seen.action:
        of = f"run {action.attempt} of at most {action.retries + action.handed + 1}"
        yield "In flight", f"{action.name} ({action.state}, {of}, for {action.actor}: {action.reason}) {action.id}"
    else:
        yield "In flight", "none"
    if last := found.last_action:
        why = f": {last.error}" if last.error else ""
        yield "Last action", f"{last.name} {last.outcome} at {moment(last.ended)}{why} {last.id}"
        if last.result is not None:
            yield "Result", _document(last.result)
    else:
        yield "Last action", "none yet"
    yield "Offers", ", ".join(found.actions)
    unused = "; the code cannot read it and goes by the declared one" if found.desired_refused else ""
    yield f"Desired ({_origin(found)}{unused})", _document(found.desired)
    when = f"{age(seen.observed_age_ms)} ago" if seen.observed_at else "never"
    yield f"Observed ({when})", _document(found.observed)
    if seen.observation_error:
        yield "Last look", f"failed: {seen.observation_error}"


def _state(seen: "ChildView") -> str:
    """Its state, and whether anything but a look at what is observed can tell that it still is in it."""
    if not seen.state:
        return "none yet"
    why = "it is paused" if seen.paused_until else "it is in quarantine" if seen.quarantined else ""
    old = f"; the last one known, as {why}" if why else ""
    return f"{seen.state} (phase {seen.phase}) since {moment(seen.since or 0)}{old}"


def _supervisor_fields(found: "SupervisorDescription") -> Iterator[tuple[str, str]]:
    seen = found.supervisor
    yield "Path", seen.path
    yield "Health", seen.health
    yield "Mode", seen.mode
    yield "Enabled", "yes" if seen.enabled else "no, nor is any of its children"
    yield "Paused", f"until {moment(seen.paused_until)}" if seen.paused_until else "no"
    yield "Silenced", f"until {moment(seen.silenced_until)}" if seen.silenced_until else "no"
    yield "Circuit", f"{seen.circuit}, forced open by {seen.forced_by}" if seen.forced_by else seen.circuit
    yield "Reason", circuit_sentence(seen)
    yield "Attempts", _attempts(seen)
    due = seen.circuit == "open" and seen.next_attempt_at and not seen.forced_by
    yield "Next attempt", moment(seen.next_attempt_at) if due else "none due"
    if seen.checks:
        yield "Escalates", f"within {seen.worst_case_ms / 1000:g}s of trouble that stays, as long as it can be seen"
    if seen.suspected_since:
        yield "Suspected", f"the store or the network, since {moment(seen.suspected_since)}: so nothing is restarted"
    yield "Checks", ", ".join(seen.checks) or "none"
    yield "Incident", f"{seen.incident} since {moment(seen.opened_at)}" if seen.incident else "none"
    ticked = f"{age(seen.last_tick_age_ms)} ago" if seen.last_tick_at else "none yet"
    yield "Last tick", f"{ticked}, one every {seen.interval_ms / 1000:g}s"
    if found.desired is not None:
        unused = "; the code cannot read it and leaves the children as they are" if found.desired_refused else ""
        yield f"Desired ({_origin(found)}{unused})", _document(found.desired)


def _attempts(seen: "SupervisorView") -> str:
    """An escalated circuit has none left, also where restarts of earlier incidents within the window used them."""
    earlier = seen.circuit == "escalated" and seen.attempts < seen.max_attempts
    return "none left" if earlier else f"{seen.attempts} of {seen.max_attempts} used"


def _origin(found: "Description") -> str:
    return f"revision {found.desired_revision}" if found.desired_revision else "as declared"


def _document(document: Any) -> str:
    if document is None:
        return "none"
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def say_fields(fields: Iterable[tuple[str, str]]) -> int:
    """Print one field per line, and answer how many lines that takes on this terminal."""
    listed = [(f"{name}:", text) for name, text in fields]
    width = max(len(name) for name, _ in listed)
    # A text of several lines is a document; its own line breaks are the only ones that are kept.
    lines = [
        line
        for name, text in listed
        for line in f"{name.ljust(width)}  {text.replace(chr(10), chr(10) + ' ' * (width + 2))}".split("\n")
    ]
    for line in lines:
        say(line)
    terminal = shutil.get_terminal_size().columns
    return sum(1 + max(0, len(line) - 1) // terminal for line in lines)


def _say_events(path: str, found: "Description", used: int | None) -> None:
    """The events, without pushing the ``used`` lines above them off a terminal."""
    shown: Sequence[Past] = found.events
    if used is not None:
        # Their title, the table's, and the next prompt.
        shown = last_fitting(shown, EVENT_COLUMNS, shutil.get_terminal_size().lines - used - 2)
    earlier = f" the last {len(shown)}; more: supervision events {path}" if len(shown) < len(found.events) else ""
    say(f"Events:{earlier}" if shown else "Events: none")
    if shown:
        say_table(shown, EVENT_COLUMNS, "table")
