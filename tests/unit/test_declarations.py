"""Bad declarations: refused when they are made, by name and value, with what would be right; nothing changes."""

import math
from collections.abc import Callable
from types import FunctionType
from typing import Any

import msgspec
import pytest
from simulated import Part, connected

from supervision.actions import DEFAULT_RETRIES, DEFAULT_TIMEOUT_S, NOOP, action
from supervision.backoff import Backoff
from supervision.checks import Check, check, fail, ok
from supervision.child import Child, state
from supervision.errors import InvalidDeclaration, NotFound
from supervision.model import Identity, Phase, Stay
from supervision.monitor import monitor
from supervision.supervisor import Supervisor


class Needy(msgspec.Struct, frozen=True):
    speed: float


async def _slowly(_self: Any, _seen: Any) -> Stay:
    return Stay("on")


class Blind(Child):
    """Has no way to see what is."""

    @state(Phase.RUNNING, initial=True)
    def on(self, _seen: Any) -> Stay:
        return Stay("on")


class Bulb(Child):
    """Cannot be restarted."""

    def observe(self) -> dict[str, Any]:
        return {}

    @state(Phase.RUNNING, initial=True)
    def on(self, _seen: Any) -> Stay:
        return Stay("on")


def connection(*reads: str, restart: str = "flow", **options: Any) -> Check:
    declare = check(*reads, restart=restart, **options)
    return declare(lambda *_seen: ok()) if "name" in options else declare(connected.rule)


def plant(**options: Any) -> Supervisor:
    return Supervisor("plant", [Part("broker"), Part("flow"), Bulb("bulb")], **options)


SUPERVISORS: dict[str, tuple[Callable[[], object], str, str]] = {
    "name missing": (lambda: Supervisor("", []), "supervisor ''", "for example 'line-1'"),
    "name with a space": (lambda: Supervisor("my plant", []), "'my plant'", "for example 'line-1'"),
    "name with a pattern": (lambda: Supervisor("plant*", []), "'plant*'", "for example 'line-1'"),
    "name is no text": (lambda: Supervisor(None, []), "supervisor None", "for example 'plant/line-1'"),  # type: ignore[arg-type]  # the point
    "name too long": (lambda: Supervisor("x/" * 150 + "x", []), "301 characters", "at most 200"),
    "path too long with its child": (lambda: Supervisor("x" * 198, [Part("pump")]), "203 characters", "at most 200"),
    "children is one child": (lambda: Supervisor("plant", Part("pump")), "children=Part(pump)", "needs a list"),  # type: ignore[arg-type]  # the point
    "a child is a class": (lambda: Supervisor("plant", [Part]), "is a type", "an instance of Child"),  # type: ignore[list-item]  # the point
    "a child is a text": (lambda: Supervisor("plant", ["pump"]), "'pump' is a str", "an instance of Child"),  # type: ignore[list-item]  # the point
    "two children of one name": (
        lambda: Supervisor("plant", [Part("pump"), Bulb("pump")]),
        "two children are named 'pump'",
        "names are unique",
    ),
    "interval zero": (lambda: plant(interval=0), "Supervisor(plant): interval=0", "interval=1"),
    "interval negative": (lambda: plant(interval=-1), "interval=-1", "interval=1"),
    "interval NaN": (lambda: plant(interval=math.nan), "interval=nan", "interval=1"),
    "interval a text": (lambda: plant(interval="1"), "interval='1'", "interval=1"),
    "interval a bool": (lambda: plant(interval=True), "interval=True", "interval=1"),
    "interval infinite": (lambda: plant(interval=math.inf), "interval=inf", "interval=1"),
    "window negative": (lambda: plant(window=-300), "window=-300", "window=300"),
    "window too long for any clock": (lambda: plant(window=1e300), "window=1e+300", "window=300"),
    "observe_timeout NaN": (lambda: plant(observe_timeout=math.nan), "observe_timeout=nan", "observe_timeout=2.2"),
    "stale_after None": (lambda: plant(stale_after=None), "stale_after=None", "stale_after=10"),
    "born stale": (
        lambda: plant(stale_after=3.2),
        "stale_after=3.2 s",
        "longer than interval + observe_timeout, 3.2 s",
    ),
    "no attempts": (lambda: plant(max_attempts=0), "max_attempts=0", "for example 5"),
    "half an attempt": (lambda: plant(max_attempts=2.5), "max_attempts=2.5", "for example 5"),
    "attempts a bool": (lambda: plant(max_attempts=True), "max_attempts=True", "for example 5"),
    "restart a number": (lambda: plant(restart=1), "restart=1", "for example Backoff(base=1)"),
    "restart zero": (lambda: plant(restart=0), "restart=0", "for example Backoff(base=1)"),
    "checks is one check": (lambda: plant(checks=connected), "checks=Check(", "needs a list"),
    "a check is a function": (lambda: plant(checks=[lambda *_: ok()]), "is no check", "@check("),
    "a check reads a stranger": (
        lambda: plant(checks=[connection("broker", "motor")]),
        "check 'connected' names the child 'motor'",
        "declared are broker, flow, bulb",
    ),
    "a check restarts a stranger": (
        lambda: plant(checks=[connection("broker", "flow", restart="motor")]),
        "names the child 'motor'",
        "declared are broker, flow, bulb",
    ),
    "a check affects a stranger": (
        lambda: plant(checks=[connection("broker", "flow", affects=("motor",))]),
        "names the child 'motor'",
        "declared are broker, flow, bulb",
    ),
    "a check restarts what offers no restart": (
        lambda: plant(checks=[connection("broker", "flow", restart="bulb")]),
        "would restart 'bulb'",
        "@action on a method named 'restart'",
    ),
    "two checks of one name": (
        lambda: plant(checks=[connected, connection("broker", "flow")]),
        "two checks are named 'connected'",
        "names are unique",
    ),
}

