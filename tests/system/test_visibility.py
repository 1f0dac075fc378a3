"""What a live worker holds stays with it, however long it takes; what a dead one held comes back soon."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
from celery import Celery
from celery_processes import Worker, database, ended, lines, publish, until
from hardened_app import hardened
from stock_app import stock

from supervision.engine import steps
from supervision.server import EmbeddedStore

VISIBILITY_S = 3
SWEEP_S = 1
LATENESS_S = 20
"""Seconds for which a loaded machine may keep everybody from running."""

POOLS = ("prefork", "threads", "solo")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    with EmbeddedStore(tmp_path / "store") as server:
        yield server


def starts(folder: Path, name: str) -> int:
    return sum("started" in line for line in lines(folder, name))


def hold(app: Celery, folder: Path, name: str) -> None:
    publish(app, "probe.hold", str(folder), name, "go", queue=f"probe.{name}")


@pytest.mark.chaos
def test_a_task_longer_than_the_visibility_timeout_runs_once(store: EmbeddedStore, tmp_path: Path) -> None:
    # The control has the same timeout and no renewal: when its task runs for the third time, ours had every
    # opportunity. The neighbour is somebody else's app with stock settings on our database: it is left alone.
    quick = {"PROBE_VISIBILITY_S": str(VISIBILITY_S)}
    with ExitStack() as cleanup:

        def worker(url: str, name: str, **more: str) -> Worker:
            started = Worker(tmp_path, url, f"probe.{name}", slots=3, **more)
            cleanup.enter_context(ended(started))
            return started

        bare = database(store.url, 1)
        workers = [worker(store.url, pool, pool=pool, **quick) for pool in POOLS]
        workers.append(worker(store.url, "neighbour", app="stock_app"))
        workers.append(worker(bare, "control", PROBE_WITHOUT_RENEWAL="yes", **quick))
        for each in workers:
            each.await_ready()
        with hardened(store.url) as app, stock(store.url) as neighbour, hardened(bare) as control:
            for pool in POOLS:
                hold(app, tmp_path, pool)
            hold(neighbour, tmp_path, "neighbour")
            for name in (*POOLS, "neighbour"):
                until(lambda name=name: starts(tmp_path, name), f"{name} started")
            hold(control, tmp_path, "control")

        until(lambda: starts(tmp_path, "control") >= 3, "the control runs for the third time")
        (tmp_path / "go").touch()
        for name in (*POOLS, "neighbour"):
            until(lambda name=name: any("finished" in line for line in lines(tmp_path, name)), f"{name} finished")
        with redis.Redis.from_url(store.url) as client:
            until(lambda: not client.hlen("supervision.unacked"), "everything of ours is acknowledged")
        assert {name: starts(tmp_path, name) for name in (*POOLS, "neighbour")} == dict.fromkeys(
            (*POOLS, "neighbour"), 1
        )


@pytest.mark.chaos
def test_what_a_killed_worker_held_comes_back_after_the_visibility_timeout(
    store: EmbeddedStore, tmp_path: Path
) -> None:
    first, second = (
        Worker(tmp_path, store.url, "probe.killed", slots=1, PROBE_VISIBILITY_S=str(VISIBILITY_S)) for _ in range(2)
    )
    with ended(first, second), hardened(store.url) as app:
        first.await_ready()
        second.await_ready()
        hold(app, tmp_path, "killed")
        until(lambda: starts(tmp_path, "killed"), "one of them runs it")
        holder = first if first.logged("received") else second
        holder.kill_group()
        killed = time.monotonic()
        until(lambda: starts(tmp_path, "killed") == 2, "the other runs it", within=VISIBILITY_S + SWEEP_S + LATENESS_S)
        # Not at once either: nobody hands it back, it is found by the sweep.
        assert time.monotonic() - killed > VISIBILITY_S / steps.RENEWALS_PER_TIMEOUT
