"""Waits wherever a Celery signature can stand, on a real worker: what follows goes on, errors end where errors do."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, chain, chord, group
from celery.exceptions import TaskRevokedError
from celery_processes import until
from waiting_system import WaitingSystem, running

from supervision import Cancelled, InvalidWait, PartsFailed, SignalTimeout, all_of, any_of, gather, k_of, wait_for
from supervision.client import Client, Progress
from supervision.settings import for_celery

pytestmark = pytest.mark.timeout(120)
SOON = 20.0


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WaitingSystem]:
    with running(tmp_path_factory.mktemp("waits")) as found:
        yield found


@pytest.fixture
def name() -> str:
    return f"signal-{uuid.uuid4().hex}"


def waits(system: WaitingSystem, signal: str, **options: Any) -> Any:
    return wait_for(signal, app=system.app, **{"timeout": 60, **options})


def test_in_a_chain_first_middle_and_last(system: WaitingSystem, name: str) -> None:
    first = chain(waits(system, name), system.task("note", tag="after"), app=system.app)()
    middle = chain(system.task("note", 1), waits(system, name), system.task("note"), app=system.app)()
    last = chain(system.task("note", 1), waits(system, name), app=system.app)()
    system.waiting_for(name, 3)
    assert first.parent.state == "WAITING"
    receipt = system.client.send(name, {"v": 1}, acks=3, level="processed", timeout=SOON)
    assert set(receipt.waiters.values()) == {Progress.PROCESSED}
    assert first.get(timeout=SOON) == ["after", {"v": 1}]
    assert middle.get(timeout=SOON) == ["", {"v": 1}]
    assert last.get(timeout=SOON) == {"v": 1}


def test_a_wait_that_begins_later_passes_at_once_whatever_its_caller_said_about_results(
    system: WaitingSystem, name: str
) -> None:
    system.client.send(name, [1, None])
    task = waits(system, name).apply_async(ignore_result=True)
    assert system.app.AsyncResult(task.id).get(timeout=SOON) == [1, None]


def test_carry_keeps_the_result_before_it(system: WaitingSystem, name: str) -> None:
    result = chain(system.task("note", 7, tag="t"), waits(system, name, carry=True), app=system.app)()
    system.waiting_for(name)
    system.client.send(name, "payload")
    assert result.get(timeout=SOON) == [["t", 7], "payload"]


def test_in_a_chord_header_a_group_and_a_nested_chord(system: WaitingSystem, name: str) -> None:
    inner = chord([waits(system, name), system.task("note", 1)], system.task("note", tag="inner"), app=system.app)
    outer = chord([waits(system, name), inner], system.task("note", tag="outer"), app=system.app)()
    both = group([waits(system, name), waits(system, name)], app=system.app).apply_async()
    system.waiting_for(name, 4)
    system.client.send(name, 5)
    assert both.get(timeout=SOON) == [5, 5]
    tag, (five, inside) = outer.get(timeout=SOON)
    assert (tag, five, inside[0]) == ("outer", 5, "inner")
    assert inside[1] == [5, ["", 1]]


def test_links_and_errbacks(system: WaitingSystem, name: str) -> None:
    linked = waits(system, name).apply_async(link=system.task("note", tag=f"linked-{name}"))
    ends = waits(system, f"{name}/never", timeout=0.2).apply_async(link_error=system.task("failed"))
    system.waiting_for(name)
    system.client.send(name, 1)
    assert linked.get(timeout=SOON) == 1
    with pytest.raises(SignalTimeout, match=f"no {name}/never before its deadline"):
        ends.get(timeout=SOON)
    until(lambda: f"linked-{name}:1" in system.notes(), system.notes)
    until(lambda: "failed:SignalTimeout" in system.notes(), system.notes)


def test_a_timeout_fails_a_chord_and_can_be_a_value_or_another_signature(system: WaitingSystem, name: str) -> None:
    header = [waits(system, name, timeout=0.2), system.task("note", 1)]  # a chord of one is a chain, to Celery
    failing = chord(header, system.task("note"), app=system.app)()
    value = waits(system, name, timeout=0.2, on_timeout={"late": True}).apply_async()
    other = waits(system, name, timeout=0.2, on_timeout=system.task("note", 9, tag="instead"))
    replaced = chain(other, system.task("note", tag="then"), app=system.app)()
    with pytest.raises(SignalTimeout):
        failing.get(timeout=SOON)
    assert value.get(timeout=SOON) == {"late": True}
    assert replaced.get(timeout=SOON) == ["then", ["instead", 9]]


def test_what_took_the_place_of_a_wait_is_not_started_again_by_its_first_message(
    system: WaitingSystem, name: str
) -> None:
    """A worker that died before it acknowledged the message, or a broker that hands it out twice."""
    wait = waits(system, name, timeout=0.2, on_timeout=system.task("note", 1, tag=name))
    first = wait.apply_async()
    assert first.get(timeout=SOON) == [name, 1]
    until(lambda: system.client.explain(first.id).state == "processed", system.story)
    copies = system.worker.logged(f"supervision.wait\\[{first.id}\\] received")
    wait.apply_async(task_id=first.id)
    until(lambda: system.worker.logged(f"supervision.wait\\[{first.id}\\] received") > copies, system.story)
    for number in range(4):  # both places of the pool have had work since
        system.task("note", number, tag=f"since {name}").apply_async().get(timeout=SOON)
    assert system.notes().count(f"{name}:1") == 1


def test_what_takes_the_place_of_a_wait_may_wait_itself(system: WaitingSystem, name: str) -> None:
    """Alone, as the end of a chain, as the body of a chord, twice over, in a chord's header, and behind a gather."""

    def late(number: int, instead: Any) -> Any:
        return waits(system, f"{name}/never", timeout=0.1 + number / 1000, on_timeout=instead)

    note, then = system.task("note", 1), system.task("note", tag="then")
    second = waits(system, f"{name}/second")
    twice = late(4, second)
    header = chord([note, note], waits(system, f"{name}/second", carry=True), app=system.app)
    never = waits(system, f"{name}/never")
    started = [
        late(1, second).apply_async(),
        chain(late(2, chain(note, second, app=system.app)), then, app=system.app)(),
        chain(late(3, all_of(f"{name}/second", timeout=60, app=system.app)), then, app=system.app)(),
        chain(late(5, twice), then, app=system.app)(),
        chain(late(6, header), then, app=system.app)(),
        chord([late(7, second), note], then, app=system.app)(),
        chain(gather([never], timeout=0.2, on_timeout=second, app=system.app), then, app=system.app)(),
        chain(late(8, gather([note], app=system.app)), then, app=system.app)(),
    ]
    system.waiting_for(f"{name}/second", 7)
    assert f"{started[0].id}-instead" in {each.id for each in system.client.waits(signal=f"{name}/second")}
    fails = chain(late(9, waits(system, f"{name}/never", timeout=0.1)), then, app=system.app)()
    system.client.send(f"{name}/second", 2)
    assert [each.get(timeout=SOON) for each in started] == [
        2,
        ["then", 2],
        ["then", {f"{name}/second": 2}],
        ["then", 2],
        ["then", [[["", 1], ["", 1]], 2]],
        ["then", [2, ["", 1]]],
        ["then", 2],
        ["then", [["", 1]]],
    ]
    with pytest.raises(SignalTimeout):
        fails.get(timeout=SOON)
    for part in system.client.waits(signal=f"{name}/never"):  # of the gather that has ended: it would wait on
        system.client.cancel(part.id, by="ann", reason="nobody asks for it")