CHECKS: dict[str, tuple[Callable[[], object], str, str]] = {
    "reads nothing": (connection, "check over ()", "for example 'flow'"),
    "reads one twice": (lambda: connection("flow", "flow"), "check over ('flow', 'flow')", "each named once"),
    "reads a list": (lambda: connection(["flow"]), "child ['flow']", "for example 'line-1'"),  # type: ignore[arg-type]  # the point
    "without brackets": (lambda: check(connected.rule, restart="flow"), "child <function", "for example 'line-1'"),  # type: ignore[arg-type]  # the point
    "restarts None": (lambda: connection("flow", restart=None), "child None", "for example 'line-1'"),  # type: ignore[arg-type]  # the point
    "affects a text": (lambda: connection("flow", affects="flow"), "affects='flow'", "for example ('flow',)"),
    "trip_after zero": (lambda: connection("flow", trip_after=0), "trip_after=0", "for example trip_after=2"),
    "trip_after a bool": (lambda: connection("flow", trip_after=True), "trip_after=True", "for example trip_after=2"),
    "trip_after a fraction": (lambda: connection("flow", trip_after=1.5), "trip_after=1.5", "trip_after=2"),
    "a name that is none": (lambda: connection("flow", name="a b"), "check 'a b'", "for example 'line-1'"),
    "a name that is empty": (lambda: connection("flow", name=""), "check ''", "for example 'line-1'"),
    "a rule without a name": (
        lambda: check("flow", restart="flow")(lambda _flow: ok()),
        "check '<lambda>'",
        "for example 'line-1'",
    ),
    "too few arguments": (
        lambda: connection("broker", "flow", "bulb"),
        "check 'connected': too many positional arguments",
        "one argument per child it reads: broker, flow, bulb",
    ),
    "too many arguments": (lambda: connection("flow"), "check 'connected': missing", "one argument per child it reads"),
}

