"""The exporter as Prometheus and an operator see it: three pages on one port, and how it starts and ends."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from cli_plant import Kept, brought_up, plant
from waiting import until

from supervision.cli.exporter import broker_is_store
from supervision.ports import free_ports
from supervision.runtime import Runtime
from supervision.server import EmbeddedStore
from supervision.store.store import Store

SUPERVISION = Path(sys.executable).with_name("supervision")
CELERY = Path(sys.executable).with_name("celery")
PASSWORD = "open-sesame-7"  # noqa: S105 # what must be told to nobody

Start = Callable[..., "Exporter"]


class Exporter:
    """A process that exports, and what it has said."""

    def __init__(self, folder: Path, *arguments: str, program: tuple[str | Path, ...], **environment: str) -> None:
        inherited = {name: value for name, value in os.environ.items() if not re.match("SUPERVISION_(?!TEST)", name)}
        self.log = folder / f"exporter-{len(list(folder.iterdir()))}"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*program, "exporter", *arguments],
                cwd=folder,
                env={**inherited, "PYTHONUNBUFFERED": "1", **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def url(self) -> str:
        """Where it listens, once it says so."""
        found = until(lambda: re.search(r"^(http://\S+)/metrics$", self.said, re.MULTILINE), what=lambda: self.said)
        return str(found[1])

    @property
    def said(self) -> str:
        return self.log.read_text()

    def get(self, page: str, **headers: str) -> tuple[int, str]:
        """Status and text of one page."""
        request = urllib.request.Request(self.url + page, headers=headers)  # noqa: S310 # http to ourselves
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 # as above
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def ended(self) -> int:
        return self.process.wait(timeout=60)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts exporters, on ports of their own unless told otherwise, and ends them."""
    started: list[Exporter] = []

    def exporter(
        url: str, *arguments: str, program: tuple[str | Path, ...] = (SUPERVISION,), **environment: str
    ) -> Exporter:
        given = arguments or ("--port", "0")
        started.append(Exporter(tmp_path, *given, program=program, SUPERVISION_STORE_URL=url, **environment))
        return started[-1]

    yield exporter
    for each in started:
        with suppress(ProcessLookupError):
            each.process.kill()
        each.process.wait()


@pytest.fixture
def plant_store(valkey_server: EmbeddedStore, namespace: str) -> Iterator[Store]:
    """A store with a plant that is up."""
    line = plant()
    with closing(Store(valkey_server.url, namespace)) as store:
        brought_up(Runtime(store, Kept(), {line.name: line}))
        yield store


def test_three_pages_on_one_port_of_this_machine_only(start: Start, plant_store: Store, store_url: str) -> None:
    exporter = start(store_url, SUPERVISION_NAMESPACE=plant_store.keys.namespace)
    status, text = exporter.get("/metrics")
    assert status == 200
    assert "supervision_up 1.0\n" in text
    assert 'supervisor_children{phase="running",supervisor="plant/line-1"} 3.0\n' in text
    assert 'supervision_queue_messages{queue="supervision.ticks"}' in text, "the broker is the store here"
    assert "worker_id" not in text
    assert exporter.get("/healthz") == (200, "ok\n")
    assert exporter.get("/readyz") == (200, "ok\n")
    assert exporter.get("/")[0] == 404
    assert exporter.url.startswith("http://127.0.0.1:")


def test_children_are_told_apart_by_the_setting(start: Start, plant_store: Store, store_url: str) -> None:
    settings = {"SUPERVISION_NAMESPACE": plant_store.keys.namespace, "SUPERVISION_METRICS_PER_CHILD": "1"}
    _, text = start(store_url, **settings).get("/metrics")
    assert 'supervisor_children{phase="running",supervisor="plant/line-1",worker_id="plant/line-1/red"} 1.0\n' in text


def test_a_store_that_is_away_is_said_and_waited_for(start: Start, make_store: Callable[..., EmbeddedStore]) -> None:
    store = make_store()
    secret = f"redis://:{PASSWORD}@127.0.0.1:{store.url.rsplit(':', 1)[1].split('/')[0]}/0"
    exporter = start(store.url)
    assert exporter.get("/readyz")[0] == 200
    store.stop()
    status, why = exporter.get("/readyz")
    assert (status, "does not answer" in why) == (503, True)
    status, text = exporter.get("/metrics")
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert (status, samples) == (200, ["supervision_up 0.0"])
    assert exporter.get("/healthz")[0] == 200, "starting it anew would not help"
    store.start()
    until(lambda: exporter.get("/readyz")[0] == 200)
    away = start(secret.replace("127.0.0.1", "nowhere.invalid"))
    assert "nowhere" not in away.get("/readyz")[1], "whoever scrapes need not know where it is"
    assert PASSWORD not in away.get("/readyz")[1] + away.get("/metrics")[1] + away.said
    assert '"event": "scrape_failed"' in away.said, "as JSON, which the setting says unless told otherwise"


