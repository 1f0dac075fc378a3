"""The launcher: a short-lived program between whoever starts a child's process and that process.

    starter ──request (stdin)──> launcher ──fork──> the process: record written, then exec
            <──answer (stdout)──          <──why exec failed, or nothing──

Rules
1. Everything that must not be half done happens here, under the child's lock, and never in the starter: a starter may
   be killed or paused at any moment. Without a complete request the launcher does nothing; with one it no longer
   needs the starter.
2. The process writes its own record and then execs: pid and start time survive exec, and the lock is released by it
   (close-on-exec). So whoever gets the lock next finds nothing, or a record that names the only process there is.
3. Whoever holds the lock and sees a higher fence in the record changes nothing.
4. Standard library only and run by file path (``python -I launch.py``): it starts in some 30 ms, and no module beside
   this file can shadow one of the standard library.

The lock file is never removed: two starters that locked an old and a new file of one name would both be right.
"""

import contextlib
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Never

LOCK_POLL = 0.01
"""Seconds between two tries for a lock: flock has no deadline of its own, and it is held for milliseconds."""

OUTPUT_LIMIT = 16 * 1024 * 1024
"""Bytes of output above which the next start begins a new file; the old one is kept once, as ``<name>.log.1``."""

MARK = "CELERY_SUPERVISION_CHILD"
"""Environment variable by which a child's processes are known when their leader died, or when they left its group."""


class Record(NamedTuple):
    """What is known of a child's process; the truth is this plus whether `start_identity` of ``pid`` is ``started``."""

    fence: int = 0
    pid: int | None = None
    started: str | None = None
    ending: bool = False
    """A stop has sent its first signal: nobody may adopt this process any more."""
    mark: str = ""
    command: tuple[str, ...] = ()
    action: str = ""
    """The id of the action that started it: a second run of that action must not take it for an old process."""

    @property
    def alive(self) -> bool:
        """Whether the process of this record runs, and not another one that was given its pid later."""
        return self.pid is not None and self.started is not None and start_identity(self.pid) == self.started


def start_identity(pid: int) -> str | None:
    """What tells a process from a later one with the same pid; None if there is none, or if it is a zombie.

    On Linux the start time in clock ticks since boot (field 22 of ``/proc/<pid>/stat``) with the id of the boot. Not
    a wall-clock time: that one is computed from the boot time, and moves when somebody sets the clock, so a running
    process would look like another one.
    """
    if sys.platform == "linux":
        return _linux_start_identity(pid)
    else:  # noqa: RET505 - mypy knows both sides of a platform test, and would call a plain return unreachable
        return _other_start_identity(pid)


def _linux_start_identity(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in brackets, and may itself hold brackets and blanks.
    fields = stat.rpartition(")")[2].split()
    state, ticks = fields[0], fields[19]
    # Zombies and the dead: where process 1 does not collect them they stay for ever, and are no process any more.
    return None if state in "ZXx" else f"{_boot_id()}:{ticks}"


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _other_start_identity(pid: int) -> str | None:
    import psutil  # noqa: PLC0415 - on Linux the launcher runs without site-packages, and does not need it

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else repr(process.create_time())
    except psutil.NoSuchProcess:
        return None


def read_record(path: Path) -> Record:
    """The record in ``path``, an empty one if there is none; ValueError if it is not one of ours."""
    try:
        fields = json.loads(path.read_bytes())
    except FileNotFoundError:
        return Record()
    try:
        return Record(**{**fields, "command": tuple(fields["command"])})
    except (TypeError, KeyError) as error:
        raise ValueError(f"not a process record: {error}") from error


def write_record(path: Path, record: Record) -> None:
    """Replace the record in one step, under the lock; synced, so that a power cut cannot lose the fence."""
    new = path.with_name(f"{path.name}.new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123 - a descriptor
        json.dump(record._asdict(), file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def take_lock(path: Path, deadline: float) -> int | None:
    """The descriptor of the locked file, or None when somebody else held it until ``deadline`` (monotonic seconds)."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(lock)
                return None
            time.sleep(LOCK_POLL)
        except BaseException:
            os.close(lock)
            raise
        else:
            return lock


def release_lock(lock: int) -> None:
    """Unlock, then close. Closing alone would leave the lock with a child that another thread forked meanwhile."""
    fcntl.flock(lock, fcntl.LOCK_UN)
    os.close(lock)


def launch(request: Mapping[str, Any]) -> dict[str, Any]:
    """Start the process, or say why not: one of started, adopted, ending, superseded, locked, failed.

    The lock ends with this program, or with exec; it is not for use inside a program that lives on.
    """
    lock = take_lock(Path(request["lock"]), time.monotonic() + request["patience"])
    if lock is None:
        return {"outcome": "locked"}
    record = read_record(Path(request["record"]))
    if request["fence"] < record.fence:
        return {"outcome": "superseded", "fence": record.fence}
    if record.alive:
        return _adopt(request, record)
    return _start(request, lock)


def _adopt(request: Mapping[str, Any], record: Record) -> dict[str, Any]:
    if record.ending:
        return {"outcome": "ending"}
    if request["fence"] > record.fence:
        write_record(Path(request["record"]), record._replace(fence=request["fence"]))
    return {"outcome": "adopted"}


def _start(request: Mapping[str, Any], lock: int) -> dict[str, Any]:
    failure, told = os.pipe()  # close-on-exec: it ends without a word when exec succeeded
    if os.fork() == 0:
        _become(request, told)
    os.close(told)
    os.close(lock)  # from here on the process alone holds it, until it execs
    with open(failure, "rb") as pipe:  # noqa: PTH123 - a descriptor
        reason = pipe.read()
    return {"outcome": "failed", **json.loads(reason)} if reason else {"outcome": "started"}


def _become(request: Mapping[str, Any], told: int) -> Never:
    record = Path(request["record"])
    try:
        os.setsid()
        _redirect(Path(request["output"]))
        _write_own_record(record, request)
        _reset_signals()
        if request["cwd"] is not None:
            os.chdir(request["cwd"])
        os.execve(request["file"], request["command"], {**request["env"], MARK: request["mark"]})  # noqa: S606 - no shell
    except Exception as error:  # noqa: BLE001 - whatever it was, the starter shall hear it
        with contextlib.suppress(OSError):
            write_record(record, Record(fence=request["fence"]))
        os.write(told, json.dumps({"reason": str(error), "errno": getattr(error, "errno", None)}).encode())
    finally:
        os._exit(127)


def _redirect(output: Path) -> None:
    if output.exists() and output.stat().st_size > OUTPUT_LIMIT:
        output.replace(output.with_name(f"{output.name}.1"))
    nothing = os.open(os.devnull, os.O_RDONLY)
    written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((nothing, 0), (written, 1), (written, 2)):
        os.dup2(source, target)


def _write_own_record(path: Path, request: Mapping[str, Any]) -> None:
    own = os.getpid()
    told = {"mark": request["mark"], "command": tuple(request["command"]), "action": request["action"]}
    write_record(path, Record(request["fence"], own, start_identity(own), **told))


def _reset_signals() -> None:
    # Ignored and blocked signals survive exec: Python ignores SIGPIPE, and a Celery pool process ignores SIGINT.
    for number in signal.valid_signals():
        with contextlib.suppress(OSError):  # KILL and STOP cannot be set
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def main() -> None:
    """Read one request, answer it; a starter that died in the middle of its request has asked for nothing."""
    answer = launch(json.load(sys.stdin.buffer))
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(answer).encode())


if __name__ == "__main__":
    main()