ACTIONS: dict[str, tuple[Callable[[], object], str, str]] = {
    "timeout zero": (lambda: action("go", timeout=0), "action go: timeout=0", "for example timeout=30"),
    "timeout negative": (lambda: action("go", timeout=-5), "timeout=-5", "for example timeout=30"),
    "timeout NaN": (lambda: action("go", timeout=math.nan), "timeout=nan", "for example timeout=30"),
    "timeout a bool": (lambda: action("go", timeout=True), "timeout=True", "for example timeout=30"),
    "timeout a text": (lambda: action("go", timeout="5"), "timeout='5'", "for example timeout=30"),  # type: ignore[call-overload]  # the point
    "timeout infinite": (lambda: action(timeout=math.inf), "timeout=inf", "for example timeout=30"),
    "retries negative": (lambda: action("go", retries=-1), "action go: retries=-1", "for example retries=3"),
    "retries a bool": (lambda: action("go", retries=True), "retries=True", "for example retries=3"),
    "retries a fraction": (lambda: action("go", retries=1.0), "retries=1.0", "for example retries=3"),  # type: ignore[call-overload]  # the point
    "retries beyond counting": (lambda: action("go", retries=10**30), "retries=1000000", "for example retries=3"),
    "backoff a number": (lambda: action("go", backoff=1), "action go: backoff=1", "for example Backoff(base=1)"),  # type: ignore[call-overload]  # the point
    "a name with a space": (lambda: action("go now"), "action 'go now'", "for example 'line-1'"),
    "an empty name": (lambda: action(""), "action ''", "for example 'line-1'"),
    "a number as name": (lambda: action(5), "action 5", "for example 'line-1'"),  # type: ignore[call-overload]  # the point
    "code without a name": (lambda: action(lambda: None), "action '<lambda>'", "for example 'line-1'"),
}


def kind(**body: Any) -> type[Child]:
    """A class statement, as a call."""
    return type("Lamp", (Child,), body)


def lit(_self: Child, _seen: object) -> Stay:
    return Stay("lit")


def dark(_self: Child, _seen: object) -> Stay:
    return Stay("dark")


def on(phase: Phase, rule: Any, *, initial: bool = False) -> Any:
    return state(phase, initial=initial)(FunctionType(rule.__code__, rule.__globals__, rule.__name__))


def act(name: str) -> Any:
    return action(name)(lambda _self, _run: None)


