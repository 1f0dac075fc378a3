"""Clocks of workers, beats and programs that are minutes off, or jump while waits are open: the store's alone counts.

Every timeout is looked at where it is decided: by the times that the store has written down.
"""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery_processes import HERE, CeleryProcess, until
from moved_clock import MovedClock
from waiting_system import WaitingSystem

from supervision import wait_for
from supervision.server import EmbeddedStore

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

OFF_S = 300

TIMEOUTS_S = (2, 3, 5)
"""Of the waits."""

LATE_MS = 60_000
"""Within a second on a machine that keeps up; far from the five minutes by which a clock is off, in any case."""


class Clocked(WaitingSystem):
    """Worker, beat and program with clocks of their own; the store has the right one."""

    def __init__(self, folder: Path, server: EmbeddedStore) -> None:
        self.clocks = {name: MovedClock(folder, f"clock-of-{name}") for name in ("worker", "beat", "program")}
        super().__init__(folder, server, SUPERVISION_IMPORTS="faketime_patience,waiting_tasks")
        self.beat.kill_group()
        self.beat = CeleryProcess(
            folder,
            "tasks",
            "beat",
            "-s",
            str(folder / "beat of its own clock"),
            **self.environment,
            **self.clocks["beat"].environment(),
        )

    def start_worker(self, *more: str) -> CeleryProcess:
        plain, self.environment = self.environment, {**self.environment, **self.clocks["worker"].environment()}
        try:
            return super().start_worker(*more)
        finally:
            self.environment = plain

    def program(self, name: str, timeout: float) -> "subprocess.Popen[str]":
        """One that waits for a signal of its own name."""
        command = [sys.executable, str(HERE / "lone_coordinator.py"), self.server.url, name, f"{name}/go", str(timeout)]
        environment = {**os.environ, **self.clocks["program"].environment()}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    def set(self, **ahead: int) -> None:
        """Set clocks so many seconds ahead of the store's."""
        for name, seconds in ahead.items():
            self.clocks[name].jump(seconds - self.clocks[name].by)

    def ended(self, wait_id: str) -> Any:
        """The wait when it has ended."""
        until(lambda: self.client.explain(wait_id).ended, self.story)
        return self.client.explain(wait_id)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clocked]:
    folder = tmp_path_factory.mktemp("clocks")
    with EmbeddedStore(folder / "store") as server:
        found = Clocked(folder, server)
        try:
            yield found
        finally:
            found.end()


@pytest.mark.parametrize("jumps", ["", "jumps while it waits"], ids=["stays off", "jumps"])
@pytest.mark.parametrize("seconds", [OFF_S, -OFF_S], ids=["ahead", "behind"])
def test_every_wait_ends_at_its_deadline_by_the_clock_of_the_store(seconds: int, jumps: str, system: Clocked) -> None:
    tag = uuid.uuid4().hex
    system.set(worker=seconds, beat=-seconds, program=seconds)
    programs = [system.program(f"{tag}-{timeout}", timeout) for timeout in (*TIMEOUTS_S, 120)]
    heard = f"{tag}-120/go"
    try:
        system.waiting_for(heard)
        tasks = [
            wait_for(f"{tag}/{i}", timeout=timeout, on_timeout=i, app=system.app).apply_async()
            for i, timeout in enumerate(TIMEOUTS_S)
        ]
        system.waiting_for(f"{tag}/{len(TIMEOUTS_S) - 1}")
        if jumps:
            system.set(worker=-seconds, beat=seconds, program=-seconds)
        ids = [*(task.id for task in tasks), *(f"{tag}-{timeout}>{tag}-{timeout}/go" for timeout in TIMEOUTS_S)]
        for wait_id, timeout in zip(ids, TIMEOUTS_S * 2, strict=True):
            until(lambda wait_id=wait_id: known(system, wait_id), system.story)
            wait = system.ended(wait_id)
            assert wait.how == "timed_out"
            assert 1000 * timeout <= wait.ended - wait.since <= 1000 * timeout + LATE_MS, wait
        assert [task.get(timeout=60) for task in tasks] == [0, 1, 2]
        system.client.send(heard, "in time")
        said = [program.communicate(timeout=60)[0].strip().partition(":")[0] for program in programs]
        assert said == ["registered\nSignalTimeout"] * len(TIMEOUTS_S) + ["registered\ngot in time"]
    finally:
        for program in programs:
            with program:
                program.kill()


def known(system: Clocked, wait_id: str) -> bool:
    return bool(system.client._store.open_waits.some([wait_id]))
