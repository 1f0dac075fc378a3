import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from waiting import until

from supervision.errors import ActionFailed, Conflict, InvalidDeclaration, NotRetryable, Superseded
from supervision.kinds import launch, launcher
from supervision.kinds.files import file_name
from supervision.kinds.managed import ManagedProcess

PATIENCE = 30.0
"""Seconds; far more than anything here takes on an idle machine."""

STARTER = """
import sys
from pathlib import Path
from supervision.errors import SupervisionError
from supervision.kinds.managed import ManagedProcess
path, folder, verb, fence, timeout, *command = sys.argv[1:]
process = ManagedProcess(path, command, folder=Path(folder))
print("ready", flush=True)
sys.stdin.readline()
try:
    print(getattr(process, verb)(int(fence), timeout=float(timeout)).pid, flush=True)
except SupervisionError as error:
    print(type(error).__name__, flush=True)
"""

IGNORES_TERM = "trap '' TERM; echo ready; sleep {} & while :; do sleep 0.05; done"
"""A shell that ignores SIGTERM, and so does the helper that it starts in its group."""

TO_THE_BACKGROUND = "import os, time; os.fork() and os._exit(0); os.setsid(); time.sleep(600)"
"""A program as daemons used to be: it forks, the child leaves the session, the parent ends."""

WITH_A_HELPER_OUTSIDE = "import os, time; s = 600 if os.fork() else os.setsid() or {}; time.sleep(s)"
"""A program that stays, with a helper in another session that sleeps for so many seconds."""

_numbers = itertools.count(random.SystemRandom().randrange(10**9) * 1000)


