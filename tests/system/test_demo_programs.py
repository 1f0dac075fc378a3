import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import psutil
import pytest
from waiting import until

from supervision.demo.outside import Outside
from supervision.demo.plant import PANEL_GOOD
from supervision.demo.unhealable import BROKEN
from supervision.demo.wire import (
    HOST,
    LONGEST_LINE,
    BrokerStatus,
    DataflowStatus,
    SinkStatus,
    admit,
    broker_status,
    cut,
    dataflow_status,
    encode,
    refuse,
    sink_status,
)
from supervision.kinds.managed import ManagedProcess

ANSWER_S = 5.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


class Demo:
    """Broker, data flow and sink on ports of their own."""

    def __init__(self, folder: Path) -> None:
        self.ports = {name: free_port() for name in ("broker", "dataflow", "sink")}
        self.programs = {name: self._program(name, folder) for name in self.ports}
        self.fence = 0

    def _program(self, name: str, folder: Path) -> ManagedProcess:
        command = [sys.executable, "-m", f"supervision.demo.{name}", "--port", str(self.ports[name])]
        return ManagedProcess(name, command + self._broker_of(name), folder=folder)

    def _broker_of(self, name: str) -> list[str]:
        return [] if name == "broker" else ["--broker", str(self.ports["broker"])]

    def start(self, name: str) -> int:
        self.fence += 1
        pid = self.programs[name].start(self.fence, timeout=30).pid
        assert pid is not None
        return pid

    def stop(self, name: str, timeout: float = 30) -> None:
        self.fence += 1
        self.programs[name].stop(self.fence, timeout=timeout)

    def output(self, name: str) -> str:
        return self.programs[name].output_file.read_text()

    def broker(self) -> BrokerStatus | None:
        with suppress(OSError):
            return broker_status(self.ports["broker"], ANSWER_S)
        return None

    def dataflow(self) -> DataflowStatus | None:
        with suppress(OSError):
            return dataflow_status(self.ports["dataflow"], ANSWER_S)
        return None

    def sink(self) -> SinkStatus | None:
        with suppress(OSError):
            return sink_status(self.ports["sink"], ANSWER_S)
        return None

    def received(self) -> int:
        sink = self.sink()
        return sink.messages if sink else 0

    def arrives_from(self, pid: int) -> bool:
        sink = self.sink()
        return sink is not None and sink.last_pid == pid


def has(look: Callable[[], object], **wanted: object) -> Callable[[], bool]:
    """A condition: what is seen has these values."""
    return lambda: all(getattr(look(), name, None) == value for name, value in wanted.items())


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    demo = Demo(tmp_path / "processes")
    yield demo
    for name in demo.programs:
        demo.stop(name)


@pytest.fixture
def all_running(demo: Demo) -> Demo:
    for name in demo.programs:
        demo.start(name)
    until(lambda: demo.received() >= 3)
    return demo


def test_what_the_data_flow_measures_arrives_at_the_other_end(all_running: Demo) -> None:
    demo = all_running
    before, sent_before = demo.sink(), demo.dataflow()
    until(lambda: demo.received() >= 8)
    broker, dataflow, sink = demo.broker(), demo.dataflow(), demo.sink()
    assert before
    assert broker
    assert dataflow
    assert sink
    assert sent_before
    assert (broker.state, broker.publishers, broker.subscribers) == ("active", ("dataflow",), ("sink",))
    assert (dataflow.state, dataflow.output_connections) == ("sending", 1)
    assert dataflow.sent > sent_before.sent
    assert sink.bytes > before.bytes
    assert sink.last_pid == demo.programs["dataflow"].status().pid
    # Asked in the order of the messages' way backwards, so each has seen at least what the next one answered before.
    assert broker.messages_in >= broker.messages_out >= before.messages
    assert broker.bytes_out >= before.bytes


def test_a_cut_output_connection_stays_cut_while_the_broker_is_active_until_a_restart(all_running: Demo) -> None:
    demo = all_running
    first = demo.programs["dataflow"].status()
    assert cut(demo.ports["broker"], "dataflow", ANSWER_S) == 1
    until(has(demo.dataflow, state="disconnected", output_connections=0))
    until(has(demo.broker, publishers=()))
    lost = demo.dataflow()
    assert lost
    received = demo.received()
    # It lives and measures on, much longer than any client needs that connects again, and nothing arrives.
    until(lambda: (now := demo.dataflow()) and now.measured >= lost.measured + 10)
    assert has(demo.dataflow, state="disconnected", output_connections=0, sent=lost.sent)()
    assert has(demo.broker, state="active", publishers=(), subscribers=("sink",))()
    assert demo.received() == received
    assert demo.programs["dataflow"].status() == first
    assert lost.last_error == "the broker closed the output connection"
    demo.stop("dataflow")
    second = demo.start("dataflow")
    until(lambda: demo.arrives_from(second))
    assert second != first.pid
    assert has(demo.dataflow, state="sending", output_connections=1)()


