"""Gathers on a real worker: wherever a signature can stand, with parts that fail, are late, or never come."""

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, chain, chord, group
from celery_processes import CeleryProcess, ended, until
from waiting_system import WaitingSystem, running

from supervision import Cancelled, InvalidWait, PartsFailed, SignalTimeout, gather, wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]
SOON = 20.0


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WaitingSystem]:
    with running(tmp_path_factory.mktemp("gathers")) as found:
        yield found


@pytest.fixture
def name() -> str:
    return f"signal-{uuid.uuid4().hex}"


def gathers(system: WaitingSystem, parts: Any, then: Any = None, **options: Any) -> Any:
    return gather(parts, then, app=system.app, **{"timeout": 60, **options})


def adds(system: WaitingSystem, number: int) -> list[Any]:
    return [system.task("add", i) for i in range(number)]


def nothing_is_left(system: WaitingSystem) -> None:
    """What a gather keeps beyond a wait's record is gone soon after its end."""
    store: Any = system.client._store

    def left() -> list[bytes]:
        ids = [each.decode() for each in store.client.zrange(store.keys.ended, 0, -1)]
        made = [key for each in ids for key in (store.keys.parts(each), store.keys.results(each))]
        return [key for key in made if store.client.exists(key)]

    until(lambda: not left() and not store.client.zcard(store.keys.gathers), lambda: f"{left()} to be gone")


def test_parts_in_their_order_and_then_and_on_in_a_chain(system: WaitingSystem, name: str) -> None:
    step = chain(system.task("add", 10), system.task("add", 5), app=system.app)
    whole = chain(
        system.task("note", 0),
        gathers(system, [system.task("add", 1), step, system.task("add", 2)], system.task("total", tag=name)),
        system.task("add", 100),
        app=system.app,
    )
    result = whole.apply_async(ignore_result=False)
    until(lambda: f"{name}:18" in system.notes(), system.story)
    listed = gathers(system, group(adds(system, 3), app=system.app)).apply_async()
    assert listed.get(timeout=SOON) == [0, 1, 2]
    assert system.client.explain(listed.id).on == "all 3 parts"
    assert result.parent.get(timeout=SOON) == 18
    assert [system.app.AsyncResult(f"{listed.id}-{i}").get(timeout=SOON) for i in range(3)] == [0, 1, 2]
    nothing_is_left(system)


def test_in_a_chord_header_in_a_group_and_in_a_gather(system: WaitingSystem, name: str) -> None:
    header = [gathers(system, adds(system, 3), system.task("total")), system.task("add", 1)]
    chorded = chord(header, system.task("total", tag=name), app=system.app)()
    grouped = group([gathers(system, adds(system, 2)), gathers(system, adds(system, 3))], app=system.app)()
    waiting = wait_for(name, timeout=60, app=system.app)
    nested = gathers(system, [gathers(system, adds(system, 3)), waiting, system.task("add", 7)]).apply_async()
    system.waiting_for(name)
    assert system.app.AsyncResult(nested.id).state == "WAITING"
    system.client.send(name, {"v": 1})
    assert chorded.get(timeout=SOON) == 4
    assert grouped.get(timeout=SOON) == [[0, 1], [0, 1, 2]]
    assert nested.get(timeout=SOON) == [[0, 1, 2], {"v": 1}, 7]


def test_parts_that_fail_are_told_when_all_have_ended(system: WaitingSystem, name: str) -> None:
    broken = chain(system.task("boom", "b"), system.task("add", 1), app=system.app)
    parts = [system.task("add", 1), system.task("boom", "a"), broken, wait_for(name, timeout=60, app=system.app)]
    result = gathers(system, parts, system.task("total", tag=name)).apply_async(link_error=system.task("failed"))
    system.waiting_for(name)
    assert result.parent.state == "WAITING"
    system.client.send(name, 1)
    told = "2 of 4 parts failed: part 1 .user.boom. failed: ValueError: a; part 2 .user.boom . user.add. failed: .*b"
    with pytest.raises(PartsFailed, match=told) as caught:
        result.get(timeout=SOON)
    assert sorted(caught.value.failed) == [1, 2]
    until(lambda: "failed:PartsFailed" in system.notes(), system.notes)
    assert not [line for line in system.notes() if line.startswith(name)]


def test_fail_fast_ends_at_the_first(system: WaitingSystem, name: str) -> None:
    parts = [wait_for(name, timeout=60, app=system.app), system.task("boom", "at once")]
    with pytest.raises(PartsFailed, match=r"1 of 2 parts failed: part 1 \(user.boom\) failed: ValueError: at once"):
        gathers(system, parts, fail_fast=True).apply_async().get(timeout=SOON)
    system.client.send(name, 1)
    nothing_is_left(system)


def test_a_timeout_names_who_is_missing_and_can_be_a_value(system: WaitingSystem, name: str) -> None:
    parts = [system.task("add", 1), wait_for(name, timeout=60, app=system.app), system.task("add", 2)]
    late = gathers(system, parts, timeout=3).apply_async()
    value = gathers(system, parts, timeout=3, on_timeout=[]).apply_async()
    with pytest.raises(SignalTimeout, match=r"1 of 3 parts had not ended before the deadline: 1 \(supervision.wait\)"):
        late.get(timeout=SOON)
    assert value.get(timeout=SOON) == []
    system.client.send(name, 1)


