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
    "hundred": ["hundred, memory of one of 10 processes", "hundred, from one signal until 10 processes have gone on"],
}

IN_THE_STORE = {
    "blocked": [
        "blocked, store per open wait of 1,000, its event included",
        "blocked, waits registered one after the other, all of 1,000",
        "blocked, PING while all sweeps run, 1,000 open",
        "blocked, longest script of all sweeps, 1,000 open",
        "blocked, bare Celery task on one slot, 1,000 open",
        "signal, the script that latches and releases one",
        "signal, inside the store",
    ],
    "hearts": ["heart, share of a core with 100 coordinators", "heart, telling 100 dead"],
    "sweeps": [
        "sweep, forgetting 1,000 stale objects",
        "sweep, forgetting 1,000 stale objects, longest script",
        "sweep, PING while 1,000 stale objects are forgotten",
        "sweep, 200 deadlines",
        "sweep, 200 ends to send again",
        "sweep, judging 200 coordinators that fell silent",
        "sweep, trimming 2,600 records of the history",
        "sweep, PING while the other sweeps run",
    ],
}

WAITING_WORKERS = {
    "waits": [
        "wait, signal from a process with the app to the next task started",
        "wait, signal from a plain client to the next task started, p99 over that of the baseline",
        "wait, registered by a worker, all of 100",
        "wait, bare Celery task while 100 wait",
        "release of 100 waits by one signal, all processed",
    ],
    "mail": ["mail, put, taken and done", "mail, put and handled by a task 100 at a time"],
    "gathers": ["gather of 20", "gather of 20, parts"],
    "deaths": [
        "death, from the kill of a program until it is declared, a beat of 1 s",
        "death, from the kill of a pool process until it is declared",
    ],
    "timeouts": ["timeout, late at 100 a second", "timeout, 100 all at once, gone on with"],
    "reconnect": [
        "reconnect, a blocked wait and its signal",
        "reconnect, a worker has done the next task",
        "reconnect, the first release after a restart of everything",
    ],
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


@pytest.mark.chaos
@pytest.mark.timeout(400)  # 15 s on an idle machine
def test_the_benchmarks_of_coordination_in_the_store_measure_all_that_they_promise(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    figures = measured(tmp_path, *IN_THE_STORE, "--write", str(page))
    assert_positive(figures, IN_THE_STORE)
    for what in ("cost of a blocked wait", "store operation", "heartbeat", "sweep of 100,000 stale objects"):
        assert f"| {what} |" in page.read_text()


@pytest.mark.chaos
@pytest.mark.timeout(400)  # 60 s on an idle machine
def test_the_benchmarks_of_coordination_with_workers_measure_all_that_they_promise(tmp_path: Path) -> None:
    assert_positive(measured(tmp_path, *WAITING_WORKERS), WAITING_WORKERS)
