"""The asyncio client whose tasks are cancelled while a thread of theirs talks to the store."""

import asyncio
import gc
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psutil
import pytest
from waiting import until

from supervision import aio
from supervision.client import Client
from supervision.server import EmbeddedStore
from supervision.store.waits import Claimed


@pytest.fixture
def server(make_store: Callable[..., EmbeddedStore]) -> EmbeddedStore:
    return make_store()


@asynccontextmanager
async def silent(server: EmbeddedStore) -> AsyncIterator[None]:
    """The store does not answer inside; what it is asked there it answers later."""
    process = psutil.Process(server.pid)
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


async def asks(coordinator: aio.Coordinator) -> None:
    """Until a thread of this coordinator's asks the store about a wait."""
    await asyncio.to_thread(until, lambda: coordinator.blocking._in_hand)


async def cancelled(task: "asyncio.Task[Any]") -> None:
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asyncio.shield(task), 30)


def test_a_wait_that_is_cancelled_while_the_store_is_silent_says_so_and_can_be_waited_for_again(
    server: EmbeddedStore,
) -> None:
    async def program() -> None:
        async with aio.Client(server.url) as client, client.coordinator("ann") as ann:
            async with silent(server):
                asyncio.get_running_loop().call_later(1, psutil.Process(server.pid).send_signal, signal.SIGCONT)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(ann.wait("never"), 0.3)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ann.wait("never"), 0.3)

    asyncio.run(program())


def test_a_wait_that_is_cancelled_is_listened_for_no_longer_however_long_the_cancellation_is_kept(
    server: EmbeddedStore,
) -> None:
    async def program() -> None:
        async with aio.Client(server.url) as client, client.coordinator("ann") as ann:
            listener = client.blocking._listener
            task = asyncio.create_task(ann.wait("never"))
            await asyncio.to_thread(until, lambda: listener._callbacks)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as kept:
                await task
            assert listener._callbacks == {}
            assert kept.value.__traceback__

    asyncio.run(program())


def test_what_a_cancelled_wait_had_claimed_is_the_next_ones_and_no_start_of_it_is_counted(
    server: EmbeddedStore,
) -> None:
    async def program() -> bytes | None:
        async with aio.Client(server.url) as client, client.coordinator("ann") as ann:
            await client.send("done", {"by": "bob"})
            for _ in range(6):  # more often than what never ended may be started
                async with silent(server):
                    waits = asyncio.create_task(ann.wait("done"))
                    await asks(ann)
                    waits.cancel()
                await cancelled(waits)
            assert await asyncio.wait_for(ann.wait("done"), 10) == {"by": "bob"}  # a lease would last 30 s
            store = client.blocking._store
            return store.client.hget(store.keys.wait("ann>done"), "started")

    assert asyncio.run(program()) == b"1"


def test_a_wait_is_in_nobodys_hand_when_its_loop_was_closed_while_it_claimed(server: EmbeddedStore) -> None:
    with Client(server.url) as client:
        client.send("done", 1)
        ann = client.coordinator("ann")
        enter, claimed, closed = ann._waits.enter, threading.Event(), threading.Event()

        def slow(*arguments: Any, **options: Any) -> Claimed:
            claim = enter(*arguments, **options)
            claimed.set()
            closed.wait(30)
            return claim

        ann._waits.enter = slow  # type: ignore[method-assign] # what it does, and not at once
        loop = asyncio.new_event_loop()
        task: Any = loop.create_task(aio.Coordinator(ann).wait("done", timeout=60))
        loop.run_until_complete(asyncio.to_thread(claimed.wait, 30))
        loop.close()
        del task
        ann._waits.enter = enter  # type: ignore[method-assign] # as before
        closed.set()
        until(lambda: gc.collect() >= 0 and not ann._in_hand)  # when its thread has ended
        assert ann.wait("done", timeout=60) == 1


def test_a_registration_that_is_cancelled_has_failed_and_leaves_nobody_who_beats(server: EmbeddedStore) -> None:
    async def program() -> tuple[str, str]:
        async with aio.Client(server.url) as client:
            await client.coordinators()

            async def registers() -> None:
                async with client.coordinator("ghost"):
                    raise AssertionError

            async with silent(server):
                task = asyncio.create_task(registers())
                await asyncio.sleep(0)  # it has begun
                task.cancel()
            await cancelled(task)
            assert not client.blocking._heart._alive
            (ghost,) = await client.coordinators()
            return ghost.state, ghost.why

    assert asyncio.run(program()) == ("failed", "CancelledError: ")


def test_the_messages_of_a_cancelled_take_are_the_next_ones(server: EmbeddedStore) -> None:
    async def program() -> list[object]:
        async with aio.Client(server.url) as client:
            box = client.mailbox("ann")
            await box.put("brick", id="1")
            async with silent(server):
                taking = asyncio.create_task(box.take(lease=3600))
                asyncio.get_running_loop().call_later(1, psutil.Process(server.pid).send_signal, signal.SIGCONT)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(taking, 0.3)
            (message,) = await box.take(wait=10)
            await box.done(message)
            return [message.payload, await box.depth()]

    assert asyncio.run(program()) == ["brick", 0]
