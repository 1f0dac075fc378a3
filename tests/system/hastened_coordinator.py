"""A program that is a coordinator and beats when it is told to: ``hastened_coordinator.py URL NAME SIGNAL TIMEOUT``.

Its heart is woken by each line of the standard input, which is answered when the store has answered. By itself it beats
every 5 s, as any does. Prints how its wait ended.
"""

import sys
import threading
from collections.abc import Sequence
from typing import Any

from supervision.client import Client
from supervision.store.coordinators import Beat


def main(url: str, name: str, signal: str, timeout: str) -> None:
    with Client(url) as client:
        coordinators: Any = client._store.coordinators
        beat, asked, beaten = coordinators.beat, threading.Event(), threading.Semaphore(0)

        def beats(each: Sequence[Beat]) -> dict[str, str]:
            wanted = asked.is_set()  # one that had begun before does not count
            refused: dict[str, str] = beat(each)
            if wanted:
                asked.clear()
                beaten.release()
            return refused

        coordinators.beat = beats
        coordinator = client.coordinator(name)
        say("registered")
        threading.Thread(target=on_each_line, args=(client, asked, beaten), daemon=True).start()
        say(f"got {coordinator.wait(signal, timeout=float(timeout))}")


def on_each_line(client: Client, asked: threading.Event, beaten: threading.Semaphore) -> None:
    for _ in sys.stdin:
        asked.set()
        client._heart._wake.set()
        beaten.acquire()
        say("beaten")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