CHILDREN: dict[str, tuple[Callable[[], object], str, str]] = {
    "a name with a slash": (lambda: Part("line/pump"), "Part named 'line/pump'", "for example 'line-1'"),
    "no name": (lambda: Part(""), "Part named ''", "for example 'line-1'"),
    "a name that is no text": (lambda: Part(7), "Part named 7", "for example 'line-1'"),  # type: ignore[arg-type]  # the point
    "no states": (lambda: kind()("lamp"), "Lamp(lamp): has no states", "@state(phase, initial=True)"),
    "Child itself": (lambda: Child("lamp"), "Child(lamp): has no states", "@state(phase, initial=True)"),
    "no initial state": (lambda: kind(lit=on(Phase.RUNNING, lit)), "Lamp: initial states []", "mark exactly one"),
    "two initial states": (
        lambda: kind(lit=on(Phase.RUNNING, lit, initial=True), dark=on(Phase.STOPPED, dark, initial=True)),
        "Lamp: initial states ['lit', 'dark']",
        "mark exactly one",
    ),
    "a state without brackets": (lambda: state(lit), "state(<function lit", "for example Phase.RUNNING"),  # type: ignore[arg-type]  # the point
    "a phase as text": (lambda: state("running"), "state('running')", "for example Phase.RUNNING"),  # type: ignore[arg-type]  # the point
    "a state that hides `initial`": (
        lambda: kind(initial=on(Phase.RUNNING, lit, initial=True)),
        "Lamp.initial: hides what every Child has",
        "another name",
    ),
    "an action that hides `observe`": (lambda: kind(observe=act("look")), "Lamp.observe: hides", "another name"),
    "two states of one name": (
        lambda: kind(lit=on(Phase.RUNNING, lit, initial=True), also=on(Phase.RUNNING, lit)),
        "Lamp.also: another one is named 'lit'",
        "names are unique",
    ),
    "two actions of one name": (
        lambda: kind(go=act("go"), run=act("go")),
        "Lamp.run: another one is named 'go'",
        "names are unique",
    ),
    "documents of no kind": (lambda: kind(Observed=int), "Lamp.Observed = <class 'int'>", "a msgspec.Struct or dict"),
    "desires of no kind": (lambda: kind(Desired="fast"), "Lamp.Desired = 'fast'", "a msgspec.Struct or dict"),
    "a desired document of the wrong type": (
        lambda: Bulb("bulb", desired=[1]),
        "Bulb(bulb): desired: it is a list",
        "not dict",
    ),
    "a desired document with NaN": (lambda: Bulb("bulb", desired={"v": math.nan}), "$.v is a float", "finite numbers"),
    "a desired document of 10 MB": (
        lambda: Bulb("bulb", desired={"v": "x" * 10**7}),
        "10,000,008 bytes",
        "at most 262,144",
    ),
    "a desired document that needs values": (
        lambda: type("Motor", (Part,), {"Desired": Needy})("motor"),
        "Motor(motor): desired: Missing required argument 'speed'",
        "give one with desired=",
    ),
    "no observe": (lambda: Blind("bulb").observe(), "Blind(bulb): has no observe()", "returns dict"),
    "no observe in a supervisor": (
        lambda: Supervisor("plant", [Blind("bulb")]),
        "Blind(bulb) has no observe()",
        "returns what is seen",
    ),
    "a state without its snapshot": (
        lambda: state(Phase.RUNNING)(lambda _self: Stay("on")),
        "is called as (self, seen)",
        "needs these two",
    ),
    "an action without its run": (
        lambda: action("work")(lambda _self: None),
        "is called as (self, run)",
        "needs these two",
    ),
    "an argument that nobody reads": (lambda: Part("pump", enabeld=False), "no argument 'enabeld'", "there is "),  # type: ignore[call-arg]  # the point
    "a switch that is neither": (lambda: Part("pump", enabled="no"), "enabled='no'", "needs True or False"),  # type: ignore[arg-type]  # the point
    "a runbook that is no text": (lambda: Part("pump", runbook_url=7), "runbook_url=7", "for example 'https://...'"),  # type: ignore[arg-type]  # the point
    "steps that are one text": (lambda: Part("pump", manual_steps="do"), "manual_steps='do'", "a list of texts"),
    "steps that are no texts": (lambda: Part("pump", manual_steps=[1]), "manual_steps=", "a list of texts"),  # type: ignore[list-item]  # the point
    "an async state": (lambda: state(Phase.RUNNING)(_slowly), "_slowly: is async def", "write def"),
}


def unreachable() -> Supervisor:
    return Supervisor(
        "plant",
        [Part("flow"), Part("pump")],
        checks=[connection("flow", "pump")],
        max_attempts=1000,
        restart=Backoff(3600, 86_400),
    )


def cycle() -> None:
    below = Supervisor("below", [Part("pump")])
    Supervisor("middle", [Supervisor("top", [below])])
    below.__init__("below", [Supervisor("again", [Part("x")]), _top_of(below)])  # type: ignore[misc] # the point


def _top_of(below: Supervisor) -> Supervisor:
    fresh = Supervisor("fresh", [Part("y")])
    fresh.below = {"below": below}
    return fresh


def used_twice() -> None:
    below = Supervisor("below", [Part("pump")])
    Supervisor("one", [below])
    Supervisor("other", [below])


