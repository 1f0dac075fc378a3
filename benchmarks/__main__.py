"""The command: `python -m benchmarks`, from the root of the project."""

import argparse
import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

from benchmarks import (
    blocked,
    deaths,
    events,
    failover,
    gate,
    gathers,
    hearts,
    hundred,
    mail,
    memory,
    profile_tick,
    reconnect,
    report,
    storm,
    sweeps,
    throughput,
    ticks,
    timeouts,
    waits,
)
from benchmarks.figures import Figure
from supervision.telemetry import logs

BENCHMARKS: Mapping[str, ModuleType] = {
    "gate": gate,
    "ticks": ticks,
    "memory": memory,
    "events": events,
    "throughput": throughput,
    "storm": storm,
    "failover": failover,
    "waits": waits,
    "blocked": blocked,
    "hundred": hundred,
    "mail": mail,
    "gathers": gathers,
    "timeouts": timeouts,
    "hearts": hearts,
    "deaths": deaths,
    "sweeps": sweeps,
    "reconnect": reconnect,
}
"""Each has a docstring that says what it measures, and `measure(quick=...)`. The first three need no worker."""


def main(arguments: Sequence[str]) -> None:
    """Run the benchmarks that ``arguments`` name, or all of them, and report."""
    wanted = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # so that the temporary folders go
    logs.configure()  # as in a worker, whose lines are part of a tick
    facts = report.ground(shlex.join(["python", "-m", "benchmarks", *arguments]))
    found = {name: _run(name, quick=wanted.quick) for name in wanted.names or BENCHMARKS}
    profile = profile_tick.top() if wanted.profile else ""
    if profile:
        _say(profile)
    if wanted.json:
        wanted.json.write_bytes(report.as_json(found, facts))
    if wanted.write:
        told = {name: (BENCHMARKS[name].__doc__ or "", figures) for name, figures in found.items()}
        wanted.write.write_text(report.page(told, facts, profile))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="How fast it is, beside its baselines.")
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*BENCHMARKS, []], help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="a few samples: whether it works, not how fast it is")
    parser.add_argument("--profile", action="store_true", help="show where the time of a tick goes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures as JSON")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page of the documents")
    return parser


def _run(name: str, *, quick: bool) -> list[Figure]:
    _say(f"\n{name}")
    figures, begun = [], time.monotonic()
    for figure in BENCHMARKS[name].measure(quick=quick):
        _say(f"  {report.line(figure)}")
        figures.append(figure)
    _say(f"  ({time.monotonic() - begun:.0f} s)")
    return figures


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
