"""A broker that does not hear what became of a message: ours tells it later, kombu's own transport never, in one run.

When kombu's own behaves as ours, upstream no longer needs `supervision.engine.unacked`: delete it.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from celery_processes import Worker, ended, lines, publish, until
from cut_line import CutLine, cut_line
from hardened_app import hardened
from kombu import Connection, Consumer, Producer, Queue
from kombu.transport import redis as upstream
from redis.exceptions import ConnectionError as NotConnected
from redis.exceptions import OutOfMemoryError
from redis.exceptions import TimeoutError as NoAnswer

from supervision.engine import steps, transport
from supervision.server import EmbeddedStore

OPTIONS = {"socket_timeout": 1, "visibility_timeout": 3600, "unacked_restore_throttle": 1}
"""A message that only comes back by its visibility does not come back within this test."""


class Way:
    """One consumer with room for one message, by a line that can be cut."""

    def __init__(self, kind: type[upstream.Transport], line: CutLine, url: str, name: str) -> None:
        self.line, self.url, self.kind, self.queue = line, url, kind, Queue(name)
        self.got: list[Any] = []
        self.opened: list[Connection] = []
        self.open()

    def open(self) -> None:
        self.connection = Connection(self.url, transport=self.kind, transport_options=OPTIONS)
        self.opened.append(self.connection)
        self.channel: Any = self.connection.channel()
        consumer = Consumer(self.channel, [self.queue], callbacks=[lambda _, message: self.got.append(message)])
        consumer.qos(prefetch_count=1)
        consumer.consume()

    def send(self, *bodies: str) -> None:
        producer = Producer(self.channel)
        for body in bodies:
            producer.publish(body, routing_key=self.queue.name, declare=[self.queue])

    def take(self) -> Any:
        """The next message."""
        self.consume_until(lambda: self.got, "a message")
        return self.got.pop(0)

    def consume_until(self, condition: Callable[[], object], what: str) -> None:
        """Consume meanwhile; what the connection has to say is nothing to wait for."""

        def met() -> bool:
            with suppress(TimeoutError, NotConnected, NoAnswer):
                self.connection.drain_events(timeout=0.2)
            return bool(condition())

        until(met, what)

    def without_the_broker(self, say: Callable[[], object], *, how: str) -> None:
        getattr(self.line, how)()
        try:
            with pytest.raises((NotConnected, NoAnswer)):
                say()
        finally:
            self.line.mend()


@pytest.fixture(params=[upstream.Transport, transport.Transport], ids=["kombu's", "ours"])
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Way]:
    with EmbeddedStore(tmp_path / "store") as server, cut_line(server.url) as (line, url):
        found = Way(request.param, line, url, f"q.{uuid.uuid4().hex}")
        try:
            yield found
        finally:
            for connection in found.opened:
                connection.close()


def journal(way: Way) -> set[str]:
    with closing(redis.Redis.from_url(way.url)) as client:
        return {tag.decode() for tag in client.hkeys("unacked")}


def ours(way: Way) -> bool:
    return way.kind is transport.Transport


@pytest.mark.parametrize("how", ["cut", "silence"])
def test_the_place_is_free_and_the_broker_hears_it_later(way: Way, how: str) -> None:
    way.send("first", "second")
    first = way.take()
    way.without_the_broker(first.ack, how=how)
    assert way.channel.qos.can_consume() == ours(way), "kombu frees the place by itself: see above"
    assert first.delivery_tag in steps.held_tags(way.channel.qos), "held, or it would run again"
    if ours(way):
        second = way.take()
        assert second.payload == "second"
        way.consume_until(lambda: journal(way) == {second.delivery_tag}, "the broker has heard of the first")
        assert steps.held_tags(way.channel.qos) == {second.delivery_tag}
        second.ack()


def test_what_was_to_go_back_goes_back(way: Way) -> None:
    way.send("only")
    message = way.take()
    way.without_the_broker(message.requeue, how="cut")
    assert (message.delivery_tag in steps.held_tags(way.channel.qos)) == (not ours(way))
    if ours(way):
        again = way.take()
        assert (again.payload, again.headers["redelivered"]) == ("only", True)
        again.ack()
        assert journal(way) == set()


def test_what_was_rejected_is_gone(way: Way) -> None:
    way.send("bad", "good")
    bad = way.take()
    way.without_the_broker(bad.reject, how="cut")
    if ours(way):
        good = way.take()
        assert good.payload == "good"
        way.consume_until(lambda: journal(way) == {good.delivery_tag}, "the broker has heard of the bad one")


def test_what_is_in_no_journal_goes_back_once(way: Way) -> None:
    way.send("only")
    with closing(redis.Redis.from_url(way.url)) as client:
        client.config_set("maxmemory", 1)
        try:
            with pytest.raises(OutOfMemoryError):
                way.take()
        finally:
            client.config_set("maxmemory", 0)
        assert (client.llen(way.queue.name), client.hlen("unacked")) == (0, 0)
        if ours(way):
            again = way.take()
            assert again.payload == "only"
            again.ack()
            assert (client.llen(way.queue.name), client.hlen("unacked")) == (0, 0)


def test_a_channel_that_is_closed_says_it_at_last(way: Way) -> None:
    way.send("only")
    message = way.take()
    way.without_the_broker(message.ack, how="cut")
    way.connection.close()
    with closing(redis.Redis.from_url(way.url)) as client:
        assert (client.llen(way.queue.name), client.hlen("unacked")) == ((0, 0) if ours(way) else (1, 0))


def test_another_connection_of_the_same_process_says_it(way: Way) -> None:
    way.send("first", "second")
    first = way.take()
    way.without_the_broker(first.ack, how="cut")
    way.open()
    second = way.take()
    if ours(way):
        assert second.payload == "second"
        way.consume_until(lambda: journal(way) == {second.delivery_tag}, "the broker has heard of the first")


def test_a_worker_whose_acknowledgement_was_not_heard_goes_on(tmp_path: Path) -> None:
    with ExitStack() as cleanup:
        server = cleanup.enter_context(EmbeddedStore(tmp_path / "store"))
        line, url = cleanup.enter_context(cut_line(server.url))
        worker = Worker(tmp_path, url, "probe.unheard", slots=1)
        cleanup.enter_context(ended(worker))
        app = cleanup.enter_context(closing(hardened(server.url)))
        worker.await_ready()
        publish(app, "probe.hold", str(tmp_path), "before", "go", queue="probe.unheard")
        until(lambda: lines(tmp_path, "before"), lambda: worker.log)
        line.silence()
        (tmp_path / "go").touch()
        worker.await_log("Couldn't ack")
        line.mend()
        publish(app, "probe.mark", str(tmp_path), "after", queue="probe.unheard")
        until(lambda: lines(tmp_path, "after"), lambda: worker.log)
        with closing(redis.Redis.from_url(server.url)) as client:
            until(lambda: client.hlen("supervision.unacked") == 0, "all are acknowledged")
        assert [len(lines(tmp_path, name)) for name in ("before", "after")] == [2, 1]
