"""A program that waits without a name, and what many blocked waits of one program hold."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from waiting import until

from supervision import aio
from supervision.client import Client
from supervision.errors import CoordinatorDied, InvalidWait, SignalTimeout, StoreUnavailable
from supervision.repeating import TOLD_S
from supervision.server import EmbeddedStore

BLOCKED = 60
CONNECTIONS = 20
"""Those of the listener, the heart and the test, and of who happens to call at the same moment."""


def left(client: Client) -> list[str]:
    """How the coordinators ended that nobody named; each has to have."""
    return [each.state for each in client.coordinators() if each.id.startswith("client-")]


def test_a_client_waits_without_a_name_and_leaves_well(server: EmbeddedStore, namespace: str) -> None:
    with Client(server.url, namespace=namespace) as client, ThreadPoolExecutor(1) as threads:
        client.send("first", {"n": 7})
        assert client.wait("first", timeout=60) == {"n": 7}
        later = threads.submit(client.wait, "later", timeout=60)
        until(lambda: [wait.on for wait in client.waits()] == ["later"], what="the wait to be open")
        assert client.send("later", "came", acks=1, timeout=60).acknowledged("received") == 1
        assert later.result(60) == "came"
        until(lambda: left(client) == ["complete"] * 2, what=lambda: str(client.coordinators()))


def test_however_the_wait_of_nobody_ends_its_coordinator_is_complete(server: EmbeddedStore, namespace: str) -> None:
    with Client(server.url, namespace=namespace) as client, ThreadPoolExecutor(1) as threads:
        with pytest.raises(SignalTimeout):
            client.wait("never", timeout=0.05)
        with client.coordinator("bob") as bob:
            expecting = threads.submit(client.wait, "bobs", timeout=60, expects="bob")
            until(lambda: len(client.waits()) == 1, what="the wait to be open")
            bob.fail("no more")
            with pytest.raises(CoordinatorDied, match="no more"):
                expecting.result(60)
        with pytest.raises(InvalidWait, match="timeout=-1"):
            client.wait("never", timeout=-1)
        with pytest.raises(InvalidWait, match="on=7"):
            client.wait(7)
        assert left(client) == ["complete"] * 2
        assert client.waits() == []


def test_a_store_that_goes_away_costs_no_more_than_the_time_of_the_wait_itself(
    make_store: Callable[..., EmbeddedStore],
) -> None:
    server = make_store()
    with Client(server.url) as client, ThreadPoolExecutor(1) as threads:
        wait = threads.submit(client.wait, "go", timeout=1)
        until(lambda: len(client.waits()) == 1, what="the wait to be open")
        began = time.monotonic()
        server.stop()
        with pytest.raises(StoreUnavailable):
            wait.result(60)
        assert time.monotonic() - began < TOLD_S


def test_an_asyncio_program_waits_without_a_name_too(server: EmbeddedStore, namespace: str) -> None:
    async def program() -> list[object]:
        async with aio.Client(server.url, namespace=namespace) as client:
            waits = [asyncio.create_task(client.wait("go", timeout=60)) for _ in range(3)]
            given_up = asyncio.create_task(client.wait("go", timeout=60))
            await asyncio.to_thread(until, lambda: len(client.blocking.waits()) == 4)
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
            await client.send("go", 1)
            with pytest.raises(SignalTimeout):
                await client.wait("never", timeout=0.05)
            got = list(await asyncio.gather(*waits))
            assert left(client.blocking) == ["complete"] * 5
            return got

    assert asyncio.run(program()) == [1, 1, 1]


def test_a_blocked_wait_of_a_program_holds_a_thread_and_no_connection(server: EmbeddedStore, namespace: str) -> None:
    with Client(server.url, namespace=namespace) as client, client.coordinator("ann") as ann:
        before = threading.active_count()

        def blocked() -> int:
            return sum(wait.owner == "ann" for wait in client.waits())

        with ThreadPoolExecutor(BLOCKED) as threads:
            waits = []
            for i in range(BLOCKED):  # one after another: who calls at the same moment has a connection of his own
                waits.append(threads.submit(ann.wait, f"s-{i}", timeout=60))
                until(lambda i=i: blocked() == i + 1, what="the next one to be open")  # type: ignore[misc] # mypy cannot infer it
            assert len(client._store.client.client_list()) <= CONNECTIONS
            assert threading.active_count() - before <= BLOCKED + 1
            for i in range(BLOCKED):
                client.send(f"s-{i}", i)
            assert [wait.result(60) for wait in waits] == list(range(BLOCKED))
