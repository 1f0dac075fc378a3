"""Going on with waits that ended: slowness brings nobody in twice, and one that is broken stops no other."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from celery import Celery
from lamps import ask

from supervision import continuing
from supervision.coordinating import Coordination
from supervision.coordination.waits import Node, Terms
from supervision.engine.resuming import Resumer
from supervision.store.store import Store
from supervision.store.waits import Claimed

MAIL = '{"options":{}}'

app = Celery("user", broker="memory://", set_as_current=False)
app.finalize()
ran: list[str] = []


@app.task(name="supervision.wait", bind=True, shared=False)
def wait(self: Any, **_resumed: Any) -> None:
    """What goes on with a wait, in an app that has the task."""
    ran.append(self.request.id)


class Continued:
    """Goes on with waits by noting them; ``meanwhile`` is what happens while it does."""

    here = True

    def __init__(self, meanwhile: Callable[[str], object] = lambda _: None) -> None:
        self.ids: list[str] = []
        self.meanwhile = meanwhile

    def go_on(self, claims: Iterable[Claimed]) -> list[tuple[str, int, str]]:
        ended = []
        for claim in claims:
            self.ids.append(claim.id)
            self.meanwhile(claim.id)
            ended.append((claim.id, claim.start, "processed"))
        return ended

    def send(self, claims: Iterable[Claimed]) -> None:
        self.go_on(claims)


def coordination(store: Store, continued: Any) -> Coordination:
    return Coordination(store, continued, lambda _: None)


def waits(store: Store, *ids: str, signal: str = "s") -> None:
    for wait_id in ids:
        store.waits.enter(wait_id, Terms(Node(signal=signal)), mail=MAIL)


def leases(store: Store) -> dict[str, bytes]:
    return {wait_id: ask(store).hget(store.keys.wait(wait_id), "lease") for wait_id in ("w0", "w1", "w2", "w3")}


def state(store: Store, wait_id: str) -> str:
    return store.open_waits.get(wait_id).state


def test_a_slow_backend_does_not_let_claims_run_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each turn, here of one continuation, ends with what is left being held anew, and what is done being said."""
    monkeypatch.setattr(continuing, "TURN_S", 0.0)
    ids = [f"w{i}" for i in range(4)]
    waits(store, *ids)

    def slow(wait_id: str) -> None:
        done = ids[: ids.index(wait_id)]
        assert [state(store, each) for each in done] == ["processed"] * len(done)
        for other in ids[len(done) :]:
            assert ask(store).hget(store.keys.wait(other), "lease") != b"1", f"{other} was not held"
            ask(store).hset(store.keys.wait(other), "lease", 1)  # all the time that it had has passed
            ask(store).zadd(store.keys.undelivered, {other: 1})

    continued = Continued(slow)
    coordination(store, continued).send("s", 1)
    assert continued.ids == ids
    assert {state(store, each) for each in ids} == {"processed"}
    assert store.waits.redeliver(10) == []


def test_what_somebody_else_has_got_meanwhile_is_left_to_him(
    store: Store, connect: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(continuing, "TURN_S", 0.0)
    waits(store, "w0", "w1", "w2")
    other = connect()

    def stopped(wait_id: str) -> None:
        if wait_id == "w0":
            ask(store).hset(store.keys.wait("w1"), "lease", 1)
            assert other.waits.enter("w1", None, resumed=True).state == "received"

    continued = Continued(stopped)
    coordination(store, continued).send("s", 1)
    assert continued.ids == ["w0", "w2"]
    assert [state(store, each) for each in ("w0", "w1", "w2")] == ["processed", "received", "processed"]


def test_a_continuation_that_cannot_be_read_stops_no_other(store: Store) -> None:
    ran.clear()
    waits(store, "w0", "w1", "w2")
    ask(store).hset(store.keys.wait("w0"), "mail", "{")
    its = coordination(store, Resumer(app))
    its.send("s", 1)
    assert ran == ["w1", "w2"]


def test_a_sweep_that_cannot_send_one_sends_the_others_and_releases(store: Store) -> None:
    waits(store, "w0", "w1", "w2")
    store.signals.send("s", signal_id="1", payload="1", sender="", ttl_ms=60_000)
    waits(store, *(f"x{i}" for i in range(6)), signal="t")
    store.signals.send("t", signal_id="1", payload="1", sender="", ttl_ms=60_000)
    assert store.signals.releasing(10) == ["t"]
    ask(store).zadd(store.keys.undelivered, {"w0": 1, "w1": 2, "w2": 3})
    ask(store).hset(store.keys.wait("w0"), "mail", "{")
    with app.connection_for_read() as connection, connection.SimpleQueue("supervision.waits") as queue:
        queue.clear()  # all tests of this process have one broker
        coordination(store, Resumer(app)).sweep_undelivered()
        sent = [queue.get(timeout=1).headers["id"] for _ in range(2)]
        queue.clear()
    assert sent == ["w1", "w2"]
    assert store.signals.releasing(10) == []


def test_a_broken_release_stops_no_other(store: Store) -> None:
    for signal in ("a", "b"):
        waits(store, *(f"{signal}{i}" for i in range(6)), signal=signal)
        store.signals.send(signal, signal_id="1", payload="1", sender="", ttl_ms=60_000)
    assert store.signals.releasing(10) == ["a", "b"]
    ask(store).delete(store.keys.signal("a"))
    ask(store).set(store.keys.signal("a"), "no hash")
    coordination(store, Continued()).sweep_undelivered()
    assert store.signals.releasing(10) == ["a"]
    assert {state(store, f"b{i}") for i in range(4, 6)} == {"processed"}
