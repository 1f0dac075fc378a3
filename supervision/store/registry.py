"""What is declared, as the processes that own the code have told it; enough for those that do not have it."""

import msgspec

from supervision.child import Child
from supervision.store.connection import translated
from supervision.store.keys import Keys
from supervision.store.scripts import Scripts
from supervision.supervisor import Supervisor


class DeclaredAction(msgspec.Struct, frozen=True):
    """An action's limits."""

    timeout_ms: int
    retries: int


class DeclaredChild(msgspec.Struct, frozen=True):
    """A child, its kind, its states by phase, its actions by name and what it should be unless told otherwise."""

    kind: str
    states: dict[str, str]
    actions: dict[str, DeclaredAction]
    desired: msgspec.Raw = msgspec.Raw(b"null")
    enabled: bool = True


class DeclaredSupervisor(msgspec.Struct, frozen=True):
    """A supervisor and its children, in declared order.

    ``affects`` names, by check, the children that it affects where that is not all of them. ``desired`` is its own
    document, null when it has none. ``worst_case_ms`` is how long trouble that stays takes to escalate at most.
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


class Registry:
    """Declarations by supervisor name."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self._client = scripts.client
        self._key = keys.supervisors

    def declare(self, supervisor: Supervisor) -> None:
        """Tell what ``supervisor`` is; the last one to tell wins."""
        with translated("declare"):
            self._client.hset(self._key, supervisor.path, msgspec.json.encode(_declared(supervisor)))

    def all(self) -> dict[str, DeclaredSupervisor]:
        """Every declaration, by name in alphabetical order."""
        with translated("declarations"):
            found: dict[bytes, bytes] = self._client.hgetall(self._key)  # type: ignore[assignment] # the sync client answers the value itself
        return {
            name.decode(): msgspec.json.decode(text, type=DeclaredSupervisor) for name, text in sorted(found.items())
        }


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
    )