def test_a_second_wait_under_the_id_of_another_is_refused_and_harms_it_not(system: WaitingSystem, name: str) -> None:
    waits(system, f"{name}/a").apply_async(task_id=name)
    system.waiting_for(f"{name}/a")
    second = chain(waits(system, f"{name}/b").set(task_id=name), system.task("note", tag=name), app=system.app)()
    with pytest.raises(InvalidWait, match=f"is that of a wait for {name}/a, which is waiting"):
        second.get(timeout=SOON)
    system.client.send(f"{name}/a", 1)
    until(lambda: system.app.AsyncResult(name).state == "SUCCESS", system.story)  # results of before are remembered
    assert system.client.waits(signal=f"{name}/b") == []


def test_joins(system: WaitingSystem, name: str) -> None:
    everything = all_of(f"{name}/a", f"{name}/b", timeout=60, app=system.app).apply_async()
    anything = any_of(f"{name}/b", f"{name}/c", timeout=60, app=system.app).apply_async()
    nested = k_of(
        2, f"{name}/a", any_of(f"{name}/x", f"{name}/b"), f"{name}/y", timeout=60, app=system.app
    ).apply_async()
    hopeless = all_of(
        f"{name}/z", waits(system, f"{name}/never", timeout=0.3), timeout=60, app=system.app
    ).apply_async()
    system.waiting_for(f"{name}/b", 3)
    system.waiting_for(f"{name}/z")
    for letter in "ab":
        system.client.send(f"{name}/{letter}", letter)
    assert everything.get(timeout=SOON) == {f"{name}/a": "a", f"{name}/b": "b"}
    assert anything.get(timeout=SOON) == {f"{name}/b": "b"}
    assert nested.get(timeout=SOON) == {f"{name}/a": "a", f"{name}/b": "b"}
    with pytest.raises(SignalTimeout):
        hopeless.get(timeout=SOON)
    until(lambda: not system.client.waits(signal=f"{name}/z"), "what is no longer needed to be let go")


