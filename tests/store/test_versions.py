"""Two versions of the code on one store: what one cannot read it leaves alone, and goes on with the rest."""

from collections.abc import Iterator

import pytest
from lamps import Lamp, Post, ask, forget_slot, plant, ticked

from supervision.client import Client
from supervision.orders import Mode
from supervision.runtime import Runtime
from supervision.server import EmbeddedStore
from supervision.store.meters import Meters
from supervision.store.overview import Overview
from supervision.store.store import Store
from supervision.supervisor import Supervisor
from supervision.view import Claim

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
    return {name.decode(): text.decode(errors="replace") for name, text in found.items()}


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
    left = {name: int(ask(store).hget(control, name)) for name in ("lease_until", "dirty", "clean")}
    assert left["lease_until"] == 0, "whoever can read it ticks at once"
    assert left["dirty"] > left["clean"], "and finds something to do"


# --- what is stored about one child, or ordered, and cannot be read


def stored(store: Store, what: str) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = ask(store).hgetall(store.keys.of("plant", what))
    return found


def broken_events(store: Store) -> list[str]:
    return [each.reason for each in store.history.since() if each.kind == "check_broken"]


@pytest.mark.parametrize("what", ["records", "desired", "seen", "flight", "last"])
@pytest.mark.parametrize("junk", [b"junk", b"\xff\xfe", b'{"revision":"x"}'])
def test_whatever_cannot_be_read_about_a_child_stops_that_child_alone(
    runtime: Runtime, store: Store, what: str, junk: bytes
) -> None:
    if what == "flight" and junk != b"\xff\xfe":
        junk = b"\xff"  # any text is the name of an action
    ask(store).hset(store.keys.of("plant", what), "lamp-0", junk)
    for _ in range(3):
        assert tick(runtime) in {"done", "again"}
    assert stored(store, what)[b"lamp-0"] == junk
    assert '"state":"lit"' in records(store)["lamp-1"]
    (told,) = broken_events(store)
    assert "1 children were written by other code and are left alone (lamp-0)" in told


@pytest.mark.parametrize("field", ["pause:lamp-0", "pause:", "silence", "force-open", "mode"])
def test_orders_that_cannot_be_read_make_the_mode_off_and_are_told_once(
    runtime: Runtime, store: Store, field: str
) -> None:
    ask(store).hset(store.keys.of("plant", "orders"), field, b"\xff junk")
    before = records(store)
    for _ in range(3):
        assert tick(runtime) in {"done", "again"}
    assert records(store) == before, "nothing is decided"
    (told,) = broken_events(store)
    assert ("order one of them" if field == "mode" else f"the order {field!r} cannot be read") in told
    ask(store).hdel(store.keys.of("plant", "orders"), field)
    tick(runtime)
    assert '"state":"lit"' in records(store)["lamp-0"]


def test_what_cannot_be_read_above_is_off_below_too(store: Store) -> None:
    below = plant(name="line")
    top = Supervisor("site", [below])
    found = Runtime(store, Post(), {each.path: each for each in top.tree()})
    ask(store).hset(store.keys.of("site", "orders"), "pause:", "junk")
    assert store.ticks.load(below, Claim(1, 1, 0)).orders.mode is Mode.OFF
    assert found.tick("site/line") in {"done", "again"}


def test_a_supervisors_own_document_that_cannot_be_read_changes_no_members(store: Store) -> None:
    supervisor = Supervisor("plant", [Lamp("fixed")], dynamic=lambda _: [Lamp("guest")], stale_after=600)
    found = Runtime(store, Post(), {"plant": supervisor})
    for _ in range(3):
        found.collect("plant")
        tick(found)
    ask(store).hset(store.keys.of("plant", "desired"), "", b"\xff")
    for _ in range(2):
        assert tick(found) in {"done", "again"}
    assert set(records(store)) == {"fixed", "guest"}
    assert "the desired document of plant: it cannot be read" in broken_events(store)[0]


