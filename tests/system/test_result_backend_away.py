"""The result backend, a server of its own, is silent for longer than a claim lasts, while waits end."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import chain
from celery_processes import CeleryProcess, ended, until
from waiting_system import WaitingSystem

from supervision import wait_for
from supervision.server import EmbeddedStore
from supervision.store.waits import LEASE_MS

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]


@contextmanager
def silent(server: EmbeddedStore) -> Iterator[None]:
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def test_what_follows_a_wait_is_started_once_and_no_sweep_is_held_up(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("results")
    with EmbeddedStore(folder / "store") as server, EmbeddedStore(folder / "results") as backend:
        system = WaitingSystem(folder, server, SUPERVISION_RESULT_URL=backend.url)
        system.app.conf.result_backend = backend.url
        sweeps, waits = (worker(system, queue) for queue in ("sweeps", "waits"))
        try:
            with ended(sweeps, waits):
                sweeps.await_log(r" ready\.")
                waits.await_log(r" ready\.")
                survives(system, backend, sweeps)
        finally:
            system.end()


def worker(system: WaitingSystem, queue: str) -> CeleryProcess:
    options = ("-Q", f"supervision.{queue}", "-c", "4", "-n", f"{queue}@test", "-l", "INFO")
    return CeleryProcess(system.folder, "tasks", "worker", *options, **system.environment)


def survives(system: WaitingSystem, backend: EmbeddedStore, sweeps: CeleryProcess) -> None:
    store: Any = system.client._store
    for name, timeout in (("signalled", 600), ("late", 5)):
        wait = wait_for(name, app=system.app, timeout=timeout, on_timeout={"late": True})
        chain(wait, system.task("note", tag=name), app=system.app)()
        system.waiting_for(name)
    ids = [system.client.waits(signal=name)[0].id for name in ("signalled", "late")]
    with silent(backend):
        system.client.send("signalled", 1)
        began = system.client.now()
        until(lambda: system.client.now() - began > LEASE_MS + 10_000, system.story, within=120)
        states = [store.client.hget(store.keys.wait(each), "started") for each in ids]
        assert states == [b"1", b"1"], system.story()
        swept = sweeps.logged(r"Task supervision.sweep\[\S+\] succeeded")
        until(
            lambda: sweeps.logged(r"Task supervision.sweep\[\S+\] succeeded") > swept + 10, lambda: sweeps.log[-2000:]
        )
    until(lambda: {system.client.explain(each).state for each in ids} == {"processed"}, system.story)
    until(lambda: len(system.notes()) == len(ids), lambda: str(system.notes()))
    assert sorted(line.partition(":")[0] for line in system.notes()) == ["late", "signalled"]
    assert system.client.dead_letters() == []
