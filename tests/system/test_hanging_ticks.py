"""A tick that hangs, whatever is tried to end it, holds one process at a time, and ends with it; all others go on."""

from pathlib import Path

import pytest
from healing_system import BEAT, TICKS, HealingSystem
from waiting import until

from supervision.server import EmbeddedStore

LOOKS_AND_ACTIONS = ("worker", "-Q", "supervision.collectors,supervision.actions", "-c", "2")


@pytest.mark.chaos
def test_ticks_that_hang_for_good_keep_no_other_supervisor_from_healing(tmp_path: Path, server: EmbeddedStore) -> None:
    commands = {"ticks": TICKS, "rest": LOOKS_AND_ACTIONS, "beat": BEAT}
    system = HealingSystem(tmp_path, server, commands, kills="child", plant="hanging_plant")
    try:
        until(lambda: len(system.lonely()) == 1, timeout=60)
        system.healed_after(0)
        (tmp_path / "hang").touch()
        until(lambda: unsettled(system) >= 2, timeout=120, what="ticks that hang again and again")
        system.healed_after(system.kill_lonely(), timeout=60)
        (tmp_path / "hang").unlink()
        until(lambda: unsettled(system) == 0, timeout=60, what="a tick that is settled")
    finally:
        (tmp_path / "hang").unlink(missing_ok=True)
        system.end()


def unsettled(system: HealingSystem) -> int:
    return int(system.store.client.hget(system.store.keys.of("bad", "control"), "unsettled") or 0)
