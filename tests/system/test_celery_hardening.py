"""Nothing hangs on a store that is gone or silent, nothing is lost at SIGTERM, and no pool is used beyond its means."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import kombu.exceptions
import pytest
import redis
from celery_processes import CeleryProcess, Worker, ended, free_port, lines, publish, until
from hardened_app import hardened

from supervision.engine.flower import flower_arguments
from supervision.errors import InvalidDeclaration
from supervision.server import EmbeddedStore

PUBLISH_PROMISE_S = 15
LATENESS_S = 15
"""Seconds for which a loaded machine may keep everybody from running."""

SOFT_S = 2


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStore]:
    with EmbeddedStore(tmp_path_factory.mktemp("hardening") / "store") as server:
        yield server


@contextmanager
def paused(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def seconds_until_publishing_fails(url: str, *, want_result: bool) -> float:
    with hardened(url) as app:
        began = time.monotonic()
        # RuntimeError is what Celery raises when it cannot subscribe to a result.
        with pytest.raises((kombu.exceptions.OperationalError, RuntimeError)):
            app.send_task("probe.mark", ("/nowhere", "lost"), queue="probe.publish", ignore_result=not want_result)
        return time.monotonic() - began


@pytest.mark.parametrize("want_result", [False, True])
def test_publishing_to_a_dead_port_fails_in_time(*, want_result: bool) -> None:
    took = seconds_until_publishing_fails(f"redis://127.0.0.1:{free_port()}/0", want_result=want_result)
    assert took < PUBLISH_PROMISE_S


@pytest.mark.chaos
def test_publishing_and_beat_do_not_hang_on_a_store_that_is_silent(store: EmbeddedStore, tmp_path: Path) -> None:
    schedule = str(tmp_path / "schedule")
    beat = CeleryProcess(
        tmp_path, "hardened_app", "beat", "-l", "INFO", "-s", schedule, SUPERVISION_STORE_URL=store.url
    )
    with ended(beat), redis.Redis.from_url(store.url) as client, ThreadPoolExecutor() as callers:
        until(lambda: client.llen("probe.beat"), "beat publishes")
        with paused(store.pid):
            waits = [
                callers.submit(seconds_until_publishing_fails, store.url, want_result=wanted)
                for wanted in (False, True)
            ]
            took = [wait.result(timeout=60) for wait in waits]
            beat.await_log("Message Error", within=PUBLISH_PROMISE_S + LATENESS_S)
        before = client.llen("probe.beat")
        until(lambda: client.llen("probe.beat") > before + 1, "beat goes on")
        assert beat.alive
    # Slack for a machine that ran something else: what hangs lasts as long as the pause.
    assert max(took) < PUBLISH_PROMISE_S + LATENESS_S


def test_direct_queues_need_no_binding_table(store: EmbeddedStore, tmp_path: Path) -> None:
    worker = Worker(tmp_path, store.url, "supervision.ticks", slots=1)
    with ended(worker), hardened(store.url) as app, redis.Redis.from_url(store.url) as client:
        worker.await_ready()
        # The first one declares the queue; what comes after it trusts that this is still so.
        publish(app, "probe.mark", str(tmp_path), "before", queue="supervision.ticks")
        until(lambda: lines(tmp_path, "before"), "published and consumed")
        client.flushdb()
        publish(app, "probe.mark", str(tmp_path), "after", queue="supervision.ticks")
        until(lambda: lines(tmp_path, "after"), "published and consumed")
        publish(app, "probe.mark", str(tmp_path), "elsewhere", queue="supervision.sweeps")
        assert client.llen("supervision.sweeps") == 1, "one message lands in one queue"
        assert client.llen("supervision.actions") == 0


@pytest.mark.chaos
@pytest.mark.parametrize("whole_group", [False, True], ids=["main process", "every process, as systemd may do"])
def test_sigterm_hands_running_work_to_another_worker_at_once(
    store: EmbeddedStore, tmp_path: Path, *, whole_group: bool
) -> None:
    queue = f"probe.term{int(whole_group)}"
    # REMAP_SIGTERM is not set for these workers: they see to it themselves.
    first = Worker(tmp_path, store.url, queue, slots=1, PROBE_SOFT_S=str(SOFT_S))
    second = Worker(tmp_path, store.url, queue, slots=1, PROBE_SOFT_S=str(SOFT_S))
    with ended(first, second), hardened(store.url) as app:
        first.await_ready()
        second.await_ready()
        publish(app, "probe.hold", str(tmp_path), "long", "never", queue=queue)
        until(lambda: lines(tmp_path, "long"), "started")
        # A worker that is told to end in the millisecond before it hears that a task has begun waits for that task.
        until(lambda: any((app.control.inspect(timeout=2).active() or {}).values()), "the worker knows that it runs")
        holder = first if first.logged("received") else second
        if whole_group:
            os.killpg(holder.pid, signal.SIGTERM)
        else:
            holder.send(signal.SIGTERM)
        holder.wait(within=SOFT_S + LATENESS_S)
        # The visibility timeout is a minute: within these seconds it can only have been handed back.
        until(lambda: len(lines(tmp_path, "long")) == 2, "the other one runs it", within=LATENESS_S)
        assert "finished" not in "".join(lines(tmp_path, "long"))


@pytest.mark.chaos
def test_work_that_ends_within_the_soft_timeout_is_finished_once(store: EmbeddedStore, tmp_path: Path) -> None:
    worker = Worker(tmp_path, store.url, "probe.soft", slots=1, PROBE_SOFT_S="5")
    with ended(worker), hardened(store.url) as app, redis.Redis.from_url(store.url) as client:
        worker.await_ready()
        publish(app, "probe.hold", str(tmp_path), "short", "go", queue="probe.soft")
        until(lambda: lines(tmp_path, "short"), "started")
        worker.send(signal.SIGTERM)
        worker.await_log("Initiating Soft Shutdown")
        (tmp_path / "go").touch()
        worker.wait(within=5 + LATENESS_S)
        assert [line.split()[0] for line in lines(tmp_path, "short")] == ["started", "finished"]
        assert client.llen("probe.soft") == 0


@pytest.mark.chaos
def test_somebody_who_unsets_the_remapping_gets_celerys_own_shutdown(store: EmbeddedStore, tmp_path: Path) -> None:
    worker = Worker(tmp_path, store.url, "probe.warm", slots=1, REMAP_SIGTERM="")
    with ended(worker):
        worker.await_ready()
        worker.send(signal.SIGTERM)
        worker.wait(within=LATENESS_S)
        assert worker.logged("Warm shutdown")


def test_green_pools_are_refused_for_our_queues_and_only_for_them(store: EmbeddedStore, tmp_path: Path) -> None:
    green = {"PROBE_POOL": "green_pool:GreenPool"}
    ours = Worker(tmp_path, store.url, "supervision.actions,theirs", **green)
    theirs = Worker(tmp_path, store.url, "theirs", **green)
    with ended(ours, theirs):
        assert ours.wait(within=60) == 1
        assert ours.logged("cannot serve supervision.actions: it never returns the messages")
        assert not ours.logged("Traceback")
        theirs.await_ready()
        assert not theirs.logged("cannot serve")


@pytest.mark.parametrize(("pool", "warnings"), [("threads", 1), ("solo", 1), ("prefork", 0)])
def test_pools_without_hard_limits_say_so_once(store: EmbeddedStore, tmp_path: Path, pool: str, warnings: int) -> None:
    worker = Worker(tmp_path, store.url, "supervision.actions", pool=pool)
    with ended(worker):
        worker.await_ready()
        assert worker.logged(f"The {pool} pool does not enforce time limits on supervision.actions") == warnings


def test_flower_starts_with_our_arguments(store: EmbeddedStore, tmp_path: Path) -> None:
    port = free_port()
    flower = CeleryProcess(tmp_path, "hardened_app", *flower_arguments(port), SUPERVISION_STORE_URL=store.url)

    def healthy() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthcheck", timeout=5) as answer:
                return bool(answer.read() == b"OK")
        except OSError:
            assert flower.alive, flower.log
            return False

    with ended(flower):
        until(healthy, lambda: f"Flower answers:\n{flower.log}")
        assert not flower.logged("(?i)unknown|unrecognized|error")


def test_flower_understands_each_of_our_arguments() -> None:
    # The command ignores what it does not know; its own parser does not.
    script = (
        "import sys; from flower.options import options; options.parse_command_line(sys.argv); "
        "print(options.max_tasks, options.enable_events, options.purge_offline_workers, options.persistent, "
        "options.address, options.port)"
    )
    seen = subprocess.run(
        [sys.executable, "-c", script, *flower_arguments(5555)[1:]], capture_output=True, text=True, check=True
    )
    assert seen.stdout.split() == ["10000", "False", "300", "False", "127.0.0.1", "5555"]


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    with pytest.raises(InvalidDeclaration, match=f"{port}; a port is a number from 1 to 65535"):
        flower_arguments(port)
