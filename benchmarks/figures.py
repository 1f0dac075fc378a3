"""Figures: samples with a name, a unit, a baseline of the same run and, where the specification has one, a goal."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


def p99(samples: Sequence[float]) -> float:
    """The smallest sample that 99 % do not exceed; with fewer than 100 samples that is the largest."""
    ranked = sorted(samples)
    return ranked[-(len(ranked) // 100) - 1]


STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {"median": statistics.median, "p99": p99, "max": max}


@dataclass(frozen=True, slots=True)
class Goal:
    """At most ``limit`` (in the figure's unit) for one of `STATISTICS`; for a rate, at least so much.

    ``of`` is the row of `benchmarks.goals` that it belongs to.
    """

    statistic: str
    limit: float
    at_least: bool = False
    of: str = ""

    def __str__(self) -> str:
        return f"{self.statistic} {'>=' if self.at_least else '<='} {self.limit:g}"

    def of_samples(self, samples: Sequence[float]) -> float:
        """What of ``samples`` the goal is about."""
        return STATISTICS[self.statistic](samples)

    def met(self, samples: Sequence[float]) -> bool:
        """Whether ``samples`` are as good as that."""
        found = self.of_samples(samples)
        return found >= self.limit if self.at_least else found <= self.limit


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured. ``baseline`` is another figure in the same unit, to which the ratio of medians is given."""

    name: str
    unit: str
    samples: Sequence[float]
    baseline: "Figure | None" = None
    goal: Goal | None = None

    def __post_init__(self) -> None:
        if not self.samples:
            raise ValueError(f"{self.name}: nothing was measured")

    @property
    def median(self) -> float:
        """The median of the samples."""
        return statistics.median(self.samples)

    @property
    def ratio(self) -> float | None:
        """The median in terms of the baseline's; None without a baseline, or when that is nothing."""
        return self.median / self.baseline.median if self.baseline and self.baseline.median else None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        return self.goal.met(self.samples) if self.goal else None

    def plain(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "name": self.name,
            "unit": self.unit,
            "n": len(self.samples),
            **{name: statistic(self.samples) for name, statistic in STATISTICS.items()},
            "baseline": self.baseline.name if self.baseline else None,
            "ratio": self.ratio,
            "goal": str(self.goal) if self.goal else None,
            "met": self.met,
        }


def timed(
    work: Callable[[], object],
    times: int,
    *,
    before: Callable[[], object] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Milliseconds of ``clock`` that ``work`` took, ``times`` times; ``before`` each prepares the ground, untimed."""
    took = []
    for _ in range(times):
        before()
        begun = clock()
        work()
        took.append((clock() - begun) * 1000)
    return took


def per_second(number: int, work: Callable[[], object]) -> float:
    """How many of ``number`` things a second ``work`` does, which does all of them."""
    begun = time.perf_counter()
    work()
    return number / (time.perf_counter() - begun)


def over(figure: Figure, statistic: str, goal: Goal) -> Figure:
    """``figure`` in terms of its baseline, both by ``statistic``: a figure of its own, as the goal is for the ratio."""
    if figure.baseline is None:
        raise ValueError(f"{figure.name}: has no baseline")
    theirs = STATISTICS[statistic](figure.baseline.samples)
    ratio = STATISTICS[statistic](figure.samples) / theirs
    return Figure(f"{figure.name}, {statistic} over that of the baseline", "x", [ratio], goal=goal)


def expect(found: object, wanted: object, what: str) -> None:
    """End the benchmark when the system did not do ``what`` was to be measured: its time would mean nothing."""
    if found != wanted:
        raise RuntimeError(f"{what}: was {found!r}, not {wanted!r}; there is nothing to measure")
