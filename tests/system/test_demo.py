"""`supervision demo` as a newcomer runs it: a real process in an empty folder, judged by its status and by `ps`."""

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from compose import celery_commands
from rich.console import Console
from waiting import until

from supervision.checks import Fail, Ok, Seen, Unknown
from supervision.client import Client
from supervision.demo import crew, live, remains
from supervision.demo.diary import logged
from supervision.demo.facts import NotSeen, Scene, expect, step
from supervision.demo.facts import until as until_seen
from supervision.demo.outside import ANSWER_S
from supervision.demo.plant import (
    PANEL_GOOD,
    PROCESSES,
    RUNBOOK,
    BrokerSeen,
    DataflowSeen,
    dataflow_is_connected,
    office,
    page_is_served,
    plant,
)
from supervision.demo.scenes import SCENES
from supervision.demo.unhealable import CALL
from supervision.demo.wire import refuse
from supervision.engine.flower import flower_arguments
from supervision.errors import Conflict
from supervision.kinds.http import HttpObserved
from supervision.kinds.process import ProcessObserved
from supervision.model import Phase
from supervision.ports import free_ports, is_free
from supervision.server import saved_url
from supervision.store.store import Store

MARK = "MARK_OF_A_TESTED_DEMO"
"""Every process of one demo inherits this variable with a value of its own; supervised ones get no SUPERVISION_*."""

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("supervision")
ENOUGH_S = 150.0
END_S = 60.0
SCENE = "\nScene {}:"
SUPERVISED = re.compile(r"supervision\.demo\.(broker|dataflow|sink|panel)$")


pytestmark = pytest.mark.timeout(420)  # two whole demos on a machine that is busy with others


