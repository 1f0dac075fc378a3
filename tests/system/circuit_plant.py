"""Two plants whose circuit opens while an action runs on the child that it wants to restart: docs/circuit-open.md.

``overtaken``: the action of 3 s is overtaken by the circuit after 1 s. ``endless``: the action has a limit of 2 s and
never ends. What is real are files in ``$PLANT_FOLDER``: ``<supervisor>.torn`` is what the check finds.
"""

import os
import time
from pathlib import Path

from celery.exceptions import SoftTimeLimitExceeded

from supervision import Backoff, Child, Do, Phase, Run, Snapshot, Stay, Supervisor, action, check, fail, ok, state

FOLDER = Path(os.environ["PLANT_FOLDER"])
TORN_AFTER_S = 1.0
LOADS_S = 3.0
LIMIT_S = 2.0


class Part(Child):
    """Is looked at, and leaves a line for each look."""

    @property
    def torn(self) -> Path:
        return FOLDER / f"{self.path.split('/')[0]}.torn"

    @property
    def loaded(self) -> Path:
        return FOLDER / f"{self.path.split('/')[0]}.loaded"

    def observe(self) -> dict[str, bool]:
        with (FOLDER / f"{self.path.replace('/', '~')}.looks").open("a") as looks:
            looks.write(f"{time.time() * 1000:.0f}\n")
        return {"torn": self.torn.exists(), "loaded": self.loaded.exists()}


class Line(Part):
    """Wants to be loaded, which tears the connection; a restart mends it."""

    @state(Phase.STARTING, initial=True)
    def empty(self, seen: Snapshot):
        return Stay("loaded") if seen.observed["loaded"] else Do("load", "not loaded")

    @action(timeout=20, retries=0)
    def load(self, _run: Run) -> str:
        time.sleep(TORN_AFTER_S)
        self.torn.touch()
        time.sleep(LOADS_S - TORN_AFTER_S)
        self.loaded.touch()
        return "loaded"

    @action(timeout=20)
    def restart(self, _run: Run) -> None:
        self.loaded.touch()
        self.torn.unlink(missing_ok=True)


class Endless(Line):
    """Its load never ends, and swallows every polite request to."""

    @action(timeout=LIMIT_S, retries=0)
    def load(self, _run: Run) -> None:
        time.sleep(TORN_AFTER_S)
        self.torn.touch()
        while True:
            try:
                time.sleep(60)
            except (SoftTimeLimitExceeded, SystemExit):
                continue


class Broker(Part):
    """Would be tended as soon as the connection is torn; while the circuit is open, nobody asks it."""

    @state(Phase.RUNNING, initial=True)
    def up(self, seen: Snapshot):
        return Do("tend", "the connection is torn") if seen.observed["torn"] else Stay("up")

    @action(retries=0)
    def tend(self, _run: Run) -> None: ...


@check("broker", "line", restart="line", trip_after=1)
def connected(broker, _line):
    return fail("the connection is torn") if broker.observed["torn"] else ok()


QUICK = {"interval": 0.2, "restart": Backoff(base=0.2, cap=1, jitter=0)}
overtaken = Supervisor("overtaken", [Broker("broker"), Line("line")], checks=[connected], **QUICK)
endless = Supervisor("endless", [Broker("broker"), Endless("line")], checks=[connected], **QUICK)
