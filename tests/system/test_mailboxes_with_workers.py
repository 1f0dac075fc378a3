"""Mailboxes with real workers: a handler gets the messages in order while their owner waits, whoever is killed."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import signature
from celery_processes import HERE, CeleryProcess, ended
from waiting import until

from supervision.client import Client
from supervision.mail_client import Mailbox
from supervision.server import EmbeddedStore

pytestmark = pytest.mark.timeout(180)

QUEUES = "supervision.waits,supervision.sweeps,supervision.actions"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mail")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[Client]:
    """A client of a system with one worker and a beat."""
    with EmbeddedStore(folder / "store") as server:
        environment = {
            "SUPERVISION_STORE_URL": server.url,
            "SUPERVISION_IMPORTS": "mail_tasks",
            "PLANT_FOLDER": str(folder),
            "PYTHONPATH": str(HERE),
            "REMAP_SIGTERM": "SIGQUIT",
        }
        worker = CeleryProcess(folder, "tasks", "worker", "-Q", QUEUES, "-c", "3", "-l", "INFO", **environment)
        beat = CeleryProcess(folder, "tasks", "beat", "-s", str(folder / "beat"), **environment)
        with ended(worker, beat), Client(server.url) as found:
            worker.await_log(r" ready\.")
            yield found


def noted(folder: Path, first: str) -> list[Any]:
    """What handlers have noted that begins with ``first``."""
    file = folder / "handled"
    lines = file.read_text().splitlines() if file.exists() else []
    return [line[1:] for line in map(json.loads, lines) if line[0] == first]


def emptied(box: Mailbox) -> None:
    until(lambda: box.depth() == 0, timeout=90, what=lambda: f"the end of {box.view()}")


@pytest.mark.parametrize(("messages", "at_once"), [(1000, 50), (60, 1)])
def test_messages_are_handled_in_order_while_their_owner_waits(
    messages: int, at_once: int, client: Client, folder: Path
) -> None:
    name = f"build-{at_once}"
    box = client.mailbox(name)
    box.handle(signature("mail_tasks.note", kwargs={"tag": name}), at_once=at_once)
    with client.coordinator(name) as owner:
        answers: list[Any] = []
        waiting = threading.Thread(target=lambda: answers.append(owner.wait(f"{name}/done", timeout=120)))
        waiting.start()
        until(lambda: client.waits(owner=name))
        for i in range(messages):
            box.put(i, id=f"{name}-{i}")
        emptied(box)
        assert [view.owner for view in client.waits(owner=name)] == [name]
        client.send(f"{name}/done", "all of it")
        waiting.join(60)
    assert answers == ["all of it"]
    calls = noted(folder, name)
    assert [i for call in calls for i in (call[0] if at_once > 1 else [call[0]])] == list(range(messages))
    assert [each for call in calls for each in call[2]] == [f"{name}-{i}" for i in range(messages)]
    assert {(call[1], attempt) for call in calls for attempt in call[3]} == {(name, 1)}
    assert box.view().handled == messages


def test_a_handler_that_is_killed_gets_the_same_message_again_and_the_order_is_kept(
    client: Client, folder: Path
) -> None:
    box = client.mailbox("killed")
    box.handle(signature("mail_tasks.hang_on", kwargs={"which": 1}), timeout=1.5)
    for i in range(4):
        box.put(i)
    hanging = until(lambda: [call for call in noted(folder, "hang_on") if call[:2] == [1, [1]]])
    os.kill(hanging[0][2], signal.SIGKILL)
    emptied(box)
    assert [call[:2] for call in noted(folder, "hang_on")] == [[0, [1]], [1, [1]], [1, [2]], [2, [1]], [3, [1]]]


@pytest.mark.chaos
def test_poison_is_a_dead_letter_and_the_next_ones_go_on(client: Client, folder: Path) -> None:
    box = client.mailbox("poisoned")
    box.handle(signature("mail_tasks.break_on", kwargs={"poison": 1}))
    for i in range(3):
        box.put(i, id=f"p-{i}")
    emptied(box)
    calls = noted(folder, "break_on")
    assert calls == [[0, [1]], *([1, [attempt]] for attempt in range(1, 6)), [2, [1]]]
    (dead,) = box.dead_letters()
    assert (dead.id, dead.why) == ("p-1", "ValueError: 1 is poison")
    box.handle(signature("mail_tasks.break_on", kwargs={"poison": "nothing"}))
    box.retry("p-1", by="ann", reason="the handler is repaired")
    emptied(box)
    assert noted(folder, "break_on")[-1] == [1, [1]]
    assert box.dead_letters() == []
