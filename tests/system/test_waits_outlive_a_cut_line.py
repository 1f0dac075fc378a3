"""Workers, beat and a client lose the store for half a minute while 200 wait: all end as they should, once.

The line is cut (silent, or refused), not the store killed: whoever sends has a line of its own, and what they send is
there when the others come back. The last outage is the store's own, killed for as long.
"""

import os
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from celery_processes import until
from cut_line import CutLine, cut_line
from waiting_system import WaitingSystem

from supervision import NotFound, SignalTimeout, StoreUnavailable, WaitEnded, wait_for
from supervision.client import Client
from supervision.server import EmbeddedStore

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

TASKS, THREADS = 120, 80

BACK_S = 60.0
"""Within 10 s on a machine that keeps up."""

OVER = {"dead", "failed", "complete"}

LONG_S = 180.0
LATE_MS = 60_000
"""Within a second on a machine that keeps up."""

OUTAGES = {
    "silent for 5 s": [("silence", 5.0)],
    "silent for 30 s": [("silence", 30.0)],
    "flapping": [("silence", 10.0), ("cut", 10.0), ("silence", 10.0)],
    "the store killed for 30 s": [("kill", 30.0)],
}
"""How and for how long; between two of them everybody is back for a moment."""


class Plant(WaitingSystem):
    """Worker, beat and ``near`` reach the store by a line that can be cut; ``app`` and ``client`` directly."""

    def __init__(self, folder: Path, server: EmbeddedStore, line: CutLine, url: str) -> None:
        self.line, self.url = line, url
        super().__init__(folder, server, SUPERVISION_STORE_URL=url, SUPERVISION_BROKER_URL=url)

    @property
    def broker(self) -> str:
        return self.server.url

    def now(self) -> int:
        """The store's clock, milliseconds."""
        seconds, micros = self.client._store.client.time()  # type: ignore[misc] # it is the synchronous client
        return int(seconds) * 1000 + int(micros) // 1000

    def away(self, how: str, seconds: float, meanwhile: Callable[[], object]) -> None:
        """The store is out of reach for so long; ``meanwhile`` is done when it is."""
        if how == "kill":
            os.kill(self.server.pid, signal.SIGKILL)
        else:
            getattr(self.line, how)()
        began = time.monotonic()
        meanwhile()
        threading.Event().wait(max(began + seconds - time.monotonic(), 0))  # the outage itself
        if how == "kill":
            self.server.start()
        else:
            self.line.mend()


@pytest.fixture(scope="module", autouse=True)
def three_minutes(tmp_path_factory: pytest.TempPathFactory) -> Iterator["ThreeMinutes"]:
    """A wait with nobody's help, and no outage: it goes on while the other tests run."""
    with EmbeddedStore(tmp_path_factory.mktemp("real") / "store") as server, Client(server.url) as client:
        found = ThreeMinutes(client)
        try:
            yield found
        finally:
            found.end()


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    folder = tmp_path_factory.mktemp("cut")
    with EmbeddedStore(folder / "store") as server, cut_line(server.url) as (line, url):
        system = Plant(folder, server, line, url)
        try:
            yield system
        finally:
            system.end()


class ThreeMinutes:
    """One thread that waits so long for what never comes."""

    def __init__(self, client: Client) -> None:
        self.client, self.ended = client, ""
        self._thread = threading.Thread(target=self._wait)
        self.began = time.monotonic()
        self._thread.start()

    def _wait(self) -> None:
        with self.client.coordinator("patient") as coordinator:
            try:
                coordinator.wait("patient/never", timeout=LONG_S)
            except WaitEnded as error:
                self.ended = str(error)

    def join(self) -> None:
        self._thread.join(LONG_S + LATE_MS / 1000)

    def end(self) -> None:
        """Let it go, where the test that waits for its end was not run."""
        with suppress(NotFound):
            self.client.cancel("patient>patient/never", by="test", reason="the tests are over")
        self.join()


