"""A tree over real processes: a site that stands on a store of pages, and crawlers that come and go with a document.

    SUPERVISION_IMPORTS=examples.tree celery -A tasks worker -B -Q supervision.ticks,supervision.sweeps,\
supervision.collectors,supervision.actions
    supervision tree
    supervision set shop '{"crawlers": 3}'        # two more
    supervision set shop '{"crawlers": 0}'        # none: they are stopped, and then removed
    supervision disable shop                      # all of it comes to rest; end the worker after that

Everything that runs here is a Python that waits, so nothing but Python is needed, and nothing listens to the network.
"""

import sys
from dataclasses import dataclass

from supervision import Backoff, Supervisor, check, fail, ok, unknown
from supervision.kinds.process import Process

WAITS = "import signal; signal.pause()"


def process(name, **common):
    """A process that does nothing until it is stopped."""
    return Process(name, [sys.executable, "-c", WAITS, name], stop_timeout=2, **common)


@check("pages", "site", restart="site", runbook_url="https://wiki.example/site", manual_steps=("look at its output",))
def the_site_is_newer(pages, site):
    """A site reads its pages when it starts, so it must have been started after what serves them."""
    if not (pages.observed.running and site.observed.running):
        return unknown("their own states start them")
    late = float(site.observed.started) < float(pages.observed.started)
    return fail("the pages were started again, and the site has the old ones") if late else ok()


@dataclass(frozen=True)
class Wanted:
    """How many crawlers there should be; None is no opinion."""

    crawlers: int | None = 1


def crawlers(wanted):
    """As many as wanted."""
    return None if wanted.crawlers is None else [process(f"crawler-{number}") for number in range(wanted.crawlers)]


front = Supervisor("front", [process("pages"), process("site")], checks=[the_site_is_newer], strategy="rest_for_one")
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
