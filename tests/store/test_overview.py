"""What those who only look see of what others decide: who is held, who comes and goes, how a whole tree is."""

from collections.abc import Iterator

import msgspec
import pytest
from lamps import Lamp, ask, plant, seen, set_control, sight, ticked

from supervision import Supervisor
from supervision.checks import Seen, Verdict, check, ok
from supervision.circuit import Circuit, State
from supervision.client import ChildDescription, ChildView, Client, SupervisorView
from supervision.server import EmbeddedStore
from supervision.store.registry import declared_child
from supervision.store.store import Store
from supervision.strategy import Errand


@pytest.fixture
def client(server: EmbeddedStore, namespace: str) -> Iterator[Client]:
    with Client(server.url, namespace=namespace) as found:
        yield found


@check("lamp-0", "lamp-1", restart="lamp-0", affects=("lamp-1",))
def only_the_second(_one: Seen, _other: Seen) -> Verdict:
    return ok()


@check("lamp-0", restart="lamp-0")
def everybody(_one: Seen) -> Verdict:
    return ok()


def held(client: Client, store: Store, circuit: Circuit) -> list[bool]:
    """Which children are said to be held while this is the circuit."""
    set_control(store, circuit=msgspec.json.encode(circuit).decode())
    (found,) = client.tree()
    return [child.held for child in found.children]


def test_a_child_is_held_only_by_a_circuit_that_affects_it(client: Client, store: Store) -> None:
    store.registry.declare(plant(3, checks=[only_the_second, everybody]))
    assert held(client, store, Circuit(check="everybody")) == [False, False, False]
    for state in (State.OPEN, State.VERIFYING, State.ESCALATED):
        assert held(client, store, Circuit(state, check="everybody")) == [True, True, True]
        assert held(client, store, Circuit(state, check="only_the_second")) == [False, True, False]
    assert held(client, store, Circuit(State.OPEN, check="only_the_second", forced="ann")) == [True, True, True]
    waiting = Circuit(State.VERIFYING, check="only_the_second", errands=(Errand("lamp-2", "restart_child"),))
    assert held(client, store, waiting) == [False, True, True]


def test_a_circuit_that_was_forced_open_says_by_whom_when_the_order_was_heard(client: Client, store: Store) -> None:
    store.registry.declare(plant())
    set_control(store, circuit=msgspec.json.encode(Circuit(State.OPEN, forced="ann")).decode())
    (found,) = client.tree()
    assert found.forced_by == "ann"


def test_members_that_come_and_go_are_children_like_others(client: Client, store: Store) -> None:
    grown = Supervisor("plant", [Lamp("fixed")], dynamic=lambda _wanted: None, desired={"lamps": 2})
    store.registry.declare(grown)
    assert [child.path for child in client.tree()[0].children] == ["plant/fixed"]
    for name, leaving in (("lamp-b", 7), ("lamp-a", 0)):
        member = {"source": "s", "leaving": leaving, "declared": declared_child(Lamp(name, desired={"watts": 9}))}
        ask(store).hset(store.keys.of("plant", "members"), name, msgspec.json.encode(member))
    (found,) = client.tree()
    assert [(child.path, child.leaving) for child in found.children] == [
        ("plant/fixed", False),
        ("plant/lamp-a", False),
        ("plant/lamp-b", True),
    ]
    described = client.describe("plant/lamp-a")
    assert isinstance(described, ChildDescription)
    assert described.desired == {"watts": 9}
    assert client.pause("plant/lamp-b", for_s=60, by="ann", reason="r") > 0
    lamp = client.get("plant/lamp-b")
    assert isinstance(lamp, ChildView)
    assert lamp.paused_until > 0


def test_a_tree_says_who_is_above_and_how_all_children_are_as_one(client: Client, store: Store) -> None:
    hall = Supervisor("hall", [Lamp("lamp-0"), Lamp("lamp-1")], stale_after=600)
    site = Supervisor("site", [hall], stale_after=600)
    for each in site.tree():
        store.registry.declare(each)
    assert [(found.path, found.parent, found.health) for found in client.tree()] == [
        ("site", "", "stopped"),
        ("site/hall", "site", "stopped"),
    ]
    seen(store, hall, sight("lamp-0"), sight("lamp-1"))
    ticked(store, hall)
    ticked(store, hall)
    below = client.get("site/hall")
    assert isinstance(below, SupervisorView)
    assert below.health == "running"
    ask(store).hset(
        store.keys.of("site/hall", "control"), "circuit", msgspec.json.encode(Circuit(State.ESCALATED)).decode()
    )
    below = client.get("site/hall")
    assert isinstance(below, SupervisorView)
    assert below.health == "degraded"


def test_what_is_ordered_for_a_whole_tree_holds_for_all_that_is_below(client: Client, store: Store) -> None:
    who = {"by": "ann", "reason": "r"}
    for each in Supervisor("site", [Supervisor("hall", [Supervisor("wing", [Lamp("lamp")])])]).tree():
        store.registry.declare(each)

    def wing() -> SupervisorView:
        found = client.get("site/hall/wing")
        assert isinstance(found, SupervisorView)
        return found

    assert (wing().paused_until, wing().enabled, wing().silenced_until) == (0, True, 0)
    short = client.pause("site/hall/wing", for_s=60, **who)
    long = client.pause("site", for_s=600, **who)
    silenced = client.silence("site/hall", for_s=60, **who)
    client.disable("site", **who)
    assert (wing().paused_until, wing().enabled, wing().silenced_until) == (long, False, silenced)
    assert (wing().children[0].paused_until, wing().children[0].enabled) == (long, False)
    client.pause("site", for_s=30, **who)
    assert wing().paused_until == short
    client.resume("site", **who)
    client.enable("site", **who)
    client.end_silence("site/hall", **who)
    assert (wing().paused_until, wing().enabled, wing().silenced_until) == (short, True, 0)
