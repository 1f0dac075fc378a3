"""docs/logs.md names every line that the code can write, with its levels, and no other.

Lines that are written by name are read from the source. Those that are made of what a tick decided, or a script of the
store answered, are made here of the same words: these stand in two tables below, which are held against the source.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from itertools import product

import pytest
from simulated import Part
from sources import ROOT, Source, sources

from supervision import beating, coordinating, derive, looking_alone
from supervision.circuit import Circuit, State
from supervision.coordination.liveness import CRITICAL_S, WARNING_S
from supervision.coordination.waits import How
from supervision.decide import Plan
from supervision.model import ChildRecord, Event, Phase, Update
from supervision.store.happened import Happened
from supervision.supervisor import Supervisor
from supervision.telemetry import coordination_lines, lines
from supervision.telemetry.lines import Line
from supervision.view import ChildView, View

PAGE = (ROOT / "docs" / "logs.md").read_text()

METHODS = {"debug", "info", "warning", "error", "exception", "critical"}

MAKERS = {f"supervision/telemetry/{name}.py" for name in ("lines", "coordination_lines")}
"""Where lines are made, to be written elsewhere."""

OF_A_SUPERVISOR = {
    *("circuit", "incident_ended", "escalation_near", "slow_probe"),  # circuit_step.py
    *("order", "would"),  # ordered.py; the latter in decide.py, too
    *("check_broken", "desired"),  # evaluate.py
    *("store_suspected", "store_trusted"),  # freshness.py
    "escalation",  # restarting.py
}
OF_A_CHILD = {
    *("state", "fault", "quarantined", "desired"),  # derive.py
    *("looked_alone", "unobservable", "observable"),  # freshness.py
    "queue_full",  # room.py
    "would",  # decide.py
}
OF_NO_LINE = {"member"}
"""Members come and go in the history alone."""

BECOMES: dict[str, list[tuple[str, str]]] = {
    "wait": [
        ("", "waiting"),  # store/waits.py, store/gathers.py
        *(("waiting", how.value) for how in How),  # store/claims.py
        *(
            ("received", state) for state in ("processed", "failed", "dead_letter")
        ),  # engine/waiting.py, store/claims.py
        ("ended", "redelivered"),  # store/waits.py
    ],
    "order": [
        *(("waiting", order) for order in ("cancelled", "released", "extended")),  # store/waits.py
        ("dead_letter", "retried"),
    ],
    "signal": [("", "sent"), ("", "replaced")],  # lua/send.lua
    "mailbox": [
        *(("", "handler"), ("handler", "no handler")),  # lua/arrange.lua
        *(("handed", "dead_letter"), ("dead_letter", "put_again"), ("dead_letter", "discarded")),  # store/mailboxes.py
    ],
    "coordinator": [
        *(("", state) for state in ("registered", "complete", "failed", "dead", "superseded")),  # store/coordinators.py
        *((before, "registered") for before in ("registered", "complete", "failed", "dead")),  # lua/register.lua
        *(("healthy", "warning"), ("warning", "critical"), ("critical", "healthy")),  # lua/judge.lua
        ("dead", "escalated"),  # store/claims.py
        *(("replacing", "replacing"), ("replacing", "unreplaced")),  # lua/replace_again.lua
    ],
}
"""Before and after of what may become of each kind."""

EXPECTED = {"failed", "dead"}
"""How a coordinator may end that somebody waits for (lua/prelude_deaths.lua)."""

Told = set[tuple[str, str]]
"""Names of lines, each with a level."""


def rows() -> Iterator[tuple[list[str], list[str]]]:
    """Names and levels of each row of the tables whose first column is ``line``."""
    of_lines = False
    for row in PAGE.splitlines():
        cells = [cell.strip() for cell in row.strip("|").split(" | ")]
        if not row.startswith("|") or cells[:2] == ["line", "level"]:
            of_lines = row.startswith("|")
        elif of_lines and "---" not in row:
            yield re.findall(r"`([^`]+)`", cells[0]), cells[1].split(" or ")


def on_the_page() -> Told:
    return {pair for names, levels in rows() for pair in product(names, levels)}


def texts(node: ast.expr) -> list[str]:
    """What an argument may be, as far as it is written down: a text, or one of two."""
    if isinstance(node, ast.IfExp):
        return [*texts(node.body), *texts(node.orelse)]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def calls(*modules: Source) -> Iterator[ast.Call]:
    return (node for source in modules for node in source.nodes() if isinstance(node, ast.Call))


def named(name: str, *modules: Source) -> Iterator[list[list[str]]]:
    """The texts that each argument may be, of all calls of ``name``."""
    found = (call for call in calls(*modules) if isinstance(call.func, ast.Name) and call.func.id == name)
    return ([texts(argument) for argument in call.args] for call in found)


def package() -> list[Source]:
    """Without the demo, whose records of the history are its own."""
    return [source for source in sources("supervision", "tasks") if not source.name.startswith("supervision/demo/")]


def logged(source: Source) -> Iterator[tuple[str, str]]:
    """What a module writes itself. Names go to structlog; a module that has only `logging` writes whole sentences."""
    for call in calls(source):
        method = call.func
        if not (isinstance(method, ast.Attribute) and method.attr in METHODS):
            continue
        if ast.unparse(method.value).rpartition(".")[2] not in {"_log", "log"}:
            continue
        found = texts(call.args[0])
        assert found, f"{source.name}:{call.lineno}: a name that cannot be read here"
        level = "error" if method.attr == "exception" else method.attr
        yield from ((re.sub(r"%(\.\d)?[a-z]", "…", text), level) for text in found)


def of_a_tick() -> Iterator[Line]:
    """One of each line that a tick makes."""
    declared = Supervisor("plant", [Part("pump")])
    view = View(declared, 1_000, 1, Circuit(), {"pump": ChildView(declared.children["pump"])})
    moves = (Event("circuit", "plant", "", before, after) for before, after in product(State, State))
    others = (Event(kind, "plant") for kind in OF_A_SUPERVISOR - {"circuit"})
    yield from lines.lines(view, Plan(Circuit(State.OPEN), (), (*moves, *others)))
    weak = ChildRecord("weak", Phase.DEGRADED, "", 0)
    updates = [Update("pump", weak, (Event(kind, "plant/pump", after="weak"),)) for kind in OF_A_CHILD]
    for update in updates:
        yield from lines.lines(view, Plan(None, (update,)))
    yield from lines.lines(view, Plan(None, tuple(updates[:1] * (lines.MOST_CHILD_LINES + 1))))


def of_coordination() -> Iterator[Line]:
    """One of each line that a transition makes."""
    for kind, moves in BECOMES.items():
        for before, after in moves:
            yield coordination_lines.line(Happened(kind, "it", before, after))
            if kind == "coordinator" and after in EXPECTED:
                yield coordination_lines.line(Happened(kind, "it", before, after, expected=True))


def made() -> Told:
    return {(line.event, line.level) for line in (*of_a_tick(), *of_coordination())}


def written() -> Told:
    by_name = {pair for source in package() for pair in logged(source)}
    return made() | {(name, level) for name, level in by_name if name != "…"}  # pools.py: a sentence of its own


def test_every_line_that_the_code_can_write_is_on_the_page() -> None:
    assert written() - on_the_page() == set()


def test_every_line_on_the_page_can_be_written_by_the_code() -> None:
    assert on_the_page() - written() == set()


def test_each_line_is_explained_once() -> None:
    names = [name for found, _ in rows() for name in found]
    assert [name for name in names if names.count(name) > 1] == []


def test_the_words_of_a_tick_are_those_of_the_code() -> None:
    kinds = {kind for first, *_ in named("Event", *package()) for kind in first}
    assert kinds == OF_A_SUPERVISOR | OF_A_CHILD | OF_NO_LINE


def test_the_words_of_coordination_are_those_of_the_code() -> None:
    assert set(BECOMES) == set(coordination_lines._OF)
    assert {after for _, after in BECOMES["coordinator"]} == set(coordination_lines._COORDINATOR)
    told = [arguments for arguments in named("Happened", *package()) if len(arguments) > 3]
    written_down = {(kind, after) for first, _, _, last, *_ in told for kind, after in product(first, last)}
    assert written_down != set()
    assert written_down <= {(kind, after) for kind, moves in BECOMES.items() for _, after in moves}


def test_lines_are_made_in_two_places_and_all_of_them_here() -> None:
    makers = {source.name: source for source in package() if list(named("Line", source))}
    assert set(makers) == MAKERS
    found = {name for _, second, *_ in named("Line", *makers.values()) for name in second}
    assert found <= {name for name, _ in made()}


def loggers(source: Source) -> Iterable[str]:
    """The names under which a module has its loggers."""
    for node in source.nodes():
        if isinstance(node, ast.Assign) and re.match(r"\w+\.get_?logger\(", ast.unparse(node.value), re.IGNORECASE):
            yield from map(ast.unparse, node.targets)


def test_no_logger_has_another_name() -> None:
    found = {name for source in package() for name in loggers(source)}
    to_write_with = {"_log", "_plain", "_structured"}
    assert found - {"logger"} == to_write_with, (
        "the last two write what `saying` is given; handlers are put on `logger`"
    )


NUMBERS = (
    f"more than {lines.MOST_CHILD_LINES} lines about children",
    f"that happened {derive.QUARANTINE_FAULTS} times within {derive.QUARANTINE_WINDOW_MS // 60_000} minutes",
    f"no heartbeat for {WARNING_S:g} s (`health`: `warning`) or {CRITICAL_S:g} s (`critical`)",
    f"each kind with {coordinating.MOST_TOLD} names at most",
    f"{looking_alone.MOST} processes look at one child each already",
    f"again in {beating.RETRY_S:g} s",
)


@pytest.mark.parametrize("said", NUMBERS)
def test_its_numbers_are_those_of_the_code(said: str) -> None:
    assert said in PAGE
