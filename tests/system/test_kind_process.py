import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import structlog
from waiting import until

from supervision.actions import Run
from supervision.errors import ActionFailed, NotRetryable
from supervision.kinds.files import LAST_WORDS
from supervision.kinds.process import Process, ProcessDesired
from supervision.kinds.strays import child_mark, strays
from supervision.model import Snapshot
from supervision.supervisor import Supervisor

PATIENCE = 30.0
"""Seconds; far more than anything here takes on an idle machine."""

SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]

TO_THE_BACKGROUND = "import os, time; os.fork() and os._exit(0); {}; os.setsid(); time.sleep(600)"

NEVER_READY = """
import sys
sys.path[:0] = {path!r}
from test_kind_process import Process, SLEEPS, Path, in_plant, run
class Slow(Process):
    def ready(self):
        print("started", flush=True)
        sys.stdin.read()
in_plant(Slow("p", SLEEPS, folder=Path({folder!r}))).restart(run("the restart", 2))
"""
"""A worker that gets as far into a restart as the wait for the new process, and stays there until it is killed."""


def run(action: str = "a", fence: int = 1) -> Run:
    child = in_plant(Process("p", SLEEPS))
    seen = Snapshot(child.identity, ProcessDesired(), None, "starting", 0, 0)
    return Run(action, fence, 1, seen, {}, structlog.get_logger())


def in_plant(process: Process) -> Process:
    Supervisor("plant", [process])
    return process


Make = Callable[..., Process]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Process] = []

    def make(*command: str, kind: type[Process] = Process, timeout: float = PATIENCE) -> Process:
        made.append(in_plant(kind("p", command or SLEEPS, folder=tmp_path / "processes", start_timeout=timeout)))
        return made[-1]

    yield make
    for process in made:
        process.stop(run(fence=sys.maxsize))
        for pid in strays(process._managed.files):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that end at once may take their time to do so."""
    monkeypatch.setattr("supervision.kinds.process.ALIVE_S", PATIENCE)


def alive(process: Process) -> list[int]:
    """Every process of this child, by its mark."""
    found = []
    for one in psutil.process_iter():
        with suppress(psutil.Error):
            if one.environ().get("CELERY_SUPERVISION_CHILD", "").startswith(child_mark(process._managed.files)):
                found.append(one.pid)
    return found


# Starts that are none


@pytest.mark.usefixtures("slow_machine")
def test_a_process_that_ends_at_once_is_a_failed_start_that_quotes_its_last_lines(make: Make) -> None:
    process = make("sh", "-c", "echo one; echo 'no such port: 99999' >&2; exit 3")
    with pytest.raises(ActionFailed, match="ended right after it was started") as failure:
        process.start(run())
    assert not isinstance(failure.value, NotRetryable)
    assert str(failure.value).endswith(f"{process.output} ends with: one\nno such port: 99999")


@pytest.mark.usefixtures("slow_machine")
def test_a_process_that_ends_without_a_word_is_a_failed_start(make: Make) -> None:
    with pytest.raises(ActionFailed, match=r"ends with: nothing$"):
        make("false").start(run())


@pytest.mark.usefixtures("slow_machine")
@pytest.mark.parametrize("line", ["x" * 20, "\u20ac" * 20, "x" * 2000])
def test_only_the_end_of_a_long_output_is_quoted(make: Make, line: str) -> None:
    process = make("sh", "-c", f"for i in $(seq 200); do echo {line}; done; exit 1")
    with pytest.raises(ActionFailed) as failure:
        process.start(run())
    quoted = str(failure.value).partition("ends with: ")[2]
    assert LAST_WORDS // 2 < len(quoted) <= LAST_WORDS
    assert set(quoted.split("\n")) == {line[:LAST_WORDS]}


class Unready(Process):
    def ready(self) -> bool:
        return False


class Deceived(Process):
    """Is told that it is ready by another process, which has the port."""

    def ready(self) -> bool:
        until(lambda: not self.observe().running)
        return True


@pytest.mark.parametrize("kind", [Unready, Deceived])
def test_a_process_that_ends_while_it_is_awaited_is_a_failed_start(make: Make, kind: type[Process]) -> None:
    process = make("sh", "-c", "echo the port is taken; exit 1", kind=kind)
    with pytest.raises(ActionFailed, match="ends with: the port is taken"):
        process.start(run())


def test_a_process_that_lives_and_is_never_ready_is_a_failed_start(make: Make) -> None:
    process = make(kind=Unready, timeout=2)
    with pytest.raises(ActionFailed, match=r"not ready within 2 s; its output: .*plant~p\.log"):
        process.start(run())
    assert process.observe().running


@pytest.mark.usefixtures("slow_machine")
@pytest.mark.parametrize("pause", ["0", "time.sleep(0.2)"])
def test_a_program_that_goes_into_the_background_is_told_so_at_its_first_start(make: Make, pause: str) -> None:
    process = make(sys.executable, "-c", TO_THE_BACKGROUND.format(pause))
    with pytest.raises(NotRetryable, match="run it in the foreground") as failure:
        process.start(run())
    (pid,) = alive(process)
    assert str(failure.value).endswith(f"pids {pid}")
    with pytest.raises(ActionFailed, match=f"pids {pid}$"):
        process.start(run("b", 2))
    assert alive(process) == [pid]


# What runs


def test_a_started_process_is_observed_with_pid_and_start_and_is_up_to_date(make: Make) -> None:
    process = make()
    process.start(run())
    observed = process.observe()
    assert (observed.running, [observed.pid], observed.outdated) == (True, alive(process), False)


def test_a_changed_command_is_seen_and_applied_by_a_restart(make: Make) -> None:
    make().start(run())
    changed = make(*SLEEPS, "--fast")
    before = changed.observe()
    assert before.outdated
    changed.restart(run("r", 2))
    after = changed.observe()
    assert (after.running, after.outdated) == (True, False)
    assert alive(changed) == [after.pid] != [before.pid]


def test_a_restart_whose_worker_died_is_repeated_without_stopping_what_it_has_started(
    make: Make, tmp_path: Path
) -> None:
    process = make()
    process.start(run("the start", 1))
    first = process.observe().pid
    program = NEVER_READY.format(path=[str(Path(__file__).parent), *sys.path], folder=str(tmp_path / "processes"))
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"started\n"
        worker.kill()
    begun = process.observe()
    assert begun.running
    assert begun.pid != first
    process.restart(run("the restart", 3))
    assert process.observe() == begun
    process.restart(run("another restart", 4))
    assert process.observe().pid != begun.pid
