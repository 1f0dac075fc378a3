"""A store that dies when something was done about a wait, and not told yet, is told again; nothing is done twice."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
import redis

from supervision import SignalTimeout, aio
from supervision.client import Client
from supervision.continuing import in_turns
from supervision.coordination.waits import Node, Terms
from supervision.errors import StoreUnavailable
from supervision.server import EmbeddedStore
from supervision.store.store import Store
from supervision.store.waits import Claimed

AWAY_S = 1.0


@pytest.fixture
def server(make_store: Callable[..., EmbeddedStore]) -> EmbeddedStore:
    return make_store()


@contextmanager
def away(server: EmbeddedStore) -> Iterator[None]:
    """The store is killed inside, and is back a while after the block has ended."""
    os.kill(server.pid, signal.SIGKILL)
    back = threading.Timer(AWAY_S, server.start)
    yield
    back.start()


def state(client: Client, wait_id: str) -> tuple[str, int]:
    """How a wait is, and how often somebody has gone on with it."""
    found = client._store.client.hmget(client._store.keys.wait(wait_id), "state", "started")
    return str(found[0].decode()), int(found[1])  # type: ignore[union-attr,index] # it is the synchronous client


def test_a_wait_ends_when_the_store_is_back_and_has_heard_that_it_has_ended(server: EmbeddedStore) -> None:
    with Client(server.url) as client, client.coordinator("ann") as ann:
        client.send("done", 7)
        with ann.waiting("done", timeout=60) as value, away(server):
            assert value == 7
        assert state(client, "ann>done") == ("processed", 1)


def test_one_that_timed_out_is_told_so_when_the_store_is_back(server: EmbeddedStore) -> None:
    with Client(server.url) as client, client.coordinator("ann") as ann:
        enter = ann._waits.enter

        def claims_and_is_alone(*arguments: Any, **options: Any) -> Claimed:
            claim = enter(*arguments, **options)
            if claim.state == "received":
                with away(server):
                    pass
            return claim

        ann._waits.enter = claims_and_is_alone  # type: ignore[method-assign] # and the store dies then
        with pytest.raises(SignalTimeout):
            ann.wait("never", timeout=4)  # and tells it for as long
        assert state(client, "ann>never") == ("processed", 1)


def test_an_asyncio_wait_ends_when_the_store_is_back_and_has_heard_that_it_has_ended(server: EmbeddedStore) -> None:
    async def program() -> tuple[str, int]:
        async with aio.Client(server.url) as client, client.coordinator("ann") as ann:
            await client.send("done", 7)
            async with ann.waiting("done", timeout=60) as value:
                with away(server):
                    assert value == 7
            return state(client.blocking, "ann>done")

    assert asyncio.run(program()) == ("processed", 1)


def test_an_asyncio_wait_that_is_cancelled_before_it_was_told_is_the_next_ones_at_once(server: EmbeddedStore) -> None:
    async def program() -> tuple[str, int]:
        async with aio.Client(server.url) as client, client.coordinator("ann") as ann:
            await client.send("done", 7)
            ended = asyncio.Event()

            async def waits() -> None:
                async with ann.waiting("done", timeout=60):
                    os.kill(server.pid, signal.SIGKILL)
                    ended.set()

            task = asyncio.create_task(waits())
            await ended.wait()
            await asyncio.wait([task], timeout=0.5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.to_thread(server.start)
            assert await asyncio.wait_for(ann.wait("done", timeout=60), 20) == 7  # its lease would last 30 s
            return state(client.blocking, "ann>done")

    assert asyncio.run(program()) == ("processed", 1)


def test_where_the_store_stays_away_whoever_waits_next_gets_the_same(server: EmbeddedStore) -> None:
    with Client(server.url) as client, client.coordinator("ann") as ann:
        client.send("done", 7)
        with pytest.raises(StoreUnavailable), ann.waiting("done", timeout=0.3):
            os.kill(server.pid, signal.SIGKILL)
        server.start()
        client._store.client.zadd(client._store.keys.undelivered, {"ann>done": 0})  # its lease is over
        client._store.client.hset(client._store.keys.wait("ann>done"), "lease", 0)
        assert ann.wait("done", timeout=60) == 7


@pytest.mark.parametrize("before", [True, False], ids=["stands already", "comes later"])
def test_who_has_not_heard_what_it_claimed_gets_it_again_at_once(server: EmbeddedStore, *, before: bool) -> None:
    with Client(server.url) as client, client.coordinator("ann") as ann:
        execute = ann._waits._scripts.client.execute_command
        lost: list[Any] = []

        def lose_the_first_claim(*arguments: Any, **options: Any) -> Any:
            answer = execute(*arguments, **options)
            if not lost and isinstance(answer, list) and answer[:1] == [b"received"]:
                lost.append(answer)
                raise redis.ConnectionError
            return answer

        ann._waits._scripts.client.execute_command = lose_the_first_claim  # type: ignore[method-assign] # the line's end
        if before:
            client.send("done", 7)
        else:
            threading.Timer(0.3, client.send, ["done", 7]).start()
        begin = time.monotonic()
        assert ann.wait("done", timeout=60) == 7
        assert time.monotonic() - begin < 20  # its lease lasts 30 s
        assert len(lost) == 1
        assert state(client, "ann>done") == ("processed", 1)


def test_what_goes_wrong_with_the_value_is_what_is_raised_although_the_store_is_away(server: EmbeddedStore) -> None:
    with Client(server.url) as client:
        ann = client.coordinator("ann")
        client.send("done", 7)
        with pytest.raises(ZeroDivisionError), ann.waiting("done", timeout=60) as value, away(server):
            raise ZeroDivisionError(value)


def test_what_goes_wrong_with_a_message_is_what_is_raised_although_the_store_is_away(server: EmbeddedStore) -> None:
    with Client(server.url) as client:
        box = client.mailbox("ann")
        box.put("brick")
        with pytest.raises(ZeroDivisionError), box.taking() as messages, away(server):
            raise ZeroDivisionError(messages)


def test_one_that_is_complete_while_the_store_is_away_is_complete_and_not_dead(server: EmbeddedStore) -> None:
    with Client(server.url) as client:
        with client.coordinator("ann"), away(server):
            pass
        assert [(found.id, found.state) for found in client.coordinators()] == [("ann", "complete")]


def test_one_that_fails_while_the_store_is_away_raises_why(server: EmbeddedStore) -> None:
    with Client(server.url) as client, pytest.raises(ZeroDivisionError), client.coordinator("ann"), away(server):
        raise ZeroDivisionError


class Killing:
    """Goes on with waits, and kills the store in the middle of each turn."""

    here = True

    def __init__(self, server: EmbeddedStore) -> None:
        self.gone_on_with: list[str] = []
        self._server = server

    def go_on(self, claims: Iterable[Claimed]) -> list[tuple[str, int, str]]:
        done = [(claim.id, claim.start, "processed") for claim in claims]
        self.gone_on_with += [each for each, _, _ in done]
        with away(self._server):
            return done

    def send(self, claims: Iterable[Claimed]) -> None:
        raise AssertionError([claim.id for claim in claims])


def test_a_turn_whose_end_the_store_does_not_hear_is_not_taken_again(server: EmbeddedStore) -> None:
    with closing(Store(server.url)) as store:
        killing = Killing(server)
        for i in range(5):
            store.waits.enter(f"w{i}", Terms(on=Node(signal="go"), timeout=60), mail="letter")
        store.signals.send("go", signal_id="go", payload="1", sender="ann", ttl_ms=60_000)
        claims = [store.waits.enter(f"w{i}", None, resumed=True) for i in range(5)]
        in_turns(killing, store.waits, claims)
        assert killing.gone_on_with == [f"w{i}" for i in range(5)]
        assert store.client.zcard(store.keys.undelivered) == 0
