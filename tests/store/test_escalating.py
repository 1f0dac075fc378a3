"""A wait that escalates: the parent of whoever died is told once, in its mailbox, and the wait goes on."""

import pytest
from lamps import past

from supervision.coordination.waits import Node, Terms
from supervision.mail_client import Mailbox
from supervision.runtime import Runtime
from supervision.store.store import Store


def waits(store: Store, wait_id: str, signal: str, on_death: str = "escalate") -> str:
    terms = Terms(on=Node(signal=signal, expects="builder"), on_death=on_death)  # type: ignore[arg-type] # one of them
    return store.waits.enter(wait_id, terms, mail='{"options":{}}').state


def register(store: Store, parent: str) -> int:
    return store.coordinators.register("builder", kind="process", process="p-1", host="here", parent=parent).incarnation


@pytest.fixture
def parents(runtime: Runtime) -> Mailbox:
    return Mailbox("foreman", runtime.mail)


def test_the_parent_is_told_once_per_death_and_the_waits_go_on(
    store: Store, runtime: Runtime, parents: Mailbox
) -> None:
    incarnation = register(store, "foreman")
    assert [waits(store, f"w-{i}", f"built-{i}") for i in range(3)] == ["waiting"] * 3
    runtime.coordination.bury("p-1", "killed by signal 9")
    (message,) = parents.take(9)
    assert message.id == f"death-builder-{incarnation}"
    assert message.sender == "builder"
    told = dict(message.payload)
    wait_id = told.pop("wait")
    assert wait_id in {"w-0", "w-1", "w-2"}
    assert told == {
        "died": "builder",
        "incarnation": incarnation,
        "why": "is dead: killed by signal 9",
        "signal": wait_id.replace("w", "built"),
    }
    assert {view.id for view in store.open_waits.all()} == {"w-0", "w-1", "w-2"}
    assert past(store, "coordinator")[-1] == ("builder", "dead", "escalated")
    assert waits(store, "w-3", "built-3") == "waiting"  # begins after the death, which was told already
    assert parents.depth() == 1


def test_each_death_is_told(store: Store, runtime: Runtime, parents: Mailbox) -> None:
    incarnations = []
    for i in range(2):
        incarnations.append(register(store, "foreman"))
        if i == 0:
            waits(store, "w", "built")
        runtime.coordination.bury("p-1", "killed")
    assert [message.payload["incarnation"] for message in parents.take(9)] == incarnations


def test_a_full_mailbox_is_told_all_the_same(store: Store, runtime: Runtime, parents: Mailbox) -> None:
    parents.bound(1)
    parents.put("work")
    register(store, "foreman")
    waits(store, "w", "built")
    runtime.coordination.bury("p-1", "killed")
    assert parents.depth() == 2


def test_without_a_parent_the_wait_fails(store: Store, runtime: Runtime) -> None:
    register(store, "")
    waits(store, "w", "built")
    runtime.coordination.bury("p-1", "killed")
    assert store.open_waits.get("w").how == "died"


def test_a_wait_that_fails_tells_no_mailbox(store: Store, runtime: Runtime, parents: Mailbox) -> None:
    register(store, "foreman")
    waits(store, "w", "built", "fail")
    runtime.coordination.bury("p-1", "killed")
    assert store.open_waits.get("w").how == "died"
    assert parents.depth() == 0
