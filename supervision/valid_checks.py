"""Whether the checks of a supervisor fit its children: said when it is declared, not when one of them fails."""

from typing import TYPE_CHECKING

from supervision.checks import Check
from supervision.child import RESTART_CHILD
from supervision.errors import InvalidDeclaration
from supervision.strategy import errands, group

if TYPE_CHECKING:
    from supervision.supervisor import Supervisor


def valid_checks(supervisor: "Supervisor") -> None:
    """Refuse with `InvalidDeclaration` checks that are none, share a name, or name what is not there."""
    names = set[str]()
    for check in supervisor.checks:
        _valid(check, supervisor)
        if check.name in names:
            raise InvalidDeclaration(f"{supervisor!r}: two checks are named {check.name!r}; names are unique in one")
        names.add(check.name)


def _valid(check: Check, supervisor: "Supervisor") -> None:
    children = supervisor.children
    if not isinstance(check, Check):
        raise InvalidDeclaration(f"{supervisor!r}: {check!r} is no check; declare it with @check(child, restart=child)")
    unknown = [name for name in (*check.reads, check.restart, *check.affects) if name not in children]
    if unknown and supervisor.dynamic:
        return  # it may come to be; until then the check answers unknown
    if unknown:
        raise InvalidDeclaration(
            f"{supervisor!r}: check {check.name!r} names the child {unknown[0]!r}; declared are {', '.join(children)}"
        )
    restarted = [children[name] for name in group(supervisor.strategy, check.restart, tuple(children))]
    if children[check.restart].spec(RESTART_CHILD) is None or not errands(restarted):
        raise InvalidDeclaration(
            f"{supervisor!r}: check {check.name!r} would restart {check.restart!r}, "
            "which offers no restart; declare one with @action on a method named 'restart'"
        )
