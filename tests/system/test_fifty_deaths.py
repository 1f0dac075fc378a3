"""Fifty coordinators that die one after another, while two programs and a worker judge them.

Most are killed with -9, each fifth is stopped and goes on when it is dead. Each is a process of its own, is expected by
a wait, and is replaced by a task that comes under its name.
"""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery_processes import HERE, until
from waiting_system import WaitingSystem, running

from supervision import Superseded, wait_for
from supervision.coordination.waits import Node, Terms
from supervision.store.coordinators import Beat

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]  # 75 s on an idle machine

PATIENCE = {
    "SUPERVISION_HEARTBEAT": "0.5",
    "SUPERVISION_HEARTBEAT_WARNING": "1",
    "SUPERVISION_HEARTBEAT_CRITICAL": "1.5",
    "SUPERVISION_HEARTBEAT_DEAD": "2",
}
DEAD_MS = 2_000
LATE_MS = 10_000
"""A judgement and a half of what is due, and all the rest for a machine that does other things."""

DEATHS, AT_ONCE = 50, 10
STOPPED = 5
"""Each fifth is stopped."""


class Mortal:
    """A program that is a coordinator and waits; ``ended`` is when it was, by the store's clock in milliseconds."""

    def __init__(self, system: WaitingSystem, i: int) -> None:
        self.name, self.stopped, self.ended = f"mortal-{i}", i % STOPPED == 0, 0
        command = [sys.executable, str(HERE / "lone_coordinator.py"), system.server.url, self.name, f"{self.name}/go"]
        self.process = subprocess.Popen(command, env={**os.environ, **PATIENCE}, stdout=subprocess.PIPE, text=True)
        self.incarnation = 0

    def expected(self, system: WaitingSystem) -> Any:
        """A task that waits for it, once it waits itself."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "registered\n"
        system.waiting_for(f"{self.name}/go")
        self.incarnation = system.client._store.coordinators.get(self.name).incarnation
        instead = system.task("stand_in", self.name)
        on = wait_for(f"{self.name}/done", app=system.app, timeout=300, expects=self.name, replacement=instead)
        task = on.apply_async()
        system.waiting_for(f"{self.name}/done")
        return task

    def end(self, system: WaitingSystem) -> None:
        """Kill or stop it, and wait until it is late, so that the next one's death is another one."""
        self.process.send_signal(signal.SIGSTOP if self.stopped else signal.SIGKILL)
        seconds, micros = system.client._store.client.time()  # type: ignore[misc] # it is the synchronous client
        self.ended = seconds * 1000 + micros // 1000
        until(lambda: self.health(system) != "healthy", lambda: f"{self.name} to be late: {system.story()}")

    def health(self, system: WaitingSystem) -> str:
        return str(system.client._store.coordinators.get(self.name).health)


@contextmanager
def judges(system: WaitingSystem) -> Iterator[list["subprocess.Popen[str]"]]:
    """Two programs that judge while the block runs."""
    command = [sys.executable, str(HERE / "lone_judge.py"), system.server.url, system.broker, *PATIENCE.values()]
    found = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        for each in found:
            assert each.stdout is not None
            assert each.stdout.readline() == "judging\n"
        yield found
    finally:
        for each in found:
            each.kill()
            each.wait()


@pytest.fixture
def system(tmp_path: Path) -> Iterator[WaitingSystem]:
    with running(tmp_path, **PATIENCE) as found:
        yield found


def test_each_is_found_in_time_declared_once_replaced_once_and_refused_afterwards(system: WaitingSystem) -> None:
    mortals: list[Mortal] = []
    tasks: list[Any] = []
    try:
        with judges(system) as both:
            while len(mortals) < DEATHS:
                some = [Mortal(system, len(mortals) + i) for i in range(AT_ONCE)]
                mortals += some
                tasks += [each.expected(system) for each in some]
                for each in some:
                    each.end(system)
            assert [task.get(timeout=60) for task in tasks] == ["instead"] * DEATHS
            told = [tuple(map(int, each.communicate(timeout=60)[0].split())) for each in both]
        assert all(judged > DEATHS for judged, _ in told), told
        assert 0 < sum(died for _, died in told) <= DEATHS, told
        until(lambda: all(state(system, each) == "complete" for each in mortals), system.story)
        assert refused(system, mortals) == DEATHS // STOPPED
        assert_declared_once_in_time(system, mortals)
    finally:
        for each in mortals:
            each.process.kill()
            each.process.communicate()


def state(system: WaitingSystem, mortal: Mortal) -> str:
    return str(system.client._store.coordinators.get(mortal.name).state)


def refused(system: WaitingSystem, mortals: Sequence[Mortal]) -> int:
    """How many go on and learn that they are dead; whatever else would be written in the name of any is refused."""
    store = system.client._store
    for each in mortals:
        assert each.name in store.coordinators.beat([Beat(each.name, each.incarnation)])
        assert not store.coordinators.leave(each.name, each.incarnation, failed=True)
        terms = Terms(Node(signal="late"), timeout=60, owner=each.name)
        with pytest.raises(Superseded):
            store.waits.enter(f"{each.name}>late", terms, channel="nowhere", incarnation=each.incarnation)
    learnt = 0
    for each in (each for each in mortals if each.stopped):
        each.process.send_signal(signal.SIGCONT)
        said, _ = each.process.communicate(timeout=60)
        assert said.startswith("Superseded: "), said
        learnt += 1
    return learnt


def assert_declared_once_in_time(system: WaitingSystem, mortals: Sequence[Mortal]) -> None:
    past = [each for each in system.client.latest_events(10_000) if each.kind == "coordinator"]
    deaths = {each.subject: each for each in past if each.after == "dead"}
    once = Counter({each.name: 1 for each in mortals})
    assert Counter(each.subject for each in past if each.after == "dead") == once
    assert Counter(each.subject for each in past if each.after == "replacing") == once
    assert Counter(line for line in system.notes() if line.startswith("stands in:")) == Counter(
        f"stands in:{each.name}" for each in mortals
    )
    for each in mortals:
        death = deaths[each.name]
        silent = float(death.reason.removeprefix("no heartbeat for ").removesuffix(" s")) * 1000
        assert DEAD_MS <= silent <= DEAD_MS + LATE_MS, death
        assert death.at - each.ended <= DEAD_MS + LATE_MS, death