def test_a_port_that_is_taken_is_named_with_what_to_try(start: Start, store_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = start(store_url, "--port", str(port))
        assert refused.ended() == 1
    assert f"port {port} on 127.0.0.1 is taken" in refused.said
    assert f"Try: supervision exporter --port {port + 1}" in refused.said
    assert "Traceback" not in refused.said


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--address", "203.0.113.7", "--port", "0"), "cannot listen on '203.0.113.7'"),
        (("--address", "no.such.host.invalid", "--port", "0"), "cannot listen on 'no.such.host.invalid'"),
        (("--port", "70000"), "70000 is not in the range"),
    ],
)
def test_an_address_that_is_none_is_refused(
    start: Start, store_url: str, arguments: tuple[str, ...], named: str
) -> None:
    refused = start(store_url, *arguments)
    assert refused.ended() == 2
    assert named in refused.said
    assert "Traceback" not in refused.said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_and_well(start: Start, store_url: str, number: signal.Signals) -> None:
    exporter = start(store_url)
    with socket.create_connection(("127.0.0.1", int(exporter.url.rsplit(":", 1)[1]))):  # says nothing, and stays
        exporter.get("/healthz")
        exporter.process.send_signal(number)
        assert exporter.ended() == 0
    assert exporter.said.count("\n") == 1, "it has said where it listens, and nothing else"


def test_celery_has_the_same_command(start: Start, store_url: str, tmp_path: Path) -> None:
    (tmp_path / "celeryconfig.py").write_text(f"broker_url = {store_url!r}\n")
    exporter = start(store_url, program=(CELERY, "-A", "tasks", "supervision"))
    assert "supervision_up 1.0" in exporter.get("/metrics")[1]


def test_where_to_listen_can_be_said_by_the_environment(store_url: str, tmp_path: Path) -> None:
    port = next(free_ports())
    there = {"SUPERVISION_EXPORTER_PORT": str(port), "SUPERVISION_EXPORTER_ADDRESS": "localhost"}
    exporter = Exporter(tmp_path, program=(SUPERVISION,), SUPERVISION_STORE_URL=store_url, **there)
    try:
        assert exporter.url == f"http://localhost:{port}"
        assert exporter.get("/healthz")[0] == 200
    finally:
        exporter.process.terminate()
        assert exporter.ended() == 0


@pytest.mark.parametrize(
    ("broker", "store", "same"),
    [
        ("redis://h:6379/0", "redis://h", True),
        ("redis://:secret@h/0", "redis://h:6379/0", True),
        ("redis://h/1", "redis://h/0", False),
        ("redis://other/0", "redis://h/0", False),
        ("redis+socket:///run/s", "unix:///run/s", True),
        ("redis+socket:///run/s?virtual_host=3", "unix:///run/s?db=3", True),
        ("redis+socket:///run/s", "unix:///run/s?db=3", False),
        ("amqp://h", "redis://h", False),
        ("sentinel://a:1;sentinel://b:2", "redis://h", False),
        ("sentinel://a:1/3;sentinel://b:2/3", "sentinel://b:2;a:1/3?master=m", True),
        ("sentinel://a:1/0", "sentinel://a:1/3", False),
        (None, "redis://h", False),
    ],
)
def test_the_queues_are_shown_where_they_are(broker: str | None, store: str, *, same: bool) -> None:
    assert broker_is_store({"broker_url": broker}, store) is same


@pytest.mark.servers
def test_prometheus_finds_nothing_wrong_with_our_names(start: Start, plant_store: Store, store_url: str) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool is not on PATH; tests marked `servers` need it: apt-get install prometheus"
    _, text = start(store_url, SUPERVISION_NAMESPACE=plant_store.keys.namespace).get("/metrics")
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    complaints = (checked.stdout + checked.stderr).splitlines()
    # A gauge whose name the plans fixed. Anything else would be a mistake of ours.
    assert complaints == ['blocking_coordinators_total non-counter metrics should not have "_total" suffix']
