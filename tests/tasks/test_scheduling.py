"""Beat goes on when the clock of its machine is set back, and when it was set back while no beat ran."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from celery import Celery
from waiting import until

from supervision.engine.scheduling import Scheduler
from supervision.server import EmbeddedStore

NAMES = ("tick", "sweep", "look")


@pytest.fixture
def beat(server: EmbeddedStore, namespace: str, tmp_path: Path) -> Iterator[Callable[[], Scheduler]]:
    """Starts a beat of three entries, each due every 0.1 s; the file is the same each time."""
    app = Celery("beat", broker=server.url, set_as_current=False)
    app.conf.beat_schedule = {
        name: {"task": name, "schedule": 0.1, "options": {"queue": namespace, "ignore_result": True}} for name in NAMES
    }
    app.conf.beat_sync_every = 1
    started: list[Scheduler] = []

    def start() -> Scheduler:
        for before in started:
            before.close()
        started[:] = [Scheduler(app, schedule_filename=str(tmp_path / "beat"), Producer=app.amqp.Producer)]
        return started[0]

    yield start
    started[0].close()
    with app.connection_for_write() as connection:
        connection.default_channel.queue_delete(namespace)
    app.close()


def all_sent(beat: Scheduler, times: int) -> None:
    def sent() -> bool:
        beat.tick()
        return min(beat.schedule[name].total_run_count for name in NAMES) >= times

    until(
        sent,
        what=lambda: f"all to be sent {times} times, not {[(n, beat.schedule[n].total_run_count) for n in NAMES]}",
        timeout=20,
    )


def ran_ahead(beat: Scheduler, seconds: float) -> None:
    """What beat knows is from a clock that was so far ahead."""
    for entry in beat.schedule.values():
        entry.last_run_at = entry.default_now() + timedelta(seconds=seconds)
    beat.populate_heap()


def test_a_clock_that_is_set_back_delays_no_entry(beat: Callable[[], Scheduler]) -> None:
    running = beat()
    all_sent(running, 2)
    ran_ahead(running, 600)
    all_sent(running, 4)


def test_a_beat_that_is_started_with_a_file_from_the_future_sends_all_the_same(beat: Callable[[], Scheduler]) -> None:
    first = beat()
    all_sent(first, 1)
    ran_ahead(first, 600)
    all_sent(beat(), 3)


def test_a_clock_that_goes_on_changes_nothing(beat: Callable[[], Scheduler]) -> None:
    running = beat()
    all_sent(running, 1)
    order, ran = running._heap, {name: entry.last_run_at for name, entry in running.schedule.items()}
    running.tick()
    assert running._heap is order
    assert all(running.schedule[name].last_run_at >= at for name, at in ran.items())
