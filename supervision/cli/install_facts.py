"""The facts about what is installed that `supervision doctor` judges: two packages of one name hide each other."""

from collections.abc import Iterator
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from supervision.cli.address import searched_here
from supervision.cli.facts import WARNING, Fact, fact

OURS: Final = "celery-supervision"

NAMES: Final = ("supervision", "tasks")
"""What we install: both names are in use elsewhere, the first by a well-known computer-vision package."""


def install_facts() -> Iterator[Fact]:
    """Who else provides the names that we import."""
    provided = packages_distributions()
    for name in NAMES:
        others = sorted({found for found in provided.get(name, ()) if _plain(found) != OURS})
        yield fact(
            f"import name {name}",
            f"also provided by {', '.join(others)}" if others else "ours alone",
            f"pip uninstall {' '.join(others)}, then reinstall {OURS}; or give each an environment of its own",
            holds=not others,
        )
    ours = Path(__file__).parents[2] / "tasks"
    with searched_here():
        spec = find_spec("tasks")
    if spec and spec.origin and ours not in Path(spec.origin).parents:
        cure = "celery -A tasks starts that one; name your own module otherwise, or start ours from another folder"
        yield Fact("module tasks", WARNING, f"{spec.origin} stands before ours", cure)


def _plain(distribution: str) -> str:
    return distribution.lower().replace("_", "-").replace(".", "-")
