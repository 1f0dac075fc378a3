"""Fault points for workers: they die at a named step, and note every claim. `faults_installed` puts them in.

The step to die at stands in the file ``$FAULT_FOLDER/at``, as "before commit" or "after publish act". It is armed once:
whoever renames the file dies. So is the store away, once, for the script that ``$FAULT_FOLDER/away`` names.
Production code knows nothing of this.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from celery import Celery

from supervision.engine.publish import CeleryPublisher
from supervision.errors import StoreUnavailable
from supervision.store import scripts
from supervision.store.outbox import KINDS, Entry

OF_WAITS = frozenset(
    {
        *("once._come_again", "parts._send", "resuming._send"),
        *("waiting._come_again", "waiting._replaced", "waiting.replace"),
    }
)
OF_MAIL = frozenset({"mailing._call", "mailing._ended_well", "mailing.replace"})
"""Functions that send a message that stands in no outbox; `test_every_message_is_a_step` finds them in the code."""

STEPS = tuple(
    f"{when} {step}"
    for step in (
        *scripts.NAMES,
        *(f"publish {kind}" for kind in KINDS),
        *(f"message {site}" for site in sorted(OF_WAITS | OF_MAIL)),
    )
    for when in ("before", "after")
)
"""Everything that a process of ours can be killed between: taken from the code, so that a new step is in it."""

OF_COORDINATION = frozenset({KINDS.release, KINDS.replace, KINDS.parts, KINDS.hook, KINDS.task})
"""Messages that only waits and signals cause."""


def of_coordination(step: str) -> bool:
    """Whether waits and signals go through ``step``; all others are gone through when something is healed."""
    what = step.split(" ", 1)[1]
    if what.startswith("message "):
        return what.removeprefix("message ") in OF_WAITS
    if what.startswith("publish "):
        return what.removeprefix("publish ") in OF_COORDINATION
    return "-- with waits" in scripts.source(what)


def of_mail(step: str) -> bool:
    """Whether messages to mailboxes go through ``step``."""
    what = step.split(" ", 1)[1]
    if what.startswith("message "):
        return what.removeprefix("message ") in OF_MAIL
    return what == f"publish {KINDS.mail}" if what.startswith("publish ") else "-- with mail" in scripts.source(what)


_run, _send, _send_task = scripts.Scripts.run, CeleryPublisher.send, Celery.send_task


def _folder() -> Path:
    return Path(os.environ["FAULT_FOLDER"])


def _die_at(step: str) -> None:
    armed = _folder() / "at"
    try:
        if armed.read_text() != step:
            return
        armed.rename(_folder() / "fired")
    except FileNotFoundError:
        return
    if os.environ.get("FAULT_KILLS") == "worker":
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def _be_away_at(name: str) -> None:
    armed = _folder() / "away"
    try:
        if armed.read_text() != name:
            return
        armed.unlink()
    except FileNotFoundError:
        return
    raise StoreUnavailable(name)


def _site() -> str:
    """The function of ours that sends what is just sent."""
    frame = sys._getframe(2)
    while frame and not frame.f_globals.get("__name__", "").startswith(("supervision.", "tasks.")):
        frame = frame.f_back
    return f"{frame.f_globals['__name__'].rpartition('.')[2]}.{frame.f_code.co_name}" if frame else ""


def _noted_send_task(self: Celery, *arguments: Any, **options: Any) -> Any:
    site = _site()
    _die_at(f"before message {site}")
    sent = _send_task(self, *arguments, **options)
    _die_at(f"after message {site}")
    return sent


def _noted_run(self: scripts.Scripts, name: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
    _die_at(f"before {name}")
    _be_away_at(name)
    answer = _run(self, name, keys, args)
    if name == "claim" and answer[0] == b"claimed":
        slot = int(answer[2]) // int(args[2]) if args[1] == "slot" else "dirty"
        _record("claims", f"{slot} {int(answer[1])}")
    _die_at(f"after {name}")
    return answer


def _noted_send(self: CeleryPublisher, entry: Entry) -> None:
    _die_at(f"before publish {entry.kind}")
    _send(self, entry)
    _die_at(f"after publish {entry.kind}")


def _record(file: str, line: str) -> None:
    descriptor = os.open(_folder() / file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


def install() -> None:
    """Put the fault points into this process."""
    scripts.Scripts.run = _noted_run  # type: ignore[method-assign] # the point of this module
    CeleryPublisher.send = _noted_send  # type: ignore[method-assign] # likewise
    Celery.send_task = _noted_send_task  # type: ignore[method-assign] # likewise
