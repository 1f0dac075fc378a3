"""A task or a chain of tasks as a row of steps, each under an id that is known before it is published.

So whatever is published twice, after a crash, is the same tasks, which `once` makes one effect. Of a group or chord
that cannot be said: Celery counts its members under an id of its own each time. `gather` is one task instead.
"""

from collections.abc import Mapping
from typing import Any

from celery import Celery, Signature, chain

from supervision.coordination.gathers import Step
from supervision.errors import InvalidWait
from supervision.model import shown

_SEVERAL = frozenset({"group", "chord", "chunks"})

_ROUTED = ("queue", "exchange", "routing_key")


def steps(signature: Any, what: str) -> tuple[Step, ...]:
    """The tasks that ``signature`` runs one after another; `InvalidWait` about ``what`` if it is no such thing."""
    if not isinstance(signature, Mapping) or not isinstance(signature.get("task"), str):
        raise InvalidWait(f"{what} is {shown(signature)}: needs a signature, for example add.s(1, 2)")
    kind = signature.get("subtask_type")
    if kind in _SEVERAL:
        raise InvalidWait(f"{what} is or contains a {kind}: use gather([...]) there, which is one task")
    if kind == "chain":
        return tuple(step for each in signature["kwargs"]["tasks"] for step in steps(each, what))
    return ({**signature},)


def named(row: "tuple[Step, ...] | list[Step]", last_id: str, *, home: str, app: Celery) -> "list[Signature[Any]]":
    """The steps of ``row`` as signatures: the last has the id ``last_id``, the others that and their place.

    What ``app`` does not know and nothing routes goes to the queue ``home``, where whoever made the row knows it.
    """
    made = [Signature.from_dict(step, app=app) for step in row]
    for place, step in enumerate(made):
        step.options.update(task_id=last_id if place == len(made) - 1 else f"{last_id}-{place}")
        if home and step.task not in app.tasks and not any(step.options.get(name) for name in _ROUTED):
            step.set(queue=home)
    return made


def whole(row: "list[Signature[Any]]", app: Celery) -> "Signature[Any]":
    """The signature that runs ``row``."""
    return row[0] if len(row) == 1 else chain(*row, app=app)
