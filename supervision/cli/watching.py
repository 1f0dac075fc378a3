"""Following a table: on a terminal it is drawn anew, in a pipe a row is printed again whenever it has changed.

The store says when something happened; besides, everything is read once a second, since ages and reasons make no event.
"""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from supervision.cli.printing import Aligned, Column, chosen, on_terminal, rich_table, say, say_table
from supervision.errors import StoreUnavailable

if TYPE_CHECKING:
    from supervision.client import Client

REFRESH_S: Final = 1.0
"""Seconds between two looks when nothing happens."""

OUTAGE_S: Final = 60.0
"""Seconds for which a store that has answered before is waited for."""


class Followed(Protocol):
    """A row that can be followed: it knows which one it is, and what about it is news when it changes."""

    @property
    def path(self) -> str:
        """Which one it is."""

    def lasting(self) -> tuple[str, ...]:
        """What is news when it changes."""


Show = Callable[[Sequence[Followed]], None]


def watch(client: "Client", read: Callable[[], Sequence[Followed]], show: Show) -> None:
    """Show what ``read`` answers again and again, until Ctrl-C, which is the way to end it."""
    last_id = client.last_event_id()
    answered = time.monotonic()
    try:
        while True:
            try:
                show(read())
                happened = client.events_after(last_id, REFRESH_S)
                last_id = happened[-1].id if happened else last_id
                answered = time.monotonic()
            except StoreUnavailable:
                if time.monotonic() - answered > OUTAGE_S:
                    raise
                time.sleep(REFRESH_S)
    except KeyboardInterrupt:
        return


def watch_table(
    client: "Client", read: Callable[[], Sequence[Followed]], columns: Sequence[Column], output: str
) -> None:
    """Follow a table of rows."""
    shown = chosen(columns, output)
    if on_terminal() and rich_table([], shown):
        from rich.live import Live  # noqa: PLC0415 # only where it is used

        last: list[Sequence[Any]] = []
        # A screen of its own: what is drawn there for the last time stands nowhere twice, however long it is.
        with Live(auto_refresh=False, screen=True) as live:

            def draw(rows: Sequence[Any]) -> None:
                last[:] = [rows]
                live.update(rich_table(rows, shown), refresh=True)

            watch(client, read, draw)
        for rows in last:
            say_table(rows, columns, output)
        return
    aligned = Aligned(shown)
    watch(client, read, changed_only(lambda rows: _say_lines(aligned.lines(rows))))


def changed_only(show: Show) -> Show:
    """``show``, but only for rows that are new or say something new."""
    last: dict[str, Any] = {}

    def show_changed(rows: Sequence[Followed]) -> None:
        news = [row for row in rows if last.get(row.path) != row.lasting()]
        last.update({row.path: row.lasting() for row in rows})
        if news:
            show(news)

    return show_changed


def _say_lines(lines: Sequence[str]) -> None:
    for line in lines:
        say(line)
