"""How a coordinator of a plain process waits: what it asks the store for, and how often."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from waiting import until

from supervision.client import Client
from supervision.coordination.waits import Node, Terms
from supervision.errors import (
    CoordinatorDied,
    InvalidWait,
    NotFound,
    SignalTimeout,
    StoreUnavailable,
    Superseded,
    WaitEnded,
)
from supervision.participant import Coordinator
from supervision.server import EmbeddedStore

FOR_S = Terms(Node(signal="s"), timeout=60)


class Interrupted(Exception):
    """What a handler of a signal raises, wherever the main thread is."""


def claims(coordinator: Coordinator) -> None:
    """Get the end of the wait for ``s``, and never say what came of it."""
    wait = msgspec.structs.replace(FOR_S, owner=coordinator.name)
    with pytest.raises(StopIteration):
        next(coordinator.course(f"{coordinator.name}>s", wait, lambda: None))


def test_what_an_instance_could_not_tell_the_end_of_it_gets_again_at_once_and_that_is_no_new_start(
    server: EmbeddedStore, namespace: str
) -> None:
    with Client(server.url, namespace=namespace) as client, client.coordinator("ann") as ann:
        client.send("s", 7)
        for _ in range(6):  # more often than what never ended may be started
            claims(ann)
        with ann.waiting("s", timeout=60) as value:
            assert value == 7
            assert client._store.client.hget(client._store.keys.wait("ann>s"), "started") == b"1"


@pytest.mark.parametrize("error", [None, ZeroDivisionError], ids=["ends well", "raises"])
def test_nobody_else_of_a_coordinator_gets_what_one_has_in_hand_however_long_that_takes(
    server: EmbeddedStore, namespace: str, error: type[Exception] | None
) -> None:
    with Client(server.url, namespace=namespace) as client, client.coordinator("ann") as ann:
        client.send("s", 7)
        with suppress(ZeroDivisionError), ann.waiting("s"):
            client._store.client.hset(client._store.keys.wait("ann>s"), "lease", 0)  # it lasts longer than a lease
            with ThreadPoolExecutor() as threads, pytest.raises(InvalidWait, match="'s' already, or goes on with it"):
                threads.submit(ann.wait, "s", timeout=5).result()
            if error:
                raise error
        assert client._store.client.hget(client._store.keys.wait("ann>s"), "started") == b"1"
        assert ann.wait("s", timeout=5) == 7


def test_a_wait_that_fails_or_is_given_up_is_in_nobodys_hand(server: EmbeddedStore, namespace: str) -> None:
    with Client(server.url, namespace=namespace) as client, client.coordinator("ann") as ann:
        for _ in range(2):
            with pytest.raises(SignalTimeout):
                ann.wait("never", timeout=0.05)
            with pytest.raises(NotFound):
                ann.wait("nobodys", expects="nobody")


def test_who_is_interrupted_can_wait_again_however_long_what_interrupted_it_is_kept(
    server: EmbeddedStore, namespace: str
) -> None:
    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with Client(server.url, namespace=namespace) as client, client.coordinator("ann") as ann:
            threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGUSR1]).start()
            with pytest.raises(Interrupted) as kept:
                ann.wait("s", timeout=60)
            client.send("s", 7)
            assert ann.wait("s", timeout=60) == 7
            assert kept.value.__traceback__
            assert client._listener._callbacks == {}
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_who_is_interrupted_just_when_its_wait_is_in_hand_can_wait_again(server: EmbeddedStore, namespace: str) -> None:
    class InterruptedOnce(dict[str, object]):
        interrupted = False

        def setdefault(self, *arguments: Any) -> Any:
            found = super().setdefault(*arguments)
            if not self.interrupted:
                self.interrupted = True
                raise Interrupted
            return found

    with Client(server.url, namespace=namespace) as client, client.coordinator("ann") as ann:
        client.send("s", 7)
        ann._in_hand = InterruptedOnce()
        with pytest.raises(Interrupted):
            ann.wait("s", timeout=60)
        assert ann.wait("s", timeout=60) == 7


def fails_once(monkeypatch: pytest.MonkeyPatch, thread: str, error: Exception, *, started: bool = False) -> None:
    """The next start of a thread of this name raises ``error``, before or after the thread is ``started``."""
    start, failed = threading.Thread.start, list[str]()

    def fail_once(self: threading.Thread) -> None:
        fails = self.name == thread and not failed
        if started or not fails:
            start(self)
        if fails:
            failed.append(self.name)
            raise error

    monkeypatch.setattr(threading.Thread, "start", fail_once)


REFUSED = RuntimeError("can't start new thread")  # as the system says it


@pytest.mark.parametrize("thread", ["supervision-listener", "supervision-heart"])
@pytest.mark.parametrize(
    ("error", "started"),
    [(REFUSED, False), (Interrupted("now"), False), (Interrupted("now"), True)],
    ids=["refused", "interrupted before", "interrupted after"],
)
def test_where_a_thread_could_not_be_started_that_is_said_and_the_next_call_sees_that_one_runs(  # noqa: PLR0913 # two tables
    server: EmbeddedStore,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    thread: str,
    error: Exception,
    *,
    started: bool,
) -> None:
    before = set(threading.enumerate())
    fails_once(monkeypatch, thread, error, started=started)
    with Client(server.url, namespace=namespace) as client:
        client.send("s", 7)
        with pytest.raises(type(error), match=str(error)):
            client.coordinator("ann").wait("s", timeout=60)
        assert client._listener._callbacks == {}
        ann = client.coordinator("ann")
        assert ann.wait("s", timeout=60) == 7
        ours = [each.name for each in set(threading.enumerate()) - before]
        assert sorted(ours) == ["supervision-heart", "supervision-listener"]
    until(lambda: not set(threading.enumerate()) - before)


def test_who_could_not_be_beaten_for_has_failed_and_those_who_come_later_do_not_beat_for_it(
    server: EmbeddedStore, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails_once(monkeypatch, "supervision-heart", REFUSED)
    with Client(server.url, namespace=namespace) as client:
        with pytest.raises(RuntimeError, match=str(REFUSED)):
            client.coordinator("ghost")
        with client.coordinator("ann") as ann:
            assert list(client._heart._alive) == ["ann"]
            with pytest.raises(CoordinatorDied, match="ghost is failed"):
                ann.wait("s", expects="ghost", timeout=5)
            assert [each.state for each in client.coordinators() if each.id == "ghost"] == ["failed"]


def test_a_client_is_closed_although_an_interrupt_kept_its_threads_from_being_started(
    server: EmbeddedStore, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for thread in ("supervision-heart", "supervision-listener"):
        with Client(server.url, namespace=namespace) as client, monkeypatch.context() as patch:
            fails_once(patch, thread, Interrupted("now"))
            with pytest.raises(Interrupted):
                client.coordinator("ann").wait("s", timeout=60)


def test_a_wait_over_which_five_instances_died_is_given_up_loudly_until_somebody_retries_it(
    server: EmbeddedStore, namespace: str
) -> None:
    with Client(server.url, namespace=namespace) as client:
        client.send("s", {"by": "ann"})
        for _ in range(5):  # each gets the signal, and never says how that ended
            claims(client.coordinator("bob"))
        bob = client.coordinator("bob")
        with pytest.raises(WaitEnded, match=r"bob: .*`supervision retry 'wait:bob>s'`"):
            bob.wait("s", timeout=60)
        (letter,) = client.dead_letters()
        assert letter.id == "wait:bob>s"
        client.retry(letter.id, by="ann", reason="mended")
        assert bob.wait("s", timeout=60) == {"by": "ann"}
        assert client.dead_letters() == []


def test_who_registers_with_a_client_that_was_closed_beats_and_waits_and_who_did_before_is_refused(
    server: EmbeddedStore, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPERVISION_HEARTBEAT", "0.1")
    with Client(server.url, namespace=namespace) as client:
        before = client.coordinator("before")
        client.close()
        with client.coordinator("after") as after:
            until(lambda: next(each.state for each in client.coordinators() if each.id == "after") == "active")
            client.send("s", 7)
            assert after.wait("s") == 7
            with pytest.raises(StoreUnavailable, match="its client is closed"):
                before.wait("s")


def test_whose_claim_another_instance_has_taken_over_is_told_so_and_gets_nothing(
    server: EmbeddedStore, namespace: str
) -> None:
    with Client(server.url, namespace=namespace) as client:
        client.send("s", 7)
        older = client.coordinator("ann")
        with pytest.raises(Superseded, match="another instance"), older.waiting("s") as value:  # noqa: PT012 # in between
            assert value == 7
            assert client.coordinator("ann").wait("s") == 7


@pytest.mark.parametrize("got", [False, True], ids=["waits anew", "has got it anew"])
@pytest.mark.parametrize("error", [None, ZeroDivisionError], ids=["ends well", "raises"])
def test_what_a_superseded_instance_says_late_ends_nothing_of_the_newer_ones(
    server: EmbeddedStore, namespace: str, error: type[Exception] | None, *, got: bool
) -> None:
    with Client(server.url, namespace=namespace) as client:
        keys, store = client._store.keys, client._store.client
        client.send("s", 7)
        older = client.coordinator("ann")
        with pytest.raises(error or Superseded), older.waiting("s"):  # noqa: PT012 # all of that in between
            newer = client.coordinator("ann")
            assert newer.wait("s") == 7
            if got:
                claims(newer)
            else:
                store.delete(keys.signal("s"))
                next(newer.course("ann>s", msgspec.structs.replace(FOR_S, owner="ann"), lambda: None))
            before = store.hgetall(keys.wait("ann>s"))
            assert before[b"state"] == (b"received" if got else b"waiting")
            if error:
                raise error
        assert store.hgetall(keys.wait("ann>s")) == before
        assert [past.after for past in client.latest_events(9, subject="ann>s")].count("processed") == 1


def test_what_was_acknowledged_may_be_said_again_by_who_did_not_hear_the_answer(
    server: EmbeddedStore, namespace: str
) -> None:
    with Client(server.url, namespace=namespace) as client:
        client.send("s", 7)
        ann = client.coordinator("ann")
        with ann.waiting("s"):
            told = [("ann>s", 1, "processed")]
            assert [ann._waits.processed(told) for _ in range(2)] == [1, 1]
        assert [past.after for past in client.latest_events(9, subject="ann>s")].count("processed") == 1