TREES: dict[str, tuple[Callable[[], object], str, str]] = {
    "a cycle": (cycle, "Supervisor(fresh) contains it", "a tree has none"),
    "a supervisor used twice": (used_twice, "Supervisor(one/below) is already below one", "it has one parent"),
    "a supervisor twice in one": (
        lambda: Supervisor("plant", [below := Supervisor("below", [Part("pump")]), below]),
        "two children are named 'below'",
        "names are unique",
    ),
    "a supervisor and a child of one name": (
        lambda: Supervisor("plant", [Part("line"), Supervisor("line", [Part("pump")])]),
        "two children are named 'line'",
        "names are unique",
    ),
    "a path below another": (
        lambda: Supervisor("plant", [Supervisor("a/b", [Part("pump")])]),
        "a supervisor below another one 'a/b'",
        "for example 'line-1'",
    ),
    "a path too long after nesting": (
        lambda: Supervisor("x" * 100, [Supervisor("y" * 95, [Part("pump")])]),
        "201 characters",
        "at most 200",
    ),
    "a path too long after nesting, of nobody": (
        lambda: Supervisor("x" * 150, [Supervisor("y" * 60, [])]),
        "211 characters",
        "at most 200",
    ),
    "it ticks more seldom than its parent waits": (
        lambda: Supervisor("plant", [Supervisor("line", [], interval=10, stale_after=30)]),
        "Supervisor(line) ticks every 10 s",
        "give one of them another value",
    ),
    "an escalation that never comes": (unreachable, "max_attempts=1000", "allowed are 24 h, for example"),
    "dead before stale": (
        lambda: plant(stale_after=10, dead_after=10),
        "dead_after=10.0 s must be longer than stale_after",
        "for example dead_after=20",
    ),
    "no strategy": (lambda: plant(strategy="all"), "strategy='all'", "one_for_one, one_for_all, rest_for_one"),
    "a strategy that is no text": (lambda: plant(strategy=1), "strategy=1", "one_for_one"),
    "no answer": (lambda: plant(on_escalation="ignore"), "on_escalation='ignore'", "restart, degrade, escalate"),
    "an answer that is no text": (
        lambda: plant(on_escalation=None),
        "on_escalation=None",
        "restart, degrade, escalate",
    ),
    "dynamic is a list": (lambda: plant(dynamic=[]), "dynamic=[]", "a function of the desired document"),
    "Desired of no kind": (lambda: plant(Desired=int), "Supervisor(plant): Desired = <class 'int'>", "or dict"),
    "a desired document that needs values": (lambda: plant(Desired=Needy), "'speed'", "give one with desired="),
    "a desired document of another type": (lambda: plant(desired=[1]), "desired: it is a list", "not dict"),
}

BAD = {
    f"{what}: {name}": case
    for what, cases in (
        ("supervisor", SUPERVISORS),
        ("tree", TREES),
        ("check", CHECKS),
        ("action", ACTIONS),
        ("child", CHILDREN),
    )
    for name, case in cases.items()
}


@pytest.mark.parametrize(("declare", "named", "right"), BAD.values(), ids=BAD.keys())
def test_a_bad_declaration_is_refused_with_thing_value_and_remedy(
    declare: Callable[[], object], named: str, right: str
) -> None:
    with pytest.raises(InvalidDeclaration) as refusal:
        declare()
    assert named in str(refusal.value)
    assert right in str(refusal.value)
    assert len(str(refusal.value)) < 600


@pytest.mark.parametrize(
    "options",
    [
        {"interval": -1},
        {"stale_after": 1},
        {"max_attempts": 0},
        {"checks": [connection("broker", "motor")]},
        {"checks": [connected, connected]},
        {"restart": "often"},
    ],
    ids=["interval", "stale_after", "max_attempts", "a check of nobody", "a check twice", "restart"],
)
def test_a_refused_supervisor_leaves_its_children_free(options: dict[str, Any]) -> None:
    broker, flow = Part("broker"), Part("flow")
    with pytest.raises(InvalidDeclaration):
        Supervisor("plant", [broker, flow], **options)
    assert (broker.path, flow.path) == ("", "")
    assert list(Supervisor("other", [broker, flow]).children) == ["broker", "flow"]
    assert flow.identity == Identity("other/flow", "part")


def test_a_child_that_belongs_to_a_supervisor_is_not_given_to_another() -> None:
    pump, valve = Part("pump"), Part("valve")
    Supervisor("plant", [pump])
    with pytest.raises(InvalidDeclaration, match=r"Supervisor\(other\): Part\(plant/pump\) is already plant/pump"):
        Supervisor("other", [valve, pump])
    assert (pump.path, valve.path) == ("plant/pump", "")


def test_children_of_one_name_under_two_supervisors_are_two() -> None:
    paths = {Supervisor(name, [Part("pump")]).child("pump").path for name in ("plant/line-1", "plant/line-2")}
    assert paths == {"plant/line-1/pump", "plant/line-2/pump"}


