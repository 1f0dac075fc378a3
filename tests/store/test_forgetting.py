"""What nobody declares any more is forgotten in the end: late, whole, and never what somebody still has."""

import pytest
from lamps import Post, ask, plant, reserved, started, ticked, wish

from supervision.runtime import Runtime
from supervision.store.actions import Actions
from supervision.store.registry import FORGET_MS
from supervision.store.store import Store
from supervision.store.sweeps import Sweeps
from supervision.supervisor import Supervisor

LONG_AGO = "1"


def born(store: Store, supervisor: Supervisor) -> Runtime:
    """A supervisor whose children have records, observations and a desired document."""
    runtime = Runtime(store, Post(), {supervisor.path: supervisor})
    runtime.declare()
    runtime.collect(supervisor.path)
    ticked(store, supervisor)
    return runtime


def keys_of(store: Store, path: str) -> list[bytes]:
    return sorted(ask(store).keys(store.keys.of(path, "*")))


def test_a_supervisor_that_nobody_declares_is_forgotten_with_all_that_is_about_it(store: Store) -> None:
    born(store, plant(name="old"))
    runtime = born(store, plant())
    ask(store).hset(store.keys.declared, "old", LONG_AGO)
    ask(store).hset(store.keys.incidents, mapping={"old": "1", "old/lamp-0": "1", "older": "1"})
    assert runtime.sweep_forgotten() == 1
    assert keys_of(store, "old") == []
    assert keys_of(store, "plant") != []
    assert set(store.registry.all()) == {"plant"}
    assert ask(store).hkeys(store.keys.incidents) == [b"older"], "a name that only begins alike is another one"
    labels = {field.decode() for field in ask(store).hkeys(store.keys.counters)}
    assert not any("|supervisor=old|" in f"{label}|" for label in labels)
    assert any("|supervisor=plant|" in f"{label}|" for label in labels)


def test_one_that_is_declared_again_in_time_is_kept(store: Store) -> None:
    old = born(store, plant(name="old"))
    runtime = born(store, plant())
    ask(store).hset(store.keys.declared, "old", LONG_AGO)
    old.sweep_forgotten()
    assert runtime.sweep_forgotten() == 0
    assert keys_of(store, "old") != []


def test_an_action_that_is_under_way_ends_before_its_supervisor_is_forgotten(store: Store) -> None:
    born(store, plant())
    reserved(store)
    run = started(store)
    ask(store).hset(store.keys.declared, "plant", LONG_AGO)
    assert store.registry.forget() == []
    store.actions.finish(run, outcome="succeeded")
    assert store.registry.forget() == ["plant"]


@pytest.mark.parametrize("lamps", [1, 3])
def test_a_child_that_left_the_code_is_removed_after_a_week_and_not_before(store: Store, lamps: int) -> None:
    born(store, plant(lamps + 1))
    runtime = born(store, plant(lamps))
    left = f"lamp-{lamps}"
    assert runtime.sweep_forgotten() == 0, "it is noted"
    assert runtime.sweep_forgotten() == 0, "and kept"
    orphans = store.keys.of("plant", "orphans")
    assert ask(store).hkeys(orphans) == [left.encode()]
    ask(store).hset(orphans, left, LONG_AGO)
    assert runtime.sweep_forgotten() == 1
    for what in ("records", "observed", "seen", "orphans"):
        assert left.encode() not in ask(store).hkeys(store.keys.of("plant", what))
    assert len(ask(store).hkeys(store.keys.of("plant", "records"))) == lamps


def test_a_deploy_in_which_both_versions_are_at_work_removes_nothing(store: Store) -> None:
    before, after = born(store, plant(2)), born(store, plant(1))
    after.sweep_forgotten()
    before.sweep_forgotten()
    assert ask(store).hkeys(store.keys.of("plant", "orphans")) == []
    assert after.store.registry.prune(plant(1), keep_ms=0) == [], "it is missed from now on"


def test_what_is_forgotten_is_listed_before(store: Store) -> None:
    born(store, plant())
    ask(store).hset(store.keys.declared, "plant", LONG_AGO)
    sweeps = Sweeps(store.scripts, store.keys, Actions(store.scripts, store.keys))
    assert [each.id for each in sweeps.look("forgotten").items] == ["plant"]
    assert FORGET_MS == 7 * 24 * 3600 * 1000


def test_who_is_back_in_the_code_can_be_restarted_by_people_at_once(store: Store) -> None:
    both = plant(2)
    born(store, both)
    store.registry.prune(plant(1))
    ask(store).hset(store.keys.of("plant", "orphans"), "lamp-1", LONG_AGO)
    assert store.registry.prune(plant(1)) == ["lamp-1"]
    gone = store.actions.reserve("plant", "ann", wish("lamp-1", "a"))
    ticked(store, both)
    assert (gone, store.actions.reserve("plant", "ann", wish("lamp-1", "a"))[0]) == (("gone", ()), "reserved")
