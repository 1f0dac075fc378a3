"""The deadline decides in whatever script touches the wait first, however late the sweep comes."""

import re
from importlib.resources import files
from typing import Any

import pytest
from lamps import ask, counter, past

from supervision.continuing import NOWHERE
from supervision.coordinating import Coordination
from supervision.coordination.gathers import Arrival, Gather
from supervision.coordination.waits import How, Node, Terms
from supervision.errors import NotFound
from supervision.store.claims import Claimed
from supervision.store.store import Store

REPLACEMENT = {"task": "user.again", "args": [], "kwargs": {}}
AS_DEAD = {"fail": {}, "replace": {"replacement": REPLACEMENT}, "escalate": {}}


def begin(store: Store, on: Node, due: str, **terms: Any) -> None:
    """A wait whose deadline, of the whole (0) or of one of its leaves, was long ago."""
    wait = Terms(on, timeout=60, on_timeout={"value": "late"}, **terms)
    assert store.waits.enter("w", wait, mail="{}").state == "waiting"
    ask(store).zadd(store.keys.deadlines, {f"{due}#w": 1})


def arrive(store: Store) -> None:
    store.gathers.begin("w", Gather(parts=(({"task": "t"},),)), ["[]"], mail="{}")
    ask(store).zadd(store.keys.deadlines, {"0#w": 1})
    store.gathers.arrive("w", [Arrival(0, came=True, value="1")], claim=False)


def cancel(store: Store) -> None:
    begin(store, Node(signal="s"), "0")
    ends(store, "cancelled")


def enter(store: Store) -> None:
    came = store.coordinators.register("ann", kind="process", process="p", host="h").incarnation
    wait = Terms(Node(signal="s"), timeout=60, owner="ann")
    for state in ("waiting", "received"):
        assert store.waits.enter("w", wait, channel="c", incarnation=came).state == state
        ask(store).zadd(store.keys.deadlines, {"0#w": 1}, xx=True)


def expire(store: Store) -> None:
    begin(store, Node(signal="s"), "0")
    assert [each.id for each in store.waits.expire(claim=False)[1]] == ["w"]


def mourn(store: Store) -> None:
    dies(store, "fail", Node(signal="s", expects="bob"), "0")


def release(store: Store) -> None:
    store.scripts.run("release", store.waits._first, ["s", 0, 0])  # it can do nothing before the signal is there
    begin(store, Node(signal="s"), "0")
    ask(store).hset(store.keys.signal("s"), mapping={"until": 10**15, "id": "1", "payload": "1"})
    assert [each.id for each in store.signals.release("s", claim=False)[1]] == ["w"]


def send(store: Store) -> None:
    begin(store, Node(signal="s"), "0")
    store.signals.send("s", signal_id="1", payload="1", sender="", ttl_ms=60_000)


SCRIPTS = {each.__name__: each for each in (arrive, cancel, enter, expire, mourn, release, send)}


def ends(store: Store, how: str, instead: str = "") -> list[Claimed]:
    claims, refused = store.waits.end("w", how=how, why="enough", by="ann", value="1", instead=instead)
    assert refused == "wait 'w' has ended already: timed_out"
    return claims


def dies(store: Store, on_death: str, on: Node, due: str) -> None:
    parent = "foreman" if on_death == "escalate" else ""
    store.coordinators.register("bob", kind="process", process="p", host="h", parent=parent)
    begin(store, on, due, on_death=on_death, **AS_DEAD[on_death])
    store.coordinators.bury("p", "killed")
    assert [each.id for each in store.coordinators.mourn("bob", claim=False)[1]] == ["w"]


