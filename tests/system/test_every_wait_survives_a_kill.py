"""Kill -9 before and after every script and publish of coordination: each wait still ends, once, with its outcome.

The steps are read from the code, as in `test_every_step_survives_a_kill`: a script or message that nobody provokes here
fails this file.
"""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faults
import pytest
from celery import chain
from celery_processes import HERE, until
from waiting_system import WaitingSystem, running

from supervision import NotFound, gather, wait_for
from supervision.client import Client
from supervision.store import scripts

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

STEPS = [step for step in faults.STEPS if faults.of_coordination(step)]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WaitingSystem]:
    """One worker for all steps, whose pool processes are killed."""
    folder = tmp_path_factory.mktemp("waits")
    environment = {
        "SUPERVISION_IMPORTS": "faults_installed,waiting_tasks",
        "FAULT_FOLDER": str(folder),
        "FAULT_KILLS": "child",
        "SUPERVISION_HOOKS": "blocking_started=user.hooked",
        **HASTY,
    }
    with running(folder, **environment) as found:
        yield found


HASTY = {
    "SUPERVISION_HEARTBEAT": "0.5",
    "SUPERVISION_HEARTBEAT_WARNING": "1",
    "SUPERVISION_HEARTBEAT_CRITICAL": "1.5",
    "SUPERVISION_HEARTBEAT_DEAD": "2",
}


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at(step: str, system: WaitingSystem) -> None:
    (system.folder / "fired").unlink(missing_ok=True)
    (system.folder / "at").write_text(step)
    tag = uuid.uuid4().hex

    ends = PROVOKE[step.split(" ", 1)[1]](system, tag)

    until((system.folder / "fired").exists, f"somebody to die {step}; is there a way to provoke it?")
    until(ends, lambda: f"{step} {tag}: {system.notes()[-5:]} {system.story()}", within=90)


def through_a_signal(system: WaitingSystem, tag: str) -> Callable[[], object]:
    """A chain over a wait, released by a signal that a task sends: register, release, go on, acknowledge."""
    chain(wait_for(tag, app=system.app, timeout=120), system.task("note", tag=tag), app=system.app)()
    until(lambda: system.client.waits(signal=tag), lambda: f"{tag} to wait: {system.story()}")
    system.task("send", tag, 1, id=tag).apply_async()
    return lambda: noted(system, tag, f"{tag}:1") and settled(system, tag)


def through_many(system: WaitingSystem, tag: str) -> Callable[[], object]:
    """More than the script that latches releases itself."""
    for _ in range(8):
        chain(wait_for(tag, app=system.app, timeout=120), system.task("note", tag=tag), app=system.app)()
    until(lambda: len(system.client.waits(signal=tag)) == 8, lambda: f"8 to wait: {system.story()}")
    system.task("send", tag, 1, id=tag).apply_async()
    return lambda: settled(system, tag, 8)


def through_a_timeout(system: WaitingSystem, tag: str) -> Callable[[], object]:
    expiring = wait_for(tag, app=system.app, timeout=0.5, on_timeout="late")
    chain(expiring, system.task("note", tag=tag), app=system.app)()
    return lambda: noted(system, tag, f"{tag}:late")


def through_another_task(system: WaitingSystem, tag: str) -> Callable[[], object]:
    """On timeout a task takes the place of the wait."""
    expiring = wait_for(tag, app=system.app, timeout=0.5, on_timeout=system.task("note", "late", tag=tag))
    expiring.apply_async()
    return lambda: noted(system, tag, f"{tag}:late")


def through_an_outage(system: WaitingSystem, tag: str) -> Callable[[], object]:
    """The store is away when the wait begins, so that its message comes again."""
    (system.folder / "away").write_text("enter")
    return through_a_signal(system, tag)


