"""A person's shell: runs ``supervision`` as real processes, with an environment of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from supervision.cli import cli

SUPERVISION = Path(sys.executable).with_name("supervision")


class Shell:
    """Runs commands with the environment of one person."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("SUPERVISION_", "CELERY_"))
        }
        mark = {name: value for name, value in os.environ.items() if name == "TEST_SESSION_OF_SUPERVISION"}
        self.environment = {**inherited, **mark, "PYTHONUNBUFFERED": "1", **environment}

    def run(self, *command: object, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(part) for part in command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            **({"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}),  # type: ignore[call-overload]  # one of both
        )

    def __call__(self, *arguments: object, status: int = 0) -> str:
        """What ``supervision`` prints; its error stream when it should fail."""
        done = self.run(SUPERVISION, *arguments)
        assert done.returncode == status, done
        return done.stdout if status == 0 else done.stdout + done.stderr

    def search_own_folder_first(self) -> None:
        paths = [str(self.folder), self.environment.get("PYTHONPATH", "")]
        self.environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))

    def json(self, *arguments: object, status: int = 0) -> dict[str, object]:
        done = self.run(SUPERVISION, *arguments, "-o", "json")
        assert done.returncode == status, done
        found = json.loads(done.stdout)
        assert next(iter(found)) == "version"
        assert found["version"] == 1
        assert isinstance(found, dict)
        return found

    def start(self, *arguments: object) -> "subprocess.Popen[str]":
        command = [str(part) for part in (SUPERVISION, *arguments)]
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, text=True)


class Quick(Shell):
    """The same without a process per command, for those whose process is nothing special."""

    def run(self, *command: object, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        program, *arguments = map(str, command)
        assert program == str(SUPERVISION)
        done = CliRunner(env=self.environment).invoke(cli, arguments, input=stdin, prog_name="supervision")
        return subprocess.CompletedProcess(command, done.exit_code, done.stdout, done.stderr)


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]
