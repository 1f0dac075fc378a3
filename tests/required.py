"""Programs of Debian packages that tests marked `servers` call."""

import shutil
from pathlib import Path

import pytest


def required(program: str, package: str) -> Path:
    """Where ``program`` is, or a failure that names the Debian ``package`` with it."""
    found = shutil.which(program)
    if found is None:
        pytest.fail(f"{program} is not on PATH; tests marked `servers` need it: apt-get install {package}")
    return Path(found)
