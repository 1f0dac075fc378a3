"""Children whose only action ends in every way an action can end; each run leaves a line in ``$PLANT_FOLDER``."""

import os
import signal
import time
from pathlib import Path

from celery.exceptions import SoftTimeLimitExceeded

from supervision import ActionFailed, Backoff, Child, Do, NotRetryable, Phase, Run, Stay, Supervisor, action, state

FOLDER = Path(os.environ["PLANT_FOLDER"])
SOON = Backoff(base=0.1, cap=0.1, jitter=0)


class Worked(Child):
    """Wants one ``work``; it is done when the file says so."""

    def observe(self) -> dict[str, bool]:
        return {"done": (FOLDER / f"{self.name}.done").exists()}

    @state(Phase.STARTING, initial=True)
    def wanting(self, seen):
        return Stay("done") if seen.observed["done"] else Do("work", "not done")

    def begun(self, run: Run) -> None:
        with (FOLDER / f"{self.name}.runs").open("a") as runs:
            runs.write(f"{run.fence} {run.attempt} {os.getpid()}\n")


class Hangs(Worked):
    @action(timeout=1, retries=0)
    def work(self, run):
        self.begun(run)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                time.sleep(60)
            except (SoftTimeLimitExceeded, SystemExit):
                continue  # the point: user code that swallows every polite request to end


class Slow(Worked):
    @action(timeout=1, retries=1, backoff=SOON)
    def work(self, run):
        self.begun(run)
        time.sleep(60)


class Poison(Worked):
    @action(timeout=1, retries=1, backoff=SOON)
    def work(self, run):
        self.begun(run)
        os.kill(os.getpid(), signal.SIGKILL)


class Hopeless(Worked):
    @action(retries=5, backoff=SOON)
    def work(self, run):
        self.begun(run)
        raise NotRetryable("there is nothing to hope for")


class Flaky(Worked):
    @action(retries=5, backoff=SOON)
    def work(self, run):
        self.begun(run)
        if run.attempt <= 2:
            raise ActionFailed(f"run {run.attempt} fails on purpose")
        (FOLDER / f"{self.name}.done").touch()


kinds = [Hangs, Slow, Hopeless, Flaky]
if os.environ["PLANT_POOL"] == "prefork":
    kinds.append(Poison)  # elsewhere it would take the whole worker with it, and every other run
# An action that failed for good is offered again after a minute at the earliest: longer than any of these tests.
ending = Supervisor(
    "ending", [kind(kind.__name__.lower()) for kind in kinds], restart=Backoff(base=60, cap=60, jitter=0)
)
