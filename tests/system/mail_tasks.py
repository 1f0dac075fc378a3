"""What the workers of the mailbox tests know: handlers that note what they get, and one that waits to be killed."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import Task, shared_task, signature


def _note(line: Any) -> None:
    descriptor = os.open(Path(os.environ["PLANT_FOLDER"]) / "handled", os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    os.write(descriptor, f"{json.dumps(line)}\n".encode())
    os.close(descriptor)


@shared_task(name="mail_tasks.note", bind=True)
def note(self: "Task[Any, Any]", payload: Any, tag: str) -> None:
    """Note what came, and what its headers say of it."""
    headers = self.request.headers or {}
    _note([tag, payload, headers["mailbox"], headers["message_ids"], headers["attempts"]])


@shared_task(name="mail_tasks.break_on", bind=True)
def break_on(self: "Task[Any, Any]", payload: Any, poison: Any) -> None:
    """Note what came, and raise on poison."""
    _note(["break_on", payload, self.request.headers["attempts"]])
    if payload == poison:
        raise ValueError(f"{payload} is poison")


@shared_task(name="mail_tasks.break_once", bind=True)
def break_once(self: "Task[Any, Any]", payload: Any, tag: str, which: Any) -> None:
    """Note what came, and raise at the first attempt with ``which``."""
    _note([tag, payload])
    if payload == which and self.request.headers["attempts"] == [1]:
        raise ValueError("once")


@shared_task(name="mail_tasks.put_another", bind=True)
def put_another(self: "Task[Any, Any]", payload: Any, tag: str) -> Any:
    """Have another task take its place, whose messages nobody says anything about."""
    return self.replace(signature("mail_tasks.bare", args=(payload, tag)))


@shared_task(name="mail_tasks.bare")
def bare(payload: Any, tag: str) -> None:
    """Note what came."""
    _note([tag, payload])


# Acknowledged early, so that Celery has forgotten it when its process is killed.
@shared_task(name="mail_tasks.hang_on", bind=True, acks_late=False)
def hang_on(self: "Task[Any, Any]", payload: Any, which: Any) -> None:
    """Note what came and who has it; wait to be killed at the first attempt with ``which``."""
    attempts = self.request.headers["attempts"]
    _note(["hang_on", payload, attempts, os.getpid()])
    if payload == which and attempts == [1]:
        time.sleep(300)


@shared_task(name="mail_tasks.die_on", bind=True)
def die_on(self: "Task[Any, Any]", payload: Any, poison: Any) -> None:
    """Note what came, and kill its own process on poison."""
    _note(["die_on", payload, self.request.headers["attempts"]])
    if payload == poison:
        os.kill(os.getpid(), signal.SIGKILL)
