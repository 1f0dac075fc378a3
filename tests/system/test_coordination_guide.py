"""The guide of coordination: its samples are run on a real worker, its numbers are those of the code."""

import asyncio
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery_processes import until
from waiting_system import WaitingSystem, running

import supervision
from supervision import aio, wait_for
from supervision.coordination.liveness import CRITICAL_S, DEAD_S, HEARTBEAT_S, WARNING_S
from supervision.coordination.signals import DEFAULT_TTL_S, MAX_NAME_LENGTH
from supervision.coordination.waits import DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S
from supervision.documents import MAX_DOCUMENT_BYTES
from supervision.store.submissions import KEEP_MS
from supervision.store.waits import LEASE_MS

ROOT = Path(supervision.__file__).parents[1]
PAGE, README = ((ROOT / name).read_text() for name in ("docs/coordination.md", "README.md"))
SAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
CANVASES, SENDING, PROGRAM, ASYNC, SUBMIT, TASK = SAMPLES


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WaitingSystem]:
    with running(tmp_path_factory.mktemp("guide")) as found:
        yield found


@pytest.fixture(autouse=True)
def here(system: WaitingSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISION_STORE_URL", system.server.url)


class Tasks:
    """What the page calls the user's tasks."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def s(self, value: Any = None) -> Any:
        return self._app.signature("user.note", args=() if value is None else (value,))


def test_the_canvases(system: WaitingSystem) -> None:
    names = {name: Tasks(system.app) for name in ("build", "deploy", "audit", "summary")}
    system.app.set_current()
    found: dict[str, Any] = dict(names)
    exec(CANVASES, found)  # noqa: S102 # our own page
    release = found["release"].apply_async()
    either = found["either"].apply_async()
    system.waiting_for("approved/42", 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUPERVISION_BROKER_URL", system.broker)
        exec(SENDING, {})  # noqa: S102 # our own page
    assert release.get(timeout=20) == ["", {"by": "ann"}]
    assert either.get(timeout=20) == {"approved/42": {"by": "ann"}}
    assert {found[name].task for name in ("either", "most")} == {"supervision.wait"}


def test_the_first_wait_of_the_readme(system: WaitingSystem, capsys: pytest.CaptureFixture[str]) -> None:
    (sample,) = [text for text in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "wait_for" in text]
    own = sample.replace("redis://127.0.0.1:6379/0", system.server.url).replace("approved/42", "readme/42")
    exec(own, {})  # noqa: S102 # our own page
    assert "{'by': 'ann'}" in capsys.readouterr().out


def test_a_program_and_an_asyncio_program(system: WaitingSystem) -> None:
    def send() -> None:
        for name in ("build/42/done", "merge/42"):
            until(lambda name=name: system.client.waits(signal=name), system.story)  # type: ignore[misc] # asked at once
            system.client.send(name, "fine")

    sender = threading.Thread(target=send)
    sender.start()
    exec(PROGRAM, {})  # noqa: S102 # our own page
    sender.join()
    found: dict[str, Any] = {"aio": aio}
    exec(ASYNC, found)  # noqa: S102 # our own page
    asyncio.run(found["review"]())
    assert set(system.client.receipt("build/42/done").waiters.values()) == {"processed"}


def test_a_task_by_key(system: WaitingSystem) -> None:
    exec(SUBMIT.replace("shop.pay", "user.note").replace('"shop"', '"supervision.actions"'), {})  # noqa: S102 # our own page
    submitted = system.client.submission("order/17")
    assert system.app.AsyncResult(submitted.task_id).get(timeout=30) == ["", 17]


def test_a_task_that_is_a_coordinator(system: WaitingSystem) -> None:
    app = system.app
    app.conf.supervision_store_url = system.server.url
    app.set_current()
    found: dict[str, Any] = {"app": app}
    exec(TASK, found)  # noqa: S102 # our own page
    waiting = wait_for("shipped/7", app=app).apply_async()
    system.waiting_for("shipped/7")
    found["ship"](7)
    assert waiting.get(timeout=20) == {"parcels": 3}
    (ship,) = [each for each in system.client.coordinators() if each.id == "ship-7"]
    assert ship.state == "complete"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (r"Names have 1 to (\d+) letters", MAX_NAME_LENGTH),
        (r"`ttl` \((\d+) h by default\)", DEFAULT_TTL_S / 3600),
        (r"(\d+) KiB at most", MAX_DOCUMENT_BYTES / 1024),
        (r"asked for within (\d+) h", KEEP_MS / 3_600_000),
        (r"timeout=(\d+), expects", DEFAULT_TIMEOUT_S),
        (r"0.001 s to (\d+) days", MAX_TIMEOUT_S / 86_400),
        (r"beats \(every (\d+) s\)", HEARTBEAT_S),
        (r"warning after (\d+) s", WARNING_S),
        (r"critical after (\d+) s", CRITICAL_S),
        (r"dead after (\d+) s", DEAD_S),
        (r"claim's lease of (\d+) s", LEASE_MS / 1000),
    ],
)
def test_its_numbers_are_those_of_the_code(text: str, number: float) -> None:
    (found,) = re.findall(text, PAGE)
    assert float(found) == number
