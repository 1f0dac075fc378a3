"""Tasks and actions that are submitted by key: what stands under one, and what is refused."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from celery import Celery, chain

from supervision.client import Client
from supervision.coordination.submissions import Message, valid_message
from supervision.errors import Conflict, InvalidDeclaration, InvalidDocument, InvalidWait, NotFound
from supervision.runtime import Runtime
from supervision.server import EmbeddedStore
from supervision.store.store import Store

NOWHERE = "redis://127.0.0.1:1/0"
"""A broker that takes nothing: what is submitted stays in the outbox, where a test can see it."""


@pytest.fixture
def client(server: EmbeddedStore, namespace: str) -> Iterator[Client]:
    with Client(server.url, namespace=namespace, broker=NOWHERE) as found:
        yield found


def messages(store: Store) -> list[Any]:
    """What the sweep would send: task, arguments and options."""
    found = [entry for entry in store.outbox.unpublished(0) if entry.kind == "task"]
    return [msgspec.json.decode(entry.subject) for entry in found]


def test_the_same_again_is_the_first_and_is_written_down_once(client: Client, store: Store) -> None:
    first = client.submit("shop.pay", [7], {"by": "card"}, key="order/17", by="ann")
    assert (first.task, first.sender, first.state, first.repeated) == ("shop.pay", "ann", "queued", False)
    again = client.submit("shop.pay", [7], {"by": "card"}, key="order/17", by="ben")
    assert again == msgspec.structs.replace(first, repeated=True)
    assert client.submission("order/17") == first
    ((task, args, kwargs, options),) = messages(store)
    assert (task, args, kwargs) == ("shop.pay", [7], {"by": "card"})
    assert options == {"queue": "celery", "task_id": first.task_id}
    (past,) = client.latest_events(10, subject="order/17")
    assert (past.kind, past.after, past.actor, past.reason) == ("task", "submitted", "ann", "shop.pay")
    assert store.client.hget(store.keys.counters, "supervision_tasks_submitted_total") == b"1"
    assert 0 < store.client.pttl(store.keys.submitted("order/17")) <= 86_400_000


@pytest.mark.parametrize(
    "other",
    [
        {"what": "shop.refund", "args": [7]},
        {"what": "shop.pay", "args": [8]},
        {"what": "shop.pay", "args": [7], "kwargs": {"by": "card"}},
        {"what": "shop.pay", "args": [7], "queue": "slow"},
    ],
    ids=str,
)
def test_something_else_under_the_same_key_is_refused(client: Client, store: Store, other: dict[str, Any]) -> None:
    client.submit("shop.pay", [7], key="order/17")
    with pytest.raises(
        Conflict, match=r"'order/17' was submitted already .* shop.pay by somebody \(at 20\d\d-[-\dT:.]+Z\)"
    ):
        client.submit(**other, key="order/17")
    assert len(messages(store)) == 1


def test_a_day_later_it_is_another_task_and_takes_nothing_from_the_first(client: Client, store: Store) -> None:
    first = client.submit("shop.pay", [7], key="a")
    store.client.delete(store.keys.submitted("a"))  # as its expiry does; the first message has not been sent yet
    second = client.submit("shop.pay", [7], key="a")
    assert (second.repeated, second.state) == (False, "queued")
    assert {options["task_id"] for *_, options in messages(store)} == {first.task_id, second.task_id}


def test_of_those_who_submit_at_once_one_is_the_first_and_its_task_is_everybodys(client: Client, store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: client.submit("shop.pay", [7], key="a"), range(16)))
    assert (len({each.task_id for each in found}), [each.repeated for each in found].count(False)) == (1, 1)
    ((*_, options),) = messages(store)
    assert options["task_id"] == found[0].task_id


def test_a_key_is_of_its_namespace(client: Client, server: EmbeddedStore, namespace: str) -> None:
    one, two = (client.submit("shop.pay", key=key).task_id for key in ("a", "b"))
    with Client(server.url, namespace=f"{namespace}-2", broker=NOWHERE) as other:
        assert len({one, two, other.submit("shop.pay", key="a").task_id}) == 3


def test_what_was_sent_is_not_sent_again(client: Client, store: Store) -> None:
    client.submit("shop.pay", key="a")
    store.outbox.published(store.outbox.unpublished(0))
    assert client.submit("shop.pay", key="a").state == "sent"
    assert messages(store) == []


def test_a_signature_says_where_and_how(store: Store, server: EmbeddedStore, namespace: str) -> None:
    with Celery("shop", broker=NOWHERE, set_as_current=False) as app:
        app.conf.update(supervision_store_url=server.url, supervision_namespace=namespace, task_default_queue="shop")
        app.conf.update(task_routes={"shop.slow": {"queue": "slow"}}, task_publish_retry=False)
        with Client.from_app(app) as client:
            pay = app.signature("shop.pay", args=(7,), kwargs={"by": "card"}).set(priority=3, task_id="mine")
            submitted = client.submit(pay, key="a")
            client.submit(app.signature("shop.slow"), key="b")
            client.submit(app.signature("shop.slow").set(queue="own"), key="c")
    found = {options["task_id"]: (task, args, kwargs, options) for task, args, kwargs, options in messages(store)}
    options = {"priority": 3, "queue": "shop", "task_id": submitted.task_id}
    assert found[submitted.task_id] == ("shop.pay", [7], {"by": "card"}, options)
    assert sorted(each[3]["queue"] for each in found.values()) == ["own", "shop", "slow"]


@pytest.mark.parametrize(
    ("arguments", "error", "why"),
    [
        ({"what": "", "key": "a"}, InvalidWait, "a task's name or a Celery signature"),
        ({"what": 7, "key": "a"}, InvalidWait, "a task's name or a Celery signature"),
        ({"what": "t", "key": "a b"}, InvalidWait, "key 'a b'"),
        ({"what": "t", "key": ""}, InvalidWait, "key ''"),
        ({"what": "t", "args": [float("nan")], "key": "a"}, InvalidDocument, "submit t"),
        ({"what": "t", "args": ["x" * 300_000], "key": "a"}, InvalidDocument, "at most 262,144"),
        ({"what": "t", "key": "a", "child": "plant/red"}, NotFound, "no "),
        ({"what": "t", "args": [1], "key": "a", "child": "plant/red"}, InvalidDeclaration, "kwargs only"),
    ],
    ids=str,
)
def test_what_cannot_be_submitted_is_refused_before_anything_is_written(
    client: Client, store: Store, arguments: dict[str, Any], error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        client.submit(**arguments)
    assert messages(store) == []


def test_canvases_and_countdowns_are_refused() -> None:
    task = Celery("shop", set_as_current=False).signature("shop.pay")
    for wrong, why in (
        (chain(task, task), "a canvas has many ids"),
        (task.clone().set(countdown=5), "countdown would"),
    ):
        with pytest.raises(InvalidWait, match=why):
            valid_message(wrong)
    assert valid_message(task, [1], {"a": 2}) == Message("shop.pay", [1], {"a": 2}, {})


def test_nothing_stands_under_a_key_that_nobody_has_used(client: Client) -> None:
    with pytest.raises(NotFound, match="'never'"):
        client.submission("never")


def test_an_action_by_key(client: Client, runtime: Runtime) -> None:
    runtime.declare()
    lamp = "plant/lamp-0"
    first = client.submit("reconfigure", key="k", child=lamp, kwargs={"to": 2}, by="ann", reason="brighter")
    assert (first.name, msgspec.json.decode(first.params), first.actor, first.state) == (
        *("reconfigure", {"to": 2}),
        *("ann", "queued"),
    )
    again = client.submit("reconfigure", key="k", child=lamp, kwargs={"to": 2}, by="ann", reason="brighter")
    assert again == client.submission("k", child=lamp) == first
    for name, params in (("reconfigure", {"to": 3}), ("restart_child", {"to": 2})):
        with pytest.raises(Conflict, match="asked for under that key already"):
            client.submit(name, key="k", child=lamp, kwargs=params, by="ann", reason="brighter")
    with pytest.raises(Conflict, match="one action at a time"):
        client.submit("reconfigure", key="other", child=lamp, by="ann", reason="brighter")
    with pytest.raises(NotFound, match="has no action 'fly', it has"):
        client.submit("fly", key="l", child=lamp, by="ann", reason="higher")
    with pytest.raises(InvalidDeclaration, match="reason"):
        client.submit("reconfigure", key="l", child="plant/lamp-1", by="ann", reason="")