@pytest.mark.parametrize("name", ["guest", b"\xff"])
def test_a_member_that_cannot_be_read_is_left_alone(store: Store, name: str | bytes) -> None:
    supervisor = Supervisor("plant", [Lamp("fixed")], dynamic=lambda _: [Lamp("guest")], stale_after=600)
    found = Runtime(store, Post(), {"plant": supervisor})
    ask(store).hset(store.keys.of("plant", "members"), name, b"junk")
    for _ in range(3):
        found.collect("plant")
        assert tick(found) in {"done", "again"}
    assert stored(store, "members")[name.encode() if isinstance(name, str) else name] == b"junk"
    assert '"state":"lit"' in records(store)["fixed"]
    assert ("guest" in records(store)) == (name != "guest")


# --- those who look


DREAM = b'{"name":"plant","interval_ms":1,"stale_after_ms":1,"max_attempts":1,"checks":[],"children":{},"mode":"dream"}'
JUNK = {
    "circuit": ("s:plant:control", "circuit", b'{"state":"melted"}'),
    "epoch": ("s:plant:control", "epoch", b"junk"),
    "last": ("s:plant:last", "lamp-0", b"junk"),
    "seen": ("s:plant:seen", "lamp-0", b"junk"),
    "record": ("s:plant:records", "lamp-0", b"\xff"),
    "error": ("s:plant:errors", "lamp-0", b"\xff"),
    "flight": ("s:plant:flight", "lamp-0", b"\xff"),
    "member": ("s:plant:members", "guest", b"junk"),
    "orders": ("s:plant:orders", "pause:", b"junk"),
    "desired": ("s:plant:desired", "lamp-0", b"junk"),
    "observed": ("s:plant:observed", "lamp-0", b"junk"),
    "declaration": ("supervisors", "plant", b"junk"),
    "its mode": ("supervisors", "plant", DREAM),
}


@pytest.fixture
def client(server: EmbeddedStore, namespace: str) -> Iterator[Client]:
    with Client(server.url, namespace=namespace) as found:
        yield found


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
def test_what_cannot_be_read_about_one_supervisor_hides_no_other_one(
    store: Store, server: EmbeddedStore, client: Client, junk: tuple[str, str, bytes]
) -> None:
    dynamic = Supervisor("plant", [Lamp("lamp-0"), Lamp("lamp-1")], dynamic=lambda _: None)
    both = Runtime(store, Post(), {"plant": dynamic, "site": plant(name="site")})
    both.declare()
    for path in both.supervisors:
        both.collect(path)
        both.tick(path)
    key, field, value = junk
    ask(store).hset(f"{{{store.keys.namespace}}}:{key}", field, value)
    odd, fine = client.tree()
    assert (odd.path, fine.path, fine.circuit, len(fine.children)) == ("plant", "site", "closed", 2)
    assert fine.unreadable == ""
    if field in {"circuit", "pause:", "plant"}:
        assert odd.unreadable
        assert odd.health == "degraded"
    client.describe("plant")
    if field == "lamp-0":
        client.describe("plant/lamp-0")
    assert [each.path for each in client.facts().supervisors] == ["plant", "site"]
    meters = Meters(server.url, store.keys, with_queues=False)
    assert [each.declared.name for each in meters.read().supervisors] == ["plant", "site"]
    meters.close()


def test_a_key_of_another_type_is_told_and_hides_nothing(store: Store, server: EmbeddedStore, client: Client) -> None:
    runtime = Runtime(store, Post(), {"plant": plant()})
    runtime.declare()
    ask(store).set(store.keys.of("plant", "last"), "no hash")
    (odd,) = client.tree()
    assert "WRONGTYPE" in odd.unreadable
    ask(store).delete(store.keys.of("plant", "records"))
    ask(store).set(store.keys.of("plant", "records"), "no hash")
    meters = Meters(server.url, store.keys, with_queues=False)
    assert [each.phases for each in meters.read().supervisors] == [{}]
    meters.close()
