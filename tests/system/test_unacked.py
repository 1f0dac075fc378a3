"""A broker that does not hear what became of a message: ours tells it later, kombu's own transport never, in one run.

When kombu's own behaves as ours, upstream no longer needs `supervision.engine.unacked`: delete it.
"""

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from celery_processes import Worker, ended, lines, publish, until
from cut_line import CutLine, cut_line
from hardened_app import hardened
from kombu import Connection, Consumer, Exchange, Producer, Queue
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

    def __init__(self, kind: type[upstream.Transport], line: CutLine, url: str, queue: Queue, **options: float) -> None:
        self.line, self.url, self.kind, self.queue = line, url, kind, queue
        self.options = {**OPTIONS, **options}
        self.direct = url
        self.got: list[Any] = []
        self.opened: list[Connection] = []
        self.open()

    def open(self) -> None:
        self.connection = Connection(self.url, transport=self.kind, transport_options=self.options)
        self.opened.append(self.connection)
        self.channel: Any = self.connection.channel()
        consumer = Consumer(self.channel, [self.queue], callbacks=[lambda _, message: self.got.append(message)])
        consumer.qos(prefetch_count=1)
        consumer.consume()

    def send(self, *bodies: str) -> None:
        producer = Producer(self.channel)
        for body in bodies:
            where = {"exchange": self.queue.exchange, "routing_key": self.queue.routing_key}
            producer.publish(body, **where, declare=[self.queue])

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
        name = f"q.{uuid.uuid4().hex}"
        found = Way(request.param, line, url, Queue(name, Exchange("named", "direct"), routing_key=name))
        found.direct = server.url
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


def test_what_goes_back_is_not_taken_from_whoever_has_it_by_now(way: Way) -> None:
    way.send("only")
    message = way.take()
    way.line.cut()
    with pytest.raises(NotConnected):
        message.requeue()
    other = Way(way.kind, way.line, way.direct, way.queue, visibility_timeout=0.1)
    way.opened.append(other.connection)
    its = other.take()  # it was abandoned, as far as anybody could see
    other.channel.qos.__dict__["visibility_timeout"] = 3600
    way.line.mend()
    if ours(way):
        way.consume_until(lambda: not way.channel.qos.owed, "nothing is owed")
    assert journal(way) == {its.delivery_tag}
    assert way.got == []


def test_a_broker_that_is_full_hears_acknowledgements_and_takes_back_what_it_can_later(way: Way) -> None:
    way.channel.qos.prefetch_count = 2
    way.send("done", "back")
    done, back = way.take(), way.take()
    with closing(redis.Redis.from_url(way.url)) as client:
        client.config_set("maxmemory", 1)
        try:
            with pytest.raises(OutOfMemoryError):
                back.requeue()
            done.ack()
            assert journal(way) == {back.delivery_tag}
        finally:
            client.config_set("maxmemory", 0)
    if ours(way):
        assert way.take().payload == "back"


def test_a_closed_channel_says_nothing_of_what_goes_back(way: Way) -> None:
    way.send("first")
    first, old = way.take(), way.channel
    way.connection.collect()
    way.open()
    way.take().ack()  # it came again
    way.send("back")
    back = way.take()
    way.without_the_broker(back.requeue, how="cut")
    assert old.connection is None
    first.ack()
    assert journal(way) == {back.delivery_tag}
    if ours(way):
        assert way.take().payload == "back"


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


@pytest.mark.parametrize("pool", ["prefork", "threads", pytest.param("solo", marks=pytest.mark.chaos)])
def test_a_worker_whose_acknowledgement_was_not_heard_goes_on(tmp_path: Path, pool: str) -> None:
    with ExitStack() as cleanup:
        server = cleanup.enter_context(EmbeddedStore(tmp_path / "store"))
        line, url = cleanup.enter_context(cut_line(server.url))
        worker = Worker(tmp_path, url, "probe.unheard", slots=1, pool=pool)
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


def test_a_broker_that_does_not_answer_is_asked_once_when_all_channels_are_closed(
    way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    way.send("only")
    message = way.take()
    others = [way.connection.channel() for _ in range(3)]
    assert all(channel.qos for channel in others)
    way.line.cut()
    with pytest.raises(NotConnected):
        message.ack()
    for channel in (*others, way.channel):
        with suppress(NotConnected):  # kombu's own goodbye
            channel.close()
    said = [record for record in caplog.records if "has not heard" in record.message]
    assert len(said) == ours(way)
    way.line.mend()


def test_a_channel_that_is_closed_already_counts_nothing(way: Way) -> None:
    channel: Any = way.connection.channel()
    way.connection.collect()
    assert channel.connection is None
    assert channel.qos.can_consume()


FORKED = """
import os
from supervision.engine import unacked
unacked._debts["broker",] = unacked.Owed(acknowledged={"tag"})
child = os.fork()
if not child:
    os._exit(len(unacked._debts))
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert len(unacked._debts) == 1
"""


def test_a_child_owes_nothing_of_what_its_parent_does() -> None:
    subprocess.run([sys.executable, "-c", FORKED], check=True)


class Overtaken(set[str]):
    """Acknowledgements, each of which another thread says as soon as it is owed."""

    def __init__(self, say: Callable[[], object]) -> None:
        super().__init__()
        self.say = say

    def add(self, tag: str) -> None:
        super().add(tag)
        with ThreadPoolExecutor(1) as other:
            other.submit(self.say).result()


@pytest.mark.parametrize("way", [transport.Transport], ids=["ours"], indirect=True)
def test_an_acknowledgement_that_another_thread_has_said_meanwhile_is_said(way: Way) -> None:
    way.send("only")
    message = way.take()
    qos = way.channel.qos
    qos.owed.acknowledged = Overtaken(qos.settle)
    message.ack()
    assert journal(way) == set()
