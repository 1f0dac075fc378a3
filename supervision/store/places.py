"""Finding a supervisor or a child by its path among what is declared; a refusal lists what there is."""

import difflib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from supervision.errors import NotFound
from supervision.store.registry import DeclaredChild, DeclaredSupervisor

MOST_LISTED = 10
"""Paths that a refusal lists: more than that nobody reads."""

_CLOSE = 3


class Place(NamedTuple):
    """Where a child is declared."""

    supervisor: DeclaredSupervisor
    name: str

    @property
    def child(self) -> DeclaredChild:
        """Its declaration."""
        return self.supervisor.children[self.name]


def child_place(declared: Mapping[str, DeclaredSupervisor], path: str) -> Place:
    """The child at ``path``, or `NotFound`."""
    supervisor, _, name = path.rpartition("/")
    if supervisor in declared and name in declared[supervisor].children:
        return Place(declared[supervisor], name)
    raise NotFound(_refusal("child", path, _children(declared)))


def place(declared: Mapping[str, DeclaredSupervisor], path: str) -> DeclaredSupervisor | Place:
    """The supervisor or, when none is named so, the child at ``path``, or `NotFound`."""
    if path in declared:
        return declared[path]
    try:
        return child_place(declared, path)
    except NotFound:
        raise NotFound(_refusal("supervisor or child", path, [*declared, *_children(declared)])) from None


def _children(declared: Mapping[str, DeclaredSupervisor]) -> list[str]:
    return [f"{supervisor.name}/{name}" for supervisor in declared.values() for name in supervisor.children]


def _refusal(what: str, path: str, known: Iterable[str]) -> str:
    paths = list(dict.fromkeys(known))  # a supervisor below another one is a child, too
    if not paths:
        return f"no {what} {path!r}: nothing is declared here yet; a worker declares what its modules contain"
    close = difflib.get_close_matches(path, paths, n=_CLOSE, cutoff=0.5)
    meant = f"; did you mean {' or '.join(close)}?" if close else ";"
    more = f" and {len(paths) - MOST_LISTED} more" if len(paths) > MOST_LISTED else ""
    return f"no {what} {path!r}{meant} there is {', '.join(paths[:MOST_LISTED])}{more}"
