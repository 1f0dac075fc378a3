"""Two versions of the code on one store: what one cannot read it leaves alone, and goes on with the rest."""

import pytest
from lamps import Post, ask, forget_slot, plant, ticked

from supervision.runtime import Runtime
from supervision.server import EmbeddedStore
from supervision.store.meters import Meters
from supervision.store.overview import Overview
from supervision.store.store import Store

NEWER = '{"state":"lit","phase":"glowing","reason":"only a newer version knows this phase","since":1}'


@pytest.fixture
def runtime(store: Store) -> Runtime:
    """Two lamps that have been seen and ticked."""
    found = Runtime(store, Post(), {"plant": plant()})
    found.declare()
    found.collect("plant")
    ticked(store, found.supervisors["plant"])
    return found


def tick(runtime: Runtime) -> str:
    forget_slot(runtime.store, runtime.supervisors["plant"])
    return runtime.tick("plant")


def records(store: Store) -> dict[str, str]:
    found = ask(store).hgetall(store.keys.of("plant", "records"))
    return {name.decode(): text.decode() for name, text in found.items()}


def test_a_child_written_by_a_newer_version_is_left_alone_and_its_sibling_is_not(
    runtime: Runtime, store: Store
) -> None:
    ask(store).hset(store.keys.of("plant", "records"), "lamp-0", NEWER)
    for _ in range(3):
        tick(runtime)
    assert records(store)["lamp-0"] == NEWER
    assert '"state":"lit"' in records(store)["lamp-1"]
    told = [each for each in store.history.since() if each.kind == "check_broken"]
    assert len(told) == 1, "once, not at every tick"
    assert "lamp-0" in told[0].reason


def test_it_is_decided_about_again_when_it_can_be_read(runtime: Runtime, store: Store) -> None:
    before = records(store)["lamp-0"]
    ask(store).hset(store.keys.of("plant", "records"), "lamp-0", NEWER)
    tick(runtime)
    ask(store).hset(store.keys.of("plant", "records"), "lamp-0", before)
    tick(runtime)
    assert '"state":"lit"' in records(store)["lamp-0"]


def test_those_who_look_see_all_the_others(runtime: Runtime, store: Store, server: EmbeddedStore) -> None:
    tick(runtime)
    ask(store).hset(store.keys.of("plant", "records"), "lamp-0", NEWER)
    seen = Overview(store.scripts, store.keys, store.actions).supervisor(store.registry.all()["plant"])
    odd, lit = seen.children
    assert (odd.state, "another version" in odd.reason, lit.state) == (None, True, "lit")
    meters = Meters(server.url, store.keys, with_queues=False)
    assert meters.read().supervisors[0].phases == {"lamp-1": "running"}
    meters.close()


def test_a_circuit_that_cannot_be_read_is_not_overwritten(runtime: Runtime, store: Store) -> None:
    control, newer = store.keys.of("plant", "control"), '{"state":"melted"}'
    ask(store).hset(control, "circuit", newer)
    before = records(store)
    assert tick(runtime) == "unreadable"
    assert ask(store).hget(control, "circuit") == newer.encode()
    assert records(store) == before
