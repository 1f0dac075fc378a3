"""One script takes on so much and no more: the leaves of waits are counted, and what has no bound goes by slices."""

from collections.abc import Callable
from typing import Any

import pytest
from lamps import ask

from supervision.coordination.waits import MAX_TIMEOUT_S, Node, Terms
from supervision.errors import InvalidWait, NotFound
from supervision.store.coordinators import Coordinators
from supervision.store.store import Store

MAIL = '{"options":{}}'
JOINS = 12


def joins(store: Store, *, timeout: float = 600.0, expects: str = "", **enter: Any) -> None:
    """Waits for the first of a hundred signals, of which one is common to all."""
    for i in range(JOINS):
        own = [Node(signal=f"own/{i}/{j}") for j in range(99)]
        on = Node(k=1, of=(Node(signal="common", expects=expects), *own))
        if expects:  # all are needed, so that its death ends the wait
            on = Node(k=100, of=on.of)
        store.waits.enter(f"w{i}", Terms(on, timeout=timeout), **(enter or {"mail": MAIL}))


def released(store: Store) -> tuple[int, int]:
    joins(store)
    store.signals.send("common", signal_id="1", payload="1", sender="", ttl_ms=60_000)
    left, ended = store.signals.release("common", claim=True)
    return left, len(ended)


def expired(store: Store) -> tuple[int, int]:
    joins(store)
    ask(store).zadd(store.keys.deadlines, {f"0#w{i}": 1 for i in range(JOINS)})
    left, ended = store.waits.expire(claim=True)
    return left, len(ended)


def mourned(store: Store) -> tuple[int, int]:
    store.coordinators.register("ann", kind="process", process="p", host="h")
    joins(store, expects="ann")
    store.coordinators.bury("p", "killed")
    left, ended = store.coordinators.mourn("ann", claim=True)
    return left, len(ended)


def cleared(store: Store) -> tuple[int, int]:
    joins(store, channel="nobody")
    store.signals.send("common", signal_id="1", payload="1", sender="", ttl_ms=60_000)
    while store.signals.release("common", claim=False)[0]:
        pass
    ask(store).zadd(store.keys.ended, {f"w{i}": 1 for i in range(JOINS)})
    waits = len(store.waits.clear(200, 1000)[0])
    return JOINS - waits, waits


@pytest.mark.parametrize("slice_of", [released, expired, mourned, cleared])
def test_a_slice_counts_the_signals_of_its_waits(slice_of: Callable[[Store], tuple[int, int]], store: Store) -> None:
    left, ended = slice_of(store)
    assert 0 < ended <= 5
    assert 0 < left < JOINS


def test_deadlines_of_many_joins_are_all_over_after_one_sweep(store: Store) -> None:
    joins(store, channel="nobody")
    ask(store).zadd(store.keys.deadlines, {f"0#w{i}": 1 for i in range(JOINS)})
    left = 1
    while left:
        left, _ = store.waits.expire(claim=False)
    assert store.waits.ended([f"w{i}" for i in range(JOINS)]) == [f"w{i}" for i in range(JOINS)]


def test_the_coordinators_of_a_process_are_buried_in_slices(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"c{i}" for i in range(7)]
    for name in names:
        store.coordinators.register(name, kind="process", process="p", host="h")
    asked = list[int]()
    run = store.scripts.run

    def counted(script: str, keys: Any, arguments: Any) -> Any:
        answer = run(script, keys, arguments)
        asked.append(int(answer[0]))
        return answer

    monkeypatch.setattr("supervision.store.coordinators.MOST_BURIED", 3)
    monkeypatch.setattr(store.scripts, "run", counted)
    assert sorted(store.coordinators.bury("p", "killed")) == names
    assert asked == [4, 1, 0]
    assert {each.state for each in store.coordinators.all()} == {"dead"}
    assert Coordinators(store.scripts, store.keys).bury("p", "killed") == []


