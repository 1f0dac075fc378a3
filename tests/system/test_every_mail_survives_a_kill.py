"""Kill -9 before and after every script and publish of mailboxes: each message is handled, in order, at least once.

Those that a worker goes through are gone through by a handler that fails once; those that a program goes through are
asked for once more with the same id, by whoever was killed.
"""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator

import faults
import pytest
from celery import signature
from mail_system import MailSystem, emptied, running
from waiting import until

from supervision.client import Client

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

OF_A_WORKER = (
    *("take", "begun", "handled", "unhandled", "remind", "clear_mail", "publish mail"),
    *("message mailing._call", "message mailing._ended_well", "message mailing.replace"),
)
OF_A_PROGRAM = ("post", "arrange", "dead_mail")

ASK = """
import sys, faults_installed
from celery import signature
from supervision.client import Client
url, script, name = sys.argv[1:]
with Client(url) as client:
    box = client.mailbox(name)
    if script == "post":
        box.put(0, id="m-0")
    elif script == "arrange":
        box.handle(signature("mail_tasks.note", kwargs={"tag": name}))
    elif box.dead_letters():
        box.retry("m-0", by="test", reason="once more")
"""


def arm(system: MailSystem, step: str) -> None:
    (system.folder / "fired").unlink(missing_ok=True)
    (system.folder / "at").write_text(step)


def ask(system: MailSystem, script: str, name: str) -> int:
    """A program that asks for something; answers how it ended."""
    command = [sys.executable, "-c", ASK, system.url, script, name]
    return subprocess.run(command, env={**os.environ, **system.environment}, check=False).returncode


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailSystem]:
    with running(tmp_path_factory.mktemp("mail"), "faults_installed,mail_tasks") as found:
        yield found


@pytest.mark.parametrize("step", [f"{when} {what}" for what in OF_A_WORKER for when in ("before", "after")])
def test_a_worker_that_is_killed_at(step: str, system: MailSystem) -> None:
    name = uuid.uuid4().hex
    with Client(system.url) as client:
        box = client.mailbox(name)
        breaks = signature("mail_tasks.break_once", kwargs={"tag": name, "which": 1})
        replaced = signature("mail_tasks.put_another", kwargs={"tag": name})
        box.handle(replaced if step.endswith(".replace") else breaks, timeout=3)
        arm(system, step)
        if step.endswith("_ended_well"):
            (system.folder / "away").write_text("handled")
        for i in range(4):
            box.put(i)
        if step.endswith("clear_mail"):
            client.sweep("cleared", by="test", reason="now")
        if step.endswith("publish mail"):
            with Client(system.url, broker="redis://127.0.0.1:1/0") as mute:  # so that the workers' sweep sends it
                emptied(box)
                mute.mailbox(name).put(4)
        until((system.folder / "fired").exists, what=f"somebody to die {step}; is there a way to provoke it?")
        emptied(box)
        handled = [call[0] for call in system.noted(name)]
        assert list(dict.fromkeys(handled)) == sorted(set(handled)) == list(range(5 if "publish" in step else 4))
        assert box.dead_letters() == []


@pytest.mark.parametrize("step", [f"{when} {what}" for what in OF_A_PROGRAM for when in ("before", "after")])
def test_a_program_that_is_killed_at(step: str, system: MailSystem) -> None:
    name, script = uuid.uuid4().hex, step.split(" ")[1]
    with Client(system.url) as client:
        box = client.mailbox(name)
        if script != "post":
            box.put(0, id="m-0")
        if script == "dead_mail":
            for _ in range(5):
                box.failed(*box.take(wait=60))
        if script != "arrange":
            box.handle(signature("mail_tasks.note", kwargs={"tag": name}))
        arm(system, step)
        assert ask(system, script, name) == -9
        assert ask(system, script, name) == 0
        emptied(box)
        assert [call[0] for call in system.noted(name)] == [0]
        assert box.dead_letters() == []


def test_every_step_of_mail_has_a_way_to_be_provoked() -> None:
    steps = {step.split(" ", 1)[1] for step in faults.STEPS if faults.of_mail(step)}
    assert steps == {*OF_A_WORKER, *OF_A_PROGRAM}