@pytest.mark.parametrize("outages", OUTAGES.values(), ids=OUTAGES)
def test_waits_outlive(outages: list[tuple[str, float]], plant: Plant) -> None:
    tag = uuid.uuid4().hex
    tasks = [wait_for(f"{tag}/t{i}", timeout=300, app=plant.app).apply_async() for i in range(TASKS)]
    late = wait_for(f"{tag}/never", timeout=outages[0][1] / 2, on_timeout="late", app=plant.app).apply_async()
    with Client(plant.url) as near, near.coordinator(tag) as coordinator:
        waiting = Threads(coordinator, tag)
        until(lambda: begun(plant, [*tasks, late], tag), lambda: missing(plant, [*tasks, late]))
        for number, (how, seconds) in enumerate(outages):
            direct = how != "kill"
            plant.away(how, seconds, lambda: send_some(plant, tag, number, len(outages)) if direct else None)  # noqa: B023 # done at once
            until(lambda: answers(near), "the client to be back", within=BACK_S)
            if not direct:
                send_some(plant, tag, number, len(outages))
        waiting.join()
        mended = plant.now()
        until(lambda: last_beat(plant, tag) > mended, plant.story, within=BACK_S)
    assert waiting.got == {i: i for i in range(THREADS)}
    assert waiting.late in (SignalTimeout, StoreUnavailable)
    until(
        lambda: all(task.ready() for task in (*tasks, late)), lambda: missing(plant, [*tasks, late]), within=2 * BACK_S
    )
    assert [task.get() for task in (*tasks, late)] == [*range(TASKS), "late"]
    ended_once(plant, [task.id for task in (*tasks, late)], tag)


class Threads:
    """Of one coordinator, each waiting for a signal of its own, and one for what never comes."""

    def __init__(self, coordinator: Any, tag: str) -> None:
        self.got: dict[int, Any] = {}
        self.late: type[Exception] | None = None
        self._coordinator, self._tag = coordinator, tag
        self._threads = [threading.Thread(target=self._wait, args=(i,)) for i in range(THREADS)]
        self._threads.append(threading.Thread(target=self._wait_in_vain))
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(2 * BACK_S)
        assert [thread for thread in self._threads if thread.is_alive()] == [], f"only {sorted(self.got)} ended"

    def _wait(self, i: int) -> None:
        self.got[i] = self._coordinator.wait(f"{self._tag}/p{i}", timeout=300)

    def _wait_in_vain(self) -> None:
        try:
            self._coordinator.wait(f"{self._tag}/no", timeout=3)
        except (SignalTimeout, StoreUnavailable) as error:
            self.late = type(error)


def begun(plant: Plant, tasks: list[Any], tag: str) -> bool:
    """All of them wait. A first message in flight when the line goes may be lost or come after a minute (kombu)."""
    expected = [*(task.id for task in tasks), *(f"{tag}>{tag}/p{i}" for i in range(THREADS))]
    return len(plant.client._store.open_waits.some(expected)) == len(expected)


def missing(plant: Plant, tasks: list[Any]) -> str:
    """Whose result is not there, and what the worker says."""
    return f"{[(task.id, task.state) for task in tasks if not task.ready()]}: {plant.story()}\n{plant.worker.log}"


def send_some(plant: Plant, tag: str, part: int, of: int) -> None:
    """Every ``of``-th signal, over the direct line: each is sent, whoever is away."""
    for kind, number in (("t", TASKS), ("p", THREADS)):
        for i in range(part, number, of):
            assert not plant.client.send(f"{tag}/{kind}{i}", i, id=f"{tag}/{kind}{i}").repeated


def answers(client: Client) -> bool:
    try:
        client.waits()
    except StoreUnavailable:
        return False
    return True


def last_beat(plant: Plant, name: str) -> int:
    """When a coordinator that is alive was last heard, by the store's clock."""
    (found,) = [each for each in plant.client.coordinators() if each.id == name]
    assert found.state not in OVER, found
    return found.beat


def ended_once(plant: Plant, tasks: list[str], tag: str) -> None:
    """Each wait has one end and one continuation in the history, and nothing of any of them is left to be done."""
    store = plant.client._store
    until(lambda: store.client.zcard(store.keys.undelivered) == 0, plant.story, within=2 * BACK_S)
    past = [each for each in plant.client.latest_events(20_000) if each.kind == "wait"]
    of_threads = [f"{tag}>{tag}/p{i}" for i in range(THREADS)]
    ends = Counter(each.subject for each in past if each.before == "waiting")
    assert {name: ends[name] for name in (*tasks, *of_threads)} == dict.fromkeys((*tasks, *of_threads), 1)
    processed = Counter(each.subject for each in past if each.after == "processed")
    assert {name: processed[name] for name in tasks} == dict.fromkeys(tasks, 1)
    assert plant.client.dead_letters() == []


def test_three_minutes_on_a_real_clock(three_minutes: ThreeMinutes) -> None:
    """Last, as it has been going on all the while."""
    three_minutes.join()
    (wait,) = three_minutes.client._store.open_waits.some(["patient>patient/never"])
    assert (three_minutes.ended, wait.how) == ("no patient/never before its deadline", "timed_out")
    assert LONG_S * 1000 <= wait.ended - wait.since <= LONG_S * 1000 + LATE_MS
    assert time.monotonic() - three_minutes.began >= LONG_S
