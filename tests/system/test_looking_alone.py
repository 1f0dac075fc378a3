"""Looks at one child in a process of its own: bounded in time and number; and the whole ladder in a real system."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
import structlog
from celery_processes import HERE, CeleryProcess, ended, lines
from waiting import until

from supervision import looking_alone
from supervision.server import EmbeddedStore
from supervision.store.history import Past
from supervision.store.store import Store

THREAD = "supervision-alone"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where programs note their pids; none of their watchers outlives its test."""
    monkeypatch.setenv("LONE_FOLDER", str(tmp_path))
    yield tmp_path
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == THREAD])


@pytest.fixture
def log() -> Iterator[list[dict[str, object]]]:
    """What is logged."""
    with structlog.testing.capture_logs() as found:
        yield found  # type: ignore[misc]  # its entries are mutable mappings


def begun(what: str, look_s: float = 60.0) -> int | None:
    return looking_alone.begin("lone_program", what, look_s)


def test_a_look_alone_is_made_by_a_fresh_process_for_which_nobody_waits(
    folder: Path, log: list[dict[str, object]]
) -> None:
    pids = []
    for _ in range(2):
        pid = begun("ends")
        until(lambda: (folder / "ends").exists() and (folder / "ends").read_text())
        assert (folder / "ends").read_text() == str(pid)
        (folder / "ends").unlink()
        pids.append(pid)
    assert len({*pids, os.getpid()}) == 3
    assert log == []


def test_a_look_alone_that_fails_is_told(log: list[dict[str, object]]) -> None:
    begun("fails")
    until(lambda: log)
    assert {name: log[0][name] for name in ("event", "child", "status")} == {
        "event": "look_alone_failed",
        "child": "fails",
        "status": 3,
    }


def test_a_look_alone_that_hangs_is_killed_with_all_that_it_started(
    folder: Path, log: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking_alone, "START_UP_S", 3.0)
    pid = begun("hangs", 0.1)
    assert pid is not None
    until(lambda: (folder / "hangs").exists() and (folder / "hangs").read_text())
    below = int((folder / "hangs").read_text().split()[1])
    until(lambda: log)
    assert (log[0]["event"], log[0]["status"]) == ("look_alone_failed", -9)
    until(lambda: not psutil.pid_exists(pid))
    until(lambda: not psutil.pid_exists(below) or psutil.Process(below).status() == psutil.STATUS_ZOMBIE)


def test_a_look_alone_ends_itself_when_nobody_is_left_to_end_it(folder: Path) -> None:
    program = [sys.executable, "-m", "lone_program", "bounded", "0.5"]
    found = subprocess.run(program, env={**os.environ, "PYTHONPATH": str(HERE)}, check=False, timeout=60)
    assert found.returncode == -14
    assert not (folder / "bounded").exists()


def test_not_more_are_started_than_there_are_places(
    log: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking_alone, "_places", threading.BoundedSemaphore(2))
    monkeypatch.setattr(looking_alone, "START_UP_S", 2.0)
    assert begun("bounded", 0.1) is not None
    assert begun("bounded", 0.1) is not None
    assert begun("ends") is None
    assert [entry["event"] for entry in log] == ["too_many_looks_alone"]
    assert until(lambda: begun("ends")), "once they have ended"


def test_a_program_that_cannot_be_started_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking_alone, "_places", threading.BoundedSemaphore(1))
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            begun("ends")


# --- the whole ladder


@pytest.fixture
def ladder(folder: Path, make_store: Callable[..., EmbeddedStore]) -> Iterator[tuple[Store, CeleryProcess]]:
    """A worker and a beat over `ladder_plant`."""
    server = make_store()
    environment = {
        "SUPERVISION_STORE_URL": server.url,
        "SUPERVISION_IMPORTS": "ladder_plant",
        "PLANT_FOLDER": str(folder),
        "PYTHONPATH": str(HERE),
    }
    queues = "supervision.ticks,supervision.sweeps,supervision.collectors,supervision.actions"
    worker = CeleryProcess(folder, "tasks", "worker", "-Q", queues, "-c", "2", "-l", "INFO", **environment)
    beat = CeleryProcess(folder, "tasks", "beat", "-s", str(folder / "schedule"), **environment)
    with ended(worker, beat), closing(Store(server.url)) as store:
        yield store, worker


@pytest.mark.chaos
def test_a_child_whose_looks_hang_is_looked_at_alone_then_unobservable_then_seen_again(
    folder: Path, ladder: tuple[Store, CeleryProcess]
) -> None:
    store, worker = ladder

    def told(kind: str) -> list[Past]:
        return [past for past in store.history.latest(500) if past.kind == kind]

    def seen_at(child: str) -> int:
        mark = store.client.hget(store.keys.of("plant", "seen"), child)
        return int(mark.split(b":")[1]) if isinstance(mark, bytes) else 0

    until(lambda: seen_at("hangs"), timeout=60, what=lambda: worker.log)
    (folder / "hang").touch()
    (opened,) = until(lambda: told("unobservable"), timeout=60, what=lambda: worker.log) or []
    looks = [line.split() for line in lines(folder, "looks")]
    alone = {pid for who, pid in looks if who == "alone"}
    assert len(alone) == 3, "each in a process of its own"
    assert not alone & {pid for who, pid in looks if who != "alone"}
    assert [past.attempt for past in told("looked_alone")] == [1, 2, 3]
    assert told("store_suspected") == []
    assert opened.after.startswith("plant/hangs@")
    before = {child: seen_at(child) for child in ("awaited", "called")}
    until(
        lambda: all(seen_at(child) > at for child, at in before.items()), what="its siblings to be seen all the while"
    )

    (folder / "hang").unlink()  # but no look that was begun comes back: only a process that is new can see it
    (closed,) = until(lambda: told("observable"), timeout=60, what=lambda: worker.log) or []
    assert closed.before == opened.after
    assert len([line for line in lines(folder, "looks") if line.startswith("alone")]) == 3
    assert worker.logged("pool process [0-9]+ is replaced: 1 looks hang") >= 1
    assert worker.logged("Traceback|ERROR|exited with|prematurely") == 0, worker.log