def through_a_redelivery(system: WaitingSystem, tag: str) -> Callable[[], object]:
    """Ended by a program that can send nothing: the sweep does."""
    chain(wait_for(tag, app=system.app, timeout=120), system.task("note", tag=tag), app=system.app)()
    until(lambda: system.client.waits(signal=tag), lambda: f"{tag} to wait: {system.story()}")
    with Client(system.server.url, broker="redis://127.0.0.1:1/0") as mute:
        mute.send(tag, 1)
    return lambda: noted(system, tag, f"{tag}:1")


def through_an_operator(script: str) -> Callable[[WaitingSystem, str], Callable[[], object]]:
    """A person asks, dies in the middle, and asks once more."""

    def provoke(system: WaitingSystem, tag: str) -> Callable[[], object]:
        chain(wait_for(tag, app=system.app, timeout=120), system.task("note", tag=tag), app=system.app)()
        until(lambda: system.client.waits(signal=tag), lambda: f"{tag} to wait: {system.story()}")
        wait_id = system.client.waits(signal=tag)[0].id
        asked(system, script, wait_id)
        asked(system, script, wait_id)
        if script == "cancel":
            return lambda: noted(system, tag, f"{tag}:by hand")
        system.client.send(tag, 1)
        return lambda: noted(system, tag, f"{tag}:1")

    return provoke


def through_a_dead_letter(system: WaitingSystem, tag: str) -> Callable[[], object]:
    """What follows was started again and again by somebody who never ended it; then a person has it tried again."""
    chain(wait_for(tag, app=system.app, timeout=120), system.task("note", tag=tag), app=system.app)()
    until(lambda: system.client.waits(signal=tag), lambda: f"{tag} to wait: {system.story()}")
    wait_id = system.client.waits(signal=tag)[0].id
    with Client(system.server.url, broker="redis://127.0.0.1:1/0") as mute:
        mute.send(tag, 1)
        store = mute._store
        while store.waits.enter(wait_id, None, resumed=True).state != "dead_letter":
            store.client.hset(store.keys.wait(wait_id), "lease", 0)
    asked(system, "retry", wait_id)
    asked(system, "retry", wait_id)
    return lambda: noted(system, tag, f"{tag}:1") and not system.client.dead_letters()


def through_a_hook(system: WaitingSystem, tag: str) -> Callable[[], object]:
    """A wait that begins, which a task is told of."""
    wait_for(tag, app=system.app, timeout=120).apply_async()
    until(lambda: system.client.waits(signal=tag), lambda: f"{tag} to wait: {system.story()}")
    wait_id = system.client.waits(signal=tag)[0].id
    return lambda: f"hooked:{wait_id}" in system.notes()


ASK = """
import sys, faults_installed
from supervision.client import Client
from supervision.errors import NotFound
url, script, wait = sys.argv[1:]
with Client(url) as client:
    try:
        if script == "cancel":
            client.release(wait, "by hand", by="test", reason="now")
        elif script == "retry":
            client.retry(wait, by="test", reason="again")
        else:
            client.extend(wait, 60, by="test", reason="more")
    except NotFound as error:
        print(error)
"""


def asked(system: WaitingSystem, script: str, wait_id: str) -> None:
    environment = {**os.environ, **system.environment, "PYTHONPATH": str(HERE)}
    command = [sys.executable, "-c", ASK, system.server.url, script, wait_id]
    subprocess.run(command, env=environment, check=False, capture_output=True)


def through_a_death(system: WaitingSystem, tag: str) -> Callable[[], object]:
    """A coordinator that is killed in its pool process, and one that expects it."""
    system.task("build", tag, "hangs").apply_async()
    until(lambda: known(system, tag), lambda: f"{tag} to register: {system.story()}")
    chain(
        wait_for(f"{tag}/done", app=system.app, timeout=120, expects=tag), system.task("note"), app=system.app
    ).apply_async(link_error=system.task("failed"))
    until(lambda: system.client.waits(signal=f"{tag}/done"), lambda: f"{tag} to be waited for: {system.story()}")
    for process in system.worker_children():
        process.kill()
    return lambda: not system.client.waits(signal=f"{tag}/done")


