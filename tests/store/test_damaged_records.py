"""A record that somebody has damaged is told and set aside; all others go on as if it were not there."""

from collections.abc import Callable
from typing import Any

import pytest
from lamps import ask, now

from supervision.coordination.liveness import Patience
from supervision.coordination.waits import Node, Terms
from supervision.errors import InvalidWait, StoreUnavailable
from supervision.store.coordinators import Beat
from supervision.store.store import Store

MAIL = '{"options":{}}'
HASTY = Patience(heartbeat=0.001, warning=1, critical=2, dead=3)
WAITS = ["w0", "w1", "w2", "w3"]
OTHERS = WAITS[1:]

Damage = Callable[[Store, str], object]
"""Does something to the record under a key."""


def wrong_type(store: Store, record: str) -> None:
    ask(store).delete(record)
    ask(store).set(record, "x")


def without_terms(store: Store, record: str) -> None:
    ask(store).hdel(record, "what")


def junk_terms(store: Store, record: str) -> None:
    ask(store).hset(record, "what", "{")


def without_beginning(store: Store, record: str) -> None:
    ask(store).hdel(record, "since")


def junk_count(store: Store, record: str) -> None:
    ask(store).hset(record, mapping={"times": "x", "silent": str(beat_of(store, "w0"))})


def beat_of(store: Store, name: str) -> int:
    return int(ask(store).zscore(store.keys.beats, name))


def enter(store: Store, wait_id: str, node: Node) -> None:
    store.waits.enter(wait_id, Terms(node, timeout=600), mail=MAIL)


def states(store: Store) -> list[str]:
    return [ask(store).hget(store.keys.wait(each), "state").decode() for each in OTHERS]


def told(store: Store) -> list[tuple[str, str]]:
    past: Any = ask(store).xrange(store.keys.events)
    return [
        (fields[b"kind"].decode(), fields[b"subject"].decode())
        for _, fields in past
        if fields.get(b"after") == b"damaged"
    ]


def expired(store: Store) -> None:
    for each in WAITS:
        enter(store, each, Node(signal=f"s-{each}"))


def expire(store: Store) -> None:
    ask(store).zadd(store.keys.deadlines, {f"0#{each}": 1 for each in WAITS})
    store.waits.expire(claim=True)


def released(store: Store) -> None:
    for each in WAITS:
        enter(store, each, Node(signal="s"))


def release(store: Store) -> None:
    store.signals.send("s", signal_id="1", payload="1", sender="", ttl_ms=60_000, claim=True)


def mourned(store: Store) -> None:
    store.coordinators.register("ann", kind="process", process="p", host="h")
    for each in WAITS:
        enter(store, each, Node(signal="s", expects="ann"))


def mourn(store: Store) -> None:
    store.coordinators.bury("p", "killed")
    store.coordinators.mourn("ann", claim=True)


@pytest.mark.parametrize("damage", [wrong_type, without_terms, junk_terms, without_beginning])
@pytest.mark.parametrize(("begin", "end"), [(expired, expire), (released, release), (mourned, mourn)])
def test_a_damaged_wait_keeps_no_other_one_from_its_end(
    store: Store, begin: Callable[[Store], None], end: Callable[[Store], None], damage: Damage
) -> None:
    begin(store)
    damage(store, store.keys.wait("w0"))
    end(store)
    assert states(store) == ["received"] * 3
    assert told(store) == [("wait", "w0")]
    assert store.open_waits.all() == []


def test_what_is_no_member_of_an_index_keeps_nobody(store: Store) -> None:
    expired(store)
    ask(store).zadd(store.keys.deadlines, {"junk": 1})
    expire(store)
    assert states(store) == ["received"] * 3
    assert ask(store).zcard(store.keys.deadlines) == 0


def test_a_process_learns_that_its_wait_was_damaged(store: Store) -> None:
    coordinator = store.coordinators.register("ann", kind="process", process="p", host="h")
    said: Any = {"channel": "c", "incarnation": coordinator.incarnation}
    wait = Terms(Node(signal="s"), owner="ann", timeout=600)
    store.waits.enter("w0", wait, **said)
    junk_terms(store, store.keys.wait("w0"))
    ask(store).zadd(store.keys.deadlines, {"0#w0": 1})
    store.waits.expire(claim=False)
    assert store.waits.enter("w0", wait, **said).state == "dead_letter"


@pytest.mark.parametrize("damage", [without_terms, junk_terms])
def test_one_that_was_damaged_after_its_end_is_gone_on_with_by_nobody(store: Store, damage: Damage) -> None:
    released(store)
    release(store)
    ask(store).hset(store.keys.wait("w0"), "lease", "0")  # whoever had claimed it has died
    damage(store, store.keys.wait("w0"))
    assert [store.waits.enter("w0", None, resumed=True).state for _ in range(2)] == ["dead_letter"] * 2
    assert told(store) == [("wait", "w0")]
    assert [letter.id for letter in store.dead_letters.all()] == ["wait:w0"]


