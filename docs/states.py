"""Write docs/states.md from the tables in the code: ``python docs/states.py``. A test fails when the page is stale."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from supervision import actions, circuit
from supervision.branch import Branch
from supervision.child import Child
from supervision.kinds.celery_queue import CeleryQueue
from supervision.kinds.http import HttpEndpoint
from supervision.kinds.process import Process
from supervision.kinds.tcp import TcpEndpoint
from supervision.monitor import Monitor

PAGE = Path(__file__).with_name("states.md")


def page() -> str:
    """The whole page."""
    return "\n".join(
        [
            "# States",
            "",
            "Generated from the tables in the code by `python docs/states.py`; do not edit.",
            "",
            "## The circuit of a supervisor",
            "",
            "From `supervision/circuit.py`. Only in `closed` are the children it affects given actions of their own.",
            "",
            *_diagram({state.value: _plain(moves) for state, moves in circuit.TRANSITIONS.items()}),
            "## One action",
            "",
            "From `supervision/actions.py`. A child has one slot, taken from `queued` until the action has ended.",
            "",
            *_diagram(actions.TRANSITIONS),
            "## Ready-made children",
            "",
            "Every state maps to a phase; `running` is healthy, `stopped` is neutral.",
            "",
            *_states(Process),
            *_states(HttpEndpoint),
            *_states(TcpEndpoint),
            *_states(CeleryQueue),
            *_states(Monitor),
            *_states(Branch),
        ]
    )


def _plain(moves: Mapping[circuit.State, str]) -> Mapping[str, str]:
    return {state.value: why for state, why in moves.items()}


def _diagram(table: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    yield "```mermaid"
    yield "stateDiagram-v2"
    for before, moves in table.items():
        for after in moves:
            yield f"    {before or '[*]'} --> {after}"
        if not moves:
            yield f"    {before} --> [*]"
    yield "```"
    yield ""
    yield from _table(table)


def _table(table: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    yield "| from | to | when |"
    yield "| --- | --- | --- |"
    for before, moves in table.items():
        for after, why in moves.items():
            yield f"| {before or '(new)'} | {after} | {why} |"
    yield ""


def _states(kind: type[Child]) -> Iterator[str]:
    yield f"### {kind.kind}"
    yield ""
    yield "| state | phase | meaning |"
    yield "| --- | --- | --- |"
    for spec in kind.states.values():
        yield f"| {spec.name} | {spec.phase.value} | {(spec.rule.__doc__ or '').strip()} |"
    yield ""


if __name__ == "__main__":
    PAGE.write_text(page())