def through_silence(system: WaitingSystem, tag: str) -> Callable[[], object]:
    """A coordinator that registers and never beats."""
    system.client._store.coordinators.register(tag, kind="process", process=f"nowhere:{tag}", host="nowhere")
    wait_for(f"{tag}/done", app=system.app, timeout=120, expects=tag).apply_async()
    return lambda: known(system, tag) == "dead" and not system.client.waits(signal=f"{tag}/done")


def through_a_replacement(system: WaitingSystem, tag: str) -> Callable[[], object]:
    system.client._store.coordinators.register(tag, kind="process", process=f"nowhere:{tag}", host="nowhere")
    instead = system.task("send", f"{tag}/done", "instead", id=tag)
    waiting = wait_for(f"{tag}/done", app=system.app, timeout=120, expects=tag, replacement=instead)
    chain(waiting, system.task("note", tag=tag), app=system.app)()
    return lambda: noted(system, tag, f"{tag}:instead")


def through_a_late_replacement(system: WaitingSystem, tag: str) -> Callable[[], object]:
    """Who comes instead does not register: it is sent for again."""
    store: Any = system.client._store
    store.coordinators.register(tag, kind="process", process=f"nowhere:{tag}", host="nowhere")
    wait_for(
        f"{tag}/done", app=system.app, timeout=120, expects=tag, replacement=system.task("note", "instead", tag=tag)
    ).apply_async()
    until(lambda: f"{tag}:instead" in system.notes(), lambda: f"{tag} to be replaced: {system.story()}")
    store.client.zadd(store.keys.replacing, {tag: 1})
    return lambda: system.notes().count(f"{tag}:instead") > 1


def through_a_task(system: WaitingSystem, tag: str) -> Callable[[], object]:
    """A task that is a coordinator, from its first heartbeat to its end."""
    system.task("work", tag).apply_async()
    return lambda: known(system, tag) == "complete"  # of the last of them, if it was run again


def through_a_sweep(system: WaitingSystem, tag: str) -> Callable[[], object]:
    """A signal that is a day old is forgotten, and another one is not."""
    store: Any = system.client._store
    for name in (tag, f"{tag}/young"):
        system.client.send(name, 1)
    store.client.hset(store.keys.signal(tag), "until", 1)
    store.client.zadd(store.keys.signals, {tag: 1})
    system.client.sweep("cleared", by="test", reason="so that it runs")
    again = iter([lambda: system.client.sweep("cleared", by="test", reason="as beat would, 5 min later")])

    def forgotten() -> bool:
        next(again, lambda: None)()
        assert store.client.exists(store.keys.signal(f"{tag}/young"))
        return not store.client.exists(store.keys.signal(tag)) and store.client.zscore(store.keys.signals, tag) is None

    return forgotten


def through_a_gather(parts: int) -> Callable[[WaitingSystem, str], Callable[[], object]]:
    def provoke(system: WaitingSystem, tag: str) -> Callable[[], object]:
        adds = [system.task("add", i) for i in range(parts)]
        gather(adds, system.task("total", tag=tag), app=system.app, timeout=120).apply_async()
        line = f"{tag}:{sum(range(parts))}"
        return lambda: noted(system, tag, line) and system.notes().count(line) == 1

    return provoke


def through_a_lost_report(system: WaitingSystem, tag: str) -> Callable[[], object]:
    """Nothing was heard of a gather for a minute: it is looked after."""
    waiting = wait_for(tag, app=system.app, timeout=120)
    gathered = gather([waiting, system.task("add", 1)], app=system.app, timeout=120).apply_async()
    until(lambda: system.client.waits(signal=tag), lambda: f"{tag} to wait: {system.story()}")
    store: Any = system.client._store
    store.client.zadd(store.keys.gathers, {gathered.id: 1})

    def looked_after() -> bool:
        return bool(store.client.zscore(store.keys.gathers, gathered.id) != 1)

    return looked_after


