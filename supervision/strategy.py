"""Strategies: who else is restarted with a child that is, and in which order.

    one_for_one     the child alone
    one_for_all     all children of its supervisor
    rest_for_one    the child and those declared after it

A group is stopped in reverse of the declared order, and then started in that order: what is declared later may stand on
what is declared earlier. A child that offers no ``stop`` and ``start`` is restarted when its turn to start comes. One
action after the other: the next is sent when the one before it has succeeded. When one fails, those that were stopped
and not started yet are started again, each when it can be: a healthy sibling is not the price of a failed attempt.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from supervision.child import RESTART_CHILD, START, STOP, Child
from supervision.errors import InvalidDeclaration
from supervision.model import shown


class Strategy(StrEnum):
    """Who is restarted together."""

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"


class Errand(msgspec.Struct, frozen=True, array_like=True):
    """One action of a restart: ``action`` on ``child``."""

    child: str
    action: str


def valid_strategy(value: object, what: str) -> Strategy:
    """``value`` as a `Strategy`, else `InvalidDeclaration`."""
    if isinstance(value, str) and value in tuple(Strategy):
        return Strategy(value)
    raise InvalidDeclaration(f"{what}: strategy={shown(value)}: needs one of {', '.join(Strategy)}")


def group(strategy: Strategy, failed: str, names: Sequence[str]) -> tuple[str, ...]:
    """The ``names``, in their declared order, that are restarted with ``failed``."""
    if strategy is Strategy.ONE_FOR_ONE:
        return (failed,)
    return tuple(names) if strategy is Strategy.ONE_FOR_ALL else tuple(names[names.index(failed) :])


def errands(children: Sequence[Child]) -> tuple[Errand, ...]:
    """What restarts ``children``, which are in their declared order; empty if none of them can be restarted."""
    if len(children) == 1:
        return tuple(Errand(child.name, RESTART_CHILD) for child in children if RESTART_CHILD in child.actions)
    stopping = [Errand(child.name, STOP) for child in reversed(children) if _stops_and_starts(child)]
    starting = [
        Errand(child.name, START if _stops_and_starts(child) else RESTART_CHILD)
        for child in children
        if _stops_and_starts(child) or RESTART_CHILD in child.actions
    ]
    return (*stopping, *starting)


def _stops_and_starts(child: Child) -> bool:
    return STOP in child.actions and START in child.actions
