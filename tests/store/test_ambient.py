"""What code inside a coordinator's block says: who it is, and that it moves."""

import os
import socket
from collections.abc import Iterator

import pytest

from supervision import Client, InvalidWait, ambient, coordinator, progress, send
from supervision.server import EmbeddedStore


@pytest.fixture
def client(server: EmbeddedStore, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    with Client(server.url, namespace=namespace) as found:
        monkeypatch.setattr(ambient, "client", lambda: found)
        yield found


@pytest.mark.usefixtures("client")
def test_who_sends_is_the_innermost_coordinator_or_whoever_is_named() -> None:
    with coordinator("ann"):
        with coordinator("bob"):
            assert send("one").sender == "bob"
        assert send("two").sender == "ann"
        assert send("three", sender="cid").sender == "cid"
        with pytest.raises(ZeroDivisionError), coordinator("dan"):
            raise ZeroDivisionError
        assert send("four").sender == "ann"
    assert send("five").sender == f"{socket.gethostname()}:{os.getpid()}"


def test_what_it_is_doing_is_told_with_its_progress(client: Client) -> None:
    with coordinator("ann", doing="nothing yet") as ann:
        progress()
        assert (ann._presence.beat().doing, ann._presence._moved) == ("nothing yet", False)
        progress("step 2")
        told = ann._presence.beat()
        assert (told.doing, told.moved) == ("step 2", True)
        with pytest.raises(InvalidWait, match="doing=7: needs a text"):
            progress(7)  # type: ignore[arg-type] # the point
    assert client.coordinators()[0].state == "complete"


def test_outside_of_any_coordinator_nothing_can_move() -> None:
    with pytest.raises(InvalidWait, match=r"progress\(\): no coordinator here; it belongs into a function, or a block"):
        progress()
