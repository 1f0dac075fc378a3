"""What is declared, as the processes that own the code have told it; enough for those that do not have it."""

from collections.abc import Iterable
from typing import Any

import msgspec

from supervision.child import Child
from supervision.fitting import Field, fields_of
from supervision.orders import Mode
from supervision.store.connection import translated
from supervision.store.keys import Keys
from supervision.store.scripts import Scripts
from supervision.supervisor import Supervisor

FORGET_MS = 7 * 24 * 3600 * 1000
"""How long what is no longer declared is remembered: longer than any holiday in which its workers were down."""

DOCUMENTS = ("records", "desired", "observed", "seen", "errors", "slow", "last")
"""The hashes that a removed child leaves, its record first."""

_ALL = ("flight", *DOCUMENTS, "control", "orders", "members", "sources", "gone", "orphans")


class DeclaredAction(msgspec.Struct, frozen=True):
    """An action's limits."""

    timeout_ms: int
    retries: int


class DeclaredChild(msgspec.Struct, frozen=True):
    """A child, its kind, its states by phase, its actions by name and what it should be unless told otherwise.

    ``fields`` are those that a document for it may have, None when it is not told or any are right.
    """

    kind: str
    states: dict[str, str]
    actions: dict[str, DeclaredAction]
    desired: msgspec.Raw = msgspec.Raw(b"null")
    enabled: bool = True
    interval_ms: int = 0
    fields: dict[str, Field] | None = None


class DeclaredSupervisor(msgspec.Struct, frozen=True):
    """A supervisor and its children, in declared order.

    ``affects`` names, by check, the children that it affects where that is not all of them. ``desired`` is its own
    document, null when it has none. ``worst_case_ms`` is how long trouble that stays takes to escalate at most,
    and ``mode`` how far it may go until people order otherwise. ``fields`` are its own document's, as a child's are.
    ``unreadable`` is never stored: it
    says why this one, of which nothing but the name is known, could not be read.
    """

    name: str
    interval_ms: int
    stale_after_ms: int
    max_attempts: int
    checks: tuple[str, ...]
    children: dict[str, DeclaredChild]
    affects: dict[str, tuple[str, ...]] = {}
    parent: str = ""
    dynamic: bool = False
    desired: msgspec.Raw = msgspec.Raw(b"null")
    worst_case_ms: int = 0
    mode: str = "act"
    fields: dict[str, Field] | None = None
    unreadable: str = ""


class Registry:
    """Declarations by supervisor name."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self._scripts = scripts
        self._client = scripts.client
        self._keys = keys
        self._key = keys.supervisors

    def declare(self, supervisor: Supervisor) -> None:
        """Tell what ``supervisor`` is; the last one to tell wins.

        While two versions of the code are at work, a child that only one of them has comes and goes for those who
        look, until the other one is gone and the next sweep, 5 min later at most, has told once more. Nothing is
        decided by it: ticks, looks and actions go by the code.
        """
        self._scripts.run(
            "declare",
            [self._key, self._keys.declared],
            [supervisor.path, msgspec.json.encode(_declared(supervisor))],
        )

    def prune(
        self, supervisor: Supervisor, keep_ms: int = FORGET_MS, *, made: Iterable[str] = (), source: str = ""
    ) -> list[str]:
        """Remove the documents of children that were not in the code for ``keep_ms``; answers their names.

        A deploy in which old and new code are at work for a while removes nothing: each child is noted when it is
        first missed, and no longer once it is there again. ``made`` are the members that the code makes; others that
        the document in force, which goes by the name ``source``, has made are kept.
        """
        keys, path = self._keys, supervisor.path
        own = (keys.of(path, what) for what in ("orphans", "members", "flight"))
        removed = self._scripts.run(
            "prune",
            [
                *own,
                keys.incidents,
                *(keys.of(path, what) for what in ("orders", "gone")),
                keys.events,
                keys.of(path, "sources"),
                *(keys.of(path, what) for what in DOCUMENTS),
            ],
            [path, keep_ms, msgspec.msgpack.encode([*supervisor.children, *made]), source],
        )
        return [name.decode() for name in removed]

    def forget(self, keep_ms: int = FORGET_MS) -> list[str]:
        """Remove all about supervisors that no worker has declared for ``keep_ms``; answers their paths."""
        keys = self._keys
        with translated("declarations"):
            known: Any = self._client.hkeys(keys.declared)
        forgotten: list[str] = []
        for path in sorted(name.decode() for name in known):
            answer = self._scripts.run(
                "forget",
                [
                    *(keys.supervisors, keys.declared, keys.counters, keys.incidents, keys.events),
                    *(keys.of(path, what) for what in _ALL),
                ],
                [path, keep_ms],
            )
            forgotten += [path] * (answer[0] == b"forgotten")
        return forgotten

    def all(self) -> dict[str, DeclaredSupervisor]:
        """Every declaration, by name in alphabetical order."""
        with translated("declarations"):
            found: dict[bytes, bytes] = self._client.hgetall(self._key)  # type: ignore[assignment] # the sync client answers the value itself
        read = (declaration(name, text) for name, text in sorted(found.items()))
        return {declared.name: declared for declared in read}


def declaration(path: bytes, text: bytes) -> DeclaredSupervisor:
    """A stored declaration; one that cannot be read is known by its name, and hides no other."""
    try:
        found = msgspec.json.decode(text, type=DeclaredSupervisor)
    except msgspec.MsgspecError as error:
        why = f"its declaration was written by another version of the code ({error})"
        return DeclaredSupervisor(path.decode(errors="backslashreplace"), 1000, 10_000, 0, (), {}, unreadable=why)
    odd = "" if found.mode in _MODES else f"its declared mode {found.mode!r} is none that this version knows"
    return msgspec.structs.replace(found, mode=found.mode if not odd else Mode.OFF.value, unreadable=odd)


_MODES = frozenset(Mode)


def _declared(supervisor: Supervisor) -> DeclaredSupervisor:
    return DeclaredSupervisor(
        name=supervisor.path,
        interval_ms=supervisor.interval_ms,
        stale_after_ms=supervisor.stale_after_ms,
        max_attempts=supervisor.max_attempts,
        checks=tuple(check.name for check in supervisor.checks),
        children={name: declared_child(child) for name, child in supervisor.children.items()},
        affects={check.name: tuple(sorted(check.affects)) for check in supervisor.checks if check.affects},
        parent=supervisor.parent,
        dynamic=supervisor.dynamic is not None,
        desired=msgspec.Raw(msgspec.json.encode(supervisor.desired)) if supervisor.dynamic else msgspec.Raw(b"null"),
        worst_case_ms=supervisor.worst_case_ms,
        mode=supervisor.mode.value,
        fields=_fields(supervisor.Desired) if supervisor.dynamic else None,
    )


def declared_child(child: Child) -> DeclaredChild:
    """What those need to know of ``child`` who do not have its code."""
    return DeclaredChild(
        kind=child.kind,
        states={spec.name: spec.phase.value for spec in child.states.values()},
        actions={
            spec.name: DeclaredAction(spec.timeout_ms, spec.retries)
            for action in child.actions
            if (spec := child.spec(action))
        },
        desired=msgspec.Raw(msgspec.json.encode(child.desired)),
        enabled=child.enabled,
        interval_ms=child.interval_ms,
        fields=_fields(child.Desired),
    )


def _fields(kind: type) -> dict[str, Field] | None:
    found = fields_of(kind)
    return None if found is None else dict(found)
