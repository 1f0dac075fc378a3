"""Delivery: is every signal delivered, whatever is killed? ``python -m benchmarks.delivery`` counts 100,000 of them.

As many tasks wait, each for a signal of its own; every second signal is sent before its task begins. One of three
workers is killed with -9 every `KILLS_S` and replaced, and every `RESTARTS_S` the store is killed with -9 and started
on its file (`appendfsync always`). A signal is delivered when the result of its task, as Celery stores it, is what was
sent. The command takes a quarter of an hour, prints a table, and ends with 1 if a signal is missing.

A task begins to wait when it runs for the first time; until then it is a message, and kombu may lose one when a worker
or the broker is killed in the moment of taking it. One that has not begun after `AGAIN_S` is sent again with its id.
"""

import argparse
import json
import os
import shlex
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError

from benchmarks import report
from benchmarks.herd import durable, restart
from benchmarks.stage import CeleryProcess, Stage, until
from supervision.client import Client
from supervision.engine.canvas import wait_for
from supervision.errors import StoreUnavailable

NUMBER = 100_000
AT_ONCE = 500
"""Tasks that begin to wait together; the next ones begin while these are signalled."""

WORKERS = 3
KILLS_S, RESTARTS_S = 10.0, 60.0
AGAIN_S = 30.0
WITHIN_S = 600.0
ENDED = "supervision_waits_ended_total|how=signalled"
"""Of the counters; the scripts count in the same step in which they end a wait."""

TIMEOUT_S = 24 * 3600.0

ROWS = {
    "signals": "signals sent, each awaited by one task",
    "early": "... before their task began to wait",
    "delivered": "delivered: the result of the task is the payload of its signal",
    "ended": "waits that ended by their signal, as counted by the scripts",
    "kills": "kill -9 of a worker with its processes",
    "restarts": "kill -9 of the store, a second's outage, and a start on its file",
    "sent_again": "tasks sent again, since their first message was lost or late",
    "seconds": "seconds",
    "missing": "missing or wrong",
}

PAGE = """\
# Delivery

Written by `{command}`; do not edit. What is done and counted stands at the beginning of `benchmarks/delivery.py`; the
same with fewer signals is among the tests marked `chaos`.

Run on {date}: {machine}; load average {load} when it began and {load_after} when it ended.

"""


