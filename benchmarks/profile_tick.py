"""Where the time of a tick goes: the functions of one tick over 1,000 children, all changed, by their own time."""

import cProfile
import pstats
from pathlib import Path

from benchmarks.crowd import Crowd
from benchmarks.stage import Stage

CHILDREN = 1_000
TICKS = 20
MOST = 25


def top() -> str:
    """A table of the `MOST` functions with the most time of their own, in milliseconds per tick."""
    profile = cProfile.Profile()
    with Stage() as stage:
        crowd = Crowd(stage.store, CHILDREN)
        for _ in range(TICKS):
            crowd.look(change=True)
            profile.runcall(crowd.tick)
    rows = sorted(pstats.Stats(profile).get_stats_profile().func_profiles.items(), key=lambda row: -row[1].tottime)
    lines = [f"{'own ms':>8} {'all ms':>8} {'calls':>8}  function"]
    for name, spent in rows[:MOST]:
        calls = int(str(spent.ncalls).split("/")[0]) / TICKS
        times = f"{1000 * spent.tottime / TICKS:8.2f} {1000 * spent.cumtime / TICKS:8.2f} {calls:8.0f}"
        lines.append(f"{times}  {_place(spent.file_name)}{name}")
    return "\n".join(lines)


def _place(file: str) -> str:
    """The file's name in its package; nothing for what is built in."""
    parts = Path(file).parts
    named = next((i for i, part in enumerate(parts) if part in {"supervision", "redis", "msgspec"}), len(parts) - 1)
    return "" if file == "~" else "/".join(parts[named:]) + ":"
