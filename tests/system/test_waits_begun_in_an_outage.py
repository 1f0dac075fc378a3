"""The store is away and the broker is not: waits that begin, or are gone on with, neither fail nor get lost."""

import uuid
from collections.abc import Iterator

import pytest
from celery import chain
from celery_processes import until
from cut_line import CutLine, cut_line
from waiting_system import WaitingSystem

from supervision import gather, wait_for
from supervision.server import EmbeddedStore

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

PUT_OFF = "wait_put_off"
SOON = 90


@pytest.fixture(scope="module")
def line_and_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[CutLine, WaitingSystem]]:
    """The worker's line to the store can be cut, its lines to broker and results cannot."""
    folder = tmp_path_factory.mktemp("away")
    with EmbeddedStore(folder / "store") as server, cut_line(server.url) as (line, url):
        direct = {"SUPERVISION_BROKER_URL": server.url, "SUPERVISION_RESULT_URL": server.url}
        system = WaitingSystem(folder, server, **{"SUPERVISION_STORE_URL": url, **direct})
        try:
            yield line, system
        finally:
            system.end()


def test_a_wait_that_begins_while_the_store_is_away_begins_later(
    line_and_system: tuple[CutLine, WaitingSystem],
) -> None:
    line, system = line_and_system
    name = uuid.uuid4().hex
    line.cut()
    waits = chain(wait_for(name, timeout=300, app=system.app), system.task("note", tag=name), app=system.app)()
    both = gather([wait_for(name, timeout=300, app=system.app)], system.task("total", tag=name), app=system.app)
    gathered = both.apply_async()
    until(lambda: system.worker.logged(f"{PUT_OFF}.*{waits.parent.id}") >= 2, lambda: system.worker.log)
    assert {waits.state, gathered.state} <= {"PENDING", "WAITING"}
    line.mend()
    system.waiting_for(name, 2)
    system.client.send(name, 7)
    assert waits.get(timeout=SOON) == [name, 7]
    assert gathered.get(timeout=SOON) == 7
    assert sorted(line for line in system.notes() if line.startswith(name)) == [f"{name}:7"] * 2


def test_a_wait_that_ends_while_the_store_is_away_for_its_worker_ends_well(
    line_and_system: tuple[CutLine, WaitingSystem],
) -> None:
    line, system = line_and_system
    name = uuid.uuid4().hex
    failed = system.task("failed")
    waits = wait_for(name, timeout=300, app=system.app).on_error(failed).apply_async()
    system.waiting_for(name)
    line.cut()
    system.client.send(name, "while it was away")
    until(lambda: system.worker.logged(f"{PUT_OFF}.*{waits.id}"), lambda: system.worker.log)
    assert waits.state == "WAITING"
    line.mend()
    assert waits.get(timeout=SOON) == "while it was away"
    assert [line for line in system.notes() if line.startswith("failed")] == []
