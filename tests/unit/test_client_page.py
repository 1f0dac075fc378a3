"""docs/cli.md names every public method of the client."""

import re
from pathlib import Path

import supervision
from supervision.client import Client

PAGE = (Path(supervision.__file__).parents[1] / "docs" / "cli.md").read_text()


def test_every_method_is_named() -> None:
    section = PAGE.partition("## The same from Python")[2]
    named = set(re.findall(r"`(?:Client\.)?([a-z_]+)[`(]", section))
    there = {name for name in dir(Client) if not name.startswith("_")}
    assert there - named == set()