def test_the_killed_data_flow_sends_again_from_a_new_process(all_running: Demo) -> None:
    demo = all_running
    first = demo.programs["dataflow"].status().pid
    demo.stop("dataflow", timeout=0)
    until(has(demo.broker, publishers=(), state="active"))
    assert demo.dataflow() is None
    second = demo.start("dataflow")
    assert second != first
    until(lambda: demo.arrives_from(second))


def test_the_data_flow_waits_for_a_broker_that_starts_later(demo: Demo) -> None:
    demo.start("dataflow")
    until(has(demo.dataflow, state="connecting", output_connections=0, sent=0))
    demo.start("broker")
    until(has(demo.dataflow, state="sending", output_connections=1))


def test_a_restarted_broker_gets_the_sink_back_and_not_the_data_flow(all_running: Demo) -> None:
    demo = all_running
    demo.stop("broker")
    until(has(demo.dataflow, state="disconnected"))
    demo.start("broker")
    until(has(demo.broker, subscribers=("sink",), publishers=(), state="active"))
    assert has(demo.dataflow, output_connections=0)()


def test_a_refused_client_stays_out_in_spite_of_restarts_until_it_is_admitted(all_running: Demo) -> None:
    demo = all_running
    assert refuse(demo.ports["broker"], "dataflow", ANSWER_S) == 1
    until(has(demo.dataflow, output_connections=0))
    demo.stop("dataflow")
    demo.start("dataflow")
    until(lambda: (now := demo.dataflow()) and now.last_error and "is refused here" in now.last_error)
    assert has(demo.broker, refused=("dataflow",), publishers=())()
    admit(demo.ports["broker"], "dataflow", ANSWER_S)
    until(has(demo.dataflow, state="sending"))
    assert has(demo.broker, refused=())()


def test_a_broker_without_clients_is_idle(demo: Demo) -> None:
    demo.start("broker")
    until(has(demo.broker, state="idle", publishers=(), subscribers=(), messages_in=0, bytes_out=0))
    assert cut(demo.ports["broker"], "nobody", ANSWER_S) == 0


@contextmanager
def own_child(program: ManagedProcess) -> Iterator[subprocess.Popen[bytes]]:
    """The program as a child of this process, so that its exit status can be seen."""
    with subprocess.Popen(program.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        try:
            yield child
        finally:
            child.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_programs_end_cleanly_on_a_signal_also_with_clients_connected(
    all_running: Demo, number: signal.Signals
) -> None:
    demo = all_running
    demo.stop("sink")
    demo.stop("dataflow")
    for name in ("sink", "dataflow"):
        with own_child(demo.programs[name]) as program:
            until(has(demo.broker, **{"subscribers" if name == "sink" else "publishers": (name,)}))
            with socket.create_connection((HOST, demo.ports[name]), ANSWER_S) as silent:
                until(demo.sink if name == "sink" else demo.dataflow)
                program.send_signal(number)
                _, complaint = program.communicate(timeout=30)
                assert silent.recv(1) == b""
        assert (program.returncode, complaint) == (0, b"")


def test_the_broker_ends_cleanly_while_clients_are_connected(demo: Demo) -> None:
    with own_child(demo.programs["broker"]) as broker:
        demo.start("dataflow")
        demo.start("sink")
        until(lambda: demo.received() >= 3)
        broker.send_signal(signal.SIGTERM)
        _, complaint = broker.communicate(timeout=30)
    assert (broker.returncode, complaint) == (0, b"")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"hello\n", "Expecting value"),
        (b"[]\n", "expected one JSON object per line"),
        (b'{"op": "steal"}\n', "unknown request"),
        (b'{"op": "publish", "client": 7, "topic": "t"}\n', "unknown request"),
        (b"x" * (2 * LONGEST_LINE), "limit"),
    ],
)
def test_a_wrong_request_is_answered_and_harms_nobody_else(demo: Demo, line: bytes, complaint: str) -> None:
    demo.start("broker")
    until(demo.broker)
    with socket.create_connection((HOST, demo.ports["broker"]), ANSWER_S) as client:
        client.sendall(line)
        answer = client.makefile("rb").readline()
    if line.endswith(b"\n"):  # what was sent beyond the limit may reset the connection before the answer is read
        assert complaint in json.loads(answer)["error"]
    assert has(demo.broker, state="idle")()


def test_a_torn_last_line_is_not_passed_on(demo: Demo) -> None:
    demo.start("broker")
    until(demo.broker)
    with socket.create_connection((HOST, demo.ports["broker"]), ANSWER_S) as client:
        client.sendall(encode({"op": "publish", "client": "c", "topic": "t"}) + b'{"n": 1}\n{"n": ')
    until(has(demo.broker, messages_in=1, bytes_in=9, publishers=()))


