"""The registry: what the processes with the code have declared, for those without it."""

import pytest
from lamps import equally_warm, everything, plant

from supervision.errors import InvalidDeclaration
from supervision.runtime import Runtime
from supervision.store.keys import Keys
from supervision.store.store import Store


def test_a_declaration_comes_back_as_it_was_told(store: Store) -> None:
    store.registry.declare(plant(checks=[equally_warm], interval=2, max_attempts=7, stale_after=30))
    found = store.registry.all()["plant"]
    assert (found.name, found.interval_ms, found.stale_after_ms, found.max_attempts) == ("plant", 2_000, 30_000, 7)
    assert found.checks == ("equally_warm",)
    assert list(found.children) == ["lamp-0", "lamp-1"]
    lamp = found.children["lamp-0"]
    assert (lamp.kind, lamp.states) == ("lamp", {"off": "stopped", "lit": "running"})
    assert set(lamp.actions) == {"noop", "restart_child", "reconfigure", "switch_on", "restart"}
    assert (lamp.actions["switch_on"].timeout_ms, lamp.actions["switch_on"].retries) == (5_000, 2)


def test_the_last_one_to_declare_wins(store: Store) -> None:
    store.registry.declare(plant(3))
    store.registry.declare(plant(1))
    assert list(store.registry.all()["plant"].children) == ["lamp-0"]


def test_declaring_again_changes_nothing(runtime: Runtime, store: Store) -> None:
    runtime.declare()
    before = everything(store)
    runtime.declare()
    after = everything(store)
    for each in (before, after):
        del each[store.keys.declared]  # when it was declared last
    assert after == before


def test_supervisors_are_listed_in_alphabetical_order(store: Store) -> None:
    assert store.registry.all() == {}
    for name in ("b", "a/b", "c", "a"):
        store.registry.declare(plant(name=name))
    assert list(store.registry.all()) == ["a", "a/b", "b", "c"]


@pytest.mark.parametrize("namespace", ["", "a/b", "a b", "a*", "{a}", "ü", "x" * 300])
def test_a_namespace_that_could_be_a_pattern_is_refused(namespace: str) -> None:
    with pytest.raises(InvalidDeclaration):
        Keys(namespace)


def test_no_two_supervisors_share_a_key() -> None:
    keys = Keys("n")
    names = ["a", "a:flight", "a/flight", "a:flight:flight", "flight"]
    found = [keys.of(name, what) for name in names for what in ("control", "flight", "last")]
    assert len(set(found)) == len(found)
    assert all(key.startswith("{n}:") for key in found)
