"""A storm: 100 children of a supervisor go down at once and are restarted, beside 20 quiet siblings of the same one.

Ticker (2 processes), collector (2), actor (5) and beat as in production, all on this machine; a restart takes 50 ms of
waiting. Ten siblings are changed by the driver one after the other: their *reaction* is the time from the change,
stored and published as a collector does it, to the record of their new state in the history. Ten are only watched:
*between observations* is the time between the beginnings of two looks at one of them. *Ticks* are those that did
something, as the ticker's own log says. Each is measured in calm and in storms, in turns, a storm from its first
reservation until all are up again; the goal is for the two medians of the siblings.
"""

import itertools
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec

from benchmarks.figures import Figure, Goal
from benchmarks.plants.storm import Found, Quiet, driven, plant, still, weak
from benchmarks.stage import CeleryProcess, Stage, until
from supervision.model import ChildRecord
from supervision.store.observations import Sight

ROUNDS = 8
QUICK = 1
CALM_S = 4.0
APART_S = (0.08, 0.14)
GOAL = Goal("median", 1.05)

_TICK = re.compile(r"Task supervision\.tick\[\S+\] succeeded in ([\d.e-]+)s: '(?:done|again)'")


@dataclass
class _Weather:
    """What was measured in calm, or in storms."""

    ticks: list[float] = field(default_factory=list)
    reactions: list[float] = field(default_factory=list)
    looks: list[float] = field(default_factory=list)
    lasted: list[float] = field(default_factory=list)


def measure(*, quick: bool) -> Iterator[Figure]:
    """The figures of this benchmark."""
    calm, storm = _Weather(), _Weather()
    with Stage("benchmarks.plants.storm") as stage:
        ticker = stage.worker("ticks", "sweeps", slots=2)
        others = [stage.worker("collectors", slots=2), stage.worker("actions", slots=5)]
        for worker in (ticker, *others):
            worker.ready()
        stage.beat()
        watch = _Watch(stage, ticker)
        until(watch.healed, "every child that is up")
        watch.during(_in(CALM_S / 2), _Weather())
        for _ in range(QUICK if quick else ROUNDS):
            watch.during(_in(CALM_S), calm)
            for child in weak:
                child.file.touch()
            until(watch.flying, "the first restart")
            watch.during(watch.healed, storm)
    yield from _figures(calm, storm)


def _figures(calm: _Weather, storm: _Weather) -> Iterator[Figure]:
    yield Figure("storm, how long one lasts", "s", storm.lasted)
    for name, of in (("ticks", "ticks"), ("siblings' reaction", "reactions"), ("between observations", "looks")):
        before = Figure(f"storm, {name}, in calm", "ms", getattr(calm, of))
        during = Figure(f"storm, {name}, in storms", "ms", getattr(storm, of), before)
        yield from (before, during)
        if of != "ticks":
            yield Figure(f"storm, {name}, storms over calm", "x", [during.ratio or 0.0], goal=GOAL)


class _Watch:
    """Drives and watches the siblings."""

    def __init__(self, stage: Stage, ticker: CeleryProcess) -> None:
        self._stage = stage
        self._ticker = ticker
        self._publisher = stage.publisher()
        self._number = dict.fromkeys((child.name for child in driven), 0)

    def during(self, over: Callable[[], bool], weather: _Weather) -> None:
        """Measure until it is ``over``."""
        begun, logged, marks = time.monotonic(), len(self._ticker.log), [self._marks()]
        while not over():
            time.sleep(random.uniform(*APART_S))  # noqa: S311 - so that nothing falls into step
            weather.reactions.append(self._reaction(random.choice(driven)))  # noqa: S311 - as above
            marks.append(self._marks())
        weather.lasted.append(time.monotonic() - begun)
        weather.looks += _between(marks)
        weather.ticks += [1000 * float(took) for took in _TICK.findall(self._ticker.log[logged:])]

    def healed(self) -> bool:
        """Whether every weak child is up, and nothing in flight."""
        stored = self._stage.ask().hmget(self._key("records"), [child.name for child in weak])
        return all(b'"state":"up"' in (record or b"") for record in stored) and not self.flying()

    def flying(self) -> int:
        """How many restarts are under way."""
        return int(self._stage.ask().hlen(self._key("flight")))

    def _reaction(self, child: Quiet) -> float:
        """Change one sibling; answers the milliseconds until its new state was committed."""
        self._number[child.name] += 1
        number = self._number[child.name]
        store, before = self._stage.store, self._stage.now()
        last = store.history.latest(1)[-1].id
        child.file.write_text(str(number))
        look = store.observations.look(plant, periodic=False)
        if look is None:
            raise RuntimeError("a look that is not periodic was refused")
        sight = Sight(child.name, msgspec.json.encode(Found(up=True, number=number)).decode())
        store.outbox.published(self._publisher.publish(store.observations.seen(plant, look, [sight])))
        wanted = ("even", "odd")[number % 2]
        until(lambda: self._state(child) == wanted, f"{child.path} in the state {wanted}")
        committed = next(
            past.at
            for past in store.history.since(last, most=10_000)
            if past.subject == child.path and past.after == wanted
        )
        return committed - before

    def _state(self, child: Quiet) -> str:
        return msgspec.json.decode(self._stage.ask().hget(self._key("records"), child.name), type=ChildRecord).state

    def _marks(self) -> list[int]:
        """When each of the watched siblings was seen last."""
        seen = self._stage.ask().hmget(self._key("seen"), [child.name for child in still])
        return [int(mark.partition(b":")[2]) for mark in seen]

    def _key(self, what: str) -> str:
        return self._stage.store.keys.of(plant.path, what)


def _in(seconds: float) -> Callable[[], bool]:
    """Whether so many seconds from now have passed."""
    moment = time.monotonic() + seconds
    return lambda: time.monotonic() >= moment


def _between(marks: list[list[int]]) -> list[float]:
    """The times between two looks at each of the siblings, in ``marks`` that were read one after the other."""
    moments = [sorted(set(child)) for child in zip(*marks, strict=True)]
    return [after - before for seen in moments for before, after in itertools.pairwise(seen)]
