"""A worker or beat that cannot load its supervisors does not start, and says why."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BROKEN = {
    "a syntax error": ("def broken(:\n", "SyntaxError"),
    "a module that is not there": (None, "ModuleNotFoundError"),
    "a bad declaration": ("from supervision import Supervisor\nplant = Supervisor('plant?', [])\n", "'plant?'"),
    "two of one name": (
        "from supervision import Supervisor\none = Supervisor('plant', [])\nother = Supervisor('plant', [])\n",
        "a second supervisor is at 'plant'",
    ),
}


@pytest.mark.parametrize("command", [["worker", "-c", "1"], ["beat"]], ids=["worker", "beat"])
@pytest.mark.parametrize(("module", "reason"), BROKEN.values(), ids=BROKEN)
def test_what_cannot_be_loaded_is_refused(
    command: list[str], module: str | None, reason: str, tmp_path: Path, store_url: str
) -> None:
    if module is not None:
        (tmp_path / "broken_plant.py").write_text(module)
    ended = started(tmp_path, command, store_url, SUPERVISION_IMPORTS="broken_plant")
    assert ended.returncode != 0
    assert "supervision_imports cannot be loaded" in ended.stderr
    assert reason in ended.stderr


def test_a_celeryconfig_of_another_app_is_named(tmp_path: Path, store_url: str) -> None:
    (tmp_path / "celeryconfig.py").write_text("task_ignore_result = True\n")
    ended = started(tmp_path, ["beat"], store_url)
    assert ended.returncode != 0
    assert f"{tmp_path / 'celeryconfig.py'} is not our celeryconfig" in ended.stderr


def started(folder: Path, command: list[str], store_url: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The end of a process that must not start; a minute is what it gets for that."""
    variables = {
        **os.environ,
        "SUPERVISION_STORE_URL": store_url,
        "PYTHONPATH": str(folder),
        "REMAP_SIGTERM": "SIGQUIT",
        **environment,
    }
    program = [sys.executable, "-m", "celery", "-A", "tasks", *command]
    return subprocess.run(program, cwd=folder, env=variables, check=False, capture_output=True, text=True, timeout=60)
