"""Supervisors: what a user declares about a group of children, checked when it is declared.

A supervisor may be a child of another one: the tree is the declaration. It is built from the leaves, so each
supervisor is complete when it is put under its parent, and takes its path then.

Durations are seconds here, as people write them, and milliseconds everywhere else.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

from supervision import documents
from supervision.backoff import Backoff
from supervision.branch import Branch, Response, escalation_check, valid_response
from supervision.checks import Check
from supervision.child import Child
from supervision.errors import InvalidDeclaration, InvalidDocument, NotFound
from supervision.escalation import worst_case_ms
from supervision.freshness import valid_ladder
from supervision.model import valid_count, valid_name, valid_path, valid_seconds
from supervision.orders import Mode, valid_mode
from supervision.strategy import Strategy, valid_strategy
from supervision.valid_checks import valid_checks

DEFAULT_INTERVAL_S: Final = 1.0
DEFAULT_OBSERVE_TIMEOUT_S: Final = 2.2
DEFAULT_STALE_AFTER_S: Final = 10.0
DEAD_AFTER_STALE: Final = 2
"""How much longer than stale a child must be silent until it is looked at alone; 20 s by default."""

DEFAULT_MAX_ATTEMPTS: Final = 5
DEFAULT_WINDOW_S: Final = 300.0
DEFAULT_STABLE_AFTER_S: Final = 60.0
DEFAULT_SLOW_PROBE_S: Final = 300.0

_T = TypeVar("_T")

Dynamic = Callable[[Any], Iterable[Child] | None]
"""Which children are wanted, as a pure function of the supervisor's desired document; None is no opinion."""


