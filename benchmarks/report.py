"""The figures as a table on the terminal, as JSON, and as the page of the documents."""

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import goals
from benchmarks.figures import Figure

_MET = {None: "", True: "met", False: "NOT MET"}

INTRODUCTION = """\
# Benchmarks

Written by `{command}`; do not edit.

What is measured stands above each table, the specification's goal beside its
figure. p99 is the largest sample where there are fewer than 100. A ratio compares medians with the baseline named in
its column, measured in the same run: milliseconds belong to the machine, ratios to the program.

Measured on {date}: {machine}; load average {load} when the run began and {load_after} when it ended.
"""


def line(figure: Figure) -> str:
    """One figure as one line for the terminal."""
    ratio = f" = {figure.ratio:.2f} x {figure.baseline.name}" if figure.ratio and figure.baseline else ""
    goal = f"   [{figure.goal}: {_MET[figure.met]}]" if figure.goal else ""
    numbers = f"median {number(figure.median)}, p99 {number(figure.plain()['p99'])} {figure.unit}"
    return f"{figure.name}: {numbers} of {len(figure.samples)}{ratio}{goal}"


def number(value: float) -> str:
    """``value`` with three digits that mean something."""
    return f"{value:,.0f}" if value >= 100 or value == 0 else f"{value:.3g}"  # noqa: PLR2004 - three digits


def as_json(figures: Mapping[str, Sequence[Figure]], ground: Mapping[str, str]) -> bytes:
    """Everything for another program."""
    plain: dict[str, Any] = {name: [figure.plain() for figure in found] for name, found in figures.items()}
    return msgspec.json.format(msgspec.json.encode({"ground": ground, "figures": plain}))


def ground(command: str) -> dict[str, str]:
    """What the run stood on."""
    return {
        "command": command,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} cores ({_processor()}), {platform.system()}, Python {platform.python_version()}",
        "load": load(),
    }


def load() -> str:
    """The load average of the last minute; other programs on the machine are in it."""
    return f"{os.getloadavg()[0]:.2f}"


def page(found: Mapping[str, tuple[str, Sequence[Figure]]], facts: Mapping[str, str], profile: str) -> str:
    """The page: per benchmark what it measures and its figures, then where the time goes."""
    aimed = [figure for _, figures in found.values() for figure in figures if figure.goal]
    parts = [INTRODUCTION.format(**facts, load_after=load())]
    parts.append(f"## Goals of supervision\n\n{_table(figure for figure in aimed if not _goal_of(figure))}")
    parts.append(f"## Goals of blocking coordination\n\n{_coordination(aimed)}\n{goals.ELSEWHERE}")
    parts += [f"## {name}\n\n{said.strip()}\n\n{_table(figures)}" for name, (said, figures) in found.items()]
    parts.append((Path(__file__).parent / "tried.md").read_text())
    if profile:
        parts.append(f"One tick over 1,000 children, all changed, under cProfile:\n\n```text\n{profile}\n```\n")
    return "\n".join(parts)


def _goal_of(figure: Figure) -> str:
    return figure.goal.of if figure.goal else ""


def _coordination(aimed: Sequence[Figure]) -> str:
    """The table of the specification: its goals, and our figures beside them."""
    rows = [
        "| what | the plan asked for | figure | ours | ratio of medians | goal | |",
        "|---|---|---|--:|---|---|---|",
    ]
    for what, asked in goals.ASKED.items():
        for figure in (each for each in aimed if _goal_of(each) == what):
            ours = figure.goal.of_samples(figure.samples) if figure.goal else figure.median
            said = f"{figure.name} | {number(ours)} {figure.unit} | {_ratio(figure)} | {figure.goal}"
            rows.append(f"| {what} | {asked} | {said} | {_MET[figure.met]} |")
    return "\n".join(rows) + "\n"


def _ratio(figure: Figure) -> str:
    return f"{figure.ratio:.2f} x *{figure.baseline.name}*" if figure.ratio and figure.baseline else ""


def _table(figures: Iterable[Figure]) -> str:
    rows = [
        "| figure | unit | n | median | p99 | max | ratio to baseline | goal | |",
        "|---|---|--:|--:|--:|--:|---|---|---|",
    ]
    for figure in figures:
        plain = figure.plain()
        numbers = " | ".join(number(plain[name]) for name in ("median", "p99", "max"))
        goal = f"{figure.goal or ''} | {_MET[figure.met]}"
        rows.append(f"| {figure.name} | {figure.unit} | {plain['n']} | {numbers} | {_ratio(figure)} | {goal} |")
    return "\n".join(rows) + "\n"


def _processor() -> str:
    models = Path("/proc/cpuinfo")
    lines = models.read_text().splitlines() if models.exists() else []
    named = [said.partition(":")[2].strip() for said in lines if said.startswith("model name")]
    return named[0] if named else platform.machine()