def test_a_revoked_wait_ends_as_cancelled(system: WaitingSystem, name: str) -> None:
    task = waits(system, name).apply_async()
    system.waiting_for(name)
    system.app.control.revoke(task.id)
    with pytest.raises(TaskRevokedError):
        task.get(timeout=SOON)
    until(lambda: system.client.explain(task.id).state == "processed", system.story)
    assert system.client.explain(task.id).how == "cancelled"


def test_a_revoked_wait_in_whose_place_another_one_waits_ends_with_that(system: WaitingSystem, name: str) -> None:
    task = waits(system, f"{name}/a", timeout=0.2, on_timeout=waits(system, f"{name}/b")).apply_async()
    system.waiting_for(f"{name}/b")
    system.app.control.revoke(task.id)
    with pytest.raises(Cancelled, match="its task was revoked"):
        task.get(timeout=SOON)
    assert system.client.waits(signal=f"{name}/b") == []


def test_a_second_gather_under_the_id_of_another_is_refused_however_that_went(system: WaitingSystem, name: str) -> None:
    first, other = ([waits(system, f"{name}/{part}", timeout=60)] for part in "ab")
    task = gather(first, app=system.app).apply_async(task_id=name)
    system.waiting_for(f"{name}/a")
    system.client.send(f"{name}/a", 1)
    assert task.get(timeout=SOON) == [1]
    gather(first, app=system.app).apply_async(task_id=name)  # the same once more changes nothing
    second = chain(gather(other, app=system.app).set(task_id=name), system.task("note", tag=name), app=system.app)()
    with pytest.raises(InvalidWait, match="is that of a wait for all 1 parts of another gather, which is processed"):
        second.get(timeout=SOON)
    refused = system.app.AsyncResult(name)
    assert (refused.state, refused.result) == ("SUCCESS", [1]), "Celery overwrites no success"


def test_a_refusal_under_the_id_of_a_gather_that_failed_is_the_later_failure(system: WaitingSystem, name: str) -> None:
    gather([system.task("boom", "no bricks")], app=system.app).apply_async(task_id=name)
    until(lambda: isinstance(system.app.AsyncResult(name).result, PartsFailed), system.story)
    until(lambda: system.client.explain(name).state == "processed", system.story)
    gather([system.task("note", 1)], app=system.app).apply_async(task_id=name)
    until(lambda: isinstance(system.app.AsyncResult(name).result, InvalidWait), system.story)


def test_expires_is_an_earlier_deadline(system: WaitingSystem, name: str) -> None:
    task = waits(system, name, timeout=600).apply_async(expires=1.5)
    with pytest.raises(SignalTimeout):
        task.get(timeout=SOON)