@dataclass
class Demo:
    """One run of the command; what it says goes into files, so that nobody has to read while it plays."""

    folder: Path
    arguments: tuple[str, ...] = ("--once",)
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.mark = uuid.uuid4().hex
        self.log, self.answer = self.folder / "said", self.folder / "answered"
        with self.log.open("wb") as said, self.answer.open("wb") as answered:
            self.process = subprocess.Popen(
                [PROGRAM, "demo", *self.arguments],
                cwd=self.folder,
                env={**os.environ, **self.environment, MARK: self.mark},
                stdin=subprocess.DEVNULL,
                stdout=answered if "--json" in self.arguments else said,
                stderr=said,
            )

    @property
    def said(self) -> str:
        return self.log.read_text()

    def processes(self) -> list[psutil.Process]:
        """Everything that this demo has started and that is still there, itself included."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(MARK) == self.mark:
                    found.append(process)
        return found

    def commands(self) -> dict[int, list[str]]:
        found = {}
        for process in self.processes():
            with suppress(psutil.Error):
                found[process.pid] = process.cmdline()
        return {pid: command for pid, command in found.items() if command}  # one that is just ending has none

    def pid_of(self, member: str) -> int:
        """The pid that the demo told last, of one of its own processes: Flower starts again when its port was taken."""
        told = re.findall(rf"^  {member} +pid (\d+)", self.said, re.MULTILINE)
        assert told, self.said
        return int(told[-1])

    def port_of(self, child: str) -> int:
        told = re.search(rf"^  {child} +will be on port (\d+)", self.said, re.MULTILINE)
        assert told, self.said
        return int(told[1])

    def await_text(self, text: str) -> None:
        until(lambda: text in self.said or self.process.poll() is not None, timeout=ENOUGH_S, what=lambda: self.said)
        assert text in self.said, self.said

    def status(self, timeout: float = ENOUGH_S) -> int:
        """The exit status; after it nothing may be left."""
        until(lambda: self.process.poll() is not None, timeout=timeout, what=lambda: f"the end of\n{self.said}")
        return self.process.returncode

    def await_nothing_left(self) -> None:
        until(lambda: not self.processes(), timeout=END_S, what=lambda: f"no process left, but: {self.commands()}")

    def kill_everything(self) -> None:
        for process in self.processes():
            with suppress(psutil.Error):
                process.kill()
        self.process.wait(END_S)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    with ExitStack() as stack:

        def begin(*arguments: str, **environment: str) -> Demo:
            begun = Demo(tmp_path, arguments or ("--once",), environment)
            stack.callback(begun.kill_everything)
            return begun

        yield begin


def guard_of(pid: int) -> psutil.Process:
    guard = psutil.Process(pid).parent()
    assert guard is not None
    assert any(part.endswith("guard.py") for part in guard.cmdline())
    return guard


@dataclass(frozen=True)
class Played:
    """A demo that has ended, and the command lines that were seen while it played."""

    demo: Demo
    status: int
    seen: dict[int, list[str]]
    document: dict[str, Any]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """One whole run with ``--json``: its lines for people are on standard error."""
    playing = Demo(tmp_path_factory.mktemp("demo"), ("--once", "--json"), {"CELERY_BROKER_URL": "redis://127.0.0.1:9"})
    seen: dict[int, list[str]] = {}

    def ended() -> bool:
        seen.update(playing.commands())
        return playing.process.poll() is not None

    try:
        until(ended, timeout=ENOUGH_S, what=lambda: f"the end of\n{playing.said}")
        document = json.loads(playing.answer.read_text() or "{}")
        yield Played(playing, playing.process.returncode, seen, document)
    finally:
        playing.kill_everything()


@pytest.mark.chaos
def test_all_checks_pass_and_no_process_is_left(played: Played) -> None:
    assert played.status == 0, played.demo.said
    total = re.search(r"^(\d+) of (\d+) checks passed", played.demo.said, re.MULTILINE)
    assert total
    assert total[1] == total[2] == str(sum(len(scene["checks"]) for scene in played.document["scenes"]))
    played.demo.await_nothing_left()


@pytest.mark.chaos
def test_the_document_has_the_same_facts_as_the_lines(played: Played) -> None:
    document = played.document
    assert (document["version"], document["ok"], document["error"]) == (1, True, "")
    assert document["passed"] == document["checks"]
    assert [scene["title"] for scene in document["scenes"]] == [scene.title for scene in SCENES]
    for scene in document["scenes"]:
        for fact in scene["checks"]:
            assert fact["passed"]
            assert f"ok      {fact['name']:<54}  {fact['measured']}\n" in played.demo.said
    assert document["processes"].keys() == {"store", "flower", *crew.COMMANDS}
    assert all(document["processes"][name] == played.demo.pid_of(name) for name in document["processes"])


@pytest.mark.chaos
def test_every_process_was_really_there_and_no_command_line_had_the_password(played: Played) -> None:
    url = saved_url(played.demo.folder / ".supervision" / "store")
    assert url
    password = url.split("@")[0].rpartition(":")[2]
    assert len(password) > 20
    assert played.seen.keys() >= set(played.document["processes"].values())
    assert not [command for command in played.seen.values() if any(password in part for part in command)]
    texts = [played.demo.said, *(log.read_text() for log in played.demo.folder.glob(".supervision/logs/*"))]
    assert len(texts) == 1 + len(crew.COMMANDS) + len(("flower", "keeper"))
    assert not [text for text in texts if password in text]


def pids_of(program: str, played: Played) -> list[int]:
    return [pid for pid, command in played.seen.items() if f"supervision.demo.{program}" in command]


@pytest.mark.chaos
def test_each_scene_restarted_its_own_program_and_no_other(played: Played) -> None:
    assert len(pids_of("dataflow", played)) == 3, "scenes 1, 2 and 3 had one each, scene 4 the third's"
    assert len(pids_of("broker", played)) == len(pids_of("sink", played)) == 1
    # By the kind's start, by its supervisor's attempts, by the parent's one; a short life may be missed by this test.
    assert 3 <= len(pids_of("panel", played)) <= 1 + office.max_attempts + plant.max_attempts


@pytest.mark.chaos
def test_what_the_last_scene_says_of_the_call_is_what_was_logged_once(played: Played) -> None:
    said = {fact["name"]: fact["measured"] for fact in played.document["scenes"][3]["checks"]}
    log = played.demo.folder / ".supervision" / "logs" / "ticker.log"
    (call,) = logged(log, CALL)
    assert said["people are called, once"].startswith(f"ESCALATION REQUIRED by {call['supervisor']}, {call['level']},")
    assert (call["supervisor"], call["level"]) == ("plant", "error")
    assert said["they are told what to read"] == call["runbook_url"] == RUNBOOK
    assert call["manual_steps"] == [
        f"write a configuration with a title into {played.demo.folder}/.supervision/panel.json",
        "see that the page is served, and which incident that was: supervision describe plant/office",
        "say that it is over: supervision reset plant/office --incident INCIDENT",
    ]
    for number, one in enumerate(call["manual_steps"], 1):
        assert f"{number}. {one}" in said["they are told what to do"]
    escalated = logged(log, "escalated", "plant/office")
    assert {line["escalated_to"] for line in escalated} == {"plant"}
    assert all("escalated_to" not in line for line in logged(log, "escalated", "plant"))
    (near,) = logged(log, "escalation_near", "plant/office")
    assert near["attempts_remaining"] == 1


def test_the_runbook_of_the_panel_is_a_page_that_exists() -> None:
    page, _, anchor = RUNBOOK.partition("#")
    headings = re.findall(r"^##? (.+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}


@pytest.mark.chaos
def test_an_interrupt_in_the_middle_leaves_nothing(start: Callable[..., Demo]) -> None:
    running = start()
    running.await_text(SCENE.format(2))
    assert any(SUPERVISED.search(part) for command in running.commands().values() for part in command)
    running.process.send_signal(signal.SIGINT)
    assert running.status(END_S) == 128 + signal.SIGINT
    running.await_nothing_left()


@pytest.mark.chaos
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_in_the_middle_leave_nothing(start: Callable[..., Demo], number: signal.Signals) -> None:
    running = start()
    running.await_text(SCENE.format(3))
    running.process.send_signal(number)
    assert running.status(END_S) == 128 + number
    running.await_nothing_left()


@pytest.mark.chaos
def test_a_killed_demo_leaves_nothing_and_the_next_one_plays(start: Callable[..., Demo]) -> None:
    killed = start()
    killed.await_text(SCENE.format(2))
    killed.process.kill()
    following = start()
    assert following.status() == 0, following.said
    killed.await_nothing_left()
    following.await_nothing_left()


@pytest.mark.chaos
def test_a_demo_ends_what_one_left_that_was_killed_with_all_its_guards(start: Callable[..., Demo]) -> None:
    killed = start()
    killed.await_text(SCENE.format(2))
    until(lambda: len(supervised(killed)) == len(PROCESSES))
    left = supervised(killed)
    others = [process for process in killed.processes() if process.pid not in left]
    for process in others:
        process.suspend()  # so that no guard sees another one go
    for process in others:
        process.kill()
    assert supervised(killed) == left
    following = start()
    assert following.status() == 0, following.said
    assert all(f"ended pid {pid}, which an earlier demo had left behind" in following.said for pid in left)
    killed.await_nothing_left()
    following.await_nothing_left()


def supervised(running: Demo) -> set[int]:
    """The pids of the supervised processes."""
    return {pid for pid, command in running.commands().items() if any(SUPERVISED.search(part) for part in command)}


@pytest.mark.chaos
@pytest.mark.parametrize("member", ["ticker", "actor"])
def test_a_worker_that_is_gone_for_good_is_reported(start: Callable[..., Demo], member: str) -> None:
    running = start()
    running.await_text(SCENE.format(1))
    guard_of(running.pid_of(member)).kill()
    assert running.status(2 * ENOUGH_S) == 1
    assert re.search(rf"^failed in the scene '.+': .+: ended: {member} \(.*SIGKILL\)", running.said, re.MULTILINE)
    running.await_nothing_left()


@pytest.mark.chaos
def test_a_paused_collector_is_reported(start: Callable[..., Demo]) -> None:
    running = start()
    running.await_text(SCENE.format(2))
    psutil.Process(running.pid_of("collector")).suspend()
    assert running.status(2 * ENOUGH_S) == 1
    assert re.search(r"^failed in the scene '.+': .+: not within 45 s; instead: .+", running.said, re.MULTILINE)
    running.await_nothing_left()


@pytest.mark.chaos
def test_a_data_flow_that_cannot_connect_again_is_reported(start: Callable[..., Demo]) -> None:
    running = start("--once", "--json")
    running.await_text(SCENE.format(2))
    refuse(running.port_of("broker"), "dataflow", ANSWER_S)
    assert running.status(2 * ENOUGH_S) == 1
    document = json.loads(running.answer.read_text())
    missed = [fact for scene in document["scenes"] for fact in scene["checks"] if not fact["passed"]]
    assert document["ok"] is False
    assert document["passed"] == document["checks"] - len(missed)
    assert missed[0]["looked"]
    assert f": {missed[0]['name']}: {missed[0]['measured']}" in running.said
    later = [fact for scene in document["scenes"][2:] for fact in scene["checks"]]
    assert all(not fact["looked"] for fact in later), "scenes 3 and 4 stand on scene 2"
    running.await_nothing_left()


@pytest.mark.chaos
def test_a_panel_that_somebody_repairs_too_early_is_reported(start: Callable[..., Demo]) -> None:
    running = start()
    running.await_text("answers 503, its process lives on")
    (running.folder / ".supervision" / "panel.json").write_text(PANEL_GOOD)
    assert running.status(2 * ENOUGH_S) == 1
    missed = "its supervisor restarts it as often as it may: not within 45 s; instead: .+"
    assert re.search(rf"^failed in the scene '.+': {missed}", running.said, re.MULTILINE), running.said
    running.await_nothing_left()


@pytest.mark.chaos
def test_a_taken_port_is_replaced_and_told(start: Callable[..., Demo]) -> None:
    with ExitStack() as stack:
        if is_free(crew.FLOWER_PORT):
            stack.enter_context(listening(crew.FLOWER_PORT))
        running = start()
        assert running.status() == 0, running.said
    assert re.search(r"flower +will be on port \d+, because 5555 is taken", running.said)
    assert running.port_of("flower") != crew.FLOWER_PORT
    running.await_nothing_left()


@pytest.mark.chaos
def test_demos_in_two_folders_do_not_get_into_each_others_way(tmp_path: Path) -> None:
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        folder.mkdir()
    demos = [Demo(folder) for folder in folders]
    try:
        assert [one.status() for one in demos] == [0, 0], "\n".join(one.said for one in demos)
        assert demos[0].port_of("broker") != demos[1].port_of("broker")
        for one in demos:
            one.await_nothing_left()
    finally:
        for one in demos:
            one.kill_everything()


def listening(port: int) -> "subprocess.Popen[bytes]":
    """Somebody else's server, which ends with the test."""
    program = "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); sys.stdin.read()"
    server = subprocess.Popen([sys.executable, "-c", program, str(port)], stdin=subprocess.PIPE)
    until(lambda: not is_free(port))
    return server


