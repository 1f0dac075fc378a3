"""A minute in which everything is killed, paused and restarted in turn, while the supervised process dies and dies.

It always comes back, one action at a time, and no tick slot takes effect twice. The supervised program itself notices
when two of it run at once.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import psutil
import pytest
from healing_system import ALL, BEAT, HealingSystem, doubled, overlapping_actions

from supervision.server import EmbeddedStore

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

CHAOS_S = 60.0
PAUSE_S = 3.0
"""Longer than a tick's lease (1.5 s), so that a paused ticker comes back to find itself superseded."""


@pytest.fixture
def system(tmp_path: Path) -> Iterator[HealingSystem]:
    with EmbeddedStore(tmp_path / "store") as server:
        commands = {"worker-1": ALL, "worker-2": ALL, "beat-1": BEAT, "beat-2": BEAT}
        running = HealingSystem(tmp_path, server, commands, kills="child")
        try:
            yield running
        finally:
            running.end()


def test_a_supervised_process_always_comes_back(system: HealingSystem) -> None:
    system.healed_after(0)
    kills, began = 0, time.monotonic()
    for disturb in cycle(disturbances(system)):
        killed = system.kill_lonely()
        disturb()
        system.healed_after(killed, timeout=120)
        kills += 1
        if time.monotonic() - began > CHAOS_S and kills >= len(disturbances(system)):
            break

    history = system.history()
    assert overlapping_actions(history) == []
    assert system.lines("overlaps") == []
    slots = [line.split()[0] for line in system.lines("claims") if not line.startswith("dirty")]
    assert doubled(slots) == set()
    assert doubled([line.split()[1] for line in system.lines("claims")]) == set()
    assert len(system.lines("starts")) == kills + 1, system.story()


def disturbances(system: HealingSystem) -> list[Callable[[], None]]:
    """What happens to the system, in turn, each time right after the supervised process was killed."""
    return [
        *(system.kept[name].kill for name in ("worker-1", "beat-1", "worker-2", "beat-2")),
        lambda: restart_store(system, signal.SIGKILL),
        *(lambda name=name: pause(system, name) for name in ("worker-1", "beat-1", "worker-2", "beat-2")),
        lambda: restart_store(system, signal.SIGTERM),
        lambda: pause_store(system),
    ]


def restart_store(system: HealingSystem, number: signal.Signals) -> None:
    """End the store and start it again on its data, while everybody is connected."""
    server = psutil.Process(system.server.pid)
    server.send_signal(number)
    psutil.wait_procs([server], timeout=30)
    system.server.start()


def pause_store(system: HealingSystem) -> None:
    """A store that answers nobody for a while, without closing a connection."""
    os.kill(system.server.pid, signal.SIGSTOP)
    time.sleep(PAUSE_S)  # the length of the pause is the disturbance; there is nothing to await
    os.kill(system.server.pid, signal.SIGCONT)


def pause(system: HealingSystem, name: str) -> None:
    """A machine that is suspended and comes back."""
    with system.kept[name].paused():
        time.sleep(PAUSE_S)  # as above
