"""The stage of one benchmark: a store of its own in a temporary folder, and Celery processes, ended by their pids."""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Self, TypeVar

from celery import Celery

from supervision.engine import transport
from supervision.engine.publish import CeleryPublisher
from supervision.guarded import Guarded
from supervision.server import EmbeddedStore
from supervision.store.store import Store

ROOT = Path(__file__).parents[1]

READY_S = 60.0
"""Seconds until a worker must be there; a busy machine needs ten."""

GRACE_S = 0.1
"""Seconds a process has to end when it is told to; nothing that it leaves undone is needed any more."""

FOLDER = "BENCHMARK_FOLDER"
"""The variable that tells the children of a plant where their real things are: files in this folder."""

_T = TypeVar("_T")


def folder() -> Path:
    """Where the plants' files are, in this process or a worker's."""
    return Path(os.environ[FOLDER])


def until(condition: Callable[[], _T], what: str, *, within: float = READY_S, every: float = 0.01) -> _T:
    """The first true value of ``condition``; an error that names ``what`` when there is none ``within`` seconds."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within:g} s")
        time.sleep(every)
    return value


def drained(app: Celery, queue: str, send: Callable[[], Callable[[], object]]) -> float:
    """Milliseconds that the worker on ``queue`` takes from the first message on, all of which are there before.

    ``send`` answers the condition that ends it. So the sender, which is this process, takes none of its time.
    """
    if not app.control.cancel_consumer(queue, reply=True, limit=1, timeout=READY_S):
        raise RuntimeError(f"nobody who takes from {queue} answers")
    ended, begun = send(), time.perf_counter()
    app.control.add_consumer(queue)
    until(ended, f"the end of what was in {queue}", within=600, every=0.005)
    return (time.perf_counter() - begun) * 1000


class CeleryProcess:
    """``python -m celery -A tasks ...``, which ends with this process, whatever ends that."""

    def __init__(self, log: Path, environment: dict[str, str], *arguments: str) -> None:
        self._log = log
        with log.open("wb") as output:
            self._guarded = Guarded(
                [sys.executable, "-m", "celery", "-A", "tasks", *arguments],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdout=output,
                grace=GRACE_S,
                tree=True,
            )
        self.group = os.getpgid(self._guarded.pid)

    @property
    def log(self) -> str:
        """All that it wrote."""
        return self._log.read_text(errors="replace")

    def ready(self) -> Self:
        """Wait until it takes work."""

        def said() -> bool:
            if self._guarded.poll() is not None:
                raise RuntimeError(f"a worker ended with {self._guarded.poll()}:\n{self.log[-2000:]}")
            return " ready." in self.log

        until(said, "a worker that is ready", every=0.05)
        return self

    def end(self) -> None:
        """End it and all that it started; idempotent."""
        self._guarded.stop()


class Stage:
    """A store, and whatever Celery processes a benchmark starts on it; all of it goes with the ``with`` block.

    ``imports`` are the modules that declare what the processes supervise, ``environment`` what else they are told.
    The store does not rewrite its append-only file by itself until it is started again: while it does, scripts take
    several times as long, and when it does would be chance. `sweeps` measures that.
    """

    def __init__(self, *imports: str, **environment: str) -> None:
        self._imports = imports
        self._environment = environment
        self._stack = ExitStack()
        self._started = 0

    def __enter__(self) -> Self:
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
        self.server = self._stack.enter_context(EmbeddedStore(self.folder / "store"))
        self.store = self._stack.enter_context(closing(Store(self.server.url)))
        self.ask().config_set("auto-aof-rewrite-percentage", 0)
        self._stack.callback(os.environ.pop, FOLDER, None)
        os.environ[FOLDER] = str(self.folder)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def publisher(self) -> CeleryPublisher:
        """A publisher as our processes have it, on this stage's broker."""
        return CeleryPublisher(self.app())

    def app(self) -> Celery:
        """An app to send with, set up as ours is."""
        transport.install()
        app = Celery("benchmarks", set_as_current=False)
        app.config_from_object("celeryconfig")
        url = self.server.url
        app.conf.update(broker_url=url, result_backend=url, supervision_store_url=url)
        self._stack.callback(app.close)
        # Results that go later would tell a server that is gone.
        self._stack.callback(app.backend.result_consumer.subscribed_to.clear)
        return app

    def worker(self, *queues: str, slots: int) -> CeleryProcess:
        """A worker with ``slots`` processes that takes from ``queues``; not waited for."""
        listed = ",".join(f"supervision.{queue}" for queue in queues)
        quiet = ("--without-gossip", "--without-mingle")
        return self._celery("worker", "-Q", listed, "-c", str(slots), "-l", "INFO", "-n", f"w{self._started}@b", *quiet)

    def beat(self) -> CeleryProcess:
        """A beat."""
        return self._celery("beat", "-s", str(self.folder / "schedule"), "-l", "INFO")

    def now(self) -> int:
        """The store's clock, in milliseconds."""
        seconds, micros = self.ask().time()
        return int(seconds) * 1000 + int(micros) // 1000

    def moment(self) -> float:
        """The store's clock, in milliseconds to the microsecond, as `benchmarks.plants.bare.stamp` has it."""
        seconds, micros = self.ask().time()
        return float(seconds * 1000 + micros / 1000)

    def ask(self) -> Any:
        """The bare client; its types are those of the synchronous and the asynchronous one at once."""
        return self.store.client

    def _celery(self, *arguments: str) -> CeleryProcess:
        environment = {
            "SUPERVISION_STORE_URL": self.server.url,
            "SUPERVISION_IMPORTS": ",".join(self._imports),
            "REMAP_SIGTERM": "SIGQUIT",
            **self._environment,
        }
        self._started += 1
        process = CeleryProcess(self.folder / f"celery-{self._started}.log", environment, *arguments)
        self._stack.callback(process.end)
        return process