@pytest.mark.chaos
def test_a_second_demo_in_the_same_folder_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    first = Demo(tmp_path)
    try:
        first.await_text(SCENE.format(1))
        second = subprocess.run(
            [PROGRAM, "demo", "--once"], cwd=tmp_path, capture_output=True, text=True, timeout=ENOUGH_S, check=False
        )
        assert second.returncode == 1
        assert f"is in use by the server with pid {first.pid_of('store')}" in second.stderr
        assert "Try: supervision tree" in second.stderr
        assert first.status() == 0, first.said
        first.await_nothing_left()
    finally:
        first.kill_everything()


@pytest.mark.chaos
def test_on_a_terminal_it_stays_up_until_an_interrupt_and_ends_well(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    mark = uuid.uuid4().hex
    with subprocess.Popen(
        [PROGRAM, "demo"], cwd=tmp_path, env={**os.environ, MARK: mark}, stdin=theirs, stdout=theirs, stderr=theirs
    ) as shown:
        os.close(theirs)
        said = b""

        def told(text: str) -> bool:
            nonlocal said
            with suppress(OSError):  # the other side is closed
                if select.select([ours], [], [], 0)[0]:
                    said += os.read(ours, 65536)
            return text in said.decode(errors="replace")

        until(lambda: told("until Ctrl-C"), timeout=ENOUGH_S, what=lambda: said.decode(errors="replace"))
        until(lambda: told("circuit closed"), what=lambda: said.decode(errors="replace"))
        tree = subprocess.run([PROGRAM, "tree"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert tree.returncode == 0, tree.stderr
        assert "plant" in tree.stdout
        assert "dataflow" in tree.stdout
        shown.send_signal(signal.SIGINT)
        until(lambda: told("never said") or shown.poll() is not None, timeout=END_S)
        assert shown.returncode == 0
    os.close(ours)
    until(lambda: not [p for p in psutil.process_iter() if marked(p, mark)], timeout=END_S)


def marked(process: psutil.Process, mark: str) -> bool:
    with suppress(psutil.Error):
        return process.environ().get(MARK) == mark
    return False


def test_a_store_that_no_demo_has_made_is_not_emptied(tmp_path: Path) -> None:
    store = tmp_path / ".supervision" / "store"
    store.mkdir(0o700, parents=True)
    (store / "url").write_text("redis://:secret@127.0.0.1:7777/0\n")
    (store / "data").write_text("precious")
    with pytest.raises(Conflict, match="no demo has made"):
        remains.clear(tmp_path / ".supervision")
    assert (store / "data").read_text() == "precious"
    (store / remains.MARK).touch()
    assert remains.clear(tmp_path / ".supervision") == []
    assert sorted(path.name for path in store.iterdir()) == ["lock", remains.MARK]


def test_the_demo_starts_its_processes_as_the_deployment_does() -> None:
    deployed = {name: command.split()[3:] for name, command in celery_commands().items()}
    for name in ("ticker", "collector", "actor"):
        assert set(deployed[name]) <= set(crew.COMMANDS[name]), name
    assert set(deployed["beat-1"]) <= set(crew.COMMANDS["beat-1"])
    port = next(free_ports())
    assert sorted([*crew.FLOWER, f"--port={port}"]) == sorted(flower_arguments(port))


RUNNING = {"running": True, "pid": 7, "started": "boot:1"}


@pytest.mark.parametrize(
    ("broker", "phase", "dataflow", "verdict"),
    [
        (BrokerSeen(**RUNNING, state="active"), Phase.RUNNING, DataflowSeen(**RUNNING, output_connections=1), Ok),
        (BrokerSeen(**RUNNING, state="active"), Phase.RUNNING, DataflowSeen(**RUNNING, output_connections=0), Fail),
        (BrokerSeen(**RUNNING, state="idle"), Phase.RUNNING, DataflowSeen(**RUNNING, output_connections=0), Fail),
        (BrokerSeen(**RUNNING), Phase.RUNNING, DataflowSeen(**RUNNING, output_connections=0), Unknown),
        (BrokerSeen(running=False), Phase.RUNNING, DataflowSeen(**RUNNING, output_connections=0), Unknown),
        (BrokerSeen(**RUNNING, state="active"), Phase.RUNNING, DataflowSeen(running=False), Unknown),
        (BrokerSeen(**RUNNING, state="active"), Phase.STARTING, DataflowSeen(**RUNNING), Unknown),
    ],
)
def test_the_check_of_the_plant(broker: BrokerSeen, phase: Phase, dataflow: DataflowSeen, verdict: type) -> None:
    seen = Seen("broker", "running", Phase.RUNNING, broker), Seen("dataflow", "any", phase, dataflow)
    assert isinstance(dataflow_is_connected.rule(*seen), verdict)


@pytest.mark.parametrize(
    ("phase", "running", "page", "verdict"),
    [
        (Phase.RUNNING, True, HttpObserved(reachable=True, status=200), Ok),
        (Phase.RUNNING, True, HttpObserved(reachable=True, status=503, reason="answered 503, not 200"), Fail),
        (Phase.RUNNING, True, HttpObserved(reachable=False, reason="connection refused"), Fail),
        (Phase.RUNNING, False, HttpObserved(reachable=False, reason="connection refused"), Unknown),
        (Phase.STARTING, True, HttpObserved(reachable=False, reason="connection refused"), Unknown),
    ],
)
def test_the_check_of_the_office(phase: Phase, running: bool, page: HttpObserved, verdict: type) -> None:  # noqa: FBT001 # a column of the table
    panel = ProcessObserved(running, 7, "boot:1")
    seen = Seen("panel", "any", phase, panel), Seen("page", "any", Phase.DEGRADED, page)
    assert isinstance(page_is_served.rule(*seen), verdict)


def test_the_live_tree_has_every_supervisor_below_its_parent_and_every_child_once(
    store_url: str, namespace: str
) -> None:
    with closing(Store(store_url, namespace)) as store, Client(store_url, namespace=namespace) as client:
        for each in plant.tree():
            store.registry.declare(each)
        (shown,) = live.trees(client.tree())
    with Console(width=120, record=True, file=io.StringIO()) as console:
        console.print(shown)
    text = console.export_text().splitlines()
    names = [re.split(r" (circuit|unknown) ", line)[0].rstrip() for line in text]
    assert names == [
        "plant",
        "├── line",
        "│   ├── broker",
        "│   ├── sink",
        "│   └── dataflow",
        "└── office",
        "    ├── panel",
        "    └── page",
    ]


def test_a_supervisor_whose_parent_nobody_has_declared_is_shown_at_the_top(store_url: str, namespace: str) -> None:
    with closing(Store(store_url, namespace)) as store, Client(store_url, namespace=namespace) as client:
        store.registry.declare(plant.below["office"])
        assert [str(tree.label).split(" ")[0] for tree in live.trees(client.tree())] == ["plant/office"]


def test_the_diary_reads_whole_lines_of_ours_only(tmp_path: Path) -> None:
    log = tmp_path / "log"
    ours = [{"event": "escalated", "supervisor": name, "n": n} for n, name in enumerate(("plant", "plant/office"))]
    log.write_text("a banner\n{ no object }\n" + "".join(f"{json.dumps(line)}\n" for line in ours))
    with log.open("a") as end:
        end.write('{"event": "escalated", "supervisor": "half')
    assert logged(log, "escalated") == ours
    assert logged(log, "escalated", "plant") == ours[:1]
    assert logged(log, CALL) == []


class Broken(Scene):
    title = "broken"

    @step("fine")
    def fine(self) -> str:
        return "1"

    @step("breaks")
    def breaks(self) -> str:
        expect([], "nothing")
        return "never"

    @step("stands on it")
    def after(self) -> str:
        raise AssertionError("must not be looked at")


class Raising(Scene):
    title = "raising"

    @step("raises")
    def raises(self) -> str:
        raise ZeroDivisionError("of its own")


def test_a_failed_step_says_what_was_seen_and_the_rest_is_not_looked_at() -> None:
    facts = list(Broken().facts())
    assert [(fact.passed, fact.looked, fact.measured) for fact in facts] == [
        (True, True, "1"),
        (False, True, "nothing"),
        (False, False, "not looked at: 'breaks' failed"),
    ]
    assert [fact.measured for fact in Broken().not_played("why")] == ["why"] * 3


def test_an_exception_in_a_step_is_a_failed_fact_and_no_traceback() -> None:
    assert [fact.measured for fact in Raising().facts()] == ["ZeroDivisionError: of its own"]


def test_waiting_ends_at_its_deadline_with_what_was_there_instead() -> None:
    def refused() -> bool:
        raise ConnectionRefusedError("nobody listens")

    with pytest.raises(NotSeen, match=r"not within 0 s; instead: this; ConnectionRefusedError: nobody listens"):
        until_seen(refused, 0, lambda: "this")
    with pytest.raises(NotSeen, match=r"instead: ConnectionRefusedError"):
        until_seen(lambda: False, 0, refused)
