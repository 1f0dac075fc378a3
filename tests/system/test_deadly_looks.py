"""A look that kills the process which makes it (a driver that crashes, memory that runs out) is that child's alone."""

from pathlib import Path

import pytest
from healing_system import ACTIONS, BEAT, LOOKS, TICKS, HealingSystem
from waiting import until

from supervision.server import EmbeddedStore

COMMANDS = {"ticks": TICKS, "looks": LOOKS, "actions": ACTIONS, "beat": BEAT}


@pytest.mark.chaos
def test_siblings_of_a_child_whose_look_kills_are_healed_long_before_they_are_stale(
    tmp_path: Path, server: EmbeddedStore
) -> None:
    system = HealingSystem(tmp_path, server, COMMANDS, kills="child", plant="deadly_plant")
    try:
        until(lambda: len(system.lonely()) == 1, timeout=60)
        system.healed_after(0)
        (tmp_path / "crash").touch()
        until(lambda: "unobservable" in kinds(system), timeout=120, what="the deadly child is unobservable")
        silent = {past.subject for past in system.history() if past.kind in {"looked_alone", "unobservable"}}
        assert silent == {"plant/deadly"}, "nobody else was missed for so long as to be looked at alone"
        assert "store_suspected" not in kinds(system)
        system.healed_after(system.kill_lonely())
        (tmp_path / "crash").unlink()
        until(lambda: "observable" in kinds(system), timeout=60, what="the deadly child is seen again")
    finally:
        system.end()


def kinds(system: HealingSystem) -> set[str]:
    return {past.kind for past in system.history()}
