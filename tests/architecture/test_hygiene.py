"""What must stand nowhere, and what must stand somewhere."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sources import ROOT, scripts, sources

import celeryconfig

PLACES = ("supervision", "tasks", "tests", "docs", "deploy", "examples", "benchmarks", ".ci")
MACHINE_PATH = re.compile(rf"{re.escape(str(ROOT.parent))}/|{re.escape(str(Path.home()))}/|/(home|Users)/\w+/")

README_COMMANDS = (
    "python3 -m venv .venv && .venv/bin/pip install -q -e '.[demo]' && .venv/bin/supervision demo",
    "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/python -m pytest",
)


def texts() -> Iterator[tuple[str, str]]:
    """Every text file of the project by its name."""
    top = [path for path in ROOT.iterdir() if path.is_file() and path.name != ".coverage"]
    below = [path for place in PLACES for path in (ROOT / place).rglob("*") if path.is_file()]
    for path in (*top, *below):
        if "__pycache__" not in path.parts and path.suffix not in {".pyc", ".svg", ".png"}:
            yield str(path.relative_to(ROOT)), path.read_text()


def test_no_pickle() -> None:
    modules = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve"}
    imports = [(s.name, name) for s in sources() for name in s.imports() if name.split(".")[0] in modules]
    assert imports == []
    assert celeryconfig.accept_content == ["json"]
    assert (celeryconfig.task_serializer, celeryconfig.result_serializer) == ("json", "json")


def test_nothing_walks_over_all_keys_of_the_store() -> None:
    in_lua = re.compile(r"\b(KEYS|SCAN|FLUSHDB|FLUSHALL|RANDOMKEY)['\"]", re.IGNORECASE)
    calls = re.compile(r"\.(scan|scan_iter|flushdb|flushall|randomkey)$")
    assert [script.name for script in scripts() if in_lua.search(script.read_text())] == []
    assert [(s.name, call) for s in sources() for call in s.calls() if calls.search(call)] == []
    # dict.keys() takes nothing; what takes a pattern is the store's
    assert [s.name for s in sources() if re.search(r"\.keys\([^)\s]", s.path.read_text())] == []


def test_nothing_sleeps_in_a_tick_or_a_task() -> None:
    quick = ("supervision/runtime", "supervision/decide", "supervision/store", "tasks/")
    calls = [(s.name, call) for s in sources() for call in s.calls() if re.search(r"\bsleep$", call)]
    assert [(name, call) for name, call in calls if name.startswith(quick)] == []


def test_no_path_of_one_machine() -> None:
    found = [(name, match[0]) for name, text in texts() if (match := MACHINE_PATH.search(text))]
    assert found == []


def test_nothing_is_unfinished_or_skipped() -> None:
    # taken apart, so that this file does not find itself
    halves = (
        "TO DO",
        "FIX ME",
        "X XX",
        "NotImplemented Error",
        "pytest. skip",
        "mark. skip",
        "importor skip",
        "x fail",
    )
    words = [half.replace(" ", "") for half in halves]
    found = [(name, word) for name, text in texts() for word in words if word in text]
    assert found == []


def test_every_suppressed_warning_has_its_code_and_its_reason() -> None:
    suppression = re.compile(r"#\s*(noqa|type:\s*ignore|pragma)(?P<rest>.*)")
    reason = re.compile(r"(:|\[)\s*[\w, -]+\]?\s*(-|—|#|:)\s*\w+")
    bare = [
        f"{source.name}:{number} {line.strip()}"
        for source in sources()
        for number, line in enumerate(source.lines, 1)
        if (match := suppression.search(line)) and not reason.search(match["rest"])
    ]
    assert bare == []


@pytest.mark.parametrize("command", README_COMMANDS)
def test_the_commands_of_the_readme_are_the_ones_that_are_checked(command: str) -> None:
    assert command in (ROOT / "README.md").read_text()
    assert command in (ROOT / ".ci" / "run").read_text()


def test_every_marker_is_run_and_counted() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    runner = (ROOT / ".ci" / "run").read_text()
    for marker in (line.split(":")[0] for line in settings["markers"]):
        assert re.search(rf"^stage '{marker}' tests {marker} ", runner, re.MULTILINE), marker
