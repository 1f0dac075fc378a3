"""A store behind sentinels: one address for the library and for Celery, and a failover that all live through."""

import gc
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from celery_processes import until
from healing_system import ALL, BEAT, HealingSystem
from watched_store import WatchedStore, watched

from supervision import StoreUnavailable, sentinels, wait_for
from supervision.client import Client
from supervision.settings import for_celery
from supervision.store.connection import connect

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

MASTER = "truth"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedStore]:
    """Under another name than the usual one, so that the address has to say it."""
    with watched(tmp_path_factory.mktemp("watched"), MASTER) as found:
        yield found


@pytest.fixture
def app(server: WatchedStore) -> Iterator[Celery]:
    """The user's own, told of the master as Celery wants it."""
    address, beside = for_celery(server.url), sentinels.transport_options(server.url)
    with Celery("user", broker=address, backend=address, set_as_current=False) as made:
        made.conf.update(broker_transport_options=beside, result_backend_transport_options=beside)
        yield made


def test_an_address_with_another_master_or_no_sentinel_is_a_store_that_is_away(server: WatchedStore) -> None:
    for wrong in (server.url.replace(MASTER, "other"), f"{server.url.partition(';')[0]}?master={MASTER}"):
        with Client(wrong) as client, pytest.raises(StoreUnavailable):
            client.now()


def test_when_a_client_is_closed_no_connection_is_left_at_the_sentinel(server: WatchedStore) -> None:
    def connections() -> int:
        with redis.Redis(port=server.sentinel) as asking:
            return len(asking.client_list(_type="normal"))

    gc.collect()  # what another test has left would go at any moment
    before = connections()
    with closing(connect(server.url)) as client:
        assert client.ping()
        assert connections() > before
    until(lambda: connections() == before, "the sentinel to see it go")


@pytest.mark.chaos
def test_waits_and_supervision_go_on_after_the_master_was_killed(
    server: WatchedStore, app: Celery, tmp_path: Path
) -> None:
    tag, got = uuid.uuid4().hex, list[Any]()
    commands = {"worker": ALL, "beat": BEAT}
    system = HealingSystem(tmp_path, server, commands, kills="", plant="healing_plant")  # type: ignore[arg-type] # only its address is asked for
    try:
        with Client(server.url) as client, client.coordinator(tag) as coordinator:
            process = system.healed_after(0, timeout=120)
            task = wait_for(f"{tag}/task", timeout=240, app=app).apply_async()
            thread = threading.Thread(target=lambda: got.append(coordinator.wait(f"{tag}/process", timeout=240)))
            thread.start()
            until(lambda: len(client.waits()) == 2, system.story, within=60)
            client.send(f"{tag}/early", "before")
            assert system.store.client.wait(1, 10_000) == 1, "the replica has what this test asks for again"
            server.kill_master()
            system.kill_lonely()
            for name in ("task", "process"):
                until(lambda name=name: sent(client, f"{tag}/{name}"), "the new master answers", within=120)  # type: ignore[misc] # asked at once
            thread.join()
            assert got == [f"{tag}/process"]
            assert client.payload(f"{tag}/early") == "before"
            assert task.get(timeout=120) == f"{tag}/task"
            assert system.healed_after(process, timeout=120)
    finally:
        app.backend.result_consumer.subscribed_to.clear()  # results that go later would tell a server that is gone
        system.end()


def sent(client: Client, name: str) -> bool:
    """As a careful sender does: the same id again until it is heard that it was sent."""
    try:
        client.send(name, name, id=name)
    except StoreUnavailable:
        return False
    return True
