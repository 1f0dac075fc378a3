"""Gathers as stored: parts published by one at a time, each counted once, and an end that is decided once."""

from typing import Any

import msgspec
import pytest

from supervision.coordination.gathers import Arrival, Gather
from supervision.coordination.waits import How
from supervision.errors import StoreUnavailable
from supervision.store.gathers import FANNED_PER_SCRIPT
from supervision.store.once import Once
from supervision.store.store import Store

KEPT = ("gathers", "open", "deadlines")


def begun(store: Store, parts: int = 3, **options: Any) -> None:
    steps = tuple(({"task": f"user.t{i}"},) for i in range(parts))
    told = [msgspec.json.encode(each).decode() for each in steps]
    claim = store.gathers.begin("g", Gather(parts=steps, **options), told, mail="{}")
    assert claim.state == "waiting"


def came(*parts: int) -> list[Arrival]:
    return [Arrival(part, came=True, value=str(part * 10)) for part in parts]


def lost(part: int) -> Arrival:
    return Arrival(part, came=False, value="ValueError: no")


def nothing_left(store: Store) -> bool:
    client: Any = store.client
    return not any(client.zcard(getattr(store.keys, name)) for name in KEPT) and not client.exists(
        store.keys.parts("g")
    )


def test_each_part_counts_once_and_the_last_one_ends_it(store: Store) -> None:
    begun(store)
    assert store.gathers.arrive("g", came(2, 2, 0), claim=True) == []
    assert store.gathers.arrive("g", [lost(2)], claim=True) == []
    (claim,) = store.gathers.arrive("g", [*came(1), lost(0)], claim=True)
    assert claim.outcome is not None
    assert (claim.state, claim.outcome.how) == ("received", How.GATHERED)
    assert store.gathers.results("g") == (["0", "10", "20"], {})
    assert store.gathers.arrive("g", came(1), claim=True) == []
    assert nothing_left(store)
    store.waits.processed([("g", claim.start, "processed")])
    assert store.gathers.results("g") == ([], {})


@pytest.mark.parametrize(
    ("when", "ends_with", "why"),
    [
        ("at once", 1, "part 1 (user.t1) failed: ValueError: no"),
        ("with the last", 2, "1 of 3 parts failed"),
    ],
)
def test_a_failure_ends_it_at_once_or_with_the_last(store: Store, when: str, ends_with: int, why: str) -> None:
    begun(store, fail_fast=when == "at once")
    ended = [store.gathers.arrive("g", [each], claim=True) for each in (*came(0), lost(1), *came(2))]
    assert [i for i, each in enumerate(ended) if each] == [ends_with]
    outcome = ended[ends_with][0].outcome
    assert outcome is not None
    assert (outcome.how, outcome.why) == (How.FAILED, why)
    assert nothing_left(store)


@pytest.mark.parametrize("found_by", ["the sweep", "a part that comes too late"])
def test_the_deadline_decides_and_names_ten_who_are_missing(store: Store, found_by: str) -> None:
    begun(store, parts=14)
    store.client.zadd(store.keys.deadlines, {"0#g": 1})
    swept = found_by == "the sweep"
    (claim,) = store.waits.expire(claim=True)[1] if swept else store.gathers.arrive("g", came(0), claim=True)
    assert claim.outcome is not None
    assert claim.outcome.how is How.TIMED_OUT
    why = claim.outcome.why
    assert why.startswith("14 of 14 parts had not ended before the deadline: 0 (user.t0), 1 (user.t1), 2 (user.t2), ")
    assert why.endswith("9 (user.t9) and 4 more")
    assert nothing_left(store)


def test_one_publishes_at_a_time_and_confirms_with_the_next_slice(store: Store) -> None:
    begun(store, parts=FANNED_PER_SCRIPT + 2, home="users")
    first = store.gathers.fan("g", "one", 0)
    assert first is not None
    assert (first.home, first.upto, len(first.parts)) == ("users", FANNED_PER_SCRIPT, FANNED_PER_SCRIPT)
    assert store.gathers.fan("g", "other", 0) is None
    again = store.gathers.fanned("g", "one", first.upto)
    assert again is not None
    assert (again.kind, again.subject) == ("parts", "g")
    assert store.gathers.arrive("g", came(first.upto), claim=True) == []
    last = store.gathers.fan("g", "other", 0)
    assert last is not None
    assert [index for index, _ in last.parts] == [first.upto + 1], "one that has ended is not published again"
    assert store.gathers.fan("g", "other", last.upto) is None
    assert store.client.zcard(store.keys.outbox) == 0
    assert store.gathers.overdue() == []


def test_whoever_dies_while_publishing_is_made_up_for_when_the_lease_is_over(store: Store) -> None:
    begun(store)
    assert store.gathers.fan("g", "one", 0) is not None
    assert store.gathers.overdue() == []
    store.client.hset(store.keys.wait("g"), "fanned_by", 1)
    store.client.zadd(store.keys.gathers, {"g": 1})
    (found,) = store.gathers.overdue()
    assert (found.id, found.unpublished, found.missing) == ("g", True, ())
    some = store.gathers.fan("g", "other", 0)
    assert some is not None
    assert [index for index, _ in some.parts] == [0, 1, 2]
    assert store.gathers.fan("g", "one", 3) is None, "the first one is late"


def test_what_is_staged_for_nothing_goes_by_itself_and_what_is_lost_is_told(store: Store) -> None:
    store.scripts.run("stage", store.gathers._first, ["g", 60_000, 0, "[]"])
    assert 0 < store.client.pttl(store.keys.parts("g")) <= 60_000
    with pytest.raises(StoreUnavailable, match="has lost some of its parts"):
        store.gathers.begin("g", Gather(parts=(({"task": "a"},), ({"task": "b"},))), ["[]"], mail="{}")
    assert store.client.exists(store.keys.wait("g")) == 0
    begun(store)
    assert store.client.pttl(store.keys.parts("g")) == -1


def test_a_guarded_run_is_one_holders_until_it_is_settled(store: Store) -> None:
    once = Once(store.scripts, store.keys)
    assert once.begin("t", "one", 60_000).met == "run"
    assert once.begin("t", "one", 60_000).met == "run", "renewed"
    busy = once.begin("t", "two", 60_000)
    assert (busy.met, 0 < busy.left_ms <= 60_000) == ("busy", True)
    assert not once.end("t", "two", "done", 60_000, "2")
    assert once.end("t", "one", "done", 1, "1")
    assert once.end("t", "one", "done", 0, "1")
    assert once.begin("t", "two", 60_000) == ("again", 0, "1")
    assert once.end("t", "two", "settled", 60_000)
    assert once.begin("t", "three", 60_000).met == "settled"
    assert once.begin("u", "one", 60_000).met == "run"
    assert once.end("u", "one", "released", 60_000)
    assert once.begin("u", "two", 60_000).met == "run"