class Delivery:
    """Signals, the tasks that wait for them, and workers that are killed meanwhile."""

    def __init__(self, stage: Stage, kills: float, restarts: float) -> None:
        self._stage = stage
        self._app = Celery("sender", broker=stage.server.url, set_as_current=False)  # it asks for no results
        self._client = Client(stage.server.url)
        self._every = {self._kill: kills, self._restart: restarts}
        self._workers: list[CeleryProcess] = [self._worker() for _ in range(WORKERS)]
        self.counts: Counter[str] = Counter()

    def run(self, number: int) -> None:
        """Send so many, and wait until their tasks have ended."""
        for worker in self._workers:
            worker.ready()
        with self._dying():
            for first in range(0, number, AT_ONCE):
                self._some(range(first, min(first + AT_ONCE, number)))
        until(lambda: self.ended() >= number, "all waits to end", within=WITHIN_S, every=0.5)
        self._client.close()

    def missing(self, number: int) -> list[int]:
        """The signals whose tasks have another result than they should, or none; some results may be on their way."""
        left = list(range(number))

        def arrived() -> bool:
            nonlocal left
            left = [i for i in left if not self._result_is_right(i)]
            return not left

        try:
            until(arrived, "all results", within=120, every=1)
        except TimeoutError:
            return left
        return []

    def _result_is_right(self, i: int) -> bool:
        found = self._stage.ask().get(f"celery-task-meta-d-{i}")
        stored: dict[str, Any] = json.loads(found) if found else {}
        return (stored.get("status"), stored.get("result")) == ("SUCCESS", i)

    def _some(self, numbers: Sequence[int]) -> None:
        early, late = numbers[1::2], numbers[::2]
        self._send(early)
        for i in numbers:
            self._wait(i)
        self._begun(numbers)
        self._send(late)
        self.counts["signals"] += len(numbers)
        self.counts["early"] += len(early)

    def _send(self, numbers: Sequence[int]) -> None:
        for i in numbers:
            self._until_heard(lambda i=i: self._client.send(f"d/{i}", i, id=f"s-{i}"))  # type: ignore[misc] # mypy: no type for a default

    def _wait(self, i: int) -> None:
        task = wait_for(f"d/{i}", app=self._app, timeout=TIMEOUT_S)
        self._until_heard(lambda: task.apply_async(task_id=f"d-{i}"))

    def _begun(self, numbers: Sequence[int]) -> None:
        """Wait until all of them are in the store."""
        left, sent = [f"d-{i}" for i in numbers], time.monotonic()

        def all_there() -> bool:
            nonlocal left, sent
            try:
                there = {view.id for view in self._stage.store.open_waits.some(left)}
            except StoreUnavailable:
                return False
            left = [each for each in left if each not in there]
            if left and time.monotonic() - sent > AGAIN_S:
                sent = time.monotonic()
                self.counts["sent_again"] += len(left)
                for each in left:
                    self._wait(int(each.removeprefix("d-")))
            return not left

        until(all_there, "all to wait", within=WITHIN_S, every=0.05)

    def _until_heard(self, do: Callable[[], object]) -> None:
        """Again and again, as whoever sends to a store that is away has to."""

        def heard() -> bool:
            try:
                do()
            except (StoreUnavailable, OperationalError):
                return False
            return True

        until(heard, "the store to answer", within=WITHIN_S, every=0.1)

    def ended(self) -> int:
        """How many waits have ended by their signal."""
        return int(self._stage.ask().hget(self._stage.store.keys.counters, ENDED) or 0)

    @contextmanager
    def _dying(self) -> Iterator[None]:
        """Inside, somebody is killed now and then."""
        over = threading.Event()
        threads = [threading.Thread(target=_repeat, args=(over, every, do)) for do, every in self._every.items()]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def _worker(self) -> CeleryProcess:
        return self._stage.worker("waits", "sweeps", slots=1)

    def _kill(self) -> None:
        victim = self._workers.pop(0)
        os.killpg(victim.group, signal.SIGKILL)
        victim.end()
        self._workers.append(self._worker())
        self.counts["kills"] += 1

    def _restart(self) -> None:
        restart(self._stage)
        self.counts["restarts"] += 1


def _repeat(over: threading.Event, every: float, do: Callable[[], None]) -> None:
    while every and not over.wait(every):
        do()


def delivered(number: int, *, kills: float = KILLS_S, restarts: float = RESTARTS_S) -> dict[str, Any]:
    """Counts of ``number`` signals; the others are how often it is killed (s), 0 for never."""
    began = time.monotonic()
    with Stage() as stage:
        durable(stage)
        stage.beat()
        run = Delivery(stage, kills, restarts)
        run.run(number)
        missing = run.missing(number)
        return {
            **dict.fromkeys(ROWS, 0),
            **run.counts,
            "delivered": number - len(missing),
            "ended": run.ended(),
            "missing": len(missing),
            "which": missing[:20],
            "seconds": round(time.monotonic() - began),
        }


def main(arguments: Sequence[str]) -> int:
    """Run it, and report; answers the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.delivery", description="Signals, counted under kills.")
    parser.add_argument("--signals", type=int, default=NUMBER, help=f"how many (default: {NUMBER:,})")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page of the documents")
    wanted = parser.parse_args(arguments)
    facts = report.ground(shlex.join(["python", "-m", "benchmarks.delivery", *arguments]))
    told = delivered(wanted.signals)
    table = "\n".join(["| | |", "|---|--:|", *(f"| {what} | {told[name]:,} |" for name, what in ROWS.items())]) + "\n"
    sys.stdout.write(table)
    if wanted.write:
        wanted.write.write_text(PAGE.format(**facts, load_after=report.load()) + table)
    return int(told["missing"] > 0 or told["ended"] != wanted.signals)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