def test_what_operators_do_with_a_gather(system: WaitingSystem, name: str) -> None:
    by = {"by": "ann", "reason": "tired of it"}
    parts = [wait_for(name, timeout=60, app=system.app)]
    cancelled, released = (gathers(system, parts).apply_async() for _ in range(2))
    system.waiting_for(name, 2)
    system.client.cancel(cancelled.id, **by)
    system.client.release(released.id, [9], **by)
    assert released.get(timeout=SOON) == [9]
    with pytest.raises(Cancelled, match="tired of it"):
        cancelled.get(timeout=SOON)
    system.client.send(name, 1)


def test_a_message_that_comes_twice_has_one_effect(system: WaitingSystem, name: str) -> None:
    parts = [system.task("note", i, tag=name) for i in range(3)]
    first = gathers(system, parts).apply_async(task_id=f"{name}-gather")
    assert first.get(timeout=SOON) == [[name, 0], [name, 1], [name, 2]]
    gathers(system, parts).apply_async(task_id=first.id)
    gathers(system, adds(system, 1)).apply_async().get(timeout=SOON)
    assert first.state == "SUCCESS"
    assert sum(line.startswith(f"{name}:") for line in system.notes()) == 3


def test_a_part_whose_report_was_lost_is_found_by_its_result(system: WaitingSystem, name: str) -> None:
    parts = [wait_for(f"{name}/{i}", timeout=60, app=system.app) for i in range(2)]
    result = gathers(system, parts).apply_async()
    system.waiting_for(f"{name}/0")
    system.waiting_for(f"{name}/1")
    # as a broker leaves it that has lost the report
    store: Any = system.client._store
    meta = {"status": "SUCCESS", "result": 5, "traceback": None, "children": [], "task_id": f"{result.id}-0"}
    store.client.set(f"celery-task-meta-{result.id}-0", json.dumps(meta))
    store.client.zadd(store.keys.gathers, {result.id: 1})
    until(lambda: store.client.hexists(store.keys.results(result.id), "0"), system.story)
    assert [item.id for item in system.client.sweepable("gathers").items] == []
    system.client.send(f"{name}/1", 6)
    assert result.get(timeout=SOON) == [5, 6]
    system.client.send(f"{name}/0", 7)
    assert result.get(timeout=SOON) == [5, 6]


def test_parts_of_an_app_whose_tasks_we_do_not_know(system: WaitingSystem) -> None:
    """They go to that app's queue, and so does what follows; their reports come back to ours."""
    own = Celery("own", broker=system.broker, backend=system.server.url, set_as_current=False)
    own.conf.task_default_queue = "own"
    worker = CeleryProcess(system.folder, "own_app", "worker", "-Q", "own", "-c", "1", **system.environment)
    with ended(worker):
        once_, then = own.signature("own.double", args=(1,)), own.signature("own.joined")
        twice = chain(once_, own.signature("own.double"), app=own)
        good = gather([once_, twice], then, timeout=60, app=own).apply_async(ignore_result=False)
        assert good.get(timeout=60) == "2,4"
        bad = gather([once_, own.signature("own.boom", args=("no",))], timeout=60, app=own).apply_async()
        with pytest.raises(PartsFailed, match=r"part 1 .own.boom. failed: LookupError: .*no"):
            bad.get(timeout=SOON)
    own.backend.result_consumer.subscribed_to.clear()
    own.close()


def test_a_thousand_parts(system: WaitingSystem) -> None:
    assert gathers(system, adds(system, 1000), system.task("total")).apply_async().get(timeout=100) == 499_500
    nothing_is_left(system)


def test_processes_that_die_in_the_middle_of_publishing_lose_no_part(system: WaitingSystem, name: str) -> None:
    parts = [system.task("note", i, tag=name) for i in range(400)]
    result = gathers(system, parts, system.task("note", tag=f"then-{name}")).apply_async()
    store: Any = system.client._store
    until(lambda: int(store.client.hget(store.keys.wait(result.parent.id), "fanned") or 0) >= 100, system.story)
    for process in system.worker_children():
        process.kill()
    assert [value for _, value in result.get(timeout=90)[1]] == list(range(400))
    assert sum(line.startswith(f"then-{name}") for line in system.notes()) == 1
    times = Counter(line for line in system.notes() if line.startswith(f"{name}:"))
    assert set(times) == {f"{name}:{i}" for i in range(400)}
    assert sum(times.values()) <= 400 + 100 + 2, "one slice, and what ran on two slots, came twice at most"


def test_what_cannot_work_is_refused_when_it_is_made(system: WaitingSystem) -> None:
    one = system.task("add", 1)
    for parts, told in (
        ([], "a gather of 0 parts; needs from 1 to 10000"),
        ([one] * 10_001, "a gather of 10001 parts"),
        ([one, group([one, one], app=system.app)], r"part 1 of a gather is or contains a group: use gather\("),
        ([chord([one, one], one, app=system.app)], "is or contains a chord"),
        ([chain(one, group([one, one], app=system.app), one, app=system.app)], "is or contains a (group|chord)"),
        ([one, "add"], "part 1 of a gather is 'add': needs a signature"),
        (one, "needs a list of signatures"),
        (chain(one, one, app=system.app), "needs a list of signatures"),
    ):
        with pytest.raises(InvalidWait, match=told):
            gathers(system, parts)
    for options, told in (
        ({"then": "total"}, "then='total': needs a signature"),
        ({"timeout": 0}, "timeout=0: needs seconds"),
        ({"fail_fast": "yes"}, "nobody here can read"),
    ):
        with pytest.raises(InvalidWait, match=told):
            gathers(system, [one], **options)
    task = system.app.send_task("supervision.gather", kwargs={"parts": [[{}]]}, queue="supervision.waits")
    with pytest.raises(InvalidWait, match="part 0 of a gather"):
        task.get(timeout=SOON)
    assert system.client.waits() == []
