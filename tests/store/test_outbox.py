"""The outbox: what was decided and could not be sent is sent later."""

from lamps import Post, ask, everything, forget_slot, now, plant, reserved, seen, sight

from supervision.runtime import Runtime
from supervision.store.outbox import MOST_PER_SCRIPT, MOST_PER_SWEEP, UNPUBLISHED_MS, Entry
from supervision.store.store import Store


def ids(store: Store) -> list[str]:
    return [entry.id for entry in store.outbox.unpublished(-1_000)]


def make_old(store: Store) -> None:
    """As if the entries had been written a while ago."""
    found = ask(store).zrange(store.keys.outbox, 0, -1)
    ask(store).zadd(store.keys.outbox, dict.fromkeys(found, 1))


def test_an_entry_waits_until_it_is_published(store: Store) -> None:
    entry = reserved(store)
    assert store.outbox.unpublished(-1_000) == (entry,)
    store.outbox.published([entry])
    assert ids(store) == []
    assert ask(store).exists(store.keys.outbox, store.keys.entries) == 0


def test_publishing_twice_or_nothing_changes_nothing(store: Store) -> None:
    entry, other = reserved(store), reserved(store, "b", "lamp-1")
    for sent in ([entry], [entry], []):
        store.outbox.published(sent)
        assert ids(store) == [other.id]


def test_only_what_waits_too_long_is_unpublished(store: Store) -> None:
    reserved(store)
    assert store.outbox.unpublished(60_000) == ()
    make_old(store)
    assert len(store.outbox.unpublished(60_000)) == 1


def test_a_sweep_takes_the_oldest_first_and_not_all(store: Store) -> None:
    for i in range(3):
        reserved(store, f"a{i}", f"lamp-{i}")
    ask(store).zadd(store.keys.outbox, {"act:a2:1": 1})
    assert ids(store)[0] == "act:a2:1"
    ask(store).zadd(store.keys.outbox, {f"act:x{i}:1": 2 + i for i in range(MOST_PER_SWEEP)})
    ask(store).hset(
        store.keys.entries, mapping={f"act:x{i}:1": f'["act:x{i}:1","act","x{i}",0]' for i in range(MOST_PER_SWEEP)}
    )
    assert len(ids(store)) == MOST_PER_SWEEP


def test_a_great_many_entries_are_forgotten(store: Store) -> None:
    many = [Entry(f"act:{i}:1", "act", str(i)) for i in range(8 * MOST_PER_SCRIPT + 1)]
    ask(store).zadd(store.keys.outbox, {entry.id: 1 for entry in many})
    ask(store).hset(store.keys.entries, mapping={entry.id: "[]" for entry in many})
    store.outbox.published(many)
    assert ask(store).exists(store.keys.outbox, store.keys.entries) == 0


def test_what_the_broker_refused_is_sent_when_it_is_back(runtime: Runtime, store: Store, post: Post) -> None:
    post.broken = True
    seen(store, plant(), sight("lamp-0", on=False))
    runtime.tick("plant")
    forget_slot(store, plant())
    assert runtime.tick("plant") == "done"
    kinds = sorted(entry.kind for entry in store.outbox.unpublished(-1_000))
    assert kinds == ["act", "tick"]
    make_old(store)
    before = everything(store)
    assert runtime.sweep_outbox() == 0
    assert everything(store) == before
    post.broken = False
    assert runtime.sweep_outbox() == 2
    assert sorted(entry.kind for entry in post.taken) == kinds
    assert runtime.sweep_outbox() == 0


def test_a_sweep_leaves_alone_what_is_being_published(runtime: Runtime, store: Store, post: Post) -> None:
    reserved(store)
    assert UNPUBLISHED_MS > 0
    ask(store).zadd(store.keys.outbox, {"act:a:1": now(store) + 900})
    assert runtime.sweep_outbox() == 0
    assert post.taken == []


def test_what_was_written_before_the_clock_was_set_back_is_sent(runtime: Runtime, store: Store, post: Post) -> None:
    reserved(store)
    ask(store).zadd(store.keys.outbox, {"act:a:1": now(store) + 3_600_000})
    assert runtime.sweep_outbox() == 1
    assert [entry.subject for entry in post.taken] == ["a"]
