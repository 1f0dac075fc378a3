"""The guard with real processes: whatever happens to the parent, nothing that it started is left."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from waiting import until

from supervision import guard
from supervision.errors import SupervisionError
from supervision.guarded import Guarded

# Writes its pid to "<name>.pid" in the working folder once it is set up; ignores SIGTERM when told so.
SLEEPER = """
import os, pathlib, signal, sys
name, *how = sys.argv[1:]
if "stubborn" in how:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "daemon" in how and os.fork():
    os._exit(0)
if "daemon" in how:
    os.setsid()
fresh = pathlib.Path(name + ".new")
fresh.write_text(str(os.getpid()))
fresh.rename(name + ".pid")
while True:
    signal.pause()
"""

# Starts one child in its own session's midst and one daemon that leaves it, then sleeps.
FAMILY = f"""
import subprocess, sys
sleeper = {SLEEPER!r}
children = [subprocess.Popen([sys.executable, "-c", sleeper, "child"])]
subprocess.run([sys.executable, "-c", sleeper, "daemon", "daemon"], check=True)
sys.argv = ["-c", "command"]
exec(sleeper)
"""

# Guards the family; writes the command's pid. What a signal does to it is Python's default.
PARENT = f"""
import sys, time
from supervision.guarded import Guarded
guarded = Guarded([sys.executable, "-c", {FAMILY!r}])
print(guarded.pid, guarded._guard.pid, flush=True)
time.sleep(600)
"""

# Ends, and leaves a daemon behind.
LEAVES_A_DAEMON = f"""
import os, subprocess, sys
subprocess.run([sys.executable, "-c", {SLEEPER!r}, "daemon", "daemon"], check=True)
while not os.path.exists("daemon.pid"):
    pass
sys.exit(7)
"""

# The parent's fork holds a copy of the leash and lives on; the parent itself is then killed.
FORKING_PARENT = """
import os, signal, sys, time
from supervision.guarded import Guarded
guarded = Guarded([sys.executable, "-c", "import time; time.sleep(600)"])
fork = os.fork()
if fork == 0:
    time.sleep(600)
