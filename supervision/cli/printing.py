"""How things are printed: rich tables on a terminal, plain aligned columns that awk can cut in a pipe, or JSON.

Rules:
- Only the last column may contain blanks; an empty cell is ``-``. Nothing is truncated in a pipe.
- Texts come from user code and other machines: what is not printable is not printed, and secrets are masked.
- JSON objects begin with ``version``; their shapes are in docs/cli.md.
"""

import shutil
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, TypeVar

import click
import msgspec

from supervision import moments
from supervision.cli.masking import masked

JSON_VERSION: Final = 1
"""Grows when a field is removed or means something else; new fields may come at any time."""

TOO_OLD: Final = "!"
"""Stands after an age that is too high."""

READABLE: Final = 24
"""Columns of a terminal that a reason needs to be read."""

FEWEST: Final = 3
"""Rows that are shown however low a terminal is."""

FORMATS: Final = ("table", "wide", "json", "name")

_Command = TypeVar("_Command", bound=Callable[..., Any])

output_option: Callable[[_Command], _Command] = click.option(
    "-o", "--output", type=click.Choice(FORMATS), default="table", help="How to print it."
)


class Column(NamedTuple):
    """One column of a table of rows; ``wide`` ones are shown when asked for."""

    title: str
    cell: Callable[[Any], str]
    wide: bool = False
    full: Callable[[Any], str] | None = None
    """What it shows when it is asked to be wide, where that is more."""
    spare: bool = False
    """Left out on a terminal where the last column would get too narrow to read."""


def on_terminal() -> bool:
    """Whether a person reads along."""
    return sys.stdout.isatty()


def say(text: str) -> None:
    """Print ``text`` without secrets, at once: somebody may be waiting at the other end of a pipe."""
    click.echo(masked(text))


def say_json(shape: dict[str, Any], *, lines: bool = False) -> None:
    """Print one JSON object; on one line when more of them follow."""
    encoded = msgspec.json.encode({"version": JSON_VERSION, **_opened(msgspec.to_builtins(shape))})
    say((encoded if lines else msgspec.json.format(encoded, indent=2)).decode())


def _opened(shape: Any) -> Any:
    """``shape`` with what actions take and return, which the store keeps as text, as the objects that they are."""
    if isinstance(shape, list):
        return [_opened(part) for part in shape]
    if not isinstance(shape, dict):
        return shape
    if {"id", "params", "fence", "attempt"} <= shape.keys() and isinstance(shape["params"], str):
        shape = {**shape, "params": msgspec.json.decode(shape["params"] or "{}")}
        shape["result"] = msgspec.json.decode(shape.get("result") or "null")
    return {name: _opened(part) for name, part in shape.items()}


def say_table(rows: Sequence[Any], columns: Sequence[Column], output: str) -> None:
    """Print ``rows`` as ``output`` says: table, wide, or name, which is the first column alone."""
    if output == "name":
        for row in rows:
            say(_clean(columns[0].cell(row)))
        return
    shown = chosen(columns, output)
    if on_terminal() and (table := rich_table(rows, shown)):
        from rich.console import Console  # noqa: PLC0415 # not needed in a pipe

        Console().print(table)
        return
    for line in Aligned(shown).lines(rows):
        say(line)


def last_fitting(rows: Sequence[Any], columns: Sequence[Column], room: int) -> Sequence[Any]:
    """The last of ``rows``: as many as fit into ``room`` lines of a terminal, but not less than `FEWEST`."""
    shown = chosen(columns, "table")
    for most in range(len(rows), FEWEST, -1):
        if _height(rows[-most:], shown) <= room:
            return rows[-most:]
    return rows[-FEWEST:]


def _height(rows: Sequence[Any], columns: Sequence[Column]) -> int:
    table = rich_table(rows, columns)
    if table is None:
        return len(rows) + 1
    from rich.console import Console  # noqa: PLC0415 # as in `say_table`

    return len(Console().render_lines(table))


def chosen(columns: Sequence[Column], output: str) -> list[Column]:
    """The columns that ``output`` asks for."""
    if output == "wide":
        return [column._replace(cell=column.full or column.cell) for column in columns]
    return [column for column in columns if not column.wide]


