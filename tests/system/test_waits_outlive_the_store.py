"""The store is killed and restarted, again and again, while tasks and programs wait: all end as they should, once."""

import os
import signal
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery_processes import until
from waiting_system import WaitingSystem

from supervision import StoreUnavailable, wait_for
from supervision.client import Client
from supervision.server import EmbeddedStore

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

TASKS, THREADS = 120, 80


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedStore]:
    """A store of the test's own, which comes back on the port that it had."""
    with EmbeddedStore(tmp_path / "store") as store:
        yield store


@pytest.mark.parametrize("outages", [(1.0,), (5.0,), (2.0, 2.0, 2.0)], ids=["short", "long", "flapping"])
def test_waits_outlive(outages: tuple[float, ...], server: EmbeddedStore, tmp_path: Path) -> None:
    system = WaitingSystem(tmp_path, server)
    try:
        tag = uuid.uuid4().hex
        tasks = [wait_for(f"{tag}/t{i}", timeout=240, app=system.app).apply_async() for i in range(TASKS)]
        late = wait_for(f"{tag}/never", timeout=sum(outages) + 2, on_timeout="late", app=system.app).apply_async()
        with Client(server.url) as client, client.coordinator(tag) as coordinator:
            got: dict[int, Any] = {}
            threads = [
                threading.Thread(target=lambda i=i: got.update({i: coordinator.wait(f"{tag}/p{i}", timeout=240)}))
                for i in range(THREADS)
            ]
            for thread in threads:
                thread.start()
            until(lambda: len(system.client.waits()) == TASKS + THREADS + 1, system.story)
            sender = threading.Thread(target=send_all, args=(server.url, tag))
            for number, seconds in enumerate(outages):
                os.kill(server.pid, signal.SIGKILL)
                if number == 0:
                    sender.start()
                threading.Event().wait(seconds)  # the outage itself
                server.start()
            sender.join()
            for thread in threads:
                thread.join()
        assert got == {i: i for i in range(THREADS)}
        assert [task.get(timeout=120) for task in tasks] == list(range(TASKS))
        assert late.get(timeout=60) == "late"
        until(lambda: system.client._store.client.zcard(system.client._store.keys.undelivered) == 0, system.story)
    finally:
        system.end()


def send_all(url: str, tag: str) -> None:
    """As a careful sender does: the same id again until it is heard that it was sent."""
    with Client(url) as client:
        for kind, number in (("t", TASKS), ("p", THREADS)):
            for i in range(number):
                until(lambda name=f"{tag}/{kind}{i}", i=i: sent(client, name, i), "the store to answer", within=120)  # type: ignore[misc] # asked at once


def sent(client: Client, name: str, payload: int) -> bool:
    try:
        client.send(name, payload, id=name)
    except StoreUnavailable:
        return False
    return True