def test_those_who_were_not_told_of_one_death_are_told_with_the_next(store: Store) -> None:
    for i in range(2):
        store.coordinators.register("ann", kind="process", process=f"p{i}", host="h")
        store.waits.enter(f"w{i}", Terms(Node(signal=f"s{i}", expects="ann")), mail=MAIL)
        store.coordinators.bury(f"p{i}", "killed")
    left, ended = store.coordinators.mourn("ann", claim=True)
    assert (left, sorted(each.id for each in ended)) == (0, ["w0", "w1"])


def test_a_wait_is_extended_up_to_a_month_from_its_beginning(store: Store) -> None:
    day = 86_400_000
    store.waits.enter("w", Terms(Node(signal="s"), timeout=MAX_TIMEOUT_S - 86_400), mail=MAIL)
    before = store.open_waits.get("w").deadline
    with pytest.raises(InvalidWait, match=r"'w' cannot be extended by 86401 s: .* 30 days .* leaves 86400 s"):
        store.waits.extend("w", day + 1000, why="more", by="ann")
    assert store.open_waits.get("w").deadline == before
    assert store.waits.extend("w", day, why="more", by="ann") == before + day
    with pytest.raises(InvalidWait, match="leaves 0 s"):
        store.waits.extend("w", 1, why="more", by="ann")
    with pytest.raises(NotFound):
        store.waits.extend("v", 1, why="more", by="ann")


LONG = "x" * 200_000


def canvases(store: Store, signal: str = "s") -> None:
    """Waits with a long canvas behind each."""
    for i in range(JOINS):
        mail = f'{{"options":{{"chain":["{LONG}"]}}}}'
        store.waits.enter(f"w{i}", Terms(Node(signal=signal), timeout=600), mail=mail)


def released_with_canvases(store: Store) -> tuple[int, int]:
    canvases(store)
    _, left, ended = store.signals.send("s", signal_id="1", payload="1", sender="", ttl_ms=60_000, claim=True)
    return left, len(ended)


def released_with_a_long_payload(store: Store) -> tuple[int, int]:
    for i in range(JOINS):
        store.waits.enter(f"w{i}", Terms(Node(signal="s"), timeout=600), mail=MAIL)
    payload = f'"{LONG}"'
    _, left, ended = store.signals.send("s", signal_id="1", payload=payload, sender="", ttl_ms=60_000, claim=True)
    return left, len(ended)


def expired_with_canvases(store: Store) -> tuple[int, int]:
    canvases(store)
    ask(store).zadd(store.keys.deadlines, {f"0#w{i}": 1 for i in range(JOINS)})
    left, ended = store.waits.expire(claim=True)
    return left, len(ended)


def sent_again_with_canvases(store: Store) -> tuple[int, int]:
    canvases(store)
    for i in range(JOINS):
        store.waits.end(f"w{i}", how="cancelled", why="enough", by="ann")
    ask(store).zadd(store.keys.undelivered, {f"w{i}": 1 for i in range(JOINS)})
    ended = store.waits.redeliver(100)
    return JOINS - len(ended), len(ended)


@pytest.mark.parametrize(
    "slice_of",
    [released_with_canvases, released_with_a_long_payload, expired_with_canvases, sent_again_with_canvases],
)
def test_a_slice_counts_the_bytes_that_it_hands_over(
    slice_of: Callable[[Store], tuple[int, int]], store: Store
) -> None:
    left, ended = slice_of(store)
    assert ended == 3
    assert left == JOINS - 3


def test_a_join_knows_what_came_to_it_however_long_or_short_that_is(store: Store) -> None:
    """Payloads are not read until it ends; what is shorter than the word for how a part was lost is no such word."""
    payloads = {"a": f'"{LONG}"', "b": '"-died"', "c": "1", "d": "null"}
    on = Node(k=4, of=(*(Node(signal=name) for name in payloads), Node(signal="never", within=0.001)))
    store.waits.enter("w", Terms(on, timeout=600), mail=MAIL)
    ask(store).zadd(store.keys.deadlines, {"5#w": 1})
    store.waits.expire(claim=False)
    ended: list[Any] = []
    for name, payload in payloads.items():
        assert ended == []
        ended = store.signals.send(name, signal_id="1", payload=payload, sender="", ttl_ms=60_000, claim=True).released
    assert ended[0].outcome.payloads == {"a": LONG, "b": "-died", "c": 1, "d": None}
