"""Whoever replaces a dead coordinator is started under fixed ids, and watched until it has registered."""

from typing import Any

import pytest
from celery import Celery, Signature, chain, chord, group
from lamps import ask, past

from supervision.coordination.waits import terms
from supervision.engine import canvas, waiting
from supervision.errors import InvalidWait
from supervision.mail_client import Mailbox
from supervision.runtime import Runtime
from supervision.store.store import Store

app = Celery("user", broker="memory://", set_as_current=False)
app.conf.task_default_queue = "user"
app.finalize()


def task(name: str, *arguments: Any) -> "Signature[Any]":
    return app.signature(name, args=arguments)


INSTEAD = task("user.instead")


def wait(store: Store, wait_id: str, replacement: "Signature[Any]" = INSTEAD) -> str:
    said = canvas.wait_for("built", expects="ann", replacement=replacement, app=app).kwargs
    return store.waits.enter(wait_id, terms(said), mail='{"options":{}}').state


def register(store: Store, parent: str = "") -> None:
    store.coordinators.register("ann", kind="process", process="p", host="h", parent=parent)


@pytest.fixture
def dead(store: Store, runtime: Runtime) -> Runtime:
    """``ann`` has died, and somebody is to replace her."""
    register(store)
    wait(store, "w0")
    runtime.coordination.bury("p", "killed")
    return runtime


def sent(store: Store) -> list[str]:
    """The messages for replacements, which a broker takes."""
    entries = [entry for entry in store.outbox.unpublished(0) if entry.kind == "replace"]
    store.outbox.published(entries)
    return [entry.id for entry in entries]


def late(store: Store) -> bool:
    """Have the replacement's time pass; whether there is one."""
    return bool(ask(store).zadd(store.keys.replacing, {"ann": 1}, xx=True, ch=True))


def test_one_that_does_not_register_is_sent_for_again_under_the_same_id(store: Store, dead: Runtime) -> None:
    first = sent(store)
    assert len(first) == 1
    for _ in range(4):
        assert late(store)
        dead.coordination.sweep_liveness()
        assert sent(store) == first
        assert store.open_waits.get("w0").state == "waiting"
    assert past(store, "coordinator")[-4:] == [("ann", "replacing", "replacing")] * 4


def test_one_that_never_registers_is_a_death_to_those_who_wait(store: Store, dead: Runtime) -> None:
    for _ in range(5):
        assert sent(store)
        assert late(store)
        dead.coordination.sweep_liveness()
    assert not sent(store)
    ended = store.open_waits.get("w0")
    assert (ended.state, ended.how) == ("ended", "died")
    assert "is dead: killed, and who was to replace it was sent for 5 times and has not registered" in ended.why
    assert past(store, "coordinator")[-1] == ("ann", "replacing", "unreplaced")
    assert wait(store, "later") == "received", "nobody is sent for once more"
    assert not late(store)


def test_a_parent_is_told_of_one_that_never_registers(store: Store, runtime: Runtime) -> None:
    register(store, parent="foreman")
    wait(store, "w0")
    runtime.coordination.bury("p", "killed")
    for _ in range(5):
        assert sent(store)
        late(store)
        runtime.coordination.sweep_liveness()
    (message,) = Mailbox("foreman", runtime.mail).take(9)
    assert "sent for 5 times and has not registered" in message.payload["why"]
    assert store.open_waits.get("w0").state == "waiting"


def test_what_no_broker_has_taken_is_not_late(store: Store, dead: Runtime) -> None:
    for _ in range(9):
        late(store)
        dead.coordination.sweep_liveness()
    assert len(sent(store)) == 1
    assert store.open_waits.get("w0").state == "waiting"


def test_one_that_has_registered_is_watched_as_anybody(store: Store, dead: Runtime) -> None:
    assert sent(store)
    register(store)
    assert not late(store)
    dead.coordination.bury("p", "killed again")
    assert len(sent(store)) == 1, "the next death has a replacement of its own"
    assert late(store)


def test_one_for_whom_nobody_waits_is_let_go_and_watched_again_with_the_next_wait(store: Store, dead: Runtime) -> None:
    first = sent(store)
    dead.coordination.end("w0", how="cancelled", why="enough", by="test")
    assert late(store)
    dead.coordination.sweep_liveness()
    assert not late(store)
    assert wait(store, "w1") == "waiting"
    assert late(store)
    dead.coordination.sweep_liveness()
    assert sent(store) == first


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (group(INSTEAD, INSTEAD), "group"),
        (chord([INSTEAD], INSTEAD), "chord"),
        (chain(INSTEAD, group(INSTEAD, INSTEAD), app=app), "group"),
    ],
)
def test_what_has_no_fixed_ids_replaces_nobody(made: Any, kind: str) -> None:
    with pytest.raises(InvalidWait, match=rf"the replacement is or contains a {kind}: use gather"):
        canvas.wait_for("built", expects="ann", replacement=made, app=app)
    with pytest.raises(InvalidWait, match=r"the replacement is 'user\.instead': needs a signature"):
        canvas.wait_for("built", expects="ann", replacement="user.instead", app=app)  # type: ignore[arg-type] # the point


def test_a_chain_that_is_started_twice_is_the_same_tasks(
    store: Store, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "current_app", app)
    register(store)
    made = chain(task("user.one", 1), chain(task("user.two"), task("user.three").set(queue="own"), app=app), app=app)
    made.link_error(task("user.failed"))
    wait(store, "w", made)
    runtime.coordination.bury("p", "killed")
    for _ in range(2):
        waiting.replace(store.coordinators, "ann")
    with app.connection_for_read() as connection, connection.SimpleQueue("user") as queue:
        first, again = (queue.get(timeout=1) for _ in range(2))
        queue.clear()
    ids = [identified(message) for message in (first, again)]
    death = store.coordinators.get("ann").incarnation
    assert ids[0] == [f"replacement-ann-{death}-0", f"replacement-ann-{death}-1", f"replacement-ann-{death}"]
    assert ids[1] == ids[0]
    follow = {step["task"]: step["options"] for step in first.decode()[2]["chain"]}
    assert (follow["user.two"]["queue"], follow["user.three"]["queue"]) == ("user", "own")
    assert [each["task"] for each in first.decode()[2]["errbacks"]] == ["user.failed"]


def identified(message: Any) -> list[str]:
    """The ids of a message's task and of those that follow it."""
    _, _, embedded = message.decode()
    return [message.headers["id"], *(step["options"]["task_id"] for step in reversed(embedded["chain"] or []))]


def test_a_single_task_has_the_id_of_the_death(store: Store, dead: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "current_app", app)
    assert waiting.replace(dead.store.coordinators, "ann")
    with app.connection_for_read() as connection, connection.SimpleQueue("user") as queue:
        message = queue.get(timeout=1)
        queue.clear()
    assert identified(message) == [f"replacement-ann-{store.coordinators.get('ann').incarnation}"]
    register(store)
    assert waiting.replace(dead.store.coordinators, "ann") == ""
