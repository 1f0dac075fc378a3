"""Memory per child, in a process that has declared and loaded 10,000 of them, and in the store.

A process of its own reads its resident size before it declares a supervisor, and after it has ticked, so that what it
holds for good and one loaded view are in it; the baseline is the same number of the same documents, decoded and kept.
The store is asked for its used memory before and after (`INFO memory`), less what the history holds: each child is
born, seen and settled. Its baseline is the bytes of the documents and records alone. Each sample is one process.
"""

import gc
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import psutil

from benchmarks.crowd import Crowd, Reading
from benchmarks.figures import Figure
from benchmarks.stage import ROOT, Stage
from supervision.store.store import Store

CHILDREN, TIMES = 10_000, 3
QUICK_CHILDREN, QUICK_TIMES = 1_000, 1
KIB = 1024


class Sizes(NamedTuple):
    """KiB per child."""

    documents: float
    process: float
    bare: float
    store: float


def measure(*, quick: bool) -> Iterator[Figure]:
    """The figures of this benchmark."""
    children = QUICK_CHILDREN if quick else CHILDREN
    sizes = [_asked(children) for _ in range(QUICK_TIMES if quick else TIMES)]
    of = f"of {children:,}"
    documents = Figure(f"memory, decoded document, per child {of}", "KiB", [size.documents for size in sizes])
    bare = Figure(
        f"memory, stored bytes of documents and records, per child {of}", "KiB", [size.bare for size in sizes]
    )
    yield documents
    yield Figure(f"memory, process, per child {of}", "KiB", [size.process for size in sizes], documents)
    yield bare
    yield Figure(f"memory, store, per child {of}", "KiB", [size.store for size in sizes], bare)


def _asked(children: int) -> Sizes:
    """What a fresh process finds."""
    with Stage() as stage:
        command = [sys.executable, "-m", "benchmarks.memory", str(children)]
        told = subprocess.run(  # noqa: S603 - this Python and this very module
            command, cwd=ROOT, input=stage.server.url, capture_output=True, text=True, check=True
        )
    return msgspec.json.decode(told.stdout, type=Sizes)


def probe(url: str, children: int) -> Sizes:
    """Declare, load and tick ``children``; the order matters, as memory is seldom given back."""
    store = Store(url)
    client: Any = store.client
    documents = [msgspec.json.encode(Reading(on=True, pid=i)) for i in range(children)]
    before, stored = _resident(), client.info("memory")["used_memory"]
    kept = [msgspec.json.decode(document, type=Reading) for document in documents]
    decoded = _resident() - before
    before = _resident()
    crowd = Crowd(store, children)
    crowd.look(change=True)
    crowd.tick()
    declared = _resident() - before
    hashes = [client.hgetall(crowd.key(what)) for what in ("observed", "records", "seen")]
    bare = sum(len(key) + len(value) for flat in hashes for key, value in flat.items())
    history = client.memory_usage(store.keys.events, samples=0)
    used = client.info("memory")["used_memory"] - stored - history
    return Sizes(*(size / len(kept) / KIB for size in (decoded, declared, bare, used)))


def _resident() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    found = probe(sys.stdin.read(), int(sys.argv[1]))
    sys.stdout.write(msgspec.json.encode(found).decode())
