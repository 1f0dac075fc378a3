"""Whether the tables of tests/unit run the whole core, each way of every branch: fails below 100 %.

The core is the list of the contract `core` in .importlinter. Examples that Hypothesis draws do not count: what only a
lucky one runs would be covered today and not tomorrow. Nor does a `pragma`: what cannot be reached is no code to keep.
"""

import configparser
import os
import sys
from pathlib import Path

import pytest
from coverage import Coverage

ROOT = Path(__file__).parents[2]

TABLES = "not chaos and not servers and not hypothesis"
"""Hypothesis gives its marker to each of its tests itself."""


def core() -> list[str]:
    """The files of the core, and of its packages, as patterns."""
    linter = configparser.ConfigParser()
    linter.read(ROOT / ".importlinter")
    listed = linter["importlinter:contract:core"]["source_modules"].split("\n")
    places = [name.replace(".", "/") for name in listed if name and not name.startswith("#")]
    return [f"{place}{end}" for place in places for end in (".py", "/*")]


def main() -> int:
    os.chdir(ROOT)
    measured = Coverage(config_file="tests/measuring/core.ini")
    measured.erase()
    with measured.collect():
        failed = pytest.main(["tests/unit", "-q", "-m", TABLES])
    measured.save()
    measured.combine()
    covered = measured.report(include=core())
    return int(failed) or int(covered < 100)


if __name__ == "__main__":
    sys.exit(main())
