"""What an earlier demo may have left in this folder, when it and its guards were killed: found and ended at the start.

A demo begins from nothing: its store is emptied, because the incident of an earlier run would count in this one. Only a
store that a demo made is emptied; any other is refused.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from supervision.demo.plant import PROCESSES
from supervision.errors import Conflict
from supervision.kinds.managed import ManagedProcess
from supervision.private_folder import claimed, make_private

MARK = "made-by-the-demo"
"""The file by which a store is known as one that may be emptied."""

END_S = 10.0
"""Seconds to wait for the end of a demo in the same folder: one that was just killed is ended by its guards in two."""

STOP_S = 5.0
"""Seconds between SIGTERM and SIGKILL; the demo's programs need none of them."""


def clear(home: Path) -> list[int]:
    """Empty the demo's folder ``home``; answers the pids of supervised processes that were still there and are ended.

    Raises:
        Conflict: a demo is running in this folder, or the store in it is not a demo's.
        InvalidDeclaration: the folder is not private.
    """
    store = home / "store"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    make_private(store, ours="url")
    if (store / "url").exists() and not (store / MARK).exists():
        raise Conflict(f"{store} holds a store that no demo has made; run the demo in another folder")
    with _unused(store):  # nobody serves it, so nobody's worker can start anything below
        ended = end_supervised(home)
        (store / MARK).touch(mode=0o600)
        for path in store.iterdir():
            if path.name not in {"lock", MARK}:
                _remove(path)
        for name in ("logs", "run"):
            _remove(home / name)
            (home / name).mkdir(mode=0o700)
    return ended


def end_supervised(home: Path) -> list[int]:
    """End the supervised processes that still run: on purpose they outlive the workers. Answers their pids."""
    found = []
    for path in PROCESSES:
        process = ManagedProcess(path, ["-"], folder=home / "processes")
        status = process.status()
        if status.pid:
            process.stop(status.fence, timeout=STOP_S)
            found.append(status.pid)
    return found


@contextmanager
def _unused(store: Path) -> Iterator[None]:
    """Hold the store's lock; what is left of an earlier demo may need some seconds to end."""
    deadline = time.monotonic() + END_S
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(claimed(store / "lock"))
                break
            except Conflict:
                if time.monotonic() > deadline:
                    raise
        yield


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
