"""Sizes that keep a file readable in one sitting and a function in one look."""

import re
from statistics import median

from sources import ROOT, body_length, scripts, sources

FILE_LINES = 250
MEDIAN_FILE_LINES = 100
FUNCTION_LINES = 40
MEDIAN_FUNCTION_LINES = 10
TASK_LINES = 10
SCRIPT_LINES = 80

SIGNATURE = re.compile(r"-- [a-z_]+\(.*\) -> .+")


def functions() -> dict[str, int]:
    return {
        f"{source.name}:{function.lineno} {function.name}": body_length(function, source.lines)
        for source in sources()
        for function in source.functions()
    }


def too_long(lengths: dict[str, int], limit: int) -> dict[str, int]:
    return {name: length for name, length in lengths.items() if length > limit}


def test_no_file_is_longer_than_one_sitting() -> None:
    lengths = {source.name: len(source.lines) for source in sources()}
    assert too_long(lengths, FILE_LINES) == {}
    assert median(lengths.values()) < MEDIAN_FILE_LINES


def test_no_function_is_longer_than_one_look() -> None:
    assert too_long(functions(), FUNCTION_LINES) == {}
    assert median(functions().values()) < MEDIAN_FUNCTION_LINES


def test_a_task_body_only_carries_an_identity() -> None:
    names = ("ticks", "collectors", "actions", "sweeps", "coordination", "gathering")
    bodies = tuple(f"tasks/{name}.py" for name in names)
    assert too_long({name: n for name, n in functions().items() if name.startswith(bodies)}, TASK_LINES) == {}


def test_every_script_opens_with_its_signature() -> None:
    # a prelude is no operation: it is what stands before them
    operations = [script for script in scripts() if not script.stem.startswith("prelude")]
    first_lines = {script.name: script.read_text().split("\n", 1)[0] for script in operations}
    assert first_lines != {}
    wrong = {
        name: line
        for name, line in first_lines.items()
        if not SIGNATURE.fullmatch(line) or not line.startswith(f"-- {name.removesuffix('.lua')}(")
    }
    assert wrong == {}


def test_no_script_is_longer_than_one_operation() -> None:
    lengths = {script.name: len(script.read_text().splitlines()) for script in scripts()}
    assert too_long(lengths, SCRIPT_LINES) == {}


def test_every_module_says_what_it_is() -> None:
    silent = [source.name for source in sources() if not source.lines or not source.lines[0].startswith('"""')]
    assert silent == []


def test_no_module_is_called_after_nothing() -> None:
    empty_names = re.compile(r"\b(utils?|helpers?|base|manager|common|misc)\b")
    assert [source.name for source in sources() if empty_names.search(source.name)] == []


def test_every_file_that_is_not_python_is_shipped() -> None:
    shipped = {ROOT / "supervision" / "py.typed", *scripts()}
    others = {
        path
        for path in (ROOT / "supervision").rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    }
    assert others == shipped, "add it to [tool.setuptools.package-data] in pyproject.toml, and here"
