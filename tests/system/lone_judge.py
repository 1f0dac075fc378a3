"""A program that judges coordinators all the while: ``lone_judge.py URL BROKER HEARTBEAT WARNING CRITICAL DEAD``.

It ends with its standard input, and prints how many times it has judged and how many deaths it declared.
"""

import sys
import threading

from supervision.client import Client
from supervision.coordination.liveness import Patience

PAUSE_S = 0.02


def main(url: str, broker: str, *patience: str) -> None:
    over, judged, died = threading.Event(), 0, 0
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    with Client(url, broker=broker) as client:
        client._coordination.patience = Patience(*map(float, patience))
        sys.stdout.write("judging\n")
        sys.stdout.flush()
        while not over.wait(PAUSE_S):
            judged += 1
            died += client._coordination.sweep_liveness()
    sys.stdout.write(f"{judged} {died}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
