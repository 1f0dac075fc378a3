"""How Flower is started beside this system: bounded memory, local address, and never needed for correctness.

Rules: plain command-line arguments, so that they can be read, copied and changed; nothing of Flower is imported here.
"""

from supervision.errors import InvalidDeclaration

MAX_TASKS = 10_000
"""Tasks that Flower keeps, at about 3.3 kB each: 33 MB instead of 350 MB with its default of 100,000."""

PURGE_OFFLINE_S = 300
"""Seconds after which a worker that is gone leaves Flower's list; by default it stays and is counted for ever."""

LOCAL = "127.0.0.1"


def flower_arguments(port: int, *, address: str = LOCAL) -> list[str]:
    """What stands after ``celery -A <app>``, e.g. ``["flower", "--port=5555", ...]``.

    Another ``address`` than the local one needs authentication, which is yours to choose: Flower can end workers.
    """
    if not 0 < port < 2**16:
        raise InvalidDeclaration(f"Flower's port is {port}; a port is a number from 1 to 65535")
    return [
        "flower",
        f"--port={port}",
        f"--address={address}",
        f"--max_tasks={MAX_TASKS}",
        f"--purge_offline_workers={PURGE_OFFLINE_S}",
        "--enable_events=False",  # else it switches events on in every worker, again every 5 s: a quarter of throughput
        "--persistent=False",  # its file grows and is written as a whole; the history is in our store
    ]