def test_what_operators_do_with_a_wait(system: WaitingSystem, name: str) -> None:
    by = {"by": "ann", "reason": "tired of it"}
    cancelled, released = (waits(system, name).apply_async() for _ in range(2))
    system.waiting_for(name, 2)
    before = system.client.explain(released.id).deadline
    assert system.client.extend(released.id, 60, **by) == before + 60_000
    system.client.cancel(cancelled.id, **by)
    system.client.release(released.id, {"from": "ann"}, **by)
    assert released.get(timeout=SOON) == {"from": "ann"}
    with pytest.raises(Exception, match="tired of it"):
        cancelled.get(timeout=SOON)


def test_a_signal_from_inside_a_task_goes_on_in_place(system: WaitingSystem, name: str) -> None:
    waiting = chain(waits(system, name), system.task("note", tag="then"), app=system.app)()
    system.waiting_for(name)
    system.task("send", name, 3).apply_async().get(timeout=SOON)
    assert waiting.get(timeout=SOON) == ["then", 3]


def test_many_waits_are_released_and_nothing_is_left(system: WaitingSystem, name: str) -> None:
    tasks = [waits(system, name).apply_async() for _ in range(150)]
    system.waiting_for(name, 150)
    receipt = system.client.send(name, 7, acks=150, level="processed", timeout=60)
    assert receipt.missing(Progress.PROCESSED) == {}
    assert [task.get(timeout=SOON) for task in tasks] == [7] * 150
    store = system.client._store
    assert store.client.zcard(store.keys.open) == 0
    until(lambda: store.client.zcard(store.keys.undelivered) == 0, "everything to be processed")


def test_a_message_that_nobody_can_read_is_refused_and_registers_nothing(system: WaitingSystem) -> None:
    task = system.app.send_task("supervision.wait", kwargs={"on": {"signal": "a*b"}}, queue="supervision.waits")
    with pytest.raises(InvalidWait, match="a name has 1 to 200"):
        task.get(timeout=SOON)
    task = system.app.send_task("supervision.wait", kwargs={"off": 1}, queue="supervision.waits")
    with pytest.raises(InvalidWait, match="nobody here can read"):
        task.get(timeout=SOON)
    assert system.client.waits() == []


def test_an_app_that_pickles_its_own_messages_waits_as_any_other(system: WaitingSystem, name: str) -> None:
    app = Celery("pickling", broker=system.broker, backend=for_celery(system.server.url), set_as_current=False)
    app.conf.update(
        task_serializer="pickle", accept_content=["pickle", "json"], task_default_queue="supervision.actions"
    )
    app.conf.supervision_store_url = system.server.url
    refused = system.worker.log.count("untrusted")
    with app, Client.from_app(app) as client:
        chain(wait_for(name, timeout=60, app=app), app.signature("user.note", kwargs={"tag": name}), app=app)()
        both = gather([wait_for(name, timeout=60, app=app)], app=app).apply_async()
        system.waiting_for(name, 2)
        client.send(name, 3)
        until(lambda: f"{name}:3" in system.notes(), "what follows the wait")
        assert system.app.AsyncResult(both.id).get(timeout=SOON) == [3]
        app.backend.result_consumer.subscribed_to.clear()
    assert system.worker.log.count("untrusted") == refused


Published = dict[str, Any]

