"""A tree over real processes: a site that stands on its pages, and crawlers that come and go with a document.

Run it with ``SUPERVISION_IMPORTS=examples.tree``. Then:

    supervision tree
    supervision set shop '{"crawlers": 3}'        # two more
    supervision set shop '{"crawlers": 0}'        # none: they are stopped, and then removed
    kill PID-OF-PAGES                             # they are started again; the site has old pages: its circuit opens
    supervision disable shop                      # all of it comes to rest; then end the worker

Every process here is a Python that waits, so nothing else is needed, and nothing listens to the network.
"""

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from supervision import Backoff, Seen, Supervisor, check, fail, ok, unknown
from supervision.checks import Verdict
from supervision.kinds.process import Process, ProcessObserved

FOLDER = Path(os.environ.get("SHOP_FOLDER") or tempfile.gettempdir())
"""Where pages and site note which edition they have."""

SERVES = "import os, pathlib, signal, sys; pathlib.Path(sys.argv[1]).write_text(str(os.getpid())); signal.pause()"
READS = (
    "import pathlib, signal, sys; pages, site = map(pathlib.Path, sys.argv[1:]); "
    "site.write_text(pages.read_text()); signal.pause()"
)
WAITS = "import signal; signal.pause()"

PAGES, SITE = FOLDER / "shop-pages", FOLDER / "shop-site"


class EditionSeen(ProcessObserved, frozen=True):
    """What is seen of a process, and which edition it has."""

    edition: str = ""


class Edition(Process):
    """A process that notes its edition in a file."""

    Observed = EditionSeen

    def __init__(self, name: str, program: str, *files: Path) -> None:
        super().__init__(name, [sys.executable, "-c", program, *map(str, files)], stop_timeout=2)
        self.file = files[-1]

    def observe(self) -> EditionSeen:
        """Ask the operating system, and read the file."""
        seen = super().observe()
        edition = self.file.read_text() if self.file.exists() else ""
        return EditionSeen(seen.running, seen.pid, seen.started, seen.outdated, edition)


@check("pages", "site", restart="site", runbook_url="https://wiki.example/site", manual_steps=("look at its output",))
def the_site_has_these_pages(pages: Seen, site: Seen) -> Verdict:
    """A site reads the edition when it starts, so it has an old one when the pages were started again."""
    if not (pages.observed.running and site.observed.running):
        return unknown("their own states start them")
    return ok() if site.observed.edition == pages.observed.edition else fail("the site has an old edition")


@dataclass(frozen=True)
class Wanted:
    """How many crawlers there should be; None is no opinion."""

    crawlers: int | None = 1


def crawlers(wanted: Wanted) -> list[Process] | None:
    """As many as wanted."""
    if wanted.crawlers is None:
        return None
    command = [sys.executable, "-c", WAITS, str(FOLDER)]
    return [Process(f"crawler-{number}", command, stop_timeout=2) for number in range(wanted.crawlers)]


front = Supervisor(
    "front",
    [Edition("pages", SERVES, PAGES), Edition("site", READS, PAGES, SITE)],
    checks=[the_site_has_these_pages],
    strategy="rest_for_one",
)
shop = Supervisor(
    "shop",
    [front],
    dynamic=crawlers,
    Desired=Wanted,
    desired=Wanted(),
    on_escalation="restart",
    restart=Backoff(base=5),
    max_attempts=2,
)
