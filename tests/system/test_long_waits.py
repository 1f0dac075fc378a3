"""Half an hour, an hour, a deploy, on a clock of the store that is hastened.

Time goes by in steps of store time, each as soon as what has to happen in it has happened, so that a slow machine only
makes the test longer; what ends waits, sends again and gives up goes by the store's clock and never notices.
"""

import itertools
import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from celery import chain, signature
from celery_processes import HERE
from healing_system import Kept
from mail_system import emptied
from moved_clock import MovedClock, server_with_clock
from waiting import until
from waiting_system import WaitingSystem

from supervision import SignalTimeout, wait_for
from supervision.client import Client
from supervision.server import EmbeddedStore

pytestmark = [pytest.mark.chaos, pytest.mark.servers, pytest.mark.timeout(500)]

LATE_MS = 60_000
"""Within a second on a machine that keeps up."""

AGREED_MS = 1000
"""Less than every step of the clock."""

HEARTBEAT_S = 5
HEARTBEATS = 720

GROWTH_BYTES = 2**19
"""Once it has beaten for a tenth of the time; 0.1 MB is what it takes."""


class Hastened(WaitingSystem):
    """The whole system over a store whose clock is in the hands of the test."""

    def __init__(self, folder: Path, server: EmbeddedStore, clock: MovedClock) -> None:
        self.clock = clock
        super().__init__(folder, server, SUPERVISION_IMPORTS="waiting_tasks,mail_tasks")

    def now(self) -> int:
        """The store's clock, milliseconds: what two readings agree on, as the first after a step can be the old one."""
        before, now = self._reading(), self._reading()
        while abs(now - before) > AGREED_MS:
            before, now = now, self._reading()
        return now

    def _reading(self) -> int:
        seconds, micros = self.client._store.client.time()  # type: ignore[misc] # it is the synchronous client
        return int(seconds) * 1000 + int(micros) // 1000

    def until_it_is(self, moment: int) -> None:
        """Let the time go by until the store's clock shows ``moment``."""
        self.clock.jump(max(moment - self.now(), 0) // 1000)
        until(lambda: self.now() >= moment, what="the time to come")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hastened]:
    folder = tmp_path_factory.mktemp("long")
    with server_with_clock(folder) as (server, clock):
        found = Hastened(folder, server, clock)
        try:
            yield found
        finally:
            found.end()


def test_a_timeout_of_half_an_hour_ends_at_its_deadline_and_not_before(system: Hastened) -> None:
    tag, half_an_hour = uuid.uuid4().hex, 1800
    task = wait_for(f"{tag}/t", timeout=half_an_hour, on_timeout="late", app=system.app).apply_async()
    in_process: list[str] = []
    with Client(system.server.url) as client, client.coordinator(tag) as coordinator:
        thread = threading.Thread(target=lambda: in_process.append(said(coordinator, f"{tag}/p", half_an_hour)))
        thread.start()
        system.waiting_for(f"{tag}/t")
        system.waiting_for(f"{tag}/p")
        waits = [*system.client.waits(signal=f"{tag}/t"), *system.client.waits(signal=f"{tag}/p")]
        assert [wait.deadline - wait.since for wait in waits] == [half_an_hour * 1000] * 2
        left = (min(wait.deadline for wait in waits) - system.now()) // 1000
        system.clock.hasten(left - 2 * HEARTBEAT_S, each=lambda: swept(system), step=60)
        assert [system.client.explain(wait.id).state for wait in waits] == ["waiting"] * 2
        system.until_it_is(max(wait.deadline for wait in waits))
        thread.join(60)
    assert task.get(timeout=60) == "late"
    assert in_process == ["SignalTimeout"]
    for wait in waits:
        ended = system.client.explain(wait.id)
        assert (ended.how, wait.deadline <= ended.ended <= wait.deadline + LATE_MS) == ("timed_out", True), ended


def said(coordinator: Any, name: str, timeout: float) -> str:
    try:
        return str(coordinator.wait(name, timeout=timeout))
    except SignalTimeout as error:
        return type(error).__name__


def swept(system: Hastened) -> None:
    """A sweep of the deadlines comes now, too: whatever were over would have ended."""
    system.client._coordination.sweep_deadlines()