class Supervisor:
    """A named control loop over ``children``, with the ``checks`` that hold between them.

    Args:
        name: one segment of a path for a supervisor below another; at the top it may be a path, for example ``plant``.
        children: what it owns, children and supervisors, in the order in which they stand on each other.
        checks: rules over several children; a failing one opens the circuit and restarts the child that it names.
        interval: seconds between two ticks, and between two observations of a child.
        restart: delays between two restarts of the same child.
        max_attempts: restarts within one incident, and within ``window`` seconds, before it escalates.
        window: seconds over which restarts are counted.
        stable_after: seconds of calm, at least, after which an incident is over.
        slow_probe: seconds between two restarts of a circuit that has escalated; 0 for none.
        strategy: who is restarted together: ``one_for_one``, ``one_for_all`` or ``rest_for_one``.
        on_escalation: what it does about a supervisor below it that has escalated: ``restart`` everything below that
            one, ``degrade`` (carry on) or ``escalate``.
        mode: how far it may go until people order otherwise: ``act``, ``observe`` or ``off``.
        dynamic: further children, as a pure function of the desired document; None from it changes nothing, an empty
            list lets all of them leave.
        Desired: the type of the desired document; ``desired``: the document, until another one is set at run time.
        observe_timeout: seconds that one observation may take.
        stale_after: seconds after which an observation is too old to act on.
        dead_after: seconds after which a child that could not be seen is looked at alone, in a fresh process; by
            default twice ``stale_after``.

    Raises:
        InvalidDeclaration: names the argument, its value and an example that works.
    """

    def __init__(  # noqa: PLR0913 # the whole declaration of a supervisor; all but the first two are named
        self,
        name: str,
        children: "Iterable[Child | Supervisor]" = (),
        *,
        checks: Iterable[Check] = (),
        interval: float = DEFAULT_INTERVAL_S,
        restart: Backoff | None = None,
        max_attempts: int = DEFAULT_MAX_ATTEMPTS,
        window: float = DEFAULT_WINDOW_S,
        stable_after: float = DEFAULT_STABLE_AFTER_S,
        slow_probe: float = DEFAULT_SLOW_PROBE_S,
        strategy: str = Strategy.ONE_FOR_ONE,
        on_escalation: str = Response.RESTART,
        mode: str = Mode.ACT,
        dynamic: Dynamic | None = None,
        Desired: type = dict,  # noqa: N803 # named as in Child
        desired: Any = None,
        observe_timeout: float = DEFAULT_OBSERVE_TIMEOUT_S,
        stale_after: float = DEFAULT_STALE_AFTER_S,
        dead_after: float | None = None,
    ) -> None:
        self.name = valid_path(name, "supervisor")
        self._refuse_a_cycle(children)
        self.path, self.parent = self.name, ""
        self.above_answers, self.above_mode = Response.DEGRADE, Mode.ACT
        self.restart = Backoff() if restart is None else restart
        self.interval_ms = self._milliseconds("interval", interval, "1")
        self.window_ms = self._milliseconds("window", window, "300")
        self.stable_after_ms = self._milliseconds("stable_after", stable_after, "60")
        self.slow_probe_ms = 0 if slow_probe == 0 else self._milliseconds("slow_probe", slow_probe, "300")
        self.observe_timeout_ms = self._milliseconds("observe_timeout", observe_timeout, "2.2")
        self.stale_after_ms = self._milliseconds("stale_after", stale_after, "10")
        dead = DEAD_AFTER_STALE * stale_after if dead_after is None else dead_after
        self.dead_after_ms = self._milliseconds("dead_after", dead, "20")
        self.max_attempts = valid_count(max_attempts, f"{self!r}: max_attempts", least=1, example="5")
        self.strategy = valid_strategy(strategy, repr(self))
        self.on_escalation = valid_response(on_escalation, repr(self))
        self.mode = valid_mode(mode, f"{self!r}: mode")
        self.dynamic, self.Desired = dynamic, Desired
        self.desired = self._document(desired)
        self.below: Mapping[str, Supervisor] = {}
        self.children: Mapping[str, Child] = self._named(children)
        self.checks: tuple[Check, ...] = (*self._listed("checks", checks), *self._escalation_checks())
        self._validate()
        self.worst_case_ms = worst_case_ms(self)
        self._place(self.path)  # last, so that a refused declaration leaves its children free

    def child(self, name: str) -> Child:
        """The child of that name, or `NotFound` with the names there are."""
        try:
            return self.children[name]
        except KeyError:
            raise NotFound(f"{self.path} has no child {name!r}; it has {', '.join(self.children) or 'none'}") from None

    def tree(self) -> "Iterator[Supervisor]":
        """This supervisor and all below it, parents first."""
        yield self
        for below in self.below.values():
            yield from below.tree()

    def adopted(self, children: Iterable[Child]) -> dict[str, Child]:
        """Children made by ``dynamic``, by name, placed below this supervisor; raises `InvalidDeclaration`."""
        wanted = self._listed("dynamic children", children)
        for child in wanted:
            if isinstance(child, Supervisor):
                raise InvalidDeclaration(
                    f"{self!r}: dynamic child {child.name!r} is a supervisor; declare it as a child"
                )
        named = self._named(wanted)
        for name in named:
            if name in self.children:
                raise InvalidDeclaration(f"{self!r}: dynamic child {name!r}: a declared child has that name")
        for child in named.values():
            child.placed_under(self.path)
        return named

    def __repr__(self) -> str:
        return f"Supervisor({getattr(self, 'path', self.name)})"

    def _place(self, path: str) -> None:
        self.path = path
        for child in self.children.values():
            child.placed_under(path)
        for name, below in self.below.items():
            below.parent, below.above_answers, below.above_mode = path, self.on_escalation, self.mode
            below._place(f"{path}/{name}")  # noqa: SLF001 # its own kind

    def _milliseconds(self, what: str, seconds: float, example: str) -> int:
        return round(valid_seconds(seconds, f"{self!r}: {what}", f"{what}={example}") * 1000)

    def _listed(self, what: str, things: Iterable[_T]) -> tuple[_T, ...]:
        if isinstance(things, Iterable):
            return tuple(things)
        raise InvalidDeclaration(f"{self!r}: {what}={things!r}: needs a list, for example {what}=[...]")

    def _document(self, desired: Any) -> Any:
        documents.valid_type(self.Desired, f"{self!r}: Desired")
        if self.dynamic is not None and not callable(self.dynamic):
            raise InvalidDeclaration(f"{self!r}: dynamic={self.dynamic!r}: needs a function of the desired document")
        try:
            wanted = self.Desired() if desired is None else desired
            documents.encode(wanted, self.Desired, f"{self!r}: desired")
        except (InvalidDocument, TypeError) as error:  # TypeError: its fields have no defaults
            raise InvalidDeclaration(f"{self!r}: desired: {error}; give one with desired=...") from error
        return wanted

    def _refuse_a_cycle(self, children: "Iterable[Child | Supervisor]") -> None:
        """A supervisor that was already put below one that is now put below it."""
        for child in children if isinstance(children, (list, tuple)) else ():
            if isinstance(child, Supervisor) and any(below is self for below in child.tree()):
                raise InvalidDeclaration(
                    f"Supervisor({self.name}): {child!r} contains it, which makes a cycle; a tree has none"
                )

    def _named(self, children: "Iterable[Child | Supervisor]") -> dict[str, Child]:
        named: dict[str, Child] = {}
        below: dict[str, Supervisor] = {}
        for child in self._listed("children", children):
            if not isinstance(child, (Child, Supervisor)):
                raise InvalidDeclaration(f"{self!r}: {child!r} is a {type(child).__name__}, not an instance of Child")
            if child.name in named:
                raise InvalidDeclaration(f"{self!r}: two children are named {child.name!r}; names are unique in one")
            if isinstance(child, Supervisor):
                below[child.name] = self._free_supervisor(child)
                named[child.name] = Branch(child.name)
            else:
                named[child.name] = self._free_child(child)
        self.below = {**self.below, **below}
        return named

    def _free_child(self, child: Child) -> Child:
        own = bool(self.dynamic) and child.path == f"{self.path}/{child.name}"  # made once, wanted again
        if child.path and not own:
            raise InvalidDeclaration(f"{self!r}: {child!r} is already {child.path}; a child has one supervisor")
        if type(child).observe is Child.observe:
            raise InvalidDeclaration(f"{self!r}: {child!r} has no observe(); write one that returns what is seen")
        valid_path(f"{self.path}/{child.name}", "child")
        return child

    def _free_supervisor(self, below: "Supervisor") -> "Supervisor":
        if below.parent:
            raise InvalidDeclaration(f"{self!r}: {below!r} is already below {below.parent}; it has one parent")
        valid_name(below.name, "a supervisor below another one")
        for each in below.tree():
            valid_path(f"{self.path}/{each.path}", "supervisor")
            for name in each.children:
                valid_path(f"{self.path}/{each.path}/{name}", "child")
        if below.interval_ms >= self.stale_after_ms:
            raise InvalidDeclaration(
                f"{self!r}: {below!r} ticks every {below.interval_ms / 1000:g} s, and what it reports is stale after "
                f"stale_after={self.stale_after_ms / 1000:g} s; give one of them another value"
            )
        return below

    def _escalation_checks(self) -> list[Check]:
        return [found for name in self.below if (found := escalation_check(name, self.on_escalation))]

    def _validate(self) -> None:
        if not isinstance(self.restart, Backoff):
            raise InvalidDeclaration(
                f"{self!r}: restart={self.restart!r}: needs a Backoff, for example Backoff(base=1)"
            )
        valid_ladder(self)
        valid_checks(self)
