"""The pages that name tests name tests that there are; and every promise, lesson and death names one."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sources import ROOT, scripts

PAGES = ("promises.md", "failures.md")
NAMED = re.compile(r"`(test_\w+\.py)(?:::(\w+)(?:\[(.+?)\])?)?`")
STEP = re.compile(r"(before|after) (publish )?(\w+)$")
PROMISES = [f"R{number}" for number in range(1, 10)]
LESSONS = [str(number) for number in range(1, 21)]


def files() -> dict[str, Path]:
    return {path.name: path for path in (ROOT / "tests").rglob("test_*.py")}


def named_in(path: Path) -> set[str]:
    """The functions, classes and names of a test file."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def rows(page: str) -> Iterator[list[str]]:
    """The cells of its tables' rows, headings aside."""
    for line in (ROOT / "docs" / page).read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("|") and "---" not in line and cells[-1] not in {"test", "guarded by"}:
            yield cells


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_is_named_is_there(page: str) -> None:
    there = files()
    named = NAMED.findall((ROOT / "docs" / page).read_text())
    missing = [(file, test) for file, test, _ in named if test not in named_in(there[file]) | {""}] if named else [page]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_every_row_names_a_test(page: str) -> None:
    assert [cells for cells in rows(page) if not NAMED.search(cells[-1])] == []


def test_no_promise_and_no_lesson_is_left_out() -> None:
    numbers = [cells[0].strip("| ") for cells in rows("promises.md")]
    assert [number for number in numbers if number in PROMISES] == PROMISES
    assert [number for number in numbers if number in LESSONS] == LESSONS


def test_every_step_that_is_named_is_one_that_somebody_is_killed_at() -> None:
    """As `faults.STEPS` has them: every script and every publish."""
    known = {script.stem for script in scripts()} | {"act", "tick", "sweep", "look"}
    steps = [step for _, _, step in NAMED.findall((ROOT / "docs" / "failures.md").read_text()) if step]
    assert steps != []
    assert [step for step in steps if not (found := STEP.fullmatch(step)) or found[3] not in known] == []
