"""The live tree that stays on the terminal after the scenes, until Ctrl-C. Needs rich."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Never

from rich.console import Group
from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from supervision.client import Client, SupervisorView
from supervision.demo.crew import Crew
from supervision.errors import StoreUnavailable

EVERY_S = 0.5
"""Seconds between two pictures."""

EVENTS = 6

_COLOURS = {"running": "green", "starting": "yellow", "stopping": "yellow", "degraded": "red", "closed": "green"}
_OTHER = "red"


def show(crew: Crew, client: Client) -> Never:
    """Draw what the store says, again and again; only an exception ends it."""
    with Live(auto_refresh=False) as live:
        while True:
            live.update(Group(*_picture(crew, client)), refresh=True)
            time.sleep(EVERY_S)


def _picture(crew: Crew, client: Client) -> Iterator[Tree | Text]:
    try:
        yield from trees(client.tree())
        yield from _events(client)
    except StoreUnavailable as error:
        yield Text(str(error), style=_OTHER)
    if ended := crew.ended():
        yield Text(f"ended: {', '.join(ended)} (systemd or compose would start it again)", style=_OTHER)


def trees(supervisors: Sequence[SupervisorView]) -> list[Tree]:
    """One tree per supervisor at the top; one that is below another stands among that one's children."""
    by_path = {supervisor.path: supervisor for supervisor in supervisors}
    return [_tree(each, by_path) for each in supervisors if each.parent not in by_path]


def _tree(supervisor: SupervisorView, by_path: Mapping[str, SupervisorView], above: str = "") -> Tree:
    name = supervisor.path.removeprefix(f"{above}/")
    tree = Tree(_line(name, f"circuit {supervisor.circuit}", supervisor.circuit, supervisor.reason))
    for child in supervisor.children:
        if below := by_path.get(child.path):
            tree.add(_tree(below, by_path, supervisor.path))
            continue
        phase = child.phase or "unknown"
        reason = child.observation_error or child.reason
        tree.add(_line(child.path.removeprefix(f"{supervisor.path}/"), phase, phase, reason))
    return tree


def _events(client: Client) -> Iterator[Text]:
    for event in client.latest_events(EVENTS):
        at = time.strftime("%H:%M:%S", time.localtime(event.at / 1000))
        change = " -> ".join(state for state in (event.before, event.after) if state)
        yield Text(
            f"{at} {event.kind} {event.subject} {change}: {event.reason}",
            style="dim",
            no_wrap=True,
            overflow="ellipsis",
        )


def _line(name: str, state: str, colour_of: str, reason: str) -> Text:
    parts = ((f"{name} ", "bold"), (f"{state} ", _COLOURS.get(colour_of, _OTHER)), (reason, "dim"))
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")