class Starter:
    """Another process that starts or stops a child's process when it is told to; in a session of its own."""

    def __init__(self, process: ManagedProcess, verb: str, fence: int, timeout: float = PATIENCE) -> None:
        self.popen = subprocess.Popen(
            [
                *(sys.executable, "-c", STARTER, process.path, str(process.folder), verb, str(fence), str(timeout)),
                *process.command,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.path = process.path

    def go(self) -> "Starter":
        assert self.popen.stdout is not None
        assert self.popen.stdin is not None
        assert self.popen.stdout.readline() == "ready\n"
        self.popen.stdin.write("go\n")
        self.popen.stdin.flush()
        return self

    def answer(self) -> str:
        assert self.popen.stdout is not None
        return self.popen.stdout.readline().strip()

    def signal(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def end(self) -> None:
        self.popen.kill()
        self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "processes"


Make = Callable[..., ManagedProcess]


@pytest.fixture
def make(folder: Path) -> Iterator[Make]:
    made: list[ManagedProcess] = []

    def make(*command: str, **options: Any) -> ManagedProcess:
        number = next(_numbers)
        # A last argument that nobody reads makes every command line one of a kind on this machine.
        unique = [*command, f"number-{number}"] if command else ["sleep", f"600.{number}"]
        made.append(ManagedProcess(f"plant/p-{number}", unique, folder=folder, **options))
        return made[-1]

    yield make
    for process in made:
        until(no_launcher_of(process))
        until(lambda process=process: none_left(process))
        process.stop(sys.maxsize, timeout=0)


@pytest.fixture
def starter() -> Iterator[Callable[..., Starter]]:
    made: list[Starter] = []

    def start(*arguments: object) -> Starter:
        made.append(Starter(*arguments))  # type: ignore[arg-type]  # the class checks them
        return made[-1]

    yield start
    for one in made:
        one.end()


def none_left(process: ManagedProcess) -> bool:
    """Whether nothing runs any more; kills what does, and asks again for what that one has forked in between."""
    for found in running(process):
        with suppress(ProcessLookupError):
            os.killpg(found, signal.SIGKILL)
    return not running(process)


def running(process: ManagedProcess) -> list[int]:
    """All processes of this machine that run the child's command, zombies aside."""
    return [found.pid for found, command in command_lines() if command == list(process.command)]


def launchers(process: ManagedProcess) -> list[int]:
    """Launchers of this child, and processes that they forked and that have not yet become the command."""
    return [found.pid for found, command in command_lines() if command[-2:] == [launch.__file__, process.path]]


def no_launcher_of(process: ManagedProcess) -> Callable[[], bool]:
    return lambda: not launchers(process)


def command_lines() -> Iterator[tuple[psutil.Process, list[str]]]:
    for found in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            yield found, found.cmdline()


def output_holds(process: ManagedProcess, text: str) -> Callable[[], bool]:
    return lambda: text in process.output_file.read_text()


def kill(*pids: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def record_of(process: ManagedProcess) -> Path:
    return process.folder / f"{file_name(process.path)}.json"


def lock_of(process: ManagedProcess) -> Path:
    return process.folder / f"{file_name(process.path)}.lock"


@contextmanager
def locked(process: ManagedProcess, *, patience: float = 0) -> Iterator[None]:
    process.folder.mkdir(mode=0o700, exist_ok=True)
    lock = launch.take_lock(lock_of(process), time.monotonic() + patience)
    assert lock is not None
    try:
        yield
    finally:
        launch.release_lock(lock)


def pause_between_its_signals(process: ManagedProcess, stopper: Starter) -> None:
    """Pause a stopper that has sent SIGTERM. Under the lock: it notes what it does, and signals, while it holds it."""
    until(lambda: launch.read_record(record_of(process)).ending)
    with locked(process, patience=PATIENCE):
        stopper.signal(signal.SIGSTOP)


def holds_open(pid: int, file: Path) -> bool:
    with suppress(psutil.NoSuchProcess):
        return str(file) in [opened.path for opened in psutil.Process(pid).open_files()]
    return False


def write_record(process: ManagedProcess, record: launch.Record) -> Path:
    process.folder.mkdir(mode=0o700, exist_ok=True)
    launch.write_record(record_of(process), record)
    return record_of(process)


# What it is for


def test_a_process_that_was_never_started_does_not_run(make: Make) -> None:
    status = make().status()
    assert (status.running, status.pid, status.started, status.fence) == (False, None, None, 0)


def test_a_started_process_runs_and_is_what_the_record_names(make: Make) -> None:
    process = make()
    status = process.start(7, timeout=PATIENCE)
    assert status.running
    assert status.fence == 7
    assert running(process) == [status.pid]
    assert process.status() == status


def test_a_second_start_adopts_the_running_process_and_keeps_the_higher_fence(make: Make) -> None:
    process = make()
    first = process.start(1, timeout=PATIENCE)
    again = process.start(2, timeout=PATIENCE)
    assert (again.pid, again.started, again.fence) == (first.pid, first.started, 2)
    assert running(process) == [first.pid]


def test_a_killed_process_is_seen_at_once_and_another_one_can_be_started(make: Make) -> None:
    process = make()
    first = process.start(1, timeout=PATIENCE)
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    until(lambda: not process.status().running)
    second = process.start(1, timeout=PATIENCE)
    assert second.started != first.started
    assert running(process) == [second.pid]


def test_a_stopped_process_is_gone_and_stopping_again_is_no_error(make: Make) -> None:
    process = make()
    process.start(1, timeout=PATIENCE)
    for fence in (1, 2):
        assert process.stop(fence, timeout=PATIENCE).running is False
        assert running(process) == []
    assert process.status().fence == 2


def test_output_goes_to_the_file_of_the_child_and_later_output_is_appended(make: Make, folder: Path) -> None:
    process = make("sh", "-c", "echo out; echo err >&2; read line || echo nothing to read; exec sleep 600")
    for times in (1, 2):
        process.start(1, timeout=PATIENCE)
        until(output_holds(process, "out\nerr\nnothing to read\n" * times))
        process.stop(1, timeout=PATIENCE)
    assert process.output_file.parent == folder


def test_a_large_output_is_put_aside_once_at_the_next_start(make: Make) -> None:
    process = make("sh", "-c", "echo new; exec sleep 600")
    process.folder.mkdir(mode=0o700)
    with process.output_file.open("wb") as output:
        output.truncate(launch.OUTPUT_LIMIT + 1)
    process.start(1, timeout=PATIENCE)
    until(output_holds(process, "new\n"))
    assert process.output_file.with_name(f"{process.output_file.name}.1").stat().st_size == launch.OUTPUT_LIMIT + 1


def test_environment_and_working_folder_are_those_that_were_given(make: Make, tmp_path: Path) -> None:
    process = make("sh", "-c", "echo $COLOUR in $PWD", env={"COLOUR": "red", "PATH": "/bin"}, cwd=tmp_path)
    process.start(1, timeout=PATIENCE)
    until(output_holds(process, f"red in {tmp_path}\n"))


def test_the_process_has_its_own_session_and_no_ignored_or_blocked_signals(make: Make) -> None:
    process = make("sh", "-c", "grep -E 'SigBlk|SigIgn' /proc/self/status; echo ready; exec sleep 600")
    pid = process.start(1, timeout=PATIENCE).pid
    assert pid is not None
    assert os.getsid(pid) == os.getpgid(pid) == pid
    until(output_holds(process, "ready"))
    assert {line.split()[1] for line in process.output_file.read_text().splitlines()[:2]} == {"0" * 16}


# Identity


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        yield process
        process.kill()


def test_a_recycled_pid_is_not_our_process_and_is_not_signalled(make: Make, stranger: subprocess.Popen[bytes]) -> None:
    process = make()
    other_start = f"{launch.start_identity(stranger.pid)}0"
    write_record(process, launch.Record(fence=1, pid=stranger.pid, started=other_start, mark="x"))
    assert not process.status().running
    assert not process.stop(2, timeout=PATIENCE).running
    assert process.start(3, timeout=PATIENCE).pid != stranger.pid
    assert stranger.poll() is None


def test_a_zombie_is_not_running(make: Make, stranger: subprocess.Popen[bytes]) -> None:
    process = make()
    write_record(process, launch.Record(fence=1, pid=stranger.pid, started=launch.start_identity(stranger.pid)))
    assert process.status().running
    os.kill(stranger.pid, signal.SIGKILL)
    until(lambda: psutil.Process(stranger.pid).status() == psutil.STATUS_ZOMBIE)
    assert not process.status().running
    assert not process.stop(2, timeout=PATIENCE).running
    assert process.start(3, timeout=PATIENCE).running


def test_where_there_is_no_proc_psutil_tells_the_same(stranger: subprocess.Popen[bytes]) -> None:
    identity = launch._other_start_identity(stranger.pid)
    assert identity is not None
    assert launch._other_start_identity(stranger.pid) == identity
    assert launch._other_start_identity(os.getpid()) != identity
    os.kill(stranger.pid, signal.SIGKILL)
    until(lambda: launch._other_start_identity(stranger.pid) is None)
    stranger.wait()
    assert launch._other_start_identity(stranger.pid) is None


# Stopping


def test_a_process_that_ignores_sigterm_is_killed_after_the_timeout_with_its_group(make: Make) -> None:
    helper = f"600.{next(_numbers)}"
    process = make("sh", "-c", IGNORES_TERM.format(helper))
    process.start(1, timeout=PATIENCE)
    until(output_holds(process, "ready"))
    until(lambda: running_helper(helper))
    before = time.monotonic()
    assert not process.stop(1, timeout=0.5).running
    assert time.monotonic() - before >= 0.5
    assert running(process) == []
    assert running_helper(helper) == []


def running_helper(helper: str) -> list[int]:
    return [found.pid for found, command in command_lines() if command == ["sleep", helper]]


def test_a_stop_waits_for_helpers_that_outlive_their_leader(make: Make) -> None:
    helper = "(trap 'sleep 0.6; echo helper done; exit' TERM; echo ready; while :; do sleep 0.05; done) &"
    process = make("sh", "-c", f"trap 'sleep 0.2; exit' TERM; {helper} wait")
    process.start(1, timeout=PATIENCE)
    until(output_holds(process, "ready"))
    process.stop(1, timeout=PATIENCE)
    assert "helper done" in process.output_file.read_text()


def test_what_a_killed_leader_left_is_ended_before_the_next_start(make: Make) -> None:
    helper = f"600.{next(_numbers)}"
    process = make("sh", "-c", f"sleep {helper} & wait")
    pid = process.start(1, timeout=PATIENCE).pid
    assert pid is not None
    first = until(lambda: running_helper(helper))
    os.kill(pid, signal.SIGKILL)
    until(lambda: not process.status().running)
    assert running_helper(helper) == first
    process.start(2, timeout=PATIENCE)
    second = until(lambda: running_helper(helper))
    assert len(second) == 1
    assert second != first


def test_a_paused_process_runs_and_can_be_stopped_gracefully(make: Make) -> None:
    process = make("sh", "-c", "trap 'echo bye; exit' TERM; echo ready; while :; do sleep 0.05; done")
    pid = process.start(1, timeout=PATIENCE).pid
    assert pid is not None
    until(output_holds(process, "ready"))
    os.killpg(pid, signal.SIGSTOP)
    assert process.status().running
    process.stop(1, timeout=PATIENCE)
    assert "bye" in process.output_file.read_text()


# Processes outside of the group


def gone_to_the_background(process: ManagedProcess) -> Callable[[], list[int]]:
    return lambda: [] if process.status().running else outside(process)


def outside(process: ManagedProcess) -> list[int]:
    leader = launch.read_record(record_of(process)).pid
    return [pid for pid in running(process) if os.getsid(pid) != leader]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for what will not end shall not do so for long."""
    monkeypatch.setattr("supervision.kinds.strays.STRAY_PATIENCE", 0.1)


@pytest.mark.usefixtures("impatient")
def test_a_program_that_went_into_the_background_is_not_started_a_second_time(make: Make) -> None:
    process = make(sys.executable, "-c", TO_THE_BACKGROUND)
    process.start(1, timeout=PATIENCE)
    (pid,) = until(gone_to_the_background(process))
    for again in (2, 3):
        with pytest.raises(ActionFailed, match=rf"goes into the background; .*--nodaemon.*: pids {pid}$"):
            process.start(again, timeout=PATIENCE)
        assert running(process) == [pid]
    with pytest.raises(ActionFailed, match=f"pids {pid}$"):
        process.restart(4, action="a", stop_timeout=PATIENCE, start_timeout=PATIENCE)
    assert running(process) == [pid]
    kill(pid)
    process.start(5, timeout=PATIENCE)
    assert until(gone_to_the_background(process)) != [pid]


@pytest.mark.usefixtures("impatient")
def test_the_same_child_of_another_system_is_somebody_else(make: Make, tmp_path: Path) -> None:
    process = make(sys.executable, "-c", TO_THE_BACKGROUND)
    process.start(1, timeout=PATIENCE)
    (pid,) = until(gone_to_the_background(process))
    other = ManagedProcess(process.path, process.command, folder=tmp_path / "other")
    other.start(1, timeout=PATIENCE)
    (second,) = until(lambda: [found for found in gone_to_the_background(other)() if found != pid])
    with pytest.raises(ActionFailed, match=f"pids {second}$"):
        other.start(2, timeout=PATIENCE)


@pytest.mark.usefixtures("impatient")
def test_one_folder_under_two_names_is_one_system(make: Make, tmp_path: Path) -> None:
    process = make(sys.executable, "-c", TO_THE_BACKGROUND)
    process.start(1, timeout=PATIENCE)
    (pid,) = until(gone_to_the_background(process))
    (tmp_path / "link").symlink_to(process.folder)
    with pytest.raises(ActionFailed, match=f"pids {pid}$"):
        ManagedProcess(process.path, process.command, folder=tmp_path / "link").start(2, timeout=PATIENCE)


def test_a_helper_outside_that_ends_by_itself_is_awaited(make: Make) -> None:
    process = make(sys.executable, "-c", WITH_A_HELPER_OUTSIDE.format(600))
    first = process.start(1, timeout=PATIENCE)
    assert first.pid is not None
    (helper,) = until(lambda: outside(process))
    kill(first.pid)
    threading.Timer(0.3, kill, [helper]).start()
    second = process.start(2, timeout=PATIENCE)
    assert second.running
    assert helper not in running(process)


def test_a_helper_outside_of_a_living_process_is_no_hindrance(make: Make) -> None:
    process = make(sys.executable, "-c", WITH_A_HELPER_OUTSIDE.format(600))
    first = process.start(1, timeout=PATIENCE)
    until(lambda: outside(process))
    assert process.start(2, timeout=PATIENCE).pid == first.pid


# Restarts, and what a living process was started with


def restarted(process: ManagedProcess, fence: int, action: str) -> int | None:
    return process.restart(fence, action=action, stop_timeout=PATIENCE, start_timeout=PATIENCE).pid


def test_a_restart_replaces_the_process_and_its_second_run_does_not(make: Make) -> None:
    process = make()
    first = process.start(1, timeout=PATIENCE, action="s").pid
    second = restarted(process, 2, "r")
    assert second != first
    assert restarted(process, 3, "r") == second
    assert process.status().fence == 3
    assert restarted(process, 4, "another") != second
    assert len(running(process)) == 1


def test_a_second_run_of_a_restart_starts_what_has_ended_meanwhile(make: Make) -> None:
    process = make()
    first = restarted(process, 1, "r")
    assert first is not None
    kill(first)
    until(lambda: not process.status().running)
    second = restarted(process, 2, "r")
    assert running(process) == [second]


def test_a_second_run_of_a_restart_does_not_keep_what_a_stop_is_ending(make: Make) -> None:
    process = make()
    first = restarted(process, 1, "r")
    write_record(process, launch.read_record(record_of(process))._replace(ending=True))
    second = restarted(process, 2, "r")
    assert second != first
    assert running(process) == [second]


def test_an_adopted_process_is_not_taken_for_one_that_the_action_started(make: Make) -> None:
    process = make()
    first = process.start(1, timeout=PATIENCE, action="s").pid
    assert process.start(2, timeout=PATIENCE, action="r").pid == first
    assert restarted(process, 3, "r") != first


def test_an_old_run_of_a_restart_is_refused_and_changes_nothing(make: Make) -> None:
    process = make()
    restarted(process, 5, "r")
    status = process.status()
    for action in ("r", "another"):
        with pytest.raises(Superseded):
            restarted(process, 4, action)
    assert process.status() == status


def test_a_process_of_an_earlier_command_is_outdated_until_it_is_restarted(make: Make) -> None:
    process = make()
    first = process.start(1, timeout=PATIENCE)
    changed = ManagedProcess(process.path, [*process.command, "0.5"], folder=process.folder)
    assert (first.outdated, changed.status().outdated) == (False, True)
    assert changed.start(2, timeout=PATIENCE).pid == first.pid
    assert restarted(changed, 3, "r") != first.pid
    assert (process.status().outdated, changed.status().outdated) == (True, False)
    changed.stop(4, timeout=PATIENCE)
    assert (process.status().outdated, changed.status().outdated) == (False, False)


# Fences and locks


@pytest.mark.parametrize("verb", ["start", "stop"])
def test_a_caller_with_an_old_fence_is_refused_and_changes_nothing(make: Make, verb: str) -> None:
    process = make()
    status = process.start(5, timeout=PATIENCE)
    with pytest.raises(Superseded, match="fence 4 is old, fence 5 has been here"):
        getattr(process, verb)(4, timeout=PATIENCE)
    assert process.status() == status


@pytest.mark.parametrize("verb", ["start", "stop"])
def test_a_lock_that_is_not_free_in_time_is_a_conflict_that_names_it(make: Make, verb: str) -> None:
    process = make()
    process.start(1, timeout=PATIENCE)
    with locked(process), pytest.raises(Conflict, match="not free in time") as refusal:
        getattr(process, verb)(2, timeout=0.2)
    assert str(lock_of(process)) in str(refusal.value)
    assert getattr(process, verb)(2, timeout=PATIENCE).fence == 2


def test_eight_starters_at_once_make_one_process(make: Make, starter: Callable[..., Starter]) -> None:
    process = make()
    starters = [starter(process, "start", 3) for _ in range(8)]
    answers = {one.go().answer() for one in starters}
    assert answers == {str(process.status().pid)}
    assert running(process) == [process.status().pid]


def test_starters_and_stoppers_at_once_leave_at_most_one_process(make: Make, starter: Callable[..., Starter]) -> None:
    process = make()
    mixed = [starter(process, verb, fence) for fence, verb in enumerate(["start", "stop", "start"] * 3, 1)]
    answers = [one.go() for one in mixed]
    for one in answers:
        assert one.answer() in {"None", "Superseded", "Conflict"} | {str(pid) for pid in psutil.pids()}
    final = process.start(10, timeout=PATIENCE)
    assert running(process) == [final.pid]


# Starters that are killed and paused


def test_the_process_survives_kill_9_of_its_starter_and_of_the_whole_group(
    make: Make, starter: Callable[..., Starter]
) -> None:
    process = make()
    one = starter(process, "start", 1).go()
    assert one.answer() == str(process.status().pid)
    os.killpg(one.popen.pid, signal.SIGKILL)
    one.popen.wait()
    assert running(process) == [process.status().pid]


@pytest.mark.parametrize("also_the_launcher", [False, True])
def test_a_starter_killed_at_any_moment_leaves_nothing_or_the_one_recorded_process(
    make: Make, starter: Callable[..., Starter], *, also_the_launcher: bool
) -> None:
    processes = [make() for _ in range(20)]
    starters = [starter(process, "start", 1) for process in processes]
    for step, (process, one) in enumerate(zip(processes, starters, strict=True)):
        one.go()
        time.sleep(step * 0.002)  # the moment of the kill is what this test varies
        one.signal(signal.SIGKILL)
        if also_the_launcher:
            kill(*launchers(process))
    for process in processes:
        until(no_launcher_of(process))
        left = running(process)
        assert left == ([process.status().pid] if process.status().running else [])
        final = process.start(2, timeout=PATIENCE)
        assert running(process) == [final.pid]
        assert left in ([], [final.pid])


def test_a_launcher_without_a_whole_request_does_nothing(folder: Path) -> None:
    asked = {"lock": str(folder / "x.lock"), "patience": 1}
    for request in (b"", json.dumps(asked).encode()[:-5]):
        done = subprocess.run([sys.executable, "-I", launch.__file__], input=request, capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (1, b"")
    assert not folder.exists()


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.02, 0.03, 0.05])
def test_a_paused_starter_with_an_old_fence_changes_nothing_when_it_goes_on(
    make: Make, starter: Callable[..., Starter], delay: float
) -> None:
    process = make()
    old = starter(process, "start", 1).go()
    time.sleep(delay)  # the moment of the pause is what this test varies
    old.signal(signal.SIGSTOP)
    process.start(2, timeout=PATIENCE)
    after = process.stop(3, timeout=PATIENCE)
    old.signal(signal.SIGCONT)
    assert old.answer()  # refused; or it had already done its work, before the others
    assert process.status() == after
    assert running(process) == []


@pytest.mark.parametrize("delay", [0.01, 0.02, 0.03])
def test_a_paused_launcher_delays_others_but_there_is_never_a_second_process(
    make: Make, starter: Callable[..., Starter], delay: float
) -> None:
    process = make()
    starter(process, "start", 1).go()
    time.sleep(delay)  # the moment of the pause is what this test varies
    paused = launchers(process)
    for pid in paused:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    with suppress(Conflict):
        process.start(2, timeout=0.3)
    assert len(running(process)) <= 1
    for pid in paused:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    until(no_launcher_of(process))
    final = process.start(3, timeout=PATIENCE)
    assert running(process) == [final.pid]


def test_a_start_finishes_the_stop_of_a_paused_stopper_which_then_kills_nobody(
    make: Make, starter: Callable[..., Starter]
) -> None:
    process = make("sh", "-c", IGNORES_TERM.format(f"600.{next(_numbers)}"))
    first = process.start(1, timeout=PATIENCE)
    until(output_holds(process, "ready"))
    stopper = starter(process, "stop", 2, 1.0).go()
    pause_between_its_signals(process, stopper)
    second = process.start(3, timeout=2)
    assert second.running
    assert second.pid != first.pid
    stopper.signal(signal.SIGCONT)
    assert stopper.answer() in {"Superseded", str(second.pid)}
    assert process.status() == second


def test_a_stopper_that_was_overtaken_between_its_two_signals_does_not_send_the_second(
    make: Make, starter: Callable[..., Starter]
) -> None:
    process = make("sh", "-c", IGNORES_TERM.format(f"600.{next(_numbers)}"))
    first = process.start(1, timeout=PATIENCE)
    until(output_holds(process, "ready"))
    slow, patient = starter(process, "stop", 2, 4.0).go(), starter(process, "stop", 3, 600.0)
    pause_between_its_signals(process, slow)
    patient.go()
    until(lambda: process.status().fence == 3)
    slow.signal(signal.SIGCONT)
    assert slow.answer() == "Superseded"
    assert process.status().pid == first.pid


def test_a_launcher_with_its_whole_request_needs_its_starter_no_more(
    make: Make, starter: Callable[..., Starter]
) -> None:
    process = make()
    with locked(process):
        one = starter(process, "start", 1).go()
        until(lambda: any(holds_open(pid, lock_of(process)) for pid in launchers(process)))
        os.killpg(one.popen.pid, signal.SIGKILL)
        one.popen.wait()
        assert len(launchers(process)) == 1
    assert until(lambda: running(process)) == [process.status().pid]


def test_a_launcher_does_not_adopt_a_process_that_is_being_stopped(
    make: Make, stranger: subprocess.Popen[bytes]
) -> None:
    process = make()
    started = launch.start_identity(stranger.pid)
    write_record(process, launch.Record(fence=1, pid=stranger.pid, started=started, ending=True))
    request = {"lock": str(lock_of(process)), "record": str(record_of(process)), "patience": 1, "fence": 2}
    answer = subprocess.check_output([sys.executable, "-I", launch.__file__], input=json.dumps(request).encode())
    assert json.loads(answer) == {"outcome": "ending"}
    assert launch.read_record(record_of(process)).fence == 1


def test_a_start_that_waited_for_the_lock_looks_again_before_it_ends_anything(
    make: Make, starter: Callable[..., Starter]
) -> None:
    process = make()
    first = process.start(1, timeout=PATIENCE)
    record = launch.read_record(record_of(process))
    with locked(process):
        write_record(process, record._replace(ending=True))
        one = starter(process, "start", 2).go()
        until(lambda: holds_open(one.popen.pid, lock_of(process)))
        write_record(process, record)
    assert one.answer() == str(first.pid)
    assert running(process) == [first.pid]


# Refusals


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["no-such-program"], "'no-such-program' is not an executable file in any folder of PATH"),
        (["/etc/passwd"], "'/etc/passwd' is not an executable file"),
    ],
)
def test_a_command_that_cannot_be_executed_is_named(make: Make, command: list[str], reason: str) -> None:
    process = make(*command)
    with pytest.raises(NotRetryable, match=reason):
        process.start(1, timeout=PATIENCE)


def test_a_failure_of_exec_is_told_with_command_and_reason_and_leaves_no_process(make: Make, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o700)
    process = make(str(script), "--fast")
    with pytest.raises(NotRetryable, match=r"script --fast number-\d+ could not be started: .*No such file"):
        process.start(4, timeout=PATIENCE)
    assert process.status().running is False
    assert process.status().fence == 4


def test_a_missing_working_folder_is_named(make: Make, tmp_path: Path) -> None:
    process = make(cwd=tmp_path / "missing")
    with pytest.raises(NotRetryable, match="missing"):
        process.start(1, timeout=PATIENCE)


@pytest.mark.parametrize("command", ["sleep 600", [], ["sleep", 600], ["sleep", "6\0"]])
def test_a_command_that_is_no_list_of_texts_is_refused(folder: Path, command: list[str]) -> None:
    with pytest.raises(InvalidDeclaration, match="give a list of texts"):
        ManagedProcess("p", command, folder=folder)


def test_an_environment_that_is_not_of_texts_is_refused(folder: Path) -> None:
    with pytest.raises(InvalidDeclaration, match="name or value in env"):
        ManagedProcess("p", ["sleep", "1"], folder=folder, env={"PORT": 8080})  # type: ignore[dict-item]  # on purpose


def test_a_folder_that_others_can_enter_is_refused_and_not_changed(make: Make, folder: Path) -> None:
    folder.mkdir(mode=0o755)
    process = make()
    with pytest.raises(NotRetryable, match="with mode 755; it must belong"):
        process.start(1, timeout=PATIENCE)
    assert folder.stat().st_mode & 0o777 == 0o755
    folder.chmod(0o700)


def test_folder_and_files_are_private(make: Make, folder: Path) -> None:
    process = make()
    process.start(1, timeout=PATIENCE)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.suffix: file.stat().st_mode & 0o777 for file in folder.iterdir()} == {
        ".json": 0o600,
        ".lock": 0o600,
        ".log": 0o600,
    }


@pytest.mark.parametrize("content", ["", "{", '{"pid": 1}', "[]", '{"command": [], "colour": "red"}'])
def test_a_record_that_cannot_be_read_is_refused_and_kept(make: Make, content: str) -> None:
    process = make()
    file = write_record(process, launch.Record())
    file.write_text(content)
    for look in (process.status, lambda: process.start(1, timeout=1), lambda: process.stop(1, timeout=1)):
        with pytest.raises(NotRetryable, match="cannot be read"):
            look()
    assert file.read_text() == content
    file.unlink()


def test_an_unusable_launcher_is_an_answer_with_its_reason(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('out of order')")
    process = make()
    monkeypatch.setattr(launch, "__file__", str(broken))
    with pytest.raises(ActionFailed, match="out of order"):
        process.start(1, timeout=PATIENCE)


def test_a_launcher_that_does_not_answer_is_ended(make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    silent = tmp_path / "silent.py"
    silent.write_text("import time; time.sleep(600)")
    process = make()
    monkeypatch.setattr(launch, "__file__", str(silent))
    monkeypatch.setattr(launcher, "ANSWER_MARGIN", 0.1)
    with pytest.raises(ActionFailed, match="did not answer within"):
        process.start(1, timeout=0.1)
    assert launchers(process) == []


# File names


def test_different_paths_have_different_file_names_also_where_case_does_not_count() -> None:
    paths = ["a/b", "a-b", "a_b", "a.b", "a:b", "a@b", "a", "A", "a/B", "A/b", "a.log", "a.json", "a.lock", "x" * 199]
    paths += ["X" * 150, "X" * 149 + "x", "x" * 150]
    names = [f"{file_name(path)}.{suffix}".lower() for path in paths for suffix in ("log", "json", "json.new", "lock")]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) < 255


def test_a_file_name_stays_inside_the_folder() -> None:
    assert file_name("../../etc/passwd") == "..~..~etc~passwd"


def test_a_path_that_is_no_path_is_refused(folder: Path) -> None:
    with pytest.raises(InvalidDeclaration, match="segment"):
        ManagedProcess("../etc", ["sleep", "600"], folder=folder)
