"""Children: what a user writes about one supervised thing.

    class Lamp(Child):
        Observed = LampSeen                      # dataclass, msgspec.Struct or dict

        def observe(self):                       # I/O, sync or async
            return LampSeen(on=ask_the_lamp())

        @state(Phase.STOPPED, initial=True)
        def off(self, seen):                     # pure: snapshot -> Stay | Go | Do
            return Go("lit", "it is on") if seen.observed.on else Do("switch_on", "it is off")

        @state(Phase.RUNNING)
        def lit(self, seen):
            return Stay("on") if seen.observed.on else Go("off", "it went out")

        @action(timeout=5)
        def switch_on(self, run): ...

Everything that can be wrong about such a class is found when it is defined or put into a supervisor.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypedDict, TypeVar, Unpack

from supervision import documents
from supervision.actions import NOOP, RECONFIGURE, ActionSpec
from supervision.errors import InvalidDeclaration, InvalidDocument
from supervision.freshness import valid_interval
from supervision.model import Identity, Phase, valid_name
from supervision.valid import valid_help, valid_keywords, valid_method

RESTART = "restart"
RESTART_CHILD = "restart_child"
START = "start"
STOP = "stop"


@dataclass(frozen=True)
class Undocumented:
    """The desired document of what is only looked at: it has no field, so nobody sets one and waits for an effect."""


@dataclass(frozen=True, slots=True)
class StateSpec:
    """A state as declared: its rule is a pure function of the snapshot."""

    name: str
    phase: Phase
    rule: Callable[..., object]
    initial: bool


_Rule = TypeVar("_Rule", bound=Callable[..., object])


def state(phase: Phase, *, initial: bool = False) -> Callable[[_Rule], _Rule]:
    """Declare a method of a `Child` as a state of that ``phase``; a new child begins in its ``initial`` state."""
    if not isinstance(phase, Phase):
        raise InvalidDeclaration(
            f"state({phase!r}): needs a Phase, for example Phase.RUNNING; got it without brackets?"
        )

    def declare(rule: _Rule) -> _Rule:
        valid_method("state", rule, "seen")
        called = valid_name(rule.__name__, "state")
        rule.__state__ = StateSpec(called, phase, rule, initial)  # type: ignore[attr-defined] # the marker that Child collects
        return rule

    return declare


class Common(TypedDict, total=False):
    """What every child can be given by keyword.

    ``enabled``: false lets it rest in stopped until somebody switches it on. ``runbook_url`` and ``manual_steps``:
    where people read what to do when it cannot be healed, and the steps in order; part of the call for help.
    """

    enabled: bool
    runbook_url: str
    manual_steps: Sequence[str]


class Child:
    """One supervised thing. Subclasses give documents, `observe`, states and actions; instances give the name."""

    kind: ClassVar[str] = "child"
    Desired: ClassVar[type] = dict
    Observed: ClassVar[type] = dict
    states: ClassVar[Mapping[str, StateSpec]] = {}
    actions: ClassVar[Mapping[str, ActionSpec]] = {}
    reported: ClassVar[bool] = False
    """Whether somebody tells what is seen of it, so that nobody looks."""
    interval: float | None = None
    """Seconds between two looks at it, a day at most; None, and whatever is shorter, is its supervisor's."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.kind = cls.__dict__.get("kind", cls.__name__.lower())
        documents.valid_type(cls.Desired, f"{cls.__name__}.Desired")
        documents.valid_type(cls.Observed, f"{cls.__name__}.Observed")
        cls.states = _collected(cls, "__state__")
        cls.actions = _with_builtins(_collected(cls, "__action__"))
        initial = [spec.name for spec in cls.states.values() if spec.initial]
        if cls.states and len(initial) != 1:
            raise InvalidDeclaration(f"{cls.__name__}: initial states {initial}: mark exactly one with initial=True")

    def __init__(self, name: str, *, desired: Any = None, **common: Unpack[Common]) -> None:
        self.name = valid_name(name, f"{type(self).__name__} named")
        self.path = ""
        valid_keywords(common, Common.__annotations__, repr(self))
        self.enabled = common.get("enabled", True)
        self.runbook_url, steps = common.get("runbook_url", ""), common.get("manual_steps", ())
        valid_help(self.runbook_url, steps, repr(self))
        self.manual_steps = tuple(steps)
        self.interval_ms = 0 if self.interval is None else valid_interval(self.interval, repr(self))
        if not self.states:
            raise InvalidDeclaration(f"{self!r}: has no states; declare at least one with @state(phase, initial=True)")
        try:
            self.desired = self.Desired() if desired is None else desired
            documents.encode(self.desired, self.Desired, f"{self!r}: desired")
        except InvalidDocument as error:
            raise InvalidDeclaration(str(error)) from error
        except TypeError as error:  # its fields have no defaults
            raise InvalidDeclaration(f"{self!r}: desired: {error}; give one with desired=...") from error

    def observe(self) -> Any:
        """Look at the real thing and return an ``Observed``; may be ``async def``; may take its time, may raise."""
        raise InvalidDeclaration(f"{self!r}: has no observe(); write one that returns {self.Observed.__name__}")

    def rest(self, desired: Any) -> Any:  # noqa: ARG002 # for those who override it
        """What should be desired while it is switched off or leaves, so that it comes to rest in stopped.

        None, if there is nothing to stop: then it is only left alone. Pure, like a state function.
        """
        return None

    @property
    def initial(self) -> str:
        """The state that a new child begins in."""
        return next(spec.name for spec in self.states.values() if spec.initial)

    @property
    def identity(self) -> Identity:
        """Who this child is; complete once it belongs to a supervisor."""
        return Identity(self.path, self.kind)

    def placed_under(self, supervisor: str) -> None:
        """Take the path below ``supervisor``, which has made sure that this child is free and the path is valid."""
        self.path = f"{supervisor}/{self.name}"

    def spec(self, action: str) -> ActionSpec | None:
        """The declared action of that name with the limits that hold for this very child."""
        return self.actions.get(action)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path or self.name})"


def _collected(cls: type, marker: str) -> dict[str, Any]:
    """Marked methods of ``cls`` and its bases by the names they go by, base first, overridden ones replaced."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        for attribute, value in vars(base).items():
            found.pop(attribute, None)
            if spec := getattr(value, marker, None):
                found[attribute] = spec
    named: dict[str, Any] = {}
    for attribute, spec in found.items():
        if attribute in vars(Child):
            raise InvalidDeclaration(f"{cls.__name__}.{attribute}: hides what every Child has; give it another name")
        if spec.name in named:
            raise InvalidDeclaration(
                f"{cls.__name__}.{attribute}: another one is named {spec.name!r}; names are unique"
            )
        named[spec.name] = spec
    return named


def _with_builtins(actions: dict[str, ActionSpec]) -> dict[str, ActionSpec]:
    """`noop` for everyone; `restart_child` and `reconfigure` for those that declare how they are restarted."""
    builtins = {NOOP.name: NOOP}
    if RESTART in actions:
        builtins[RESTART_CHILD] = actions[RESTART].called(RESTART_CHILD)
    if restart := (builtins | actions).get(RESTART_CHILD):
        builtins[RECONFIGURE] = restart.called(RECONFIGURE)
    return builtins | actions
