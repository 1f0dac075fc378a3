"""Hooks: called with the fields of what happened, by whoever made it true; whatever they do changes nothing."""

import gc
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from celery import Celery
from driven import NAME, Driven
from lamps import Post
from waiting import until

from supervision import hooks
from supervision.client import Client
from supervision.continuing import NOWHERE
from supervision.coordinating import Coordination
from supervision.coordination.liveness import Patience
from supervision.coordination.waits import Node, Terms
from supervision.engine.publish import CeleryPublisher
from supervision.hooks import Hook
from supervision.notifying import Notifying
from supervision.server import EmbeddedStore
from supervision.store.store import Store

MAIL = '{"options":{}}'
Called = list[tuple[str, str, str]]


@pytest.fixture
def called() -> Iterator[Called]:
    """Hook, sender and reason of every call, from all hooks."""
    found: Called = []

    def receive(signal: Hook, sender: str, reason: str, **_fields: Any) -> None:
        found.append((signal.name, sender, reason))

    for hook in hooks.HOOKS.values():
        hook.connect(receive)
    yield found
    for hook in hooks.HOOKS.values():
        assert hook.disconnect(receive)


@pytest.fixture
def hook() -> Hook:
    return Hook("test")


def waits(store: Store, wait_id: str, signal: str = "built", **terms: float) -> None:
    store.waits.enter(wait_id, Terms(on=Node(signal=signal), **terms), mail=MAIL)  # type: ignore[arg-type] # numbers


def test_waits_and_coordinators_call_their_hooks(store: Store, called: Called) -> None:
    its = Coordination(store, NOWHERE, lambda _: None, Patience(0.05, 0.1, 0.15, 0.2))
    waits(store, "w-1")
    its.send("built")
    store.waits.enter("w-1", None, resumed=True)
    waits(store, "w-2", "never", timeout=0.001)
    until(its.sweep_deadlines)
    store.waits.enter("w-2", None, resumed=True)
    store.coordinators.register("ann", kind="process", process="p", host="h")
    until(its.sweep_liveness)
    store.coordinators.register("ann", kind="process", process="p", host="h")
    wanted = {
        ("blocking_started", "w-1", ""),
        ("signal_received", "w-1", "built"),
        ("blocking_started", "w-2", ""),
        ("blocking_timed_out", "w-2", "no never before its deadline"),
        ("coordinator_recovered", "ann", "process"),
    }
    until(lambda: len(called) >= len(wanted) + 1, what=lambda: str(called))
    assert wanted <= set(called)
    (died,) = set(called) - wanted
    assert died[:2] == ("coordinator_died", "ann")
    assert died[2].startswith("no heartbeat for ")


@pytest.mark.parametrize("raises", [False, True], ids=["ends well", "raises"])
def test_a_program_that_gets_the_same_claim_again_tells_of_it_once_and_of_the_next_wait_anew(
    server: EmbeddedStore, namespace: str, called: Called, *, raises: bool
) -> None:
    with Client(server.url, namespace=namespace) as client, client.coordinator("ann") as ann:
        client.send("built")
        for turn in ("first", "second"):
            for _ in range(3):  # interrupted before it could say what came of it
                with ann.in_hand("built", timeout=60, expects="", on_death="fail") as wait:
                    next(ann.course(*wait, lambda: None), None)
            with suppress(ZeroDivisionError), ann.waiting("built", timeout=60):
                if raises:
                    raise ZeroDivisionError
            hooks.signal_received.send(turn, reason="over")
    last = ("signal_received", "second", "over")
    until(lambda: last in called)
    its = ("signal_received", "ann>built", "built")
    assert [each for each in called if each[0] == its[0]] == [its, ("signal_received", "first", "over"), its, last]


def test_a_circuit_calls_its_hooks_from_its_opening_to_its_end(store: Store, called: Called) -> None:
    driven = Driven(store)
    driven.runtime.declare()
    for step in ("look", "tick", "tick", "warm_up", "look", "tick"):
        getattr(driven, step)()
    until(lambda: called == [("circuit_opened", NAME, called[0][2])] if called else False, what=lambda: str(called))
    for _ in range(20):
        for step in ("look", "tick", "act"):
            getattr(driven, step)()
    driven.warm_up()
    for _ in range(5):
        driven.look()
        driven.tick()
    until(lambda: {name for name, _, _ in called} == {"circuit_opened", "escalated", "circuit_closed"})
    assert {sender for _, sender, _ in called} == {NAME}


