"""Kill -9 before and after every script and every publish: the supervised process still comes back, once.

The steps are read from the code (`faults.STEPS`); each test fails when its step is never reached, so a new script or
message needs a way to provoke it before this file is green again.
"""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import faults
import msgspec
import pytest
from celery_processes import HERE
from healing_system import ALL, BEAT, HealingSystem, doubled, overlapping_actions
from waiting import until

from supervision.client import ChildDescription, Client
from supervision.server import EmbeddedStore
from supervision.store import scripts
from supervision.store.outbox import KINDS, Entry

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

ASK = """
import sys, faults_installed
from supervision.client import Client
url, order, name = sys.argv[1:]
who = {"by": "test", "reason": name, "request_id": name}
with Client(url) as client:
    if order == "reserve":
        client.restart("plant/lonely", **who)
    elif order == "order":
        client.pause("plant/lonely", for_s=2, **who)
    elif order == "sweep":
        client.sweep("due", **who)
    else:
        client.set_desired("plant/lonely", {"running": True}, revision=int(sys.stdin.read()), **who)
"""

ASKED = {"reserve": "action", "order": "order", "desire": "desired", "sweep": "order"}
"""The scripts that no worker runs, and the kind of event that each of them writes."""


@pytest.fixture(scope="module", params=["child", "worker"])
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HealingSystem]:
    """One running system for all steps, whose pool processes, or whose whole workers, are killed."""
    folder = tmp_path_factory.mktemp("system")
    with EmbeddedStore(folder / "store") as server:
        running = HealingSystem(folder, server, {"worker": ALL, "beat": BEAT}, kills=request.param)
        try:
            running.healed_after(0)
            yield running
        finally:
            running.end()


STEPS = [step for step in faults.STEPS if not faults.of_coordination(step) and not faults.of_mail(step)]
"""Those of coordination are in `test_every_wait_survives_a_kill`, and in `test_every_mail_survives_a_kill`."""


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at(step: str, system: HealingSystem) -> None:
    before = system.healed_after(0)
    (system.folder / "fired").unlink(missing_ok=True)
    (system.folder / "at").write_text(step)

    provoke(step, system)

    until((system.folder / "fired").exists, what=f"somebody to die {step}; is there a way to provoke it?")
    after = system.healed_after(before)
    assert after != before
    assert overlapping_actions(system.history()) == []
    assert system.lines("overlaps") == []
    assert doubled([line for line in system.lines("claims") if not line.startswith("dirty")]) == set()


def provoke(step: str, system: HealingSystem) -> None:
    """Make the system go through ``step``: nearly all of it happens when a process is healed."""
    script = step.split(" ", 1)[1]
    if script in ASKED:
        operator_asks(script, system)
    if script == "publish sweep":
        with Client(system.server.url) as client:
            client.sweep("due", by="test", reason="so that it is sent")
    if script == "publish look":
        want_a_look(system)
    if script == "enrol":
        change_the_guests(system)
    if script != "reserve":
        if step.endswith(" trim"):
            system.send_sweep("history")
        if step.endswith((" prune", " forget", " declare")):
            system.send_sweep("forgotten")
        system.kill_lonely()


def change_the_guests(system: HealingSystem) -> set[str]:
    """Whoever is there leaves, and another one comes; answers who."""
    wanted = {f"guest-{uuid.uuid4().hex}"}
    with Client(system.server.url) as client:
        client.set_desired("plant", {"guests": list(wanted)}, by="test", reason="so that some come and some go")
    return wanted


def guests(system: HealingSystem) -> tuple[set[str], set[str]]:
    """Who is enrolled, and who has a record."""
    of, client = system.store.keys.of, cast("Any", system.store.client)  # synchronous, which its types do not say
    found = [client.hkeys(of("plant", what)) for what in ("members", "records")]
    members, records = ({name.decode() for name in names if name != b"lonely"} for names in found)
    return members, records


def test_whoever_came_and_went_meanwhile_left_nothing_behind(system: HealingSystem) -> None:
    wanted = change_the_guests(system)
    until(lambda: guests(system) == (wanted, wanted), timeout=60, what=lambda: f"{guests(system)} to be {wanted}")


def want_a_look(system: HealingSystem) -> None:
    """As a tick does that has not seen a child for long: a look at it alone, still to be sent."""
    entry = Entry(f"look:plant/lonely:{uuid.uuid4().hex}", KINDS.look, "plant/lonely")
    system.store.client.hset(system.store.keys.entries, entry.id, msgspec.json.encode(entry).decode())
    system.store.client.zadd(system.store.keys.outbox, {entry.id: 1})


def operator_asks(script: str, system: HealingSystem) -> None:
    """A person orders something, dies in the middle, and asks once more under the same name: it is done once."""
    name = f"request-{uuid.uuid4().hex}"
    command = [sys.executable, "-c", ASK, system.server.url, script, name]
    environment = {**os.environ, **system.environment, "FAULT_KILLS": "child", "PYTHONPATH": str(HERE)}
    with Client(system.server.url) as client:
        described = client.describe("plant/lonely")
    assert isinstance(described, ChildDescription)
    revision = str(described.desired_revision)
    killed = subprocess.run(command, env=environment, input=revision, check=False, text=True)
    assert killed.returncode == -9
    repeated = subprocess.run(command, env=environment, input=revision, check=False, capture_output=True, text=True)
    assert repeated.returncode == 0, repeated.stderr
    written = [past for past in system.history() if name in past.reason and past.after != "running"]
    assert [past.kind for past in written] == [ASKED[script]]


def test_the_steps_are_all_scripts_and_all_publishes() -> None:
    files = {file.stem for file in Path(scripts.__file__).with_name("lua").glob("*.lua")}
    files = {file for file in files if not file.startswith("prelude")}
    assert {step.split(" ", 1)[1] for step in faults.STEPS} == files | {
        "publish act",
        "publish tick",
        "publish sweep",
        "publish look",
        *(f"publish {kind}" for kind in (*faults.OF_COORDINATION, KINDS.mail)),
        *(f"message {site}" for site in faults.OF_WAITS | faults.OF_MAIL),
    }
