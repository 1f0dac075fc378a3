"""Mailboxes with real workers: a handler gets the messages in order while their owner waits, whoever is killed."""

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from celery import signature
from mail_system import MailSystem, emptied, running
from waiting import until

from supervision.client import Client

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailSystem]:
    with running(tmp_path_factory.mktemp("mail")) as found:
        yield found


@pytest.fixture
def client(system: MailSystem) -> Iterator[Client]:
    with Client(system.url) as found:
        yield found


@pytest.mark.parametrize(("messages", "at_once"), [(1000, 50), (60, 1)])
def test_messages_are_handled_in_order_while_their_owner_waits(
    messages: int, at_once: int, client: Client, system: MailSystem
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
    calls = system.noted(name)
    assert [i for call in calls for i in (call[0] if at_once > 1 else [call[0]])] == list(range(messages))
    assert [each for call in calls for each in call[2]] == [f"{name}-{i}" for i in range(messages)]
    assert {(call[1], attempt) for call in calls for attempt in call[3]} == {(name, 1)}
    assert box.view().handled == messages


def test_a_handler_that_is_killed_gets_the_same_message_again_and_the_order_is_kept(
    client: Client, system: MailSystem
) -> None:
    box = client.mailbox("killed")
    box.handle(signature("mail_tasks.hang_on", kwargs={"which": 1}), timeout=1.5)
    for i in range(4):
        box.put(i)
    hanging = until(lambda: [call for call in system.noted("hang_on") if call[:2] == [1, [1]]])
    os.kill(hanging[0][2], signal.SIGKILL)
    emptied(box)
    assert [call[:2] for call in system.noted("hang_on")] == [[0, [1]], [1, [1]], [1, [2]], [2, [1]], [3, [1]]]


def test_a_message_is_handled_when_what_takes_its_handlers_place_has_ended(client: Client, system: MailSystem) -> None:
    box = client.mailbox("replaced")
    box.handle(signature("mail_tasks.put_another", kwargs={"tag": "replaced"}))
    for i in range(3):
        box.put(i)
    emptied(box)
    assert system.noted("replaced") == [[0], [1], [2]]
    assert box.view().handled == 3


def test_a_message_that_kills_every_process_is_a_dead_letter_after_five_of_them(
    client: Client, system: MailSystem
) -> None:
    box = client.mailbox("deadly")
    box.handle(signature("mail_tasks.die_on", kwargs={"poison": 1}))
    for i in range(3):
        box.put(i, id=f"d-{i}")
    emptied(box)
    assert system.noted("die_on") == [[0, [1]], *([1, [attempt]] for attempt in range(1, 6)), [2, [1]]]
    assert [dead.why for dead in box.dead_letters()] == ["the process that handled it was killed"]


def test_poison_is_a_dead_letter_and_the_next_ones_go_on(client: Client, system: MailSystem) -> None:
    box = client.mailbox("poisoned")
    box.handle(signature("mail_tasks.break_on", kwargs={"poison": 1}))
    for i in range(3):
        box.put(i, id=f"p-{i}")
    emptied(box)
    calls = system.noted("break_on")
    assert calls == [[0, [1]], *([1, [attempt]] for attempt in range(1, 6)), [2, [1]]]
    (dead,) = box.dead_letters()
    assert (dead.id, dead.why) == ("p-1", "ValueError: 1 is poison")
    box.handle(signature("mail_tasks.break_on", kwargs={"poison": "nothing"}))
    box.retry("p-1", by="ann", reason="the handler is repaired")
    emptied(box)
    assert system.noted("break_on")[-1] == [1, [1]]
    assert box.dead_letters() == []
