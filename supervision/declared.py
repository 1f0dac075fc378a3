"""What several modules declare together: every supervisor by path, and what none of them can be wrong about alone.

Workers start by it, and `supervision doctor` says by it whether they can.
"""

from collections.abc import Iterable, Mapping

from supervision.errors import InvalidDeclaration
from supervision.supervisor import Supervisor


def together(modules: Iterable[tuple[str, Iterable[Supervisor]]]) -> Mapping[str, Supervisor]:
    """The supervisors that are globals of ``modules``, each with all below it, sorted by path.

    Raises:
        InvalidDeclaration: two have one path, one has the path of a child, or what one is below is no global.
    """
    found: dict[str, Supervisor] = {}
    for module, declared in modules:
        for supervisor in (each for root in declared for each in root.tree()):
            if found.setdefault(supervisor.path, supervisor) is not supervisor:
                raise InvalidDeclaration(f"{module}: a second supervisor is at {supervisor.path!r}; paths are unique")
    for supervisor in found.values():
        if supervisor.parent and supervisor.parent not in found:
            raise InvalidDeclaration(
                f"{supervisor!r} is below {supervisor.parent!r}, which is no global of a module in supervision_imports"
            )
    refuse_clashes(found)
    return dict(sorted(found.items()))


def refuse_clashes(supervisors: Mapping[str, Supervisor]) -> None:
    """Refuse what two supervisors would both call their own: a child of one that has the path of the other."""
    for above in supervisors.values():
        for name in above.children:
            path = f"{above.path}/{name}"
            if path in supervisors and name not in above.below:
                raise InvalidDeclaration(f"{path} is both a child of {above.path} and a supervisor; rename one of them")
