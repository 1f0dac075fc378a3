"""The kind celery_queue against stock workers on a real broker: what it finds, heals, and leaves alone."""

import os
import re
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from celery import Celery
from celery_processes import HERE, Worker, database, ended, free_port, publish
from driving import Driven
from kombu.exceptions import OperationalError
from waiting import until

from supervision import Backoff, InvalidDeclaration, Supervisor, check, fail, ok
from supervision.checks import Seen, Verdict
from supervision.kinds.celery_broker import Broker, Peek
from supervision.kinds.celery_queue import CeleryQueue
from supervision.kinds.process import Process
from supervision.kinds.queue_states import QueueObserved, rounded
from supervision.server import EmbeddedStore
from supervision.store.store import Store

MARK, HOLD = "probe.mark", "probe.hold"


@pytest.fixture(scope="module")
def broker_url(store_url: str) -> str:
    """A database of the session's server for stock workers."""
    return database(store_url, 7)


@pytest.fixture(scope="module")
def app(broker_url: str) -> Celery:
    """Whoever enqueues, and whoever gives orders from outside."""
    return Celery(broker=broker_url, set_as_current=False)


@pytest.fixture(scope="module")
def stock_worker(tmp_path_factory: pytest.TempPathFactory, broker_url: str) -> Iterator[Worker]:
    """A stock worker with one slot."""
    started = Worker(tmp_path_factory.mktemp("stock"), broker_url, "stock", app="stock_app", slots=1)
    with ended(started):
        yield started.await_ready()


@pytest.fixture
def worker(app: Celery, stock_worker: Worker, namespace: str) -> Iterator[Worker]:
    """The same, consuming a queue of the test's own."""
    app.control.add_consumer(namespace, reply=True, timeout=0.2)
    stock_worker.await_log(f"Started consuming from {namespace}")
    yield stock_worker
    app.control.cancel_consumer(namespace, reply=True, timeout=0.2)


@pytest.fixture
def drive(store_url: str, namespace: str) -> Iterator[Callable[..., Driven]]:
    """Drives a supervisor over given children."""
    with closing(Store(store_url, namespace)) as store:
        yield lambda *children, **options: Driven(
            store, Supervisor("plant", children, restart=Backoff(base=0.2, cap=0.5), interval=0.2, **options)
        )


def queue(url: str, name: str, **options: object) -> CeleryQueue:
    quick: dict[str, object] = {"stuck_after": 0.5, "heal_timeout": 3, "reply_timeout": 0.3}
    return CeleryQueue("mail", url, queue=name, **{**quick, **options})  # type: ignore[arg-type]  # each test's own


def seen(child: CeleryQueue) -> QueueObserved:
    observed = child.observe()
    assert isinstance(observed, QueueObserved)
    return observed


def depth(app: Celery, name: str) -> int:
    with app.connection_for_read() as connection:
        return int(connection.channel()._size(name))


def answers_ping(app: Celery) -> bool:
    """Asked with patience: a question waits for the blocking read that the one before it left behind, a second long."""
    return bool(app.control.ping(timeout=3, limit=1))


def cancel(app: Celery, worker: Worker, name: str) -> None:
    """What happens to workers by accident, done on purpose, with what Celery has for it."""
    app.control.cancel_consumer(name, reply=True, timeout=0.2)
    worker.await_log(f"Canceling queue {name}")


def test_a_worker_that_answers_ping_and_consumes_nothing_is_found_and_healed(  # noqa: PLR0913, PLR0917 - fixtures
    app: Celery, worker: Worker, drive: Callable[..., Driven], broker_url: str, namespace: str, tmp_path: Path
) -> None:
    driven = drive(queue(broker_url, namespace, workers=["stock-*@*"]))
    driven.until(lambda: driven.state("mail") == "running")
    cancel(app, worker, namespace)
    for number in range(12):
        publish(app, MARK, str(tmp_path), f"mark-{number}", queue=namespace)
    assert answers_ping(app)
    assert depth(app, namespace) == 12

    driven.until(lambda: driven.past("plant/mail", "action"))
    driven.until(lambda: driven.state("mail") == "running")

    until(lambda: all((tmp_path / f"mark-{number}").exists() for number in range(12)), what=lambda: worker.log)
    assert depth(app, namespace) == 0
    assert worker.alive
    *_, running, waiting, stuck, again = driven.past("plant/mail", "state")
    moves = [past.after for past in (running, waiting, stuck, again)]
    assert moves == ["running", "waiting", "stuck", "running"], driven.story()
    assert waiting.reason.endswith("about 10 wait")
    assert stuck.at - waiting.at >= 500
    assert [past.after for past in driven.past("plant/mail", "action")] == ["queued", "running", "succeeded"]