def through_a_submission(system: WaitingSystem, tag: str) -> Callable[[], object]:
    system.task("submit", tag).apply_async()
    return lambda: noted(system, tag, f"{tag}:done")


def through_a_guarded_task(system: WaitingSystem, tag: str) -> Callable[[], object]:
    """Whoever dies beside it leaves a copy that goes on with the chain."""
    chain(system.task("pay", tag), system.task("note", tag=tag), app=system.app)()

    def ends() -> bool:
        # killed between its effect and its return it cannot be known to have had one
        most = 2 if (system.folder / "fired").read_text() == "before ran_once" else 1
        assert system.notes().count(f"paid:{tag}") <= most
        return noted(system, tag, f"{tag}:{tag}")

    return ends


def through_a_copy(system: WaitingSystem, tag: str) -> Callable[[], object]:
    """A guarded task whose message comes twice: the copy comes again until the run has ended."""
    system.task("pay", tag, "hangs").apply_async(task_id=tag)
    until((system.folder / f"{tag}.first").exists, "the first to begin")
    system.task("pay", tag).apply_async(task_id=tag)
    store: Any = system.client._store

    def ends() -> bool:
        (system.folder / tag).touch()
        assert system.notes().count(f"paid:{tag}") <= 1
        copies = store.client.exists("unacked") or store.client.llen("supervision.actions")
        return f"paid:{tag}" in system.notes() and not copies

    return ends


def known(system: WaitingSystem, name: str) -> str:
    return next((each.state for each in system.client.coordinators() if each.id == name), "")


def noted(system: WaitingSystem, tag: str, line: str) -> bool:
    """Whether what follows the wait has run; never with another outcome."""
    found = {note for note in system.notes() if note.startswith(f"{tag}:")}
    assert found <= {line}
    return found == {line}


def settled(system: WaitingSystem, signal: str, number: int = 1) -> bool:
    """Whether the signal's receipt says that all is processed."""
    try:
        return system.client.receipt(signal).acknowledged("processed") == number
    except NotFound:
        return False


PROVOKE: dict[str, Callable[[WaitingSystem, str], Callable[[], object]]] = {
    "enter": through_a_signal,
    "send": through_a_signal,
    "processed": through_a_signal,
    "release": through_many,
    "publish release": through_many,
    "hold": through_many,
    "expire": through_a_timeout,
    "redeliver": through_a_redelivery,
    "cancel": through_an_operator("cancel"),
    "hooked": through_a_hook,
    "publish hook": through_a_hook,
    "retry": through_a_dead_letter,
    "extend": through_an_operator("extend"),
    "register": through_a_task,
    "beat": through_a_task,
    "leave": through_a_task,
    "bury": through_a_death,
    "mourn": through_silence,
    "judge": through_silence,
    "publish replace": through_a_replacement,
    "replace_again": through_a_late_replacement,
    "clear": through_a_sweep,
    "stage": through_a_gather(3),
    "arrive": through_a_gather(3),
    "fan": through_a_gather(150),
    "publish parts": through_a_gather(600),
    "missing": through_a_lost_report,
    "submit": through_a_submission,
    "publish task": through_a_submission,
    "run_once": through_a_guarded_task,
    "ran_once": through_a_guarded_task,
    "message once._come_again": through_a_copy,
    "message parts._send": through_a_gather(3),
    "message resuming._send": through_a_redelivery,
    "message waiting._come_again": through_an_outage,
    "message waiting._replaced": through_another_task,
    "message waiting.replace": through_a_replacement,
}


def test_every_step_of_coordination_has_a_way_to_be_provoked() -> None:
    assert {step.split(" ", 1)[1] for step in STEPS} == set(PROVOKE)


def test_the_steps_are_all_scripts_that_know_waits() -> None:
    folder = Path(scripts.__file__).with_name("lua")
    marked = {file.stem for file in folder.glob("*.lua") if "-- with waits" in file.read_text().splitlines()[1]}
    assert marked == {step.split(" ", 1)[1] for step in STEPS if step.count(" ") == 1}