def test_a_receiver_gets_the_fields_by_name_and_only_of_its_sender(hook: Hook) -> None:
    found: list[dict[str, Any]] = []

    @hook.connect(sender="w-1", weak=False)
    def receive(**fields: Any) -> None:
        found.append(fields)

    assert hook.send("w-2", reason="no") == 0
    assert hook.send("w-1", reason="why") == 1
    until(lambda: found)
    assert found == [{"signal": hook, "sender": "w-1", "reason": "why"}]
    assert hook.disconnect(receive, sender="w-1")
    assert not hook.disconnect(receive, sender="w-1")
    assert hook.send("w-1") == 0


def test_one_is_connected_once_and_forgotten_with_its_owner(hook: Hook) -> None:
    class Owner:
        def receive(self, **_fields: Any) -> None: ...

    owner = Owner()
    hook.connect(owner.receive)
    hook.connect(owner.receive)
    assert hook.send("x") == 1
    hook.connect(lambda **_: None, weak=False, dispatch_uid="mine")
    hook.connect(lambda **_: None, weak=False, dispatch_uid="mine")
    assert hook.send("x") == 2
    del owner

    def gone() -> bool:
        gc.collect()
        return hook.send("x") == 1

    until(gone)
    assert hook.disconnect(dispatch_uid="mine")


def test_one_that_raises_is_logged_and_called_again(hook: Hook, caplog: pytest.LogCaptureFixture) -> None:
    calls: list[str] = []

    def fails(sender: str, **_fields: Any) -> None:
        calls.append(sender)
        raise RuntimeError("no pager")

    hook.connect(fails)
    with caplog.at_level(logging.WARNING, logger="supervision"):
        hook.send("w-1")
        hook.send("w-2")
        until(lambda: len(caplog.records) == 2)
    assert calls == ["w-1", "w-2"]
    assert "hook test failed for w-1" in caplog.text
    assert "no pager" in caplog.text


def test_one_that_hangs_holds_its_own_thread_and_nobody_else(
    hook: Hook, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "SLOW_S", 0.05)
    monkeypatch.setattr(hooks, "MOST_WAITING", 3)
    gate, heard = threading.Event(), list[str]()

    def hangs(**_fields: Any) -> None:
        gate.wait()

    def hears(sender: str, **_fields: Any) -> None:
        heard.append(sender)

    hook.connect(hangs)
    hook.connect(hears)
    threads = threading.active_count()
    with caplog.at_level(logging.WARNING, logger="supervision"):
        until(lambda: hook.send("w") and "has not come back for over 0.05 s" in caplog.text)
        until(lambda: hook.send("w") == 1)  # its queue is full; the other one goes on
        until(lambda: len(heard) > 5 or not hook.send("w"))
    assert "3 calls wait already; w is not told" in caplog.text
    assert threading.active_count() == threads + 2
    gate.set()


def test_every_hook_is_called_by_something() -> None:
    assert set(hooks._CALLED.values()) == set(hooks.HOOKS)


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (("wait", "", "waiting"), "blocking_started"),
        (("wait", "dead_letter", "received"), ""),
        (("wait", "waiting", "cancelled"), ""),
        (("coordinator", "", "registered"), ""),
        (("coordinator", "failed", "registered"), "coordinator_recovered"),
        (("coordinator", "critical", "healthy"), "coordinator_recovered"),
        (("coordinator", "active", "dead"), "coordinator_died"),
        (("circuit", "closed", "open"), "circuit_opened"),
        (("circuit", "verifying", "open"), ""),
        (("circuit", "open", "escalated"), "escalated"),
        (("coordinator", "dead", "escalated"), "escalated"),
        (("coordinator", "replacing", "unreplaced"), "escalated"),
        (("coordinator", "replacing", "replacing"), ""),
        (("circuit", "verifying", "closed"), "circuit_closed"),
        (("state", "off", "lit"), ""),
    ],
)
def test_which_event_calls_which(event: tuple[str, str, str], name: str) -> None:
    assert hooks.called(*event) == name


# --- in other processes


def notifying(store: Store, post: Post) -> Notifying:
    return Notifying(store, {"blocking_started": {"task": "my.task"}}, post.publish)


