"""The demo itself: starts its crew, plays the scenes, says what was measured, ends everything.

`main.run` runs this as a program below a guard, so that whatever it starts, and whatever that starts, ends with it.
"""

import argparse
import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Never

from supervision.client import Client
from supervision.demo.crew import FOREIGN, Crew
from supervision.demo.outside import Outside
from supervision.demo.report import Report
from supervision.demo.scenes import SCENES
from supervision.demo.world import World
from supervision.errors import SupervisionError

INTERRUPTED = 130
"""The exit status when it was told to end before it had played everything."""

HOME = ".supervision"
"""The demo's own folder, below the one it was started in; other commands look for its store there."""


def main(argv: list[str] | None = None) -> int:
    """Run as a program; 0 when everything was as it should be, else 1, or `INTERRUPTED`."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _told_to_end)
    options = _arguments(argv)
    for name in [name for name in os.environ if name.startswith(FOREIGN)]:
        del os.environ[name]  # the scenes' own Celery would follow them to somebody else's servers
    report = Report(options.folder, options.as_json)
    stays = sys.stdout.isatty() and not options.once and not options.as_json
    try:
        _perform(options.folder / HOME, report, stays=stays)
    except KeyboardInterrupt:
        if not report.complete:
            report.line("\nTold to end before everything was played; nothing is left running.")
            return INTERRUPTED
    except (SupervisionError, OSError) as error:
        report.failed(str(error))
    report.document()
    return 0 if report.passed else 1


def _perform(home: Path, report: Report, *, stays: bool) -> None:
    report.line(f"The demo runs in {home.parent}; its files are in {home.name}")
    with Crew(home, lambda text: report.line(f"  {text}")) as crew, Client(crew.store.url) as client:
        _play(World(crew, client, Outside(crew.ports), report.watch), report)
        report.processes = {"store": crew.store.pid, **{name: one.pid for name, one in crew.members.items()}}
        report.ports = {"store": crew.store.port, **crew.ports}
        report.verdict()
        if stays:
            _stay(crew, client, report)


def _play(world: World, report: Report) -> None:
    failed = 0
    for number, scene in enumerate(SCENES, 1):
        report.scene(scene.title)
        played = scene(world)
        for fact in played.not_played(f"not played: scene {failed} failed") if failed else played.facts():
            report.fact(fact)
            failed = failed or (0 if fact.passed else number)
    report.complete = True


def _stay(crew: Crew, client: Client, report: Report) -> None:
    report.line(f"\nFlower: {crew.flower_url or 'not installed (the extra demo brings it)'}")
    report.line("In a second terminal, in this folder: supervision tree")
    report.line("It stays up until Ctrl-C.\n")
    if find_spec("rich") is None:  # a terminal without the extra demo: everything else works
        signal.pause()
    from supervision.demo.live import show  # noqa: PLC0415 # needs rich, which only the extra demo brings

    show(crew, client)


def _told_to_end(_number: int, _frame: FrameType | None) -> Never:
    raise KeyboardInterrupt


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The demo, as `supervision demo` starts it.")
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--json", action="store_true", dest="as_json")
    parser.add_argument("folder", type=Path)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