def test_a_child_that_does_not_exist_is_told_with_those_that_do() -> None:
    with pytest.raises(NotFound, match="plant has no child 'motor'; it has broker, flow, bulb"):
        plant().child("motor")
    with pytest.raises(NotFound, match="it has none"):
        Supervisor("empty", []).child("motor")


def test_defaults_are_those_of_the_specification() -> None:
    declared = plant()
    assert (declared.interval_ms, declared.window_ms, declared.stale_after_ms) == (1000, 300_000, 10_000)
    assert (declared.observe_timeout_ms, declared.max_attempts) == (2200, 5)
    assert declared.restart == Backoff(1, 60, 0.2)
    assert connected.trip_after == 2
    assert (DEFAULT_TIMEOUT_S, DEFAULT_RETRIES) == (30, 3)


def test_any_iterables_will_do() -> None:
    children = (Part(name) for name in ("broker", "flow"))
    declared = Supervisor("plant", children, checks=iter([connected]))
    assert list(declared.children) == ["broker", "flow"]
    assert declared.checks == (connected,)


def test_whoever_declares_a_restart_can_be_restarted() -> None:
    assert list(Part.actions) == ["noop", "restart_child", "reconfigure", "start", "restart"]
    assert Part.actions["restart_child"].code is Part.actions["restart"].code
    assert list(Bulb.actions) == ["noop"]
    assert Bulb("bulb").spec("restart_child") is None


def test_the_built_in_action_does_nothing() -> None:
    assert NOOP.code(Bulb("bulb"), None) is None


def test_a_method_that_is_overridden_is_replaced() -> None:
    class Loud(Part):
        @action("begin", timeout=5, retries=0, backoff=Backoff(2))
        def start(self, run: object) -> None: ...

        def restart(self, run: object) -> None: ...

    assert set(Loud.states) == {"stopped", "running"}
    assert set(Loud.actions) == {"noop", "begin"}
    begin = Loud("loud").spec("begin")
    assert begin is not None
    assert (begin.timeout_ms, begin.retries, begin.backoff) == (5000, 0, Backoff(2))


def test_an_action_may_be_declared_with_or_without_brackets() -> None:
    class Both(Bulb):
        @action
        def bare(self, run: object) -> None: ...

        @action()
        def empty(self, run: object) -> None: ...

    assert list(Both.actions) == ["noop", "bare", "empty"]


def test_kinds_are_named_after_their_class_unless_they_say_otherwise() -> None:
    class Special(Bulb):
        kind = "special-bulb"

    class Heir(Special):
        pass

    assert (Bulb.kind, Special.kind, Heir.kind) == ("bulb", "special-bulb", "heir")


def test_a_check_is_named_after_its_function_unless_it_says_otherwise() -> None:
    assert connected.name == "connected"
    assert connection("flow", name="tested").name == "tested"
    assert connection("broker", "flow", affects=["flow"]).affects == {"flow"}


def test_a_supervisor_and_its_children_show_their_paths() -> None:
    declared = plant()
    assert repr(declared) == "Supervisor(plant)"
    assert repr(declared.child("flow")) == "Part(plant/flow)"
    assert repr(Part("free")) == "Part(free)"
    assert fail("torn", restart="flow").restart == "flow"


def test_a_function_that_does_not_tell_how_it_is_called_is_taken_at_its_word() -> None:
    assert monitor(name="least")(min).name == "least"  # type: ignore[arg-type]  # the point


def test_a_keyword_that_nobody_reads_is_refused() -> None:
    with pytest.raises(InvalidDeclaration, match=r"no argument 'enabeld'; there is enabled, "):
        Part("broker", enabeld=False)  # type: ignore[call-arg] # that is the point


@pytest.mark.parametrize("wrong", ["no", 0, None])
def test_enabled_is_a_switch(wrong: object) -> None:
    with pytest.raises(InvalidDeclaration, match=rf"enabled={wrong!r}: needs True or False"):
        Part("broker", enabled=wrong)  # type: ignore[arg-type] # that is the point
