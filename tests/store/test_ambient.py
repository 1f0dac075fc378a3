"""What code inside a coordinator's block says: who it is, and that it moves."""

import os
import socket
from collections.abc import Iterator

import pytest
from waiting import until

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
        client._heart.end("ann", ann._presence.beat)
        progress()
        assert ann._presence.beat().doing == "nothing yet"
        progress("step 2")
        told = ann._presence.beat()
        assert (told.doing, told.moved) == ("step 2", True)
        with pytest.raises(InvalidWait, match="doing=7: needs a text"):
            progress(7)  # type: ignore[arg-type] # the point
    assert client.coordinators()[0].state == "complete"


def test_a_step_is_told_until_a_heartbeat_was_heard(client: Client) -> None:
    with coordinator("ann", progress=60) as ann:
        client._heart.end("ann", ann._presence.beat)
        progress()
        assert [ann._presence.beat().moved for _ in range(3)] == [True] * 3, "none of them was heard"
        ann._presence.heard()
        assert not ann._presence.beat().moved
        ann._presence.beat()
        progress()  # while a heartbeat is on its way
        ann._presence.heard()
        assert ann._presence.beat().moved


def test_the_heart_says_that_it_was_heard(client: Client) -> None:
    with coordinator("ann", progress=60) as ann:
        progress("step 1")
        until(lambda: client.coordinators()[0].doing == "step 1" and ann._presence._heard == ann._presence._moves)


def test_a_forked_process_moves_nobody(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its copy of the coordinator has no heart."""
    with coordinator("ann"):
        monkeypatch.setattr(ambient.os, "getpid", lambda: 0)
        with pytest.raises(InvalidWait, match="in this thread and process"):
            progress()
        monkeypatch.undo()
        monkeypatch.setattr(ambient, "client", lambda: client)


def test_outside_of_any_coordinator_nothing_can_move() -> None:
    with pytest.raises(InvalidWait, match=r"progress\(\): no coordinator in this thread and process; it belongs"):
        progress()