def ended_by_its_deadline(store: Store) -> bool:
    """Once, and told once."""
    assert past(store, "wait")[1:2] == [("w", "waiting", "timed_out")]
    assert store.waits.expire(claim=False)[1] == []
    claim = store.waits.enter("w", None, resumed=True)
    counts = ("supervision_waits_ended_total|how=timed_out", "supervision_waits_ended_total", "timeout_events_total")
    return (
        [counter(store, name) for name in counts] == [1, 1, 1]
        and (store.open_waits.get("w").how, bool(claim.outcome)) == ("timed_out", claim.state == "received")
        and [each for each in past(store, "wait") if each[2] == "timed_out"] == [("w", "waiting", "timed_out")]
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_whichever_script_touches_a_wait_after_its_deadline_ends_it_as_timed_out(store: Store, script: str) -> None:
    SCRIPTS[script](store)
    assert ended_by_its_deadline(store)


def test_no_script_that_ends_waits_is_left_out() -> None:
    ending = re.compile(r"\b(finish|decide_leaf|bereaved|overdue|arrived|release_some|begin)\(")
    texts = {
        each.name.removesuffix(".lua"): each.read_text()
        for each in files("supervision.store").joinpath("lua").iterdir()
    }
    own = {name: text.partition("-- with waits\n")[2] for name, text in texts.items() if not name.startswith("prelude")}
    assert {name for name, text in own.items() if ending.search(text)} == set(SCRIPTS)


BOTH = Node(k=2, of=(Node(signal="a", within=60), Node(signal="s", expects="bob")))
EITHER = Node(k=1, of=(Node(signal="s", expects="bob", within=60), Node(signal="a", expects="bob", within=60)))
SINGLE = Node(signal="s", expects="bob", within=60)


@pytest.mark.parametrize("on_death", AS_DEAD)
@pytest.mark.parametrize(("on", "due"), [(SINGLE, "0"), (SINGLE, "1"), (BOTH, "0"), (BOTH, "1")])
def test_a_death_after_the_deadline_ends_replaces_and_tells_nobody(
    store: Store, on: Node, due: str, on_death: str
) -> None:
    dies(store, on_death, on, due)
    assert ended_by_its_deadline(store)
    assert not [entry for entry in store.outbox.unpublished(0) if entry.kind in {"replace", "mail"}]
    assert [after for _, _, after in past(store, "coordinator")][1:] == ["dead"]


def test_a_death_after_the_deadline_of_one_leaf_counts_for_the_others(store: Store) -> None:
    store.coordinators.register("bob", kind="process", process="p", host="h")
    begin(store, EITHER, "1")
    store.coordinators.bury("p", "killed")
    store.coordinators.mourn("bob", claim=False)
    assert store.open_waits.get("w").how == "died"
    assert ask(store).hmget(store.keys.wait("w"), "leaf:1", "leaf:2") == [b"-timed_out", b"-died"]


@pytest.mark.parametrize("how", ["cancelled", "released"])
@pytest.mark.parametrize(("on", "due"), [(Node(signal="s"), "0"), (Node(signal="s", within=60), "1"), (BOTH, "1")])
def test_who_cancels_or_releases_a_wait_after_its_deadline_is_told_that_it_is_over(
    store: Store, how: str, on: Node, due: str
) -> None:
    store.coordinators.register("bob", kind="process", process="p", host="h")
    begin(store, on, due)
    assert [(each.id, each.state) for each in ends(store, how)] == [("w", "ended")]
    assert ended_by_its_deadline(store)
    with pytest.raises(NotFound, match="has ended already: timed_out"):
        store.waits.end("w", how=how, why="enough", by="ann", value="1")


class Sending:
    """Sends what it is told to go on with to nowhere, and remembers it."""

    here = False

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.go_on = NOWHERE.go_on

    def send(self, claims: Any) -> None:
        self.sent += [claim.id for claim in claims]


@pytest.mark.parametrize("orders", ["end", "revoke"])
def test_what_a_person_finds_over_is_gone_on_with_at_once(store: Store, orders: str) -> None:
    begin(store, Node(signal="s"), "0")
    sending = Sending()
    coordination = Coordination(store, sending, lambda _: None)
    if orders == "revoke":
        assert not coordination.revoke("w")
    else:
        with pytest.raises(NotFound, match="wait 'w' has ended already: timed_out"):
            coordination.end("w", how="cancelled", why="enough", by="ann")
    assert sending.sent == ["w"]
    claim = store.waits.enter("w", None, resumed=True)
    assert claim.outcome
    assert claim.outcome.how is How.TIMED_OUT