NO_ARGUMENTS = b"[[], {}, {}]"
FOREIGN: dict[str, Published] = {
    "a truncated body": {"body": b'[[], {"on": {"sig', "headers": {"task": "supervision.wait"}},
    "no body of a task": {"body": b'"hello"', "headers": {"task": "supervision.wait"}},
    "no task at all": {"body": b'{"hello": 1}', "headers": {}},
    "a number": {"body": b"7", "headers": {"task": "supervision.wait"}},
    "nothing that could be options": {"body": b"[[], {}, 7]", "headers": {"task": "supervision.wait"}},
    "no id": {"body": b"[[], {}, {}]", "headers": {"task": "supervision.wait", "id": None}},
    "no time limits": {"body": NO_ARGUMENTS, "headers": {"task": "supervision.wait", "timelimit": 5}},
    "none, with the other place of the pool": {
        "body": NO_ARGUMENTS,
        "headers": {"task": "supervision.wait", "timelimit": 5},
    },
    "time limits that are no numbers": {
        "body": NO_ARGUMENTS,
        "headers": {"task": "supervision.wait", "timelimit": ["a", "b"]},
    },
    "no stamps": {"body": NO_ARGUMENTS, "headers": {"task": "supervision.wait", "stamped_headers": True}},
    "a task that is no text": {"body": b"[[], {}, {}]", "headers": {"task": ["supervision.wait"]}},
    "a task of nobody": {"body": b"[[], {}, {}]", "headers": {"task": "other.thing"}},
    "pickle": {
        "body": b"cos",
        "headers": {"task": "supervision.wait"},
        "content_type": "application/x-python-serialize",
    },
    "no arguments": {"body": b"[[], {}, {}]", "headers": {"task": "supervision.wait"}},
    "a wait that is not there": {"body": b'[[], {"resumed": true}, {}]', "headers": {"task": "supervision.wait"}},
    "a gather of nothing": {"body": b'[[], {"parts": []}, {}]', "headers": {"task": "supervision.gather"}},
    "a release of what was never sent": {
        "body": b'[["never/sent"], {}, {}]',
        "headers": {"task": "supervision.release"},
    },
    "a replacement of nobody": {"body": b'[["nobody"], {}, {}]', "headers": {"task": "supervision.replace"}},
    "mail for nobody": {"body": b'[["nobody"], {}, {}]', "headers": {"task": "supervision.mail"}},
    "parts of nothing": {"body": b'[["nothing"], {}, {}]', "headers": {"task": "supervision.parts"}},
}


WAY = {"exchange": "", "routing_key": "supervision.waits"}
MESSAGE: dict[str, Any] = {"body": "7", "headers": {}, "properties": {"delivery_tag": "t", "delivery_info": WAY}}
NO_MESSAGES = (
    *(b"hello", b"{", b"7", b"{}", b"\xff", b'{"body": "!", "properties": {"body_encoding": "base64"}}'),
    json.dumps({**MESSAGE, "body": None}),
    json.dumps({**MESSAGE, "properties": {"delivery_tag": [], "delivery_info": WAY}}),
    *(json.dumps({**MESSAGE, "properties": {"delivery_tag": "t", "delivery_info": way}}) for way in ("x", {})),
)
"""What no transport of kombu's has written."""


def test_what_is_no_message_of_ours_harms_nobody(system: WaitingSystem, name: str) -> None:
    """On the queue of waits: it is refused or has no effect, the worker lives, and who waits goes on."""
    waiting = chain(waits(system, name), system.task("note", tag=name), app=system.app)()
    system.waiting_for(name)
    store, pid = system.client._store, system.worker.pid
    with system.app.connection_for_write() as connection, connection.channel() as channel:
        producer = connection.Producer(channel, auto_declare=False)
        for message in FOREIGN.values():
            said = {"content_type": "application/json", "content_encoding": "utf-8", **message}
            task_id = f"foreign-{uuid.uuid4().hex}"
            own = {"lang": "py", "id": task_id, "root_id": task_id} if said["headers"] else {}
            headers = {**own, **said.pop("headers")}
            producer.publish(said.pop("body"), routing_key="supervision.waits", headers=headers, **said)
    store.client.lpush("supervision.waits", *NO_MESSAGES)
    until(lambda: store.client.llen("supervision.waits") == 0, "the queue to be read")
    until(lambda: store.client.hlen("supervision.unacked") == 0, "nothing to be held")
    assert system.client.explain(waiting.parent.id).state == "waiting"
    assert len(system.client.waits()) == 1
    system.client.send(name, 3)
    assert waiting.get(timeout=SOON) == [name, 3]
    assert system.worker.pid == pid
    log = system.worker.log
    assert log.count("no message, which is thrown away") == len(NO_MESSAGES)
    assert "Unrecoverable error" not in log