def test_an_hour_of_waiting_is_720_heartbeats_and_no_byte(system: Hastened) -> None:
    name = uuid.uuid4().hex
    command = [sys.executable, str(HERE / "hastened_coordinator.py"), system.server.url, name, f"{name}/go", "7200"]
    with subprocess.Popen(
        command, env={**os.environ, **system.environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        try:
            assert said_next(program) == "registered"
            system.waiting_for(f"{name}/go")
            beats, taken = [beat_of(system, name)], []
            for _ in range(HEARTBEATS):
                system.clock.jump(HEARTBEAT_S)
                until(lambda: system.now() >= beats[-1] + HEARTBEAT_S * 1000, what="the time to come")  # asked at once
                beats.append(asked_to_beat(system, name, program))
                taken.append(memory(program.pid))
            spans = [later - earlier for earlier, later in itertools.pairwise(beats)]
            assert min(spans) >= HEARTBEAT_S * 1000, "each of them is a heartbeat of its own"
            growth = max(taken) - taken[HEARTBEATS // 10]
            assert growth < GROWTH_BYTES, (growth, taken[:: HEARTBEATS // 10])
            assert [each.state for each in system.client.coordinators() if each.id == name] == ["waiting"]
            assert [past.after for past in system.client.latest_events(50, subject=name) if past.after == "dead"] == []
            system.client.send(f"{name}/go", "after an hour")
            assert program.communicate(timeout=60)[0] == "got after an hour\n"
        finally:
            program.kill()


def asked_to_beat(system: Hastened, name: str, program: "subprocess.Popen[str]") -> int:
    """When its heartbeat came, which is in the store as soon as it says so: no later one makes up for it."""
    now = system.now()
    assert program.stdin is not None
    program.stdin.write("beat\n")
    program.stdin.flush()
    assert said_next(program) == "beaten"
    beat = beat_of(system, name)
    assert now <= beat <= system.now()
    return beat


def said_next(program: "subprocess.Popen[str]") -> str:
    assert program.stdout is not None
    return program.stdout.readline().strip()


def beat_of(system: Hastened, name: str) -> int:
    """When its last heartbeat came."""
    store = system.client._store
    return int(store.client.zscore(store.keys.beats, name) or 0)  # type: ignore[arg-type] # it is the synchronous client


def memory(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


def test_a_deploy_of_five_minutes_gives_nothing_up(system: Hastened) -> None:
    tag = uuid.uuid4().hex
    box = system.client.mailbox(f"{tag}-box")
    box.handle(signature("mail_tasks.note", kwargs={"tag": tag}))
    tasks = [
        chain(wait_for(f"{tag}/{i}", timeout=1800, app=system.app), system.task("note", tag=tag), app=system.app)()
        for i in range(20)
    ]
    late = wait_for(f"{tag}/never", timeout=120, on_timeout="late", app=system.app).apply_async()
    until(lambda: len([wait for wait in system.client.waits() if wait.on.startswith(tag)]) == 21, what=system.story)
    system.kept.end()  # all workers, killed
    began = system.now()
    queued = [wait_for(f"{tag}/{i}", timeout=1800, app=system.app).apply_async() for i in range(20)]
    for i in range(20):
        system.client.send(f"{tag}/{i}", i, id=f"{tag}-{i}")
        box.put(i, id=f"{tag}-{i}")
    system.clock.hasten(300, each=lambda: box.put("again", id=f"{tag}-0"))
    until(lambda: system.now() >= began + 300_000, what="the five minutes")
    assert (system.client.dead_letters(), box.depth()) == ([], 20)
    system.kept = Kept("worker", system.start_worker)
    assert [task.get(timeout=120) for task in tasks] == [[tag, i] for i in range(20)]
    assert [task.get(timeout=120) for task in queued] == list(range(20))
    assert late.get(timeout=60) == "late"
    emptied(box)
    noted = [line.partition(":")[2] for line in system.notes() if line.startswith(tag)]
    assert sorted(noted, key=int) == [str(i) for i in range(20)]
    assert handled(system, tag) == list(range(20))
    assert system.client.dead_letters() == []


def handled(system: Hastened, tag: str) -> list[Any]:
    lines = [json.loads(line) for line in (system.folder / "handled").read_text().splitlines()]
    return [line[1] for line in lines if line[0] == tag]


@pytest.mark.parametrize("seconds", [300, -300], ids=["ahead", "back"])
def test_the_clock_of_the_store_jumps_while_they_wait(seconds: int, system: Hastened) -> None:
    tag = uuid.uuid4().hex
    soon = wait_for(f"{tag}/soon", timeout=200, on_timeout="late", app=system.app).apply_async()
    later = wait_for(f"{tag}/later", timeout=2000, on_timeout="late", app=system.app).apply_async()
    system.waiting_for(f"{tag}/soon")
    system.waiting_for(f"{tag}/later")
    (wait,) = system.client.waits(signal=f"{tag}/soon")
    system.clock.jump(seconds)
    swept(system)
    if seconds < 0:
        assert system.client.explain(soon.id).state == "waiting"
        system.until_it_is(wait.deadline)
    assert soon.get(timeout=60) == "late"
    assert wait.deadline <= system.client.explain(soon.id).ended
    assert system.client.explain(later.id).state == "waiting"
    system.client.send(f"{tag}/later", "in time")
    assert later.get(timeout=60) == "in time"
