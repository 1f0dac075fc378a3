"""The benchmarks run, and measure what they promise; how fast it is, is nobody's test."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sources import ROOT

ALONE = {
    "gate": ["gate, one PING", "gate, two empty EVALSHA", "gate, claim and empty commit", "gate, inside the store"],
    "ticks": [
        f"tick, {size} children, {what}"
        for size in ("100", "1,000")
        for what in (
            "fetch and decode",
            "fetch, decode, encode and write",
            "unchanged",
            "all changed",
            *(f"all changed: {step}" for step in ("claim", "load", "decide", "commit")),
        )
    ],
    "memory": ["memory, process, per child of 1,000", "memory, store, per child of 1,000"],
}

WITH_WORKERS = {
    "events": ["event, bare Celery task from sent to started", "event, change to the start of its tick"],
    "throughput": ["action, empty Celery tasks", "action, noop through the whole path"],
    "storm": [f"storm, siblings' reaction, {when}" for when in ("in calm", "in storms", "storms over calm")],
    "failover": ["failover, from kill -9 in a tick to the next tick"],
}

Figures = dict[str, dict[str, Any]]


def measured(folder: Path, *arguments: str) -> Figures:
    """The figures by name, after a quick run of the command."""
    file = folder / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--json", str(file), *arguments]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads(file.read_text())["figures"]
    return {figure["name"]: figure for figures in found.values() for figure in figures}


def assert_positive(figures: Figures, promised: dict[str, list[str]]) -> None:
    for name in (name for names in promised.values() for name in names):
        figure = figures[name]
        assert 0 < figure["median"] <= figure["p99"] <= figure["max"], figure
        assert figure["baseline"] is None or figure["ratio"] > 0, figure


def test_the_benchmarks_without_workers_measure_all_that_they_promise(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    figures = measured(tmp_path, *ALONE, "--write", str(page))
    assert_positive(figures, ALONE)
    assert figures["tick, 1,000 children, unchanged, writes beyond the gate"]["max"] == 0
    goals = {name for name, figure in figures.items() if figure["goal"]}
    assert {"gate, claim and empty commit", "tick, 1,000 children, all changed"} <= goals
    assert all(f"| {name} |" in page.read_text() for name in figures)
    assert str(ROOT) not in page.read_text()


@pytest.mark.chaos
@pytest.mark.timeout(400)  # 50 s on an idle machine
def test_the_benchmarks_with_workers_measure_all_that_they_promise(tmp_path: Path) -> None:
    assert_positive(measured(tmp_path, *WITH_WORKERS), WITH_WORKERS)
