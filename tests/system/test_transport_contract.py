"""The store is restarted under workers in every state; ours live, a stock one dies, in one run.

When the stock worker lives, upstream has repaired what `supervision.engine.transport` is for: see the message.
"""

import signal
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import redis
from celery import Celery
from celery_processes import Worker, database, ended, lines, publish, until
from hardened_app import hardened
from kombu.exceptions import OperationalError
from stock_app import stock
from watched_store import WatchedStore, watched

from supervision.server import EmbeddedStore

VISIBILITY_S = 6
ETA_S = 8
CASES = [(state, pool) for state in ("idle", "busy", "eta") for pool in ("prefork", "threads")]
NO_LONGER_NEEDED = (
    "the stock worker outlived the restart of its broker with a task running: upstream no longer needs our transport. "
    "Check that this holds for rediss:// and sentinel://, too, then delete supervision/engine/transport.py."
)


@dataclass
class Fleet:
    """One worker of ours per case on one store, and what they left behind."""

    folder: Path
    store: EmbeddedStore
    app: Celery
    workers: dict[tuple[str, str], Worker]

    def hold(self, app: Celery, queue: str, name: str) -> None:
        publish(app, "probe.hold", str(self.folder), name, f"{name}.go", queue=queue)
        until(lambda: lines(self.folder, name), f"{name} started")

    def release(self, name: str) -> None:
        (self.folder / f"{name}.go").touch()

    def mark(self, app: Celery, queue: str, name: str, **options: float) -> str:
        return publish(app, "probe.mark", str(self.folder), name, queue=queue, **options)

    def await_marked(self, *names: str) -> None:
        def missing() -> list[str]:
            return [name for name in names if "marked" not in lines(self.folder, name)]

        until(lambda: not missing(), lambda: f"{missing()} consumed; logs:\n{self.logs()}")

    def logs(self) -> str:
        return "\n".join(worker.log[-3000:] for worker in self.workers.values())


def queue_of(case: tuple[str, str]) -> str:
    return "probe." + "-".join(case)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("contract")
    with EmbeddedStore(folder / "store") as store, ExitStack() as cleanup:
        workers = {}
        for case in CASES:
            workers[case] = Worker(
                folder, store.url, queue_of(case), pool=case[1], PROBE_VISIBILITY_S=str(VISIBILITY_S)
            )
            cleanup.enter_context(ended(workers[case]))
        app = hardened(store.url, VISIBILITY_S)
        cleanup.callback(app.close)
        for worker in workers.values():
            worker.await_ready()
        yield Fleet(folder, store, app, workers)


def go_down(store: EmbeddedStore, number: signal.Signals) -> None:
    server = psutil.Process(store.pid)
    server.send_signal(number)
    until(lambda: not store.running, "the store is down")


@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.chaos)],
    ids=lambda number: number.name,
)
def test_our_workers_outlive_a_restart_of_the_store_that_kills_a_stock_one(
    fleet: Fleet, number: signal.Signals
) -> None:
    key = uuid.uuid4().hex[:8]
    names = {case: f"{key}-{'-'.join(case)}" for case in CASES}
    stock_url = database(fleet.store.url, 1)
    stock_worker = Worker(fleet.folder, stock_url, "probe.stock", app="stock_app")
    with ended(stock_worker), stock(stock_url) as stock_app:
        fleet.hold(stock_app, "probe.stock", f"{key}-stock")
        for case, name in names.items():
            if case[0] == "busy":
                fleet.hold(fleet.app, queue_of(case), name)
            if case[0] == "eta":
                task_id = fleet.mark(fleet.app, queue_of(case), name, countdown=ETA_S)
                fleet.workers[case].await_log(f"{task_id}. received")
        losses = {case: worker.logged("Connection to broker lost") for case, worker in fleet.workers.items()}

        go_down(fleet.store, number)
        for case, worker in fleet.workers.items():
            worker.await_log("Connection to broker lost", times=losses[case] + 1)
        fleet.store.start()

        for case, name in names.items():
            fleet.mark(fleet.app, queue_of(case), f"{name}-after")
        fleet.await_marked(*(f"{name}-after" for name in names.values()))
        for case, name in names.items():
            if case[0] == "busy":
                fleet.release(name)
                until(lambda name=name: any("finished" in line for line in lines(fleet.folder, name)), f"{name} done")
        fleet.await_marked(*(name for case, name in names.items() if case[0] == "eta"))
        assert all(worker.alive for worker in fleet.workers.values()), fleet.logs()

        fleet.release(f"{key}-stock")
        with_error = "Unrecoverable error: AttributeError"
        until(lambda: stock_worker.logged(with_error) or stock_worker.logged("Connected to") > 1, "stock's reaction")
        assert stock_worker.logged(with_error), NO_LONGER_NEEDED
        assert stock_worker.wait(60) == 1, NO_LONGER_NEEDED


