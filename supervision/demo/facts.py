"""Scenes and what they find out: a scene is steps, a step is looked at once and gives one fact.

Rules
1. A fact's text is what was measured. What did not happen is a failed fact that says what was seen instead.
2. Every step is bounded in time, so a scene is. After a step that failed the rest of its scene is not looked at: it
   stands on what did not happen. Nothing a step raises gets further than its fact.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import psutil

from supervision.errors import SupervisionError

POLL_S = 0.1
"""Seconds between two looks; a figure that is printed is no finer than that."""

T = TypeVar("T")


class NotSeen(Exception):
    """What a step waited for did not happen; the message says what was seen instead."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing to look at, whether it was as it should be, and what was measured; ``looked`` False: it was not."""

    name: str
    passed: bool
    measured: str
    looked: bool = True


_Step = TypeVar("_Step", bound=Callable[..., str])


def step(name: str) -> Callable[[_Step], _Step]:
    """Declare a method of a `Scene` as a step: it returns what it measured, or raises."""

    def declare(look: _Step) -> _Step:
        look.__step__ = name  # type: ignore[attr-defined] # the marker that Scene collects
        return look

    return declare


class Scene:
    """Steps in the order of their definition; what one finds out the next ones know from ``self``."""

    title: ClassVar[str]

    def facts(self) -> Iterator[Fact]:
        """Play: one fact per step, as it is found out."""
        failed = ""
        for name, look in self._steps():
            fact = _not_looked(name, f"not looked at: {failed!r} failed") if failed else _found_out(name, look)
            failed = failed or ("" if fact.passed else name)
            yield fact

    def not_played(self, why: str) -> Iterator[Fact]:
        """The facts that are missing when this scene is not played."""
        return (_not_looked(name, why) for name, _ in self._steps())

    def _steps(self) -> list[tuple[str, Callable[[], str]]]:
        named = ((getattr(value, "__step__", None), value) for value in vars(type(self)).values())
        return [(name, look.__get__(self)) for name, look in named if name]


def _not_looked(name: str, why: str) -> Fact:
    return Fact(name, passed=False, measured=why, looked=False)


def _found_out(name: str, look: Callable[[], str]) -> Fact:
    try:
        return Fact(name, True, look())
    except NotSeen as seen:
        return Fact(name, False, str(seen))
    except Exception as error:  # noqa: BLE001 # a demo that ends in a traceback has shown nothing
        return Fact(name, False, f"{type(error).__name__}: {error}")


def expect(condition: object, instead: str) -> None:
    """Raise `NotSeen` with what was seen ``instead`` unless ``condition`` is true."""
    if not condition:
        raise NotSeen(instead)


def until(look: Callable[[], T | None], within: float, instead: Callable[[], Any]) -> T:
    """The first true value of ``look``; `NotSeen` with ``instead()`` after ``within`` seconds.

    What answers badly meanwhile (a program that is just being started, a store that is away) is asked again.
    """
    deadline = time.monotonic() + within
    while True:
        trouble = ""
        try:
            if value := look():
                return value
        except (OSError, SupervisionError, psutil.Error) as error:
            trouble = f"; {type(error).__name__}: {error}"
        if time.monotonic() > deadline:
            raise NotSeen(f"not within {within:g} s; instead: {_said(instead)}{trouble}")
        time.sleep(POLL_S)


def _said(instead: Callable[[], Any]) -> str:
    try:
        return str(instead())
    except (OSError, SupervisionError, psutil.Error) as error:
        return f"{type(error).__name__}: {error}"
