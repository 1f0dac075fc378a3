"""The facts about what is installed that `supervision doctor` judges, and about its environment.

Two packages of one name hide each other, and so do two modules; a variable with a letter too few does nothing.
"""

from collections.abc import Iterator, Mapping
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from supervision import settings
from supervision.cli.address import searched_here
from supervision.cli.facts import FAILED, WARNING, Fact, fact

OURS: Final = "celery-supervision"

NAMES: Final = ("supervision", "tasks")
"""What we install: both names are in use elsewhere, the first by a well-known computer-vision package."""

TOP_LEVEL: Final = ("tasks", "celeryconfig")
"""Modules of ours that a file of the same name in a folder hides from whatever is started there."""


def install_facts(*, ours_is_meant: bool) -> Iterator[Fact]:
    """Who else provides the names that we import; it matters less to those who ask about an app of their own."""
    provided = packages_distributions()
    for name in NAMES:
        others = sorted({found for found in provided.get(name, ()) if _plain(found) != OURS})
        yield fact(
            f"import name {name}",
            f"also provided by {', '.join(others)}" if others else "ours alone",
            f"pip uninstall {' '.join(others)}, then reinstall {OURS}; or give each an environment of its own",
            holds=not others,
        )
    for name in TOP_LEVEL:
        yield from _shadowed(name, ours_is_meant=ours_is_meant)


def _shadowed(name: str, *, ours_is_meant: bool) -> Iterator[Fact]:
    """Whether another file is imported in place of our module ``name`` in this folder."""
    with searched_here():
        spec = find_spec(name)
    ours = Path(__file__).parents[2]
    if spec and spec.origin and Path(spec.origin).parent not in {ours, ours / name}:
        cure = f"rename it, or start ours from another folder: celery -A tasks here takes that {name}"
        state = FAILED if ours_is_meant else WARNING
        yield Fact(f"module {name}", state, f"{spec.origin} stands before ours", cure)


def environment_facts(environ: Mapping[str, str]) -> Iterator[Fact]:
    """Variables that look like ours and are read by nobody."""
    for name, meant in settings.unknown(environ).items():
        cure = (
            f"{meant} is one"
            if meant
            else "supervision config lists the settings; unset it, or ignore this where it is read by yours"
        )
        yield Fact(f"variable {name}", WARNING, "nothing here reads it", cure)


def _plain(distribution: str) -> str:
    return distribution.lower().replace("_", "-").replace(".", "-")