def test_a_subscriber_that_does_not_read_is_disconnected_and_delays_nobody(demo: Demo) -> None:
    demo.start("broker")
    until(demo.broker)
    address = (HOST, demo.ports["broker"])
    with socket.create_connection(address, ANSWER_S) as lazy, socket.create_connection(address, ANSWER_S) as client:
        lazy.sendall(encode({"op": "subscribe", "client": "lazy", "topic": "t"}))
        until(has(demo.broker, subscribers=("lazy",)))
        client.sendall(encode({"op": "publish", "client": "c", "topic": "t"}))
        line = encode({"text": "x" * 60_000})
        for _ in range(400):
            client.sendall(line)
            if has(demo.broker, subscribers=())():
                break
        until(has(demo.broker, subscribers=(), publishers=("c",)))


def test_a_status_request_ends_after_its_timeout_however_slowly_the_other_side_writes() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        drip = Thread(target=_drip, args=(server,))
        drip.start()
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            broker_status(port, 0.5)
        assert time.monotonic() - began < 10  # the dripping alone would last 20 s
        drip.join()


def _drip(server: socket.socket) -> None:
    client, _ = server.accept()
    with client, suppress(OSError):
        for _ in range(200):
            client.sendall(b" ")
            time.sleep(0.1)  # slowness is what this server is about


def test_a_status_request_to_a_closed_port_or_to_another_program_is_an_os_error(all_running: Demo) -> None:
    with pytest.raises(ConnectionRefusedError):
        dataflow_status(free_port(), ANSWER_S)
    with pytest.raises(ConnectionError, match="something else than a DataflowStatus"):
        dataflow_status(all_running.ports["sink"], ANSWER_S)
    with pytest.raises(ConnectionError, match="refused"):
        cut(all_running.ports["sink"], "x", ANSWER_S)


def test_programs_listen_on_loopback_only(all_running: Demo) -> None:
    for name, program in all_running.programs.items():
        listening = [c.laddr for c in psutil.Process(program.status().pid).net_connections() if c.status == "LISTEN"]
        assert listening == [(HOST, all_running.ports[name])]


def test_a_taken_port_ends_the_program_with_a_reason(all_running: Demo) -> None:
    for program in all_running.programs.values():
        done = subprocess.run(program.command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode != 0
        assert "address already in use" in done.stderr.lower()


@pytest.fixture
def panel(tmp_path: Path) -> Iterator[ManagedProcess]:
    """The panel, started, with a configuration that it can use."""
    file, port = tmp_path / "panel.json", free_port()
    file.write_text(PANEL_GOOD)
    command = [sys.executable, "-m", "supervision.demo.panel", "--port", str(port), "--file", str(file)]
    started = ManagedProcess("panel", command, folder=tmp_path / "processes")
    started.start(1, timeout=30)
    until(lambda: answer_of(started))
    yield started
    started.stop(2, timeout=30)


def answer_of(panel: ManagedProcess) -> tuple[int, str] | None:
    """What the panel answers, None while it does not."""
    port = int(panel.command[panel.command.index("--port") + 1])
    with suppress(OSError):
        return Outside({"panel": port}).page()
    return None


def file_of(panel: ManagedProcess) -> Path:
    return Path(panel.command[-1])


@pytest.mark.parametrize("broken", ['{"title": \n', "", "[]", "7", '{"name": "x"}', "\udcff", None])
def test_a_panel_answers_503_while_its_file_cannot_be_used_and_200_again_without_a_restart(
    panel: ManagedProcess, broken: str | None
) -> None:
    before, file = panel.status(), file_of(panel)
    assert answer_of(panel) == (200, "Line 1")
    if broken is None:
        file.unlink()
    else:
        file.write_bytes(broken.encode(errors="surrogateescape"))
    status, said = answer_of(panel) or (0, "")
    assert status == 503
    assert said.startswith("cannot use panel.json: ")
    file.write_text(PANEL_GOOD)
    assert answer_of(panel) == (200, "Line 1")
    assert panel.status() == before


def test_a_panel_is_broken_for_its_next_process_too(panel: ManagedProcess) -> None:
    first = panel.status().pid
    file_of(panel).write_text(BROKEN)
    panel.restart(2, action="a", stop_timeout=30, start_timeout=30)
    status, _ = until(lambda: answer_of(panel))
    assert status == 503
    assert panel.status().pid != first


def test_a_panel_ends_cleanly_while_a_silent_client_is_connected(panel: ManagedProcess) -> None:
    panel.stop(2, timeout=30)
    port = int(panel.command[panel.command.index("--port") + 1])
    with own_child(panel) as program:
        until(lambda: answer_of(panel))
        with socket.create_connection((HOST, port), ANSWER_S):
            program.send_signal(signal.SIGTERM)
            _, complaint = program.communicate(timeout=30)
    assert (program.returncode, complaint) == (0, b"")
