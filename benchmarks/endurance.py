"""Ten coordinators under kills, and under kills and restarts of the store: ``python -m benchmarks.endurance``.

Minutes long; prints a table, and ends with 1 when a promise was broken. ``--write docs/endurance.md`` keeps it.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.herd import HASTY, Herd, durable
from benchmarks.stage import Stage
from benchmarks.verdict import judged

SIZE = 10
KILLS_S, STOPS_S, RESTARTS_S = 30.0, 60.0, 120.0

ROWS = {
    "rounds": "rounds that all ten have done",
    "kills": "coordinators killed with -9; every third comes back before its death is noticed",
    "stops": "coordinators stopped until they were dead and replaced, and then let go on",
    "restarts": "kill -9 of the store, a second's outage, and a start on its file",
    "signals": "signals sent",
    "waits": "waits, all of which ended once",
    "signalled": "... by their signal",
    "died": "... because whoever was expected had died",
    "timed_out": "... because their time was over",
    "deaths": "deaths declared, each once, and only those of the dead",
    "slowest_death": "seconds from the stroke to the declared death, at most (limit 5 s of silence)",
    "zombies": "zombies that learnt that they are superseded, and changed nothing",
    "keys_kept": "keys at the end, each listed where it is forgotten from after a day",
}

PAGE = """\
# Endurance

Written by `{command}`; do not edit.

Ten coordinators, each a process, stand in a ring: each sends a signal per round and waits for its neighbour's, while
tasks wait for those who are about to be killed. Meanwhile one is killed with -9 every {kills:g} s, one is stopped
(SIGSTOP) every {stops:g} s for longer than the others have patience, and in the second run the store is killed with
-9 every {restarts:g} s. A worker and a beat of the library look after them. Heartbeats are due every {heartbeat} s,
silence of {dead} s is death. The store writes its file with `appendfsync always`: with `everysec` a slow disk may
lose what was said in the last second before a kill.

Afterwards the history, the keys and the processes' own notes are judged by `benchmarks/verdict.py`; the same is done
for three minutes, with a kill every 10 s and a restart every 20 s, in the tests marked `chaos`.

Run on {date}: {machine}; load average {load} when it began and {load_after} when it ended.

"""


def endured(
    seconds: float, *, kills: float = KILLS_S, stops: float = STOPS_S, restarts: float = RESTARTS_S
) -> dict[str, Any]:
    """What became of a herd for ``seconds``; each of the others is how often it happens (s), 0 for never."""
    with Stage(**HASTY) as stage:
        durable(stage)
        stage.worker("waits", "sweeps", slots=2).ready()
        stage.beat()
        with Herd(stage, SIZE) as herd:
            herd.run(seconds, kills=kills, stops=stops, restarts=restarts)
            herd.finish()
            return {"seconds": round(seconds), **judged(herd)}


def main(arguments: Sequence[str]) -> int:
    """Run both forms, and report; answers the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.endurance", description="Kills, for long.")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long each form goes on (default: 10)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page of the documents")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all counts as JSON")
    wanted = parser.parse_args(arguments)
    facts = report.ground(shlex.join(["python", "-m", "benchmarks.endurance", *arguments]))
    runs = {"kills": endured(wanted.minutes * 60, restarts=0), "kills and restarts": endured(wanted.minutes * 60)}
    told = table(runs)
    sys.stdout.write(told)
    if wanted.json:
        wanted.json.write_text(json.dumps(runs, indent=1))
    if wanted.write:
        wanted.write.write_text(page(facts) + told)
    return int(any(run["broken"] for run in runs.values()))


def page(facts: Mapping[str, str]) -> str:
    """What stands above the table."""
    patience = {"heartbeat": HASTY["SUPERVISION_HEARTBEAT"], "dead": HASTY["SUPERVISION_HEARTBEAT_DEAD"]}
    often = {"kills": KILLS_S, "stops": STOPS_S, "restarts": RESTARTS_S}
    return PAGE.format(**facts, **patience, **often, load_after=report.load())


def table(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """All counts, a column for each run, and what was broken."""
    columns = list(runs)
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "--:|" * len(columns)]
    lines += [_row("seconds", [run["seconds"] for run in runs.values()])]
    lines += [_row(told, [run.get(name, 0) for run in runs.values()]) for name, told in ROWS.items()]
    lines += [_row("promises broken", [len(run["broken"]) for run in runs.values()])]
    broken = [f"- {name}: {each}" for name, run in runs.items() for each in run["broken"]]
    return "\n".join(lines + (["", *broken] if broken else [])) + "\n"


def _row(told: str, counts: Sequence[float]) -> str:
    return f"| {told} | " + " | ".join(f"{each:,}" for each in counts) + " |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
