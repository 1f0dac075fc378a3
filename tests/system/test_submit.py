"""Tasks that are submitted by key, on real workers: one message each, from whichever client, broker or no broker."""

import asyncio
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from celery_processes import until
from waiting_system import WaitingSystem, running

from supervision import Client, Conflict, aio

QUEUE = "supervision.actions"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WaitingSystem]:
    with running(tmp_path_factory.mktemp("submit")) as found:
        yield found


@pytest.fixture
def tag() -> str:
    return uuid.uuid4().hex


def test_many_who_submit_the_same_at_once_start_one_task(system: WaitingSystem, tag: str) -> None:
    def submit(_number: int) -> str:
        return system.client.submit("user.note", [7], {"tag": tag}, key=f"order/{tag}", queue=QUEUE).task_id

    with ThreadPoolExecutor(8) as many:
        (task_id,) = set(many.map(submit, range(24)))
    assert system.app.AsyncResult(task_id).get(timeout=30) == [tag, 7]
    until(lambda: system.client.submission(f"order/{tag}").state == "sent", system.story)
    assert submit(24) == task_id
    system.client.submit("user.note", [0], key=f"last/{tag}", queue=QUEUE)
    until(lambda: ":0" in system.notes(), system.story)  # which came after whatever else had been sent
    assert system.notes().count(f"{tag}:7") == 1


def test_an_asyncio_program_finds_what_another_one_has_submitted(system: WaitingSystem, tag: str) -> None:
    system.app.conf.supervision_store_url = system.server.url

    async def program() -> str:
        async with aio.Client.from_app(system.app) as client:
            pay = system.app.signature("user.note", args=(7,), kwargs={"tag": tag})
            first = await client.submit(pay, key=tag)
            assert (await client.submission(tag)).task_id == first.task_id
            with pytest.raises(Conflict):
                await client.submit(pay, ["more"], key=tag)
            return str(first.task_id)

    assert system.app.AsyncResult(asyncio.run(program())).get(timeout=30) == [tag, 7]
    assert system.client.submission(tag).task == "user.note"


def test_without_a_broker_the_sweep_of_the_workers_sends_it(system: WaitingSystem, tag: str) -> None:
    with Client(system.server.url, broker="redis://127.0.0.1:1/0") as client:
        submitted = client.submit("user.note", [7], {"tag": tag}, key=tag, queue=QUEUE)
    assert submitted.state == "queued"
    assert system.app.AsyncResult(submitted.task_id).get(timeout=60) == [tag, 7]