@pytest.mark.parametrize("damage", [wrong_type, without_terms, junk_terms, without_beginning])
def test_people_see_a_damaged_wait_and_that_no_retry_mends_it(store: Store, damage: Damage) -> None:
    expired(store)
    damage(store, store.keys.wait("w0"))
    assert {each.id for each in store.open_waits.all()} >= set(OTHERS)  # nobody has come by it yet
    assert store.open_waits.get("w0").kind == "damaged"
    expire(store)
    (letter,) = store.dead_letters.all()
    assert (letter.id, letter.why.partition(": ")[0]) == ("wait:w0", "its record is damaged")
    assert store.open_waits.get("w0").state == "dead_letter"
    with pytest.raises(InvalidWait, match=r"its record is damaged: .*under another id"):
        store.waits.retry("w0", why="mended", by="ann")


@pytest.mark.parametrize("damage", [wrong_type, junk_terms])
def test_damaged_waits_are_sent_again_and_forgotten_like_others(store: Store, damage: Damage) -> None:
    released(store)
    for each in WAITS:
        store.waits.end(each, how="cancelled", why="enough", by="ann")
    damage(store, store.keys.wait("w0"))
    ask(store).zadd(store.keys.undelivered, {each: i + 1 for i, each in enumerate(WAITS)})
    assert {each.id for each in store.waits.redeliver(10)} >= set(OTHERS)
    for each in OTHERS:
        claim = store.waits.enter(each, None, resumed=True)
        store.waits.processed([(each, claim.start, "processed")])
    if damage is junk_terms:
        ask(store).hdel(store.keys.wait("w0"), "mail")
    ask(store).zadd(store.keys.ended, {each: i + 1 for i, each in enumerate(WAITS)})
    store.waits.clear(10, 1000)
    assert ask(store).exists(*(store.keys.wait(each) for each in WAITS)) == 0


@pytest.mark.parametrize("damage", [wrong_type, junk_count])
def test_a_damaged_coordinator_keeps_no_other_one_from_being_judged(store: Store, damage: Damage) -> None:
    for each in WAITS:
        store.coordinators.register(each, kind="process", process="p", host="h")
    enter(store, "waits", Node(signal="s", expects="w0"))
    ask(store).zadd(store.keys.beats, {each: now(store) - 60_000 + i for i, each in enumerate(WAITS)})
    damage(store, store.keys.coordinator("w0"))
    store.coordinators.judge(HASTY)
    first = now(store)
    while len(ask(store).smembers(store.keys.state("dead"))) < 3 and now(store) < first + 10_000:
        store.coordinators.judge(HASTY)
    assert [ask(store).hget(store.keys.coordinator(each), "state") for each in OTHERS] == [b"dead"] * 3
    assert told(store) == [("coordinator", "w0")]
    if damage is junk_count:  # it counts as dead, and whoever expects it is told
        store.coordinators.mourn("w0", claim=False)
        assert store.open_waits.get("waits").how == "died"


def test_a_damaged_coordinator_keeps_no_other_one_from_beating_and_being_buried(store: Store) -> None:
    incarnations = {
        each: store.coordinators.register(each, kind="process", process="p", host="h").incarnation for each in WAITS
    }
    ask(store).zadd(store.keys.beats, dict.fromkeys(WAITS, 1))
    wrong_type(store, store.keys.coordinator("w0"))
    refused = store.coordinators.beat([Beat(each, incarnations[each]) for each in WAITS])
    assert list(refused) == ["w0"]
    assert all(beat_of(store, each) > 1 for each in OTHERS)
    assert sorted(store.coordinators.bury("p", "killed")) == OTHERS


def test_a_server_that_takes_no_writes_damages_nothing(store: Store) -> None:
    """What it refuses is told to whoever asks, and nothing of it is taken for a damaged record."""
    released(store)
    for each in WAITS:
        store.waits.end(each, how="cancelled", why="enough", by="ann")
    ask(store).zadd(store.keys.undelivered, dict.fromkeys(WAITS, 1))
    ask(store).config_set("maxmemory", "1")
    try:
        with pytest.raises(StoreUnavailable, match="memory"):
            store.waits.redeliver(10)
    finally:
        ask(store).config_set("maxmemory", "0")
    assert told(store) == []
    assert sorted(each.id for each in store.waits.redeliver(10)) == WAITS


def test_a_server_that_waits_for_replicas_is_away_and_damages_nothing(store: Store) -> None:
    released(store)
    ask(store).config_set("min-replicas-to-write", "1")
    try:
        with pytest.raises(StoreUnavailable, match="NOREPLICAS"):
            release(store)
    finally:
        ask(store).config_set("min-replicas-to-write", "0")
    assert told(store) == []
    release(store)
    assert states(store) == ["received"] * 3
