"""What is listed when there is more than can be: the waits that end first, and the living."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from lamps import ask, now

from supervision.client import Client
from supervision.coordination.waits import Node, Terms
from supervision.errors import InvalidWait
from supervision.server import EmbeddedStore
from supervision.store.store import Store

MAIL = '{"options":{}}'
A, B = Node(signal="a", within=50), Node(signal="b")


@pytest.fixture
def client(server: EmbeddedStore, namespace: str) -> Iterator[Client]:
    with closing(Client(server.url, namespace=namespace)) as found:
        yield found


def begin(store: Store, wait_id: str, timeout: float, on: Node = B, owner: str = "") -> None:
    store.waits.enter(wait_id, Terms(on, timeout=timeout, owner=owner), mail=MAIL)


def test_the_waits_that_end_first_are_listed_whenever_they_began(
    store: Store, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervision.store.open_waits.MOST_LISTED", 3)
    for i in range(9):
        begin(store, f"long-{i}", 500 + i, owner="ann")
        begin(store, f"parted-{i}", 700 + i, on=Node(k=1, of=(A, B)), owner="bob")
    begin(store, "next", 100, owner="ann")
    begin(store, "first", 60)
    assert [wait.id for wait in client.waits(most=3)] == ["first", "next", "long-0"]
    assert [wait.id for wait in client.waits(signal="b", most=4)] == ["first", "next", "long-0", "long-1"]
    assert [wait.id for wait in client.waits(signal="a", most=2)] == ["parted-0", "parted-1"]
    assert [wait.id for wait in client.waits(owner="ann", most=2)] == ["next", "long-0"]
    assert [wait.id for wait in client.waits(owner="bob", signal="b", most=1)] == ["parted-0"]
    assert client.waits(owner="bob", signal="c") == []
    assert len(client.waits()) == len(client.waits(signal="b")) == 20
    assert len(client.waits(owner="ann")) == 10


def test_the_living_are_listed_before_all_who_have_ended(store: Store, client: Client) -> None:
    for i in range(7):
        name = f"over-{i}"
        here = store.coordinators.register(name, kind="process", process="here:1", host="here")
        store.coordinators.leave(name, here.incarnation)
        ask(store).zadd(store.keys.coordinators, {name: now(store) + 1000 * (i + 1)})
    for name in ("zoe", "ann"):
        store.coordinators.register(name, kind="process", process="here:1", host="here")
    assert [each.id for each in client.coordinators(most=1)] == ["ann"]
    assert [each.id for each in client.coordinators(most=4)] == ["ann", "zoe", "over-6", "over-5"]
    assert len(client.coordinators()) == 9


@pytest.mark.parametrize("most", [0, -1, 10_001, 1.5, "7", True, None])
def test_how_many_are_listed_is_a_number(client: Client, most: object) -> None:
    for ask_for in (client.waits, client.coordinators):
        with pytest.raises(InvalidWait, match=r"most=.* needs a whole number from 1 to 10000"):
            ask_for(most=most)  # type: ignore[arg-type] # what is refused
