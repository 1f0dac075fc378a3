"""What takes a wait's place on timeout: under which id it waits, and that who revokes the first one reaches it."""

from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import Ignore
from lamps import ask
from waiting import until

from supervision.coordination.gathers import Gather
from supervision.coordination.waits import INSTEAD, How, Node, Terms
from supervision.engine import canvas, waiting
from supervision.engine.gathering import gather
from supervision.errors import NotFound
from supervision.store.claims import Claimed
from supervision.store.store import Store

MAIL = '{"options":{}}'
NEVER = Node(signal="never")
DAY_MS = 24 * 3_600_000
ANOTHER = {"signature": {"task": "t"}}
SECOND, THIRD = f"w{INSTEAD}", f"w{INSTEAD}{INSTEAD}"


def begin(store: Store, wait_id: str, **terms: Any) -> Claimed:
    return store.waits.enter(wait_id, Terms(NEVER, **{"on_timeout": ANOTHER, **terms}), mail=MAIL)


def begin_gather(store: Store, wait_id: str, **terms: Any) -> Claimed:
    return store.gathers.begin(wait_id, Gather(parts=(({"task": "t"},),), **terms), ["[]"], mail=MAIL)


def timed_out(store: Store, wait_id: str, **terms: Any) -> None:
    begin(store, wait_id, timeout=0.001, **terms)
    until(lambda: store.waits.expire(claim=False)[1])


def revoked(store: Store, wait_id: str) -> list[str]:
    ended, _ = store.waits.end(wait_id, how="cancelled", why="revoked", by="ann", instead=INSTEAD)
    return [each.id for each in ended]


def gone_on_with(store: Store, wait_id: str, ms: int) -> None:
    """As if that had been so long ago."""
    store.waits.processed([(wait_id, store.waits.enter(wait_id, None, resumed=True).start, "processed")])
    ask(store).zincrby(store.keys.ended, -ms, wait_id)


def forgotten(store: Store, *wait_ids: str) -> None:
    for wait_id in wait_ids:
        gone_on_with(store, wait_id, DAY_MS)
    assert store.waits.clear(100, DAY_MS)[0] == list(wait_ids)


@pytest.mark.parametrize("begin_last", [begin, begin_gather])
@pytest.mark.parametrize("asked", ["w", SECOND, THIRD])
@pytest.mark.parametrize("day", [0, 1], ids=["at once", "when the first ones are forgotten"])
def test_what_took_the_place_of_a_wait_on_timeout_is_ended_where_it_is_asked_for(
    store: Store, day: int, asked: str, begin_last: Any
) -> None:
    timed_out(store, "w")
    timed_out(store, SECOND, instead_of="w")
    begin_last(store, THIRD, instead_of=SECOND)
    if day:
        forgotten(store, "w", SECOND)
    if asked != THIRD:
        with pytest.raises(NotFound):
            store.waits.end(asked, how="cancelled", why="", by="ann")
    assert revoked(store, asked) == [THIRD]
    with pytest.raises(NotFound):
        revoked(store, asked)
    assert [each.after for each in store.history.since() if each.subject == THIRD] == ["waiting", "cancelled"]
    assert "revoked" not in [each.after for each in store.history.since()], "nothing more is to come"


@pytest.mark.parametrize("begin_last", [begin, begin_gather])
@pytest.mark.parametrize("asked", ["w", SECOND])
@pytest.mark.parametrize("day", [0, 1], ids=["at once", "when the first one is forgotten"])
def test_what_takes_the_place_of_a_wait_that_is_revoked_before_it_begins_ends_as_it_begins(
    store: Store, day: int, asked: str, begin_last: Any
) -> None:
    timed_out(store, "w")
    timed_out(store, SECOND, instead_of="w")
    if day:
        forgotten(store, "w")
    for _ in range(2):  # each worker says so
        with pytest.raises(NotFound):
            revoked(store, asked)
    claim = begin_last(store, THIRD, instead_of=SECOND)
    assert claim.outcome
    assert (claim.outcome.how, claim.outcome.why) == (How.CANCELLED, "revoked")
    told = [(each.subject, each.after, each.reason, each.actor) for each in store.history.since()]
    assert told[-3:] == [
        (SECOND, "revoked", "revoked", "ann"),
        (THIRD, "waiting", claim.stored.told if claim.stored else "", ""),
        (THIRD, "cancelled", "revoked", "revoke"),
    ]


