"""Supervisors: what a user declares about a group of children, checked when it is declared.

Durations are seconds here, as people write them, and milliseconds everywhere else.
"""

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from supervision.backoff import Backoff
from supervision.checks import Check
from supervision.child import RESTART_CHILD, Child
from supervision.errors import InvalidDeclaration, NotFound
from supervision.model import valid_count, valid_path, valid_seconds

DEFAULT_INTERVAL_S: Final = 1.0
DEFAULT_OBSERVE_TIMEOUT_S: Final = 2.2
DEFAULT_STALE_AFTER_S: Final = 10.0
DEFAULT_MAX_ATTEMPTS: Final = 5
DEFAULT_WINDOW_S: Final = 300.0

_T = TypeVar("_T")


class Supervisor:
    """A named control loop over ``children``, with the ``checks`` that hold between them.

    Args:
        name: a path of its own, for example ``plant``.
        children: what it owns; names are unique among them.
        checks: rules over several children; a failing one opens the circuit and restarts the child that it names.
        interval: seconds between two ticks, and between two observations of a child.
        restart: delays between two restarts of the same child.
        max_attempts: restarts within one incident, and within ``window`` seconds, before it escalates.
        observe_timeout: seconds that one observation may take.
        stale_after: seconds after which an observation is too old to act on.

    Raises:
        InvalidDeclaration: names the argument, its value and an example that works.
    """

    def __init__(  # noqa: PLR0913 # the whole declaration of a supervisor; all but the first are named
        self,
        name: str,
        children: Iterable[Child],
        *,
        checks: Iterable[Check] = (),
        interval: float = DEFAULT_INTERVAL_S,
        restart: Backoff | None = None,
        max_attempts: int = DEFAULT_MAX_ATTEMPTS,
        window: float = DEFAULT_WINDOW_S,
        observe_timeout: float = DEFAULT_OBSERVE_TIMEOUT_S,
        stale_after: float = DEFAULT_STALE_AFTER_S,
    ) -> None:
        self.name = self.path = valid_path(name, "supervisor")
        self.restart = Backoff() if restart is None else restart
        self.interval_ms = self._milliseconds("interval", interval, "1")
        self.window_ms = self._milliseconds("window", window, "300")
        self.observe_timeout_ms = self._milliseconds("observe_timeout", observe_timeout, "2.2")
        self.stale_after_ms = self._milliseconds("stale_after", stale_after, "10")
        self.max_attempts = valid_count(max_attempts, f"{self!r}: max_attempts", least=1, example="5")
        self.children: Mapping[str, Child] = self._named(children)
        self.checks: tuple[Check, ...] = self._listed("checks", checks)
        self._validate()
        for child in self.children.values():  # last, so that a refused declaration leaves its children free
            child.placed_under(self.path)

    def child(self, name: str) -> Child:
        """The child of that name, or `NotFound` with the names there are."""
        try:
            return self.children[name]
        except KeyError:
            raise NotFound(f"{self.path} has no child {name!r}; it has {', '.join(self.children) or 'none'}") from None

    def __repr__(self) -> str:
        return f"Supervisor({self.path})"

    def _milliseconds(self, what: str, seconds: float, example: str) -> int:
        return round(valid_seconds(seconds, f"{self!r}: {what}", f"{what}={example}") * 1000)

    def _listed(self, what: str, things: Iterable[_T]) -> tuple[_T, ...]:
        if isinstance(things, Iterable):
            return tuple(things)
        raise InvalidDeclaration(f"{self!r}: {what}={things!r}: needs a list, for example {what}=[...]")

    def _named(self, children: Iterable[Child]) -> dict[str, Child]:
        named: dict[str, Child] = {}
        for child in self._listed("children", children):
            if not isinstance(child, Child):
                raise InvalidDeclaration(f"{self!r}: {child!r} is a {type(child).__name__}, not an instance of Child")
            if child.name in named:
                raise InvalidDeclaration(f"{self!r}: two children are named {child.name!r}; names are unique in one")
            if child.path:
                raise InvalidDeclaration(f"{self!r}: {child!r} is already {child.path}; a child has one supervisor")
            if type(child).observe is Child.observe:
                raise InvalidDeclaration(f"{self!r}: {child!r} has no observe(); write one that returns what is seen")
            valid_path(f"{self.path}/{child.name}", "child")
            named[child.name] = child
        return named

    def _validate(self) -> None:
        if not isinstance(self.restart, Backoff):
            raise InvalidDeclaration(
                f"{self!r}: restart={self.restart!r}: needs a Backoff, for example Backoff(base=1)"
            )
        if self.stale_after_ms <= self.interval_ms + self.observe_timeout_ms:
            raise InvalidDeclaration(
                f"{self!r}: stale_after={self.stale_after_ms / 1000} s must be longer than interval + observe_timeout, "
                f"{(self.interval_ms + self.observe_timeout_ms) / 1000} s, or every observation would be born stale"
            )
        names = set[str]()
        for check in self.checks:
            self._validate_check(check)
            if check.name in names:
                raise InvalidDeclaration(f"{self!r}: two checks are named {check.name!r}; names are unique in one")
            names.add(check.name)

    def _validate_check(self, check: Check) -> None:
        if not isinstance(check, Check):
            raise InvalidDeclaration(f"{self!r}: {check!r} is no check; declare it with @check(child, restart=child)")
        for name in (*check.reads, check.restart, *check.affects):
            if name not in self.children:
                raise InvalidDeclaration(
                    f"{self!r}: check {check.name!r} names the child {name!r}; declared are {', '.join(self.children)}"
                )
        if self.children[check.restart].spec(RESTART_CHILD) is None:
            raise InvalidDeclaration(
                f"{self!r}: check {check.name!r} would restart {check.restart!r}, "
                "which offers no restart; declare one with @action on a method named 'restart'"
            )
