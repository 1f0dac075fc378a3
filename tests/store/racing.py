"""One of several processes that claim, change, commit, come late and die at once; run by `test_races.py`.

``python racing.py URL NAMESPACE SEED STEPS DEATHS``. Messages lie in a list of the store and are taken by anybody, at
once: their delay is a comfort that nothing may depend on. Every tick that takes effect leaves one event behind.
"""

import random
import sys

from lamps import ask, expire_lease, plant, seen, sight, written

from supervision.model import Event
from supervision.store.outbox import Entry
from supervision.store.store import Store
from supervision.view import Claim, Mode

INTERVAL_S = 0.02
KIND = "raced"


class Racer:
    """A ticker, a collector and a broker's customer in one; ``deaths`` says whether ticks may die."""

    def __init__(self, store: Store, seed: str, *, deaths: bool) -> None:
        self.store, self.plant = store, plant(interval=INTERVAL_S)
        self.post, self.died = f"{store.keys.namespace}:post", f"{store.keys.namespace}:died"
        self.dice = random.Random(seed)  # noqa: S311 # no secret hangs on it
        self.steps = [self.change, self.change, self.change, self.take, self.take, self.slot]
        self.deaths = deaths

    def step(self) -> None:
        self.dice.choice(self.steps)()

    def change(self) -> None:
        self.send(seen(self.store, self.plant, sight("lamp-0", heat=self.dice.randrange(10**9))))

    def take(self) -> None:
        """The next message, if there is one."""
        if ask(self.store).lpop(self.post):
            self.tick("dirty")

    def slot(self) -> None:
        self.tick("slot")

    def tick(self, mode: Mode) -> None:
        claim = self.store.ticks.claim(self.plant, mode)
        if not isinstance(claim, Claim):
            return
        heat = self.heat(claim)
        if self.dice.random() < 0.3:
            self.be_slow()
        if self.deaths and self.dice.random() < 0.2:
            expire_lease(self.store)
            ask(self.store).incr(self.died)
            return
        slot = claim.now // self.plant.interval_ms if mode == "slot" else ""
        told = Event(KIND, "plant", f"{mode}:{slot}:{claim.dirty}:{heat}")
        self.send(written(self.store, self.plant, claim, events=(told,)).entries)

    def be_slow(self) -> None:
        """For longer than the lease, while the others go on, and things change."""
        expire_lease(self.store)
        for _ in range(self.dice.randrange(4)):
            self.change()

    def heat(self, claim: Claim) -> int:
        """What this tick sees."""
        observation = self.store.ticks.load(self.plant, claim).children["lamp-0"].observation
        return observation.document.heat if observation else 0

    def send(self, entries: tuple[Entry, ...]) -> None:
        for entry in entries:
            assert entry.kind == "tick"
            ask(self.store).rpush(self.post, entry.id)
        self.store.outbox.published(entries)


if __name__ == "__main__":
    url, namespace, seed, steps, deaths = sys.argv[1:]
    racer = Racer(Store(url, namespace), seed, deaths=bool(int(deaths)))
    for _ in range(int(steps)):
        racer.step()