def test_word_is_kept_for_a_day_from_when_it_was_left(store: Store) -> None:
    timed_out(store, "w")
    gone_on_with(store, "w", DAY_MS - 60_000)
    with pytest.raises(NotFound):
        revoked(store, "w")
    ask(store).zincrby(store.keys.ended, -120_000, "w")
    assert store.waits.clear(100, DAY_MS)[0] == []
    claim = begin(store, SECOND, instead_of="w")
    assert claim.outcome
    assert claim.outcome.how is How.CANCELLED


def test_a_wait_that_is_revoked_after_its_deadline_leaves_word_too(store: Store) -> None:
    begin(store, "w")
    ask(store).zadd(store.keys.deadlines, {"0#w": 1})
    assert revoked(store, "w") == ["w"]
    assert store.open_waits.get("w").how == "timed_out"
    assert begin(store, SECOND, instead_of="w").state == "received"


@pytest.mark.parametrize(
    "how", ["unknown", "cancelled", "its place was cancelled", "it had a value instead", "it had nothing"]
)
def test_no_word_is_left_where_nothing_can_take_a_place(store: Store, how: str) -> None:
    if how == "cancelled":
        begin(store, "w")
        assert revoked(store, "w") == ["w"]
    elif how == "its place was cancelled":
        timed_out(store, "w")
        begin(store, SECOND, instead_of="w")
        assert revoked(store, "w") == [SECOND]
    elif how != "unknown":
        timed_out(store, "w", on_timeout={"value": "signature"} if "value" in how else None)
    with pytest.raises(NotFound):
        revoked(store, "w")
    assert not any(ask(store).hexists(store.keys.wait(each), "revoked") for each in ("w", SECOND, THIRD))


@pytest.mark.parametrize("begun", ["before", "after"])
def test_a_wait_of_that_name_which_took_nobodys_place_is_left_alone(store: Store, begun: str) -> None:
    timed_out(store, "w")
    if begun == "before":
        begin(store, SECOND)
    with pytest.raises(NotFound, match="timed_out"):
        revoked(store, "w")
    assert begin(store, SECOND).state == "waiting"


def test_what_was_revoked_is_told_by_the_name_that_waited(store: Store) -> None:
    heard: list[Any] = []
    store.heard.by = heard.extend
    timed_out(store, "w")
    begin(store, SECOND, instead_of="w")
    revoked(store, "w")
    store.heard.by = None
    assert [(each.subject, each.after, each.actor) for each in heard if each.kind == "order"] == [
        (SECOND, "cancelled", "ann")
    ]


app = Celery("user", broker="memory://", set_as_current=False)
app.finalize()


def wait(**said: Any) -> Any:
    return canvas.wait_for("never", app=app, **said)


@pytest.mark.parametrize("last", [wait(), gather([wait()], app=app)], ids=["wait", "gather"])
def test_each_names_the_one_whose_place_it_took_and_what_has_an_id_of_its_own_names_none(last: Any) -> None:
    own = wait(on_timeout=last).set(task_id="mine")
    signature = wait(on_timeout=wait(on_timeout=own))
    claim, found = "w", []
    while signature:
        step = placed(claim, signature)
        claim, signature = step.options["task_id"], (step.kwargs.get("on_timeout") or {}).get("signature")
        found.append((claim, step.kwargs.get("instead_of", "")))
    assert found == [(SECOND, "w"), (THIRD, SECOND), ("mine", ""), (f"mine{INSTEAD}", "mine")]


def placed(claimed: str, signature: Any) -> Any:
    """The step that waits in the place of ``claimed``, as it is handed to Celery."""
    handed: list[Any] = []

    def replace(instead: Any) -> None:
        handed.append(instead)
        raise Ignore

    request = SimpleNamespace(id=claimed, hostname="here")
    task: Any = SimpleNamespace(
        name="supervision.wait", app=app, request=request, replace=replace, over=lambda *_: None
    )
    with pytest.raises(Ignore):
        waiting._replaced(task, Claimed(claimed, "received"), dict(signature))
    return handed[0].tasks[0]