def test_the_task_of_a_hook_is_sent_for_once_per_event_however_many_sweep(
    store: Store, connect: Callable[[], Store], post: Post
) -> None:
    waits(store, "before")
    assert notifying(store, post).sweep() == 0, "it begins with what happens from now on"
    for i in range(40):
        waits(store, f"w-{i}")
    others = [notifying(connect(), post) for _ in range(4)]
    gate = threading.Barrier(len(others))

    def sweep(its: Notifying) -> int:
        gate.wait()
        return its.sweep()

    with ThreadPoolExecutor(len(others)) as pool:
        assert sum(pool.map(sweep, others)) == 40
    assert notifying(store, post).sweep() == 0
    told = [msgspec.json.decode(entry.subject) for entry in post.taken]
    assert sorted(event["subject"] for _, event in told) == sorted(f"w-{i}" for i in range(40))
    assert [signature for signature, _ in told] == [{"task": "my.task"}] * 40
    assert {entry.id for entry in store.outbox.unpublished(-1000)} == {entry.id for entry in post.taken}


def test_what_is_sent_for_has_the_fields_of_its_event(store: Store, post: Post) -> None:
    its = notifying(store, post)
    its.sweep()
    waits(store, "w-1")
    store.signals.send("built", signal_id="1", payload="7", sender="ann", ttl_ms=9_000)
    assert its.sweep() == 1
    (entry,) = post.taken
    (begun,) = [past for past in store.history.latest(9) if past.after == "waiting"]
    assert msgspec.json.decode(entry.subject) == [{"task": "my.task"}, msgspec.to_builtins(begun)]
    assert (entry.kind, entry.id) == ("hook", f"hook:{begun.id}")


def test_without_hooks_the_history_is_not_read(store: Store, post: Post) -> None:
    assert Notifying(store, {}, post.publish).sweep() == 0
    assert store.hooking.cursor() == ""


APP = Celery("user", broker="memory://", set_as_current=False)


@pytest.mark.parametrize(
    ("said", "kwargs"),
    [
        ({"kwargs": {"loud": True, "reason": "its own"}}, {"loud": True}),
        ({"kwargs": {"loud": True}, "immutable": True}, None),
    ],
)
def test_a_signature_keeps_what_is_said_of_it(
    said: dict[str, Any], kwargs: dict[str, Any] | None, store: Store
) -> None:
    """Its arguments and its queue; the fields of the event are added, unless it is immutable."""
    queue_name = store.keys.namespace
    signature = {
        "task": "my.task",
        "args": ["oncall"],
        "options": {"queue": queue_name, "ignore_result": False},
        **said,
    }
    its = Notifying(store, {"blocking_started": signature}, CeleryPublisher(APP).publish)
    its.sweep()
    waits(store, "w-1")
    assert its.sweep() == 1
    (begun,) = store.history.latest(1)
    with APP.connection_for_read() as connection, connection.SimpleQueue(queue_name) as queue:
        message = queue.get(timeout=1)
    args, named, _ = message.decode()
    assert args == ["oncall"]
    assert named == ({**kwargs, **msgspec.to_builtins(begun)} if kwargs else said["kwargs"])
    assert (message.headers["id"], message.headers["task"]) == (f"hook-{begun.id}", "my.task")
    assert message.headers["ignore_result"] is True


def test_an_escalation_of_a_coordinator_calls_its_hook(store: Store, called: Called) -> None:
    """Of one that dies while somebody waits, and of one that is dead already when somebody begins to."""
    its = Coordination(store, NOWHERE, lambda _: None)
    for name, dies_first in (("ann", False), ("bob", True)):
        store.coordinators.register(name, kind="process", process=name, host="h", parent="foreman")
        terms = Terms(Node(signal=name, expects=name), on_death="escalate")
        if not dies_first:
            store.waits.enter(f"w-{name}", terms, mail=MAIL)
        its.bury(name, "killed")
        if dies_first:
            store.waits.enter(f"w-{name}", terms, mail=MAIL)
        store.waits.enter(f"again-{name}", terms, mail=MAIL)
    until(lambda: len([hook for hook, *_ in called if hook == "escalated"]) == 2, what=lambda: str(called))
    escalated = [(sender, reason) for hook, sender, reason in called if hook == "escalated"]
    assert escalated == [(name, "told to the mailbox of its parent") for name in ("ann", "bob")]
