"""A coordinator of `benchmarks.deaths`, as a program and as a task: both stay until they are killed.

``python -m benchmarks.plants.mortal URL NAME BEAT DEAD``: it also keeps a bare key that expires after DEAD seconds and
is renewed every BEAT, and ends with its standard input.
"""

import sys
import threading
from typing import Any

from celery import shared_task

from supervision import coordinator
from supervision.client import Client
from supervision.store.connection import connect

STAYS_S = 60.0
"""Seconds that a task stays whom nobody kills."""


def bare(name: str) -> str:
    """The key that expires."""
    return f"benchmarks:alive:{name}"


@shared_task(name="benchmarks.stay", acks_late=False, ignore_result=True)
@coordinator(lambda name: name)
def stay(name: str) -> None:  # noqa: ARG001 # the coordinator's
    """Do nothing, until it is killed."""
    threading.Event().wait(STAYS_S)


def main(url: str, name: str, beat: str, dead: str) -> None:
    """Live."""
    over, raw = threading.Event(), _client(url)
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    with Client(url) as client:
        client.coordinator(name)
        raw.set(bare(name), 1, px=round(float(dead) * 1000))
        sys.stdout.write("registered\n")
        sys.stdout.flush()
        while not over.wait(float(beat)):
            raw.set(bare(name), 1, px=round(float(dead) * 1000))


def _client(url: str) -> Any:
    return connect(url)


if __name__ == "__main__":
    main(*sys.argv[1:])
