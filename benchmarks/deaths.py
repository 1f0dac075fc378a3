"""Deaths: how long after a kill -9 it is known that a coordinator is dead.

Programs that beat are killed one after another, while beat has a worker judge them; from the kill to the record in
the history, by the store's clock. Whoever is silent for the limit (3 s with a beat of 1 s, by default 60 s) is dead,
and is declared so by the next judgement, one of which comes with every beat: the goal is the limit, a beat, and half
of one for a worker to come to it. The baseline is a bare key of the same program that expires after the same limit
and is renewed with every beat: what is left of it at the kill; nobody is told when it goes. In a pool: coordinators
that are tasks, whose pool process is killed and whose worker misses it; the baseline is until the operating system
has nothing left of that process.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks import goals
from benchmarks.figures import Figure, Goal
from benchmarks.plants.mortal import bare, stay
from benchmarks.stage import ROOT, Stage, until
from supervision.coordination.liveness import Patience

MODULE = "benchmarks.plants.mortal"
NUMBER, QUICK = 10, 2
BEATS_MORE = 1.5
PACE_S = 0.37
"""Seconds between two kills: no part of a beat, so that they fall anywhere between two of them."""

HASTY = Patience(heartbeat=1, warning=1.5, critical=2, dead=3)
IN_A_POOL_MS = 1000


def measure(*, quick: bool) -> Iterator[Figure]:
    """The figures of this benchmark. The default takes a minute, for which a quick run has no time."""
    number = QUICK if quick else NUMBER
    yield from _silent(HASTY, number)
    yield from _in_a_pool(number)
    if not quick:
        yield from _silent(Patience(), number)


def _silent(patience: Patience, number: int) -> Iterator[Figure]:
    environment = _environment(patience)
    with Stage(**environment) as stage, ExitStack() as stack:
        stage.worker("sweeps", slots=1).ready()
        stage.beat()
        programs = {f"mortal/{i}": _program(stage, f"mortal/{i}", patience) for i in range(number)}
        for each in programs.values():
            stack.callback(each.communicate)
            stack.callback(each.kill)
            _registered(each)
        killed, left = {}, {}
        for name, each in programs.items():
            each.kill()
            killed[name], left[name] = stage.now(), stage.ask().pttl(bare(name)) / 1000
            threading.Event().wait(PACE_S)
        known = _known(stage, number)
    beat = f"a beat of {patience.heartbeat:g} s"
    key = Figure(f"death, a bare key that expires, {beat}", "s", list(left.values()))
    yield key
    took = [(known[name] - killed[name]) / 1000 for name in programs]
    goal = Goal("max", patience.dead + BEATS_MORE * patience.heartbeat, of=goals.DEATH)
    yield Figure(f"death, from the kill of a program until it is declared, {beat}", "s", took, key, goal)


def _environment(patience: Patience) -> dict[str, str]:
    limits = {"": patience.heartbeat, "_WARNING": patience.warning, "_CRITICAL": patience.critical}
    return {f"SUPERVISION_HEARTBEAT{name}": f"{each:g}" for name, each in {**limits, "_DEAD": patience.dead}.items()}


def _program(stage: Stage, name: str, patience: Patience) -> "subprocess.Popen[str]":
    return subprocess.Popen(  # noqa: S603 # our own program
        [sys.executable, "-m", MODULE, stage.server.url, name, f"{patience.heartbeat:g}", f"{patience.dead:g}"],
        cwd=ROOT,
        env={**os.environ, **_environment(patience)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _registered(program: "subprocess.Popen[str]") -> None:
    if program.stdout is None or program.stdout.readline() != "registered\n":
        raise RuntimeError(f"a program that does not register; it ended with {program.poll()}")


def _known(stage: Stage, number: int) -> dict[str, int]:
    """When each of ``number`` coordinators was declared dead, in store milliseconds."""
    found: dict[str, int] = {}

    def all_of_them() -> bool:
        past = stage.store.history.since(most=10_000)
        found.update({each.subject: each.at for each in past if each.kind == "coordinator" and each.after == "dead"})
        return len(found) == number

    until(all_of_them, f"{number} deaths", within=120, every=0.1)
    return found


def _in_a_pool(number: int) -> Iterator[Figure]:
    killed: dict[str, int] = {}
    gone: list[float] = []
    with Stage(MODULE) as stage:
        stage.worker("waits", "sweeps", slots=2).ready()
        app = stage.app()
        for name in (f"stays/{i}" for i in range(number)):
            app.send_task(stay.name, (name,), queue="supervision.waits", ignore_result=True)
            pid = until(lambda name=name: _pid(stage, name), f"{name} to register")  # type: ignore[misc] # mypy takes it for one with an argument
            os.kill(pid, signal.SIGKILL)
            killed[name] = stage.now()
            until(lambda pid=pid: not os.path.exists(f"/proc/{pid}"), f"the end of {pid}", every=0.001)  # type: ignore[misc]  # noqa: PTH110 # likewise; a file of the system's
            gone.append(stage.now() - killed[name])
            _known(stage, len(killed))
        known = _known(stage, number)
    reaped = Figure("death, until nothing is left of a killed pool process", "ms", gone)
    yield reaped
    took = [float(known[name] - at) for name, at in killed.items()]
    goal = Goal("max", IN_A_POOL_MS, of=goals.DEATH)
    yield Figure("death, from the kill of a pool process until it is declared", "ms", took, reaped, goal)


def _pid(stage: Stage, name: str) -> int:
    """The process of the task that is that coordinator; 0 while it is none."""
    for each in stage.store.coordinators.all():
        if each.id == name:
            return int(each.process.rpartition(":")[2])
    return 0