class Aligned:
    """Plain columns; one object prints one table, whose later lines are aligned with the earlier ones."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns
        self._widths = [len(column.title) for column in columns]
        self._begun = False

    def lines(self, rows: Sequence[Any]) -> list[str]:
        """The title, the first time, and one line per row."""
        cells = [self._cells(row) for row in rows]
        for row in cells:
            self._widths = [max(width, len(cell)) for width, cell in zip(self._widths, row, strict=True)]
        titles = [] if self._begun else [[column.title for column in self._columns]]
        self._begun = True
        return [self._line(row) for row in (*titles, *cells)]

    def _cells(self, row: Any) -> list[str]:
        found = [_clean(column.cell(row)) or "-" for column in self._columns]
        return [*("_".join(cell.split()) for cell in found[:-1]), found[-1]]

    def _line(self, cells: Sequence[str]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(cells, self._widths, strict=True))
        return "  ".join(padded).rstrip()


def rich_table(rows: Sequence[Any], columns: Sequence[Column]) -> Any:
    """The same as a table for a terminal, or None when rich is not installed.

    Only the last column is wrapped: half a moment or half a path on a line of its own is read as something else.
    """
    try:
        from rich.table import Table  # noqa: PLC0415 # comes with the extra `demo`
        from rich.text import Text  # noqa: PLC0415 # as above
    except ModuleNotFoundError:
        return None
    columns = _fitting(rows, columns, shutil.get_terminal_size().columns)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        last = column is columns[-1]
        table.add_column(column.title, overflow="fold", no_wrap=not last, min_width=READABLE if last else None)
    for row in rows:
        cells = [masked(_clean(column.cell(row))) or "-" for column in columns]
        table.add_row(*(Text(cell, style=_style(cell)) for cell in cells))
    return table


def _fitting(rows: Sequence[Any], columns: Sequence[Column], width: int) -> list[Column]:
    """``columns`` without as many of the spare ones as it takes for the last one to be readable."""
    shown = list(columns)
    widths = {
        column.title: max(len(column.title), *(len(_clean(column.cell(row))) for row in rows), 1)
        for column in shown[:-1]
    }
    for spare in [column for column in reversed(shown) if column.spare]:
        if sum(widths[column.title] + 1 for column in shown[:-1]) + READABLE <= width:
            break
        shown.remove(spare)
    return shown


def _style(cell: str) -> str:
    aged = cell.endswith(TOO_OLD) and cell[:1].isdigit() and " " not in cell
    return "bold red" if aged else _STYLES.get(cell, "")


_STYLES: Final = {
    **dict.fromkeys(("running", "closed", "ok", "succeeded"), "green"),
    **dict.fromkeys(("starting", "stopping", "verifying", "warning", "retrying", "queued"), "yellow"),
    **dict.fromkeys(("degraded", "open", "escalated", "failed"), "bold red"),
    **dict.fromkeys(("stopped", "-"), "dim"),
}


def age(milliseconds: int | None) -> str:
    """How long, in at most two units and without blanks: ``0.4s``, ``12s``, ``3m05s``, ``2h10m``, ``4d06h``."""
    if milliseconds is None:
        return ""
    seconds = max(0, milliseconds) // 1000
    for unit, part, size, small in (("d", "h", 86_400, 3600), ("h", "m", 3600, 60), ("m", "s", 60, 1)):
        if seconds >= size:
            return f"{seconds // size}{unit}{seconds % size // small:02d}{part}"
    return f"{seconds}s" if seconds >= _TENTHS_BELOW_S else f"{max(0, milliseconds) / 1000:.1f}s"


def left(deadline: int, now: int, of: str = "") -> str:
    """How long until ``deadline`` (with ``of`` behind it), or since when a sweep should have told it; empty for 0."""
    if not deadline:
        return ""
    return f"{age(deadline - now)}{of}" if deadline > now else f"overdue {age(now - deadline)}"


def moment(milliseconds: int) -> str:
    """A moment of the store's clock, in UTC and without blanks, empty for 0; a person sees today's without the date."""
    if not milliseconds:
        return ""
    found = datetime.fromtimestamp(milliseconds / 1000, UTC)
    if on_terminal() and found.date() == datetime.now(UTC).date():
        return found.strftime("%H:%M:%S.%f")[:-3]
    return moments.moment(milliseconds)


def last_line(text: str) -> str:
    """``text`` for one line of a table: of a traceback its end, which says what was wrong."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if len(lines) > 1 and _TRACEBACK in text else text


def _clean(text: str) -> str:
    """One line of printable characters: an escape sequence in somebody's error message must not reach the terminal."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


_TENTHS_BELOW_S: Final = 10

_TRACEBACK: Final = '  File "'
"""Stands in every traceback, also in one of which only the end was kept."""
