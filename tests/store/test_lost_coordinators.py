"""Coordinators that live while a failover loses what the store knew of them come back, the newest as the newest."""

import threading
from collections.abc import Iterator

import pytest
from waiting import until

from supervision.client import Client
from supervision.coordination.waits import Node, Terms
from supervision.errors import Superseded
from supervision.participant import Coordinator
from supervision.server import EmbeddedStore
from supervision.store.store import Store


@pytest.fixture
def client(server: EmbeddedStore, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("SUPERVISION_HEARTBEAT", "0.1")
    with Client(server.url, namespace=namespace) as found:
        yield found


def lose(store: Store) -> None:
    """All of the test's keys, as a server that comes up empty has."""
    found = [*store.client.scan_iter(f"*{store.keys.namespace}*")]
    assert found
    store.client.delete(*found)


def test_it_comes_back_as_the_instance_that_it_was_and_waits_on(client: Client, store: Store) -> None:
    with client.coordinator("ann", doing="laying bricks") as ann:
        got: list[object] = []
        thread = threading.Thread(target=lambda: got.append(ann.wait("go", timeout=60)))
        thread.start()
        until(lambda: client.waits(signal="go"))
        lose(store)
        until(lambda: client.waits(signal="go"))
        (found,) = client.coordinators()
        assert (found.id, found.incarnation, found.doing, found.state) == (
            *("ann", ann.incarnation),
            *("laying bricks", "waiting"),
        )
        client.send("go", 7)
        thread.join(30)
        assert got == [7]
    assert [past.after for past in client.latest_events(20, subject="ann")] == ["registered", "complete"]


def test_who_has_been_lost_can_wait_before_its_next_heartbeat(client: Client, store: Store) -> None:
    ann = client.coordinator("ann")
    client._heart.end("ann", ann._presence.beat)
    lose(store)
    client.send("go", 7)
    assert ann.wait("go", timeout=60) == 7


@pytest.mark.parametrize("first", ["older", "newer"])
def test_the_newer_of_two_that_were_lost_stays_the_newer_one(client: Client, store: Store, first: str) -> None:
    older, newer = client.coordinator("ann"), client.coordinator("ann")
    for each in (older, newer):
        client._heart.end("ann", each._presence.beat)
    lose(store)
    for each in (older, newer) if first == "older" else (newer, older):
        heard(client, each)
    heard(client, older)
    assert [found.incarnation for found in client.coordinators()] == [newer.incarnation]
    with pytest.raises(Superseded, match="another instance"):
        older.wait("go", timeout=60)
    client.send("go", 7)
    assert newer.wait("go", timeout=60) == 7


def heard(client: Client, coordinator: Coordinator) -> None:
    """One heartbeat of this instance."""
    for why in client._store.coordinators.beat([coordinator._presence.beat()]).values():
        coordinator._refuse(why)


def test_one_that_fails_when_it_is_lost_has_failed_for_those_who_expect_it(client: Client, store: Store) -> None:
    ann = client.coordinator("ann")
    client._heart.end("ann", ann._presence.beat)
    lose(store)
    ann._presence.come_back()
    store.waits.enter("w", Terms(on=Node(signal="built", expects="ann"), timeout=60), mail='{"options":{}}')
    store.client.delete(store.keys.coordinator("ann"))  # once more
    ann.fail("no bricks")
    until(lambda: client.explain("w").how == "died")