@pytest.mark.chaos
def test_our_workers_look_for_their_broker_every_second_however_long_it_is_away(fleet: Fleet) -> None:
    tries = {case: worker.logged("Trying again in 1.00 second") for case, worker in fleet.workers.items()}
    key = uuid.uuid4().hex[:8]
    go_down(fleet.store, signal.SIGKILL)
    for case, worker in fleet.workers.items():
        worker.await_log("Trying again in 1.00 second", times=tries[case] + 3)
    fleet.store.start()
    for case in CASES:
        fleet.mark(fleet.app, queue_of(case), f"{key}-{'-'.join(case)}")
    fleet.await_marked(*(f"{key}-{'-'.join(case)}" for case in CASES))


def test_our_workers_outlive_a_store_that_is_full(fleet: Fleet) -> None:
    case = ("busy", "prefork")
    key = uuid.uuid4().hex[:8]
    worker, queue = fleet.workers[case], queue_of(case)
    with redis.Redis.from_url(fleet.store.url) as client:
        # Two hold both slots, the third waits in the queue: taking it writes, and that write is refused.
        for number in range(3):
            publish(fleet.app, "probe.hold", str(fleet.folder), f"{key}-{number}", f"{key}.go", queue=queue)
        until(lambda: sum(bool(lines(fleet.folder, f"{key}-{n}")) for n in range(3)) == 2, "two of three run")
        client.config_set("maxmemory", 1)
        try:
            fleet.release(key)
            worker.await_log("OOM|command not allowed when used memory")
        finally:
            client.config_set("maxmemory", 0)
    fleet.mark(fleet.app, queue, f"{key}-after")
    fleet.await_marked(f"{key}-after")
    assert worker.alive, worker.log


def test_our_workers_outlive_a_store_that_became_a_read_only_replica(fleet: Fleet) -> None:
    key = uuid.uuid4().hex[:8]
    with redis.Redis.from_url(fleet.store.url) as client:
        before = {case: worker.logged("UNBLOCKED|READONLY|read only") for case, worker in fleet.workers.items()}
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        try:
            for case, worker in fleet.workers.items():
                worker.await_log("UNBLOCKED|READONLY|read only", times=before[case] + 1)
        finally:
            client.execute_command("REPLICAOF", "NO", "ONE")
    for case in CASES:
        fleet.mark(fleet.app, queue_of(case), f"{key}-{'-'.join(case)}")
    fleet.await_marked(*(f"{key}-{'-'.join(case)}" for case in CASES))
    assert all(worker.alive for worker in fleet.workers.values()), fleet.logs()


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[WatchedStore]:
    """A master and a replica that a sentinel watches."""
    with watched(tmp_path) as found:
        yield found


@pytest.mark.servers
def test_our_workers_outlive_a_failover_that_sentinels_decide(sentinel: WatchedStore, tmp_path: Path) -> None:
    url = sentinel.celery_url
    # The default visibility: a failover takes as long as the short one, and a second copy would take the free slot.
    worker = Worker(tmp_path, url, "probe.sentinel")
    with ended(worker), hardened(url) as app:
        worker.await_ready()
        publish(app, "probe.hold", str(tmp_path), "busy", "go", queue="probe.sentinel")
        until(lambda: lines(tmp_path, "busy"), "busy")
        sentinel.kill_master()
        worker.await_log("Connection to broker lost")
        until(lambda: published(app, tmp_path), "a message reaches the new master", within=90)
        until(lambda: lines(tmp_path, "after"), lambda: f"consumed from the new master:\n{worker.log}")
        (tmp_path / "go").touch()
        until(lambda: "finished" in "".join(lines(tmp_path, "busy")), "finished")
        assert worker.alive, worker.log


def published(app: Celery, folder: Path) -> bool:
    try:
        publish(app, "probe.mark", str(folder), "after", queue="probe.sentinel")
    except OperationalError:
        return False
    return True