print(guarded.pid, fork, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""

# Its fork holds a copy of the leash, so that letting go of it says nothing to the guard.
FORKING_STOPPER = """
import os, signal, sys, time
from supervision.guarded import Guarded
guarded = Guarded([sys.executable, "-c", "import time; time.sleep(600)"])
fork = os.fork()
if fork == 0:
    time.sleep(600)
print(guarded.stop(), flush=True)
os.kill(fork, signal.SIGKILL)
os.wait()
"""

# What dies with its module dies after Python gave every handled signal its default back.
LATE_SIGNAL = """
import os, sys
from supervision import guard
class Late:
    def __del__(self, kill=os.kill, pid=os.getpid()):
        kill(pid, 15)
late = Late()
sys.exit(guard.main(["--", sys.executable, "-c", "raise SystemExit(7)"]))
"""

# Says whether the command outlived the Ctrl-C that it got itself.
INTERRUPTED_PARENT = """
import os, signal, sys
from supervision.guarded import Guarded
guarded = Guarded([sys.executable, "-c", "import time; time.sleep(600)"])
try:
    os.killpg(0, signal.SIGINT)
    signal.pause()
except KeyboardInterrupt:
    print("alive" if guarded.poll() is None else "dead", guarded.stop(), flush=True)
"""


def sleeper(name: str, *how: str) -> list[str]:
    return [sys.executable, "-c", SLEEPER, name, *how]


def written_pid(folder: Path, name: str) -> psutil.Process:
    file = folder / f"{name}.pid"
    until(file.exists, what=f"the pid of {name}")
    return psutil.Process(int(file.read_text()))


def await_end(*processes: psutil.Process) -> None:
    until(lambda: not any(guard.is_alive(process) for process in processes), what=f"the end of {processes}")


@pytest.fixture
def start_parent(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts a script in a session and process group of its own, as a shell starts a foreground job."""
    started: list[subprocess.Popen[str]] = []

    def start(script: str) -> subprocess.Popen[str]:
        cmd = [sys.executable, "-c", script]
        started.append(subprocess.Popen(cmd, cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True))
        return started[-1]

    yield start
    for parent in started:
        with parent:
            parent.kill()


def first_line(parent: subprocess.Popen[str]) -> list[psutil.Process]:
    assert parent.stdout is not None
    return [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]


@pytest.mark.parametrize("end", ["kill -9", "SIGTERM", "Ctrl-C"])
def test_nothing_is_left_when_the_parent_ends_by(
    end: str, tmp_path: Path, start_parent: Callable[[str], subprocess.Popen[str]]
) -> None:
    parent = start_parent(PARENT)
    command, guardian = first_line(parent)
    child, daemon = written_pid(tmp_path, "child"), written_pid(tmp_path, "daemon")
    assert written_pid(tmp_path, "command") == command
    assert os.getsid(daemon.pid) != os.getsid(command.pid)
    match end:
        case "kill -9":
            parent.kill()
        case "SIGTERM":
            parent.terminate()
        case _:
            os.killpg(parent.pid, signal.SIGINT)
    await_end(guardian, command, child, daemon)


def test_ctrl_c_does_not_reach_the_command(start_parent: Callable[[str], subprocess.Popen[str]]) -> None:
    said, _ = start_parent(INTERRUPTED_PARENT).communicate()
    assert said.split() == ["alive", str(128 + signal.SIGTERM)]


def test_a_fork_of_the_parent_does_not_keep_the_command_alive(
    start_parent: Callable[[str], subprocess.Popen[str]],
) -> None:
    command, fork = first_line(start_parent(FORKING_PARENT))
    try:
        await_end(command)
        assert guard.is_alive(fork)
    finally:
        fork.kill()


def test_stop_ends_the_command_even_when_a_fork_holds_the_leash(
    start_parent: Callable[[str], subprocess.Popen[str]],
) -> None:
    said, _ = start_parent(FORKING_STOPPER).communicate()
    assert said.split() == [str(128 + signal.SIGTERM)]


def test_kill_9_of_the_guard_ends_the_command(tmp_path: Path) -> None:
    with Guarded(sleeper("command", "stubborn"), cwd=tmp_path) as guarded:
        command = written_pid(tmp_path, "command")
        guarded._guard.kill()
        await_end(command)
        assert until(guarded.poll) == -signal.SIGKILL


def test_stop_ends_the_whole_family_and_can_be_repeated(tmp_path: Path) -> None:
    guarded = Guarded([sys.executable, "-c", FAMILY], cwd=tmp_path)
    family = [written_pid(tmp_path, name) for name in ("command", "child", "daemon")]
    assert guarded.poll() is None
    assert guarded.stop() == 128 + signal.SIGTERM
    assert not any(guard.is_alive(process) for process in family)
    assert guarded.stop() == guarded.poll() == 128 + signal.SIGTERM


def test_letting_go_of_the_object_ends_the_command(tmp_path: Path) -> None:
    guarded = Guarded(sleeper("command"), cwd=tmp_path)
    command = written_pid(tmp_path, "command")
    leash, process = guarded._guard.stdin, guarded._guard
    assert leash is not None
    leash.close()
    await_end(command)
    assert process.wait() == 128 + signal.SIGTERM


def test_what_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    guarded = Guarded(sleeper("command", "stubborn"), cwd=tmp_path, grace=0.2)
    written_pid(tmp_path, "command")
    assert guarded.stop() == 128 + signal.SIGKILL


def test_a_daemon_that_ignores_sigterm_is_killed_too(tmp_path: Path) -> None:
    guarded = Guarded(sleeper("daemon", "daemon", "stubborn"), cwd=tmp_path, grace=0.2, tree=True)
    daemon = written_pid(tmp_path, "daemon")
    assert until(lambda: guarded.poll() is not None)
    assert not guard.is_alive(daemon)


def test_a_paused_command_is_woken_to_end_itself(tmp_path: Path) -> None:
    guarded = Guarded(sleeper("command"), cwd=tmp_path)
    command = written_pid(tmp_path, "command")
    command.suspend()
    until(lambda: command.status() == psutil.STATUS_STOPPED)
    assert guarded.stop() == 128 + signal.SIGTERM


def test_the_command_ends_before_what_it_started_is_told(tmp_path: Path) -> None:
    # A worker restarts a supervised process that ends: told in the other order, it would be busy doing that.
    script = f"""
import os, signal, subprocess, sys, time
subprocess.run([sys.executable, "-c", {SLEEPER!r}, "daemon", "daemon"], check=True)
while not os.path.exists("daemon.pid"):
    pass
pid = int(open("daemon.pid").read())
def end(*_):
    for look in range(25):  # that something does not happen can only be seen by looking for a while
        os.kill(pid, 0)
        time.sleep(0.02)
    sys.exit(3)
signal.signal(signal.SIGTERM, end)
open("command.new", "w").write(str(os.getpid()))
os.rename("command.new", "command.pid")
while True:
    signal.pause()
"""
    guarded = Guarded([sys.executable, "-c", script], cwd=tmp_path)
    written_pid(tmp_path, "command")
    daemon = written_pid(tmp_path, "daemon")
    assert guarded.stop() == 3
    assert not guard.is_alive(daemon)


@pytest.mark.parametrize(
    ("script", "status"),
    [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137), ("", 0)],
)
def test_the_guard_ends_with_the_status_of_its_command(script: str, status: int) -> None:
    guarded = Guarded([sys.executable, "-c", script])
    until(lambda: guarded.poll() is not None)
    assert guarded.poll() == guarded.stop() == status


@pytest.mark.parametrize("tree", [False, True])
def test_what_a_command_left_behind_ends_only_when_asked(tmp_path: Path, *, tree: bool) -> None:
    guarded = Guarded([sys.executable, "-c", LEAVES_A_DAEMON], cwd=tmp_path, tree=tree)
    until(lambda: guarded.poll() is not None)
    assert guarded.poll() == 7
    left = [pid for pid in (int(file.read_text()) for file in tmp_path.glob("daemon.pid")) if psutil.pid_exists(pid)]
    for pid in left:
        os.kill(pid, signal.SIGTERM)
    assert bool(left) is not tree


def test_the_command_gets_what_it_was_given(tmp_path: Path) -> None:
    script = "import os, signal; print(os.getcwd(), dict(os.environ)['A'], signal.getsignal(signal.SIGINT).__name__)"
    script += "; print(repr(os.read(0, 1)), sorted(map(int, os.listdir('/proc/self/fd')))[:-1])"
    with (tmp_path / "output").open("wb") as output:
        guarded = Guarded([sys.executable, "-c", script, "--", "x"], cwd=tmp_path, env={"A": "b c"}, stdout=output)
        until(lambda: guarded.poll() is not None)
    said = (tmp_path / "output").read_text().splitlines()
    assert said == [f"{tmp_path} b c default_int_handler", "b'' [0, 1, 2]"]


def test_the_command_does_not_inherit_what_python_ignores(tmp_path: Path) -> None:
    with (tmp_path / "output").open("wb") as output:
        guarded = Guarded(["grep", "SigIgn", "/proc/self/status"], stdout=output)
        until(lambda: guarded.poll() is not None)
    ignored = int((tmp_path / "output").read_text().split()[1], 16)
    assert not ignored & (1 << (signal.SIGPIPE - 1))


def test_a_command_that_cannot_be_run_says_so(tmp_path: Path) -> None:
    with (tmp_path / "output").open("wb") as output:
        guarded = Guarded(["/no/such/program"], stdout=output)
        until(lambda: guarded.poll() is not None)
    assert guarded.poll() == guard.CANNOT_RUN
    assert "cannot run '/no/such/program': [Errno 2]" in (tmp_path / "output").read_text()


def test_a_guard_that_cannot_start_is_an_error(tmp_path: Path) -> None:
    with (tmp_path / "output").open("wb") as output, pytest.raises(SupervisionError, match="ended with status 2"):
        Guarded(["true"], grace=-1, stdout=output)
    assert "-1.0 is not a number of seconds" in (tmp_path / "output").read_text()


def test_it_runs_as_a_module_with_its_input_as_the_leash(tmp_path: Path) -> None:
    cmd = [sys.executable, "-m", "supervision.guard", "--grace", "1", "--", *sleeper("command")]
    with subprocess.Popen(cmd, cwd=tmp_path, stdin=subprocess.PIPE) as guardian:
        command = written_pid(tmp_path, "command")
        assert os.getsid(command.pid) == guardian.pid != os.getsid(0)
        assert guardian.stdin is not None
        guardian.stdin.close()
        assert guardian.wait() == 128 + signal.SIGTERM
        assert not guard.is_alive(command)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_guard_ends_the_command(tmp_path: Path, signum: signal.Signals) -> None:
    guarded = Guarded(sleeper("command"), cwd=tmp_path)
    written_pid(tmp_path, "command")
    guarded._guard.send_signal(signum)
    until(lambda: guarded.poll() is not None)
    assert guarded.poll() == 128 + signal.SIGTERM


def test_a_signal_that_comes_after_the_end_does_not_change_the_status() -> None:
    with subprocess.Popen([sys.executable, "-c", LATE_SIGNAL], stdin=subprocess.PIPE) as late:
        assert late.wait() == 7
