"""The page about hooks: it names all of them, and its samples run."""

import re
from pathlib import Path
from typing import Any

import supervision
from supervision import hooks, settings

PAGE = (Path(supervision.__file__).parents[1] / "docs/hooks.md").read_text()
CONNECTING, CONFIGURED = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_it_names_every_hook() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(hooks.HOOKS)


def test_its_numbers_are_those_of_the_code() -> None:
    assert f"longer than {hooks.SLOW_S:g} s is logged" in " ".join(PAGE.split())
    assert f"with {hooks.MOST_WAITING:,} calls waiting" in PAGE


def test_what_it_connects_and_disconnects() -> None:
    found: dict[str, Any] = {}
    exec(CONNECTING, found)  # noqa: S102 # our own page
    assert hooks.coordinator_died.disconnect(found["page_somebody"])
    assert not hooks.circuit_opened.disconnect(sender="plant/line-1", dispatch_uid="page"), "the page does so"


def test_what_it_configures() -> None:
    found: dict[str, Any] = {}
    exec(CONFIGURED, found)  # noqa: S102 # our own page
    assert set(settings.read(found, {}).hooks) == {"coordinator_died", "escalated"}
