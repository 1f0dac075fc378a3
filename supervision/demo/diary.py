"""What the demo's workers have logged: the lines that an alert in production would be made of."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Logged = dict[str, Any]
"""One line, as it was written."""


def logged(log: Path, event: str, supervisor: str = "") -> list[Logged]:
    """The lines of ``log`` about ``event``, in order; of ``supervisor`` alone unless it is empty."""
    return [
        line
        for line in _objects(log)
        if line.get("event") == event and line.get("supervisor") == (supervisor or line.get("supervisor"))
    ]


def _objects(log: Path) -> Iterator[Logged]:
    """Every whole line that is an object; the banner of a worker is none, and the last line may be half written."""
    for text in log.read_text(errors="replace").split("\n"):
        if text.startswith("{"):
            try:
                found = json.loads(text)
            except ValueError:  # somebody's text that begins like one
                continue
            yield found
