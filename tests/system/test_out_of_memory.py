"""Pool processes that run out of memory while they hold coordinators and continuations: each wait ends once, well.

The limit is a real one (RLIMIT_AS): allocations fail with `MemoryError` wherever they are, and a stack that cannot grow
any more has the kernel kill the process.
"""

import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from celery import chain
from celery_processes import until
from waiting_system import WaitingSystem, running

from supervision import CoordinatorDied, wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

SLACKS = (0, 4_096, 16_384, 65_536, 262_144, 1_048_576)
"""Bytes that are left when a signal is sent: the fewer, the earlier on its way there are none."""

WAITS = 12
"""More than the script that latches hands over, so that memory runs out between slices, too."""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WaitingSystem]:
    folder = tmp_path_factory.mktemp("hungry")
    with running(folder, SUPERVISION_IMPORTS="waiting_tasks,hungry_tasks") as found:
        yield found


def hungry(system: WaitingSystem, name: str, *arguments: object) -> Any:
    return system.app.signature(f"hungry.{name}", args=arguments).apply_async()


@pytest.mark.parametrize(
    ("how", "why"), [("raises", "is failed: MemoryError"), ("killed", "is dead: its pool process has ended")]
)
def test_a_coordinator_without_memory_is_known_at_once(system: WaitingSystem, how: str, why: str) -> None:
    name, worker = f"c-{uuid.uuid4().hex}", system.worker
    with system.client.coordinator(name):  # so that one may expect it
        task = wait_for(f"{name}/done", app=system.app, timeout=300, expects=name).apply_async()
        system.waiting_for(f"{name}/done")
        hungry(system, "build", name, how)
        with pytest.raises(CoordinatorDied, match=why):
            task.get(timeout=60)
    if how == "raises":  # which Celery takes for the end of the whole worker
        until(lambda: system.worker is not worker, "another worker")
        system.worker.await_log(r" ready\.")
    past = system.client.latest_events(5000, subject=name)
    assert [each.after for each in past if each.after in {"dead", "failed"}] == [why.split()[1].rstrip(":")]


def test_continuations_in_a_process_without_memory_all_go_on_once(system: WaitingSystem) -> None:
    tag = uuid.uuid4().hex
    names = {f"{tag}/{how}/{slack}": (slack, how) for how in ("recovers", "killed") for slack in SLACKS}
    for name in names:
        for i in range(WAITS):
            chain(wait_for(name, app=system.app, timeout=300), system.task("note", tag=f"{name}#{i}"), app=system.app)()
        system.waiting_for(name, WAITS)
    ids = [wait.id for name in names for wait in system.client.waits(signal=name)]
    senders = {name: hungry(system, "send", name, *terms) for name, terms in names.items()}
    for name, sender in senders.items():  # as a careful one does who has not heard whether it was sent
        until(sender.ready, f"the end of {name}")
        system.client.send(name, name, id=name)
    sys.stdout.write(f"\n{[(names[name], sender.state, sender.result) for name, sender in senders.items()]}\n")
    wanted = {f"{name}#{i}:{name}" for name in names for i in range(WAITS)}

    def gone_on() -> Counter[str]:
        """What followed, and how often."""
        return Counter(line for line in system.notes() if line.startswith(tag))

    until(lambda: set(gone_on()) == wanted, lambda: f"{wanted - set(gone_on())} to go on: {system.story()}", within=240)
    until(lambda: not system.client._store.client.zcard(system.client._store.keys.undelivered), system.story)
    past = [each for each in system.client.latest_events(20_000) if each.subject in set(ids)]
    assert Counter(each.after for each in past) == {"waiting": len(ids), "signalled": len(ids), "processed": len(ids)}