def test_a_cancelled_consumer_is_missed_while_the_queue_is_still_empty(
    app: Celery, worker: Worker, broker_url: str, namespace: str
) -> None:
    child = queue(broker_url, namespace, canary_every=None)
    assert (seen(child).depth, len(seen(child).consumers), seen(child).stalled) == (0, 1, False)
    cancel(app, worker, namespace)
    assert seen(child) == QueueObserved(
        0, (), stalled=True, reason=f"no live worker consumes '{namespace}', about 0 wait"
    )


def test_a_queue_whose_consumers_have_their_hands_full_is_left_alone(
    app: Celery, worker: Worker, broker_url: str, namespace: str, tmp_path: Path
) -> None:
    publish(app, HOLD, str(tmp_path), "held", "done", queue=namespace)
    until((tmp_path / "held").exists, what=lambda: worker.log)
    for number in range(12):
        publish(app, MARK, str(tmp_path), f"mark-{number}", queue=namespace)
    child = queue(broker_url, namespace)
    first, second = seen(child), seen(child)
    assert first == second, "nothing that changes by itself"
    assert (first.depth, first.stalled, len(first.consumers)) == (10, False, 1)
    (tmp_path / "done").touch()
    until(lambda: depth(app, namespace) == 0, what=lambda: worker.log)


def test_a_canary_flies_through_an_empty_queue(app: Celery, worker: Worker, broker_url: str, namespace: str) -> None:
    before = worker.logged(r"Task celery.accumulate\[.*received")
    child = queue(broker_url, namespace, canary_every=60)
    # A worker begins to read a queue that was added when its blocking read of the others ends, within a second.
    until(lambda: not seen(child).stalled)
    assert not seen(child).stalled
    worker.await_log(r"Task celery.accumulate\[.*succeeded", times=before + 1)
    assert worker.logged(r"Task celery.accumulate\[.*received") == before + 1
    assert depth(app, namespace) == 0


def test_canaries_do_not_pile_up(broker_url: str, namespace: str, app: Celery) -> None:
    for _ in range(3):
        seen(queue(broker_url, namespace))
    assert depth(app, namespace) == 1
    assert seen(queue(broker_url, namespace)).task == "celery.accumulate"


@pytest.mark.chaos
def test_without_a_live_worker_a_restart_says_that_one_must_be_started(
    drive: Callable[..., Driven], broker_url: str, namespace: str
) -> None:
    driven = drive(queue(broker_url, namespace, workers=["nobody@*"]))
    driven.until(lambda: driven.state("mail") == "incurable")
    (failed,) = [past for past in driven.past("plant/mail", "action") if past.after == "failed"][:1]
    assert "none of nobody@* answers" in failed.reason
    assert "start a worker for it" in failed.reason


def test_what_waits_is_seen_through_a_prefix_and_priorities(broker_url: str, namespace: str) -> None:
    app = Celery(broker=broker_url, set_as_current=False)
    app.conf.broker_transport_options = {"global_keyprefix": f"{namespace}:"}
    app.send_task("mail.later", queue="mail", priority=9)
    app.send_task("mail.sooner", queue="mail", priority=0)
    observed = seen(CeleryQueue("mail", app, reply_timeout=0.1, canary_every=None))
    assert (observed.depth, observed.task) == (2, "mail.sooner")


def test_a_broker_that_shows_no_messages_is_asked_how_many_there_are(namespace: str) -> None:
    app = Celery(broker="memory://", set_as_current=False)
    with closing(Broker(app, None, namespace, 0.1)) as broker:
        assert broker.peek() == Peek(0, None)
        app.send_task("mail.send", queue=namespace)
        assert broker.peek() == Peek(1, None)
        assert broker.canary() is None


def test_a_broker_that_is_gone_is_told_at_once_and_without_its_password() -> None:
    child = CeleryQueue("mail", f"redis://ann:s3cret@127.0.0.1:{free_port()}/0")
    with pytest.raises(OperationalError, match="refused") as failed:
        child.observe()
    assert "s3cret" not in str(failed.value)


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [
        (Peek(3, b"a"), Peek(3, b"a"), False),
        (Peek(3, b"a"), Peek(9, b"b"), True),  # more came than were taken
        (Peek(3, b"a"), Peek(0, None), True),
        (Peek(0, None), Peek(2, b"a"), True),  # nothing waited at the beginning
        (Peek(3, None), Peek(3, None), False),
        (Peek(3, None), Peek(2, None), True),
    ],
)
def test_a_queue_moves_when_what_was_next_is_no_longer_next(before: Peek, after: Peek, *, moved: bool) -> None:
    assert after.moved_since(before) is moved


