"""The gate: a claim and an empty commit, two scripts; what every tick costs however little it has to do.

Its baselines, measured in turn with it on the same connection: one `PING`, and two empty `EVALSHA`, which is what two
scripts cost before they do anything. *Inside the store* is the time that the server itself counts for the two scripts
(`INFO commandstats`); the rest is the way there and back.
"""

import time
from collections.abc import Iterator
from typing import Any

from benchmarks.crowd import Crowd
from benchmarks.figures import Figure, Goal, expect, timed
from benchmarks.stage import Stage
from supervision.decide import Plan
from supervision.view import Claim

TIMES = 2_000
QUICK = 50
GOAL = Goal("median", 0.25)


def measure(*, quick: bool) -> Iterator[Figure]:
    """The figures of this benchmark."""
    pings: list[float] = []
    scripts: list[float] = []
    gates: list[float] = []
    with Stage() as stage:
        crowd, client = Crowd(stage.store, 1), stage.ask()
        nothing = client.register_script("return 1")
        nothing()
        for _ in range(QUICK if quick else TIMES):
            pings += timed(client.ping, 1)
            scripts += timed(lambda: (nothing(), nothing()), 1)
            gates.append(gate(crowd))
        inside = [_inside(crowd) for _ in range(QUICK)]
    ping, script = Figure("gate, one PING", "ms", pings), Figure("gate, two empty EVALSHA", "ms", scripts)
    yield from (ping, script)
    whole = Figure("gate, claim and empty commit", "ms", gates, script, GOAL)
    yield whole
    yield Figure("gate, inside the store", "ms", inside, whole)


def gate(crowd: Crowd) -> float:
    """One claim and one empty commit; answers the milliseconds that both took, waiting for the slot aside."""
    ticks: Any = crowd.store.ticks
    view = ticks.load(crowd.supervisor, Claim(0, 0, 0))
    while True:
        begun = time.perf_counter()
        claim = ticks.claim(crowd.supervisor, "slot")
        if isinstance(claim, Claim):
            break
    committed = ticks.commit(view, Plan(None, ()), claim)
    took = (time.perf_counter() - begun) * 1000
    expect(committed.outcome, "done", "an empty commit")
    return took


def _inside(crowd: Crowd) -> float:
    """Milliseconds of one gate as the server counts them; the claims that came too early are in it, so it waits."""
    time.sleep(2 * crowd.supervisor.interval_ms / 1000)
    before = _counted(crowd)
    gate(crowd)
    return (_counted(crowd) - before) / 1000


def _counted(crowd: Crowd) -> float:
    client: Any = crowd.store.client
    return float(client.info("commandstats")["cmdstat_evalsha"]["usec"])
