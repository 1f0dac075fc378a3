"""The broker is lost while a worker reads a long result of its process: ours reads on, Celery's own reader does not."""

import os
import pickle
import select
import signal
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery import Celery
from celery.concurrency import asynpool
from celery_processes import Worker, ended, lines, publish, until
from cut_line import CutLine, cut_line
from hardened_app import hardened
from kombu.asynchronous import Hub

from supervision.engine import results
from supervision.server import EmbeddedStore

QUEUE = "probe.pieces"
NO_LONGER_NEEDED = (
    "Celery's own result handler read on where it had left off before its loop was cleared: upstream no longer needs "
    "supervision/engine/results.py."
)


class Pipe:
    """What a pool process writes its results to, and the worker's loop that reads them."""

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.end, self._writer = os.pipe()
        os.set_blocking(self.end, False)
        reader = SimpleNamespace(poll=lambda seconds: bool(select.select([self.end], [], [], seconds)[0]))
        self.process = SimpleNamespace(outq=SimpleNamespace(_reader=reader), _is_alive=lambda: True)
        self.handler = asynpool.ResultHandler(
            *(None,) * 9, fileno_to_outq={self.end: self.process}, on_process_alive=self.heard.append
        )
        self.hub = Hub()

    def say(self, piece: bytes) -> None:
        os.write(self._writer, piece)

    def connect(self) -> None:
        """What a worker does whenever it has reached its broker."""
        self.hub.reset()
        self.handler.register_with_event_loop(self.hub)
        self.hub.add_reader(self.end, self.handler.handle_event, self.end)
        self._loop = self.hub.create_loop()

    def turn(self) -> None:
        """One turn of the loop; its pipe has something."""
        next(self._loop)

    def replace(self) -> None:
        """The process has died, and another one has its pipe's number."""
        self.handler.fileno_to_outq[self.end] = object()

    def close(self) -> None:
        self.hub.close()
        os.close(self.end)
        os.close(self._writer)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    try:
        yield made
    finally:
        made.close()


def result(number: int) -> tuple[bytes, bytes]:
    """A message in its two pieces."""
    said = pickle.dumps((asynpool.WORKER_UP, (number,)))
    return struct.pack("!i", len(said)), said


@pytest.mark.parametrize("left_off", [2, 4, 10])
def test_a_result_that_was_read_in_part_is_read_on_after_the_broker_was_lost(pipe: Pipe, left_off: int) -> None:
    said = b"".join(result(7))
    results.remember(pipe.handler)
    pipe.connect()
    pipe.say(said[:left_off])
    pipe.turn()
    pipe.connect()
    pipe.say(said[left_off:])
    pipe.turn()
    assert pipe.heard == [7]
    pipe.say(b"".join(result(8)))
    pipe.turn()
    assert pipe.heard == [7, 8]


def test_celerys_own_reader_begins_in_the_middle(pipe: Pipe) -> None:
    length, said = result(7)
    pipe.connect()
    pipe.say(length)
    pipe.turn()
    pipe.connect()
    pipe.say(said)
    with suppress(pickle.UnpicklingError, ValueError, OverflowError):  # or it stops to read from this process for ever
        pipe.turn()
    assert pipe.heard == [], NO_LONGER_NEEDED


def test_what_a_dead_process_left_in_the_middle_is_not_read_on_with_what_the_next_one_says(pipe: Pipe) -> None:
    results.remember(pipe.handler)
    results.remember(pipe.handler)
    pipe.connect()
    pipe.say(result(7)[0])
    pipe.turn()
    pipe.replace()
    pipe.connect()
    pipe.say(b"".join(result(8)))
    pipe.turn()
    assert pipe.heard == [8]


def test_who_is_told_of_a_result_may_look_for_the_next_one(pipe: Pipe) -> None:
    """It is told by the reader, which has read all of its own and runs still: it is no reader to go on with."""

    def looks_again(number: int) -> None:
        pipe.heard.append(number)
        if number == 7:
            pipe.handler.handle_event(pipe.end)

    pipe.handler.state_handlers[asynpool.WORKER_UP] = looks_again
    results.remember(pipe.handler)
    pipe.connect()
    pipe.say(b"".join((*result(7), *result(8))))
    pipe.turn()
    assert pipe.heard == [7, 8]


@contextmanager
def losing_its_broker_in_mid_result(tmp_path: Path, **environment: str) -> Iterator[tuple[Worker, CutLine, Celery]]:
    """A worker that has read the first piece of a result, the line to its broker, which is cut, and who publishes."""
    with EmbeddedStore(tmp_path / "store") as store, cut_line(store.url) as (line, url), hardened(store.url) as app:
        worker = Worker(tmp_path, url, QUEUE, slots=1, **environment)
        with ended(worker):
            worker.await_ready()
            publish(app, "probe.falter", str(tmp_path), "said", "go", queue=QUEUE)
            until(lambda: lines(tmp_path, "said"), lambda: f"the first piece:\n{worker.log[-3000:]}")
            line.cut()
            worker.await_log("Connection to broker lost")
            yield worker, line, app


def test_a_worker_outlives_losing_its_broker_while_it_reads(tmp_path: Path) -> None:
    with losing_its_broker_in_mid_result(tmp_path) as (worker, line, app):
        line.mend()
        worker.await_log("Connected to", times=2)
        (tmp_path / "go").touch()
        publish(app, "probe.mark", str(tmp_path), "after", queue=QUEUE)
        until(lambda: lines(tmp_path, "after"), lambda: f"the next task:\n{worker.log[-3000:]}")
        assert not worker.logged("Unrecoverable error")


def test_a_result_that_was_read_in_part_is_finished_by_a_worker_that_ends_without_its_broker(pipe: Pipe) -> None:
    said = b"".join(result(7))
    results.remember(pipe.handler)
    pipe.connect()
    pipe.say(said[:4])
    pipe.turn()
    pipe.hub.reset()  # the broker is lost, and is not there again before the end
    pipe.say(said[4:])
    assert not pipe.handler._finish_partial_read(pipe.end, pipe.process)
    assert pipe.heard == [7]


@pytest.mark.chaos
@pytest.mark.parametrize("remapped", ["", "SIGQUIT"], ids=["warm", "cold"])
def test_a_worker_that_ends_without_its_broker_hears_of_a_task_that_has_succeeded(
    tmp_path: Path, remapped: str
) -> None:
    with losing_its_broker_in_mid_result(tmp_path, REMAP_SIGTERM=remapped) as (worker, _line, _app):
        worker.send(signal.SIGTERM)
        worker.await_log("Warm shutdown|Soft Shutdown")
        (tmp_path / "go").touch()
        # Without it: half a minute for what it takes for the length of a result. The exit status is Celery's own: 1
        # where the cold shutdown comes in the middle of its handling of the lost connection.
        worker.wait(within=25)
        assert not worker.logged("WorkerLostError")