@pytest.mark.parametrize(("depth", "shown"), [(0, 0), (7, 7), (10, 10), (19, 10), (99, 90), (123_456, 100_000)])
def test_a_depth_is_told_by_its_first_digit(depth: int, shown: int) -> None:
    assert rounded(depth) == shown


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"broker": "u:s3cret@host"}, "needs a Celery app or a URL"),
        ({"broker": None}, "broker NoneType"),
        ({"queue": "mail*"}, "queue 'mail*'"),
        ({"workers": "mail@*"}, "for example ['mail@*']"),
        ({"workers": ["mail"]}, "for example ['mail@*']"),
        ({"stuck_after": 0}, "stuck_after=30"),
        ({"canary_every": -1}, "canary_every=30"),
    ],
)
def test_a_declaration_that_could_not_work_is_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidDeclaration) as refused:
        CeleryQueue("mail", **{"broker": "redis://h", **options})  # type: ignore[arg-type]  # what it is about
    assert words in str(refused.value)
    assert "s3cret" not in str(refused.value)


def shut(one: socket.socket) -> bool:
    """Whether it had not ended by itself."""
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        return False
    return True


class Wire:
    """A relay before a broker, which can lose the connections that consume, as a firewall does that forgets them.

    The broker sees them end. The worker sees nothing: they stay open, and nothing ever comes. All others go on.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.target = (parts.hostname, parts.port)
        here = parts.netloc.replace(f":{parts.port}", f":{self.listener.getsockname()[1]}")
        self.direct, self.url = url, parts._replace(netloc=here).geturl()
        self.consuming, self.sockets, self.threads = (
            list[socket.socket](),
            list[socket.socket](),
            list[threading.Thread](),
        )
        self._begin(self._accept)

    def lose_consumers(self) -> int:
        """Lose them; answers how many."""
        lost, self.consuming = self.consuming, []
        return sum(shut(upstream) for upstream in lost)

    def end(self) -> None:
        for one in (self.listener, *self.sockets):
            shut(one)
        for thread in self.threads:
            thread.join()
        for one in (self.listener, *self.sockets):
            one.close()

    def _begin(self, work: Callable[..., None], *arguments: object) -> None:
        self.threads.append(threading.Thread(target=work, args=arguments))
        self.threads[-1].start()

    def _accept(self) -> None:
        with suppress(OSError):  # ended
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(self.target)
                self.sockets += [near, far]
                self._begin(self._relay, near, far)

    def _relay(self, near: socket.socket, far: socket.socket) -> None:
        with suppress(OSError):
            while True:
                ready, _, _ = select.select([near, far], [], [])
                for one in ready:
                    data = one.recv(65_536)
                    if not data and one is far:
                        return  # the worker is told nothing
                    if not data:
                        far.shutdown(socket.SHUT_RDWR)
                        return
                    if one is near and b"BRPOP" in data and far not in self.consuming:
                        self.consuming.append(far)
                    (far if one is near else near).sendall(data)


@pytest.fixture
def wire(make_store: Callable[..., EmbeddedStore]) -> Iterator[Wire]:
    relay = Wire(make_store().url)
    yield relay
    relay.end()


@pytest.mark.chaos
def test_a_worker_that_only_believes_to_consume_is_restarted_where_it_is_supervised(
    wire: Wire, drive: Callable[..., Driven], tmp_path: Path
) -> None:
    app = Celery(broker=wire.direct, set_as_current=False)
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "stock_mail_app",
        "worker",
        "-Q",
        "mail",
        "-n",
        "mail@test",
        "-c",
        "1",
    ]
    environment = {**os.environ, "SUPERVISION_STORE_URL": wire.url}

    class Consuming(Process):
        """Without this, its check would judge it before it consumes, and restart it again, until somebody is called."""

        def ready(self) -> bool:
            return bool(app.control.ping(["mail@test"], timeout=1))

    worker = Consuming("worker", command, folder=tmp_path, cwd=HERE, env=environment, start_timeout=30, stop_timeout=3)

    @check("mail", restart="worker", trip_after=1)
    def remote_control_helps(mail: Seen) -> Verdict:
        # Not by the state alone: it stands still while the circuit is open, and so would the circuit.
        return fail(mail.observed.reason) if mail.state == "incurable" and mail.observed.stalled else ok()

    with ExitStack() as stack:
        stack.callback(lambda: worker._managed.stop(2**60, timeout=5))  # looked up then: its path is given below
        driven = drive(worker, queue(wire.direct, "mail", stuck_after=2, heal_timeout=3), checks=[remote_control_helps])
        driven.until(lambda: driven.state("mail") == "running")
        first = driven.observed("worker").pid  # type: ignore[attr-defined]  # the Process's document
        assert wire.lose_consumers() >= 1
        publish(app, MARK, str(tmp_path), "mark", queue="mail")
        assert answers_ping(app)

        driven.until((tmp_path / "mark").exists, timeout=90)

        driven.until(lambda: driven.state("mail") == "running")
        assert driven.observed("worker").pid != first  # type: ignore[attr-defined]  # as above
        failed = [past.reason for past in driven.past("plant/mail", "action") if past.after == "failed"]
        assert failed, driven.story()
        assert re.search("consumer was added again at mail@test and their idle pools were restarted", failed[-1])
        restarts = [past for past in driven.past("plant/worker", "action") if past.after == "succeeded"]
        assert len(restarts) == 2, driven.story()  # the start, and one restart
