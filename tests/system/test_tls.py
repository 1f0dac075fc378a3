"""The store behind TLS: one address with a certificate's authority in it, for the library and for Celery alike."""

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from celery import chain
from celery_processes import free_port
from required import required
from waiting import until
from waiting_system import WaitingSystem

from supervision import wait_for
from supervision.store.connection import connect, ping

pytestmark = pytest.mark.servers


@dataclass
class TlsServer:
    """Debian's Redis, which answers to TLS alone; ``url`` trusts the authority that has signed its certificate."""

    port: int
    authority: Path

    @property
    def url(self) -> str:
        return f"{self.bare_url}?ssl_ca_certs={self.authority}"

    @property
    def bare_url(self) -> str:
        return f"rediss://localhost:{self.port}/0"


def certified(folder: Path) -> Path:
    """A certificate for `localhost` that has signed itself, and its key beside it."""
    openssl = required("openssl", "openssl")
    certificate = folder / "certificate.pem"
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    request = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*request, "-keyout", folder / "key.pem", "-out", certificate], check=True, capture_output=True)
    return certificate


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    folder = tmp_path_factory.mktemp("tls")
    certificate, port = certified(folder), free_port()
    command = [required("redis-server", "redis-server"), "--port", "0", "--tls-port", str(port), "--dir", folder]
    tls = ("--tls-cert-file", certificate, "--tls-key-file", folder / "key.pem", "--tls-ca-cert-file", certificate)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, *tls, "--tls-auth-clients", "no"], stdout=log, stderr=log)
    found = TlsServer(port, certificate)
    try:
        until(lambda: answers(found), what=(folder / "log").read_text)
        yield found
    finally:
        process.kill()
        process.wait()


def answers(server: TlsServer) -> bool:
    with suppress(redis.RedisError):
        return ping(server.url)
    return False


def test_a_worker_and_a_client_wait_and_signal_over_tls(server: TlsServer, tmp_path: Path) -> None:
    system = WaitingSystem(tmp_path, server)  # type: ignore[arg-type] # asks for its address alone
    try:
        result = chain(wait_for("sealed", timeout=60, app=system.app), system.task("note", "opened")).apply_async()
        system.waiting_for("sealed")
        system.client.send("sealed", {"by": "ann"})
        until(lambda: any("opened" in line for line in system.notes()), what=system.story)
        assert result.id
        with system.client.coordinator("guard") as guard:
            assert guard.wait("sealed", timeout=10) == {"by": "ann"}
    finally:
        system.end()


def test_a_certificate_that_nobody_vouches_for_is_no_store(server: TlsServer) -> None:
    with pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        connect(server.bare_url).ping()
