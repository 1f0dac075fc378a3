"""What is seen: newer wins, the same again costs nothing, and only changes wake a tick."""

from collections.abc import Callable

from lamps import (
    ask,
    claimed,
    control,
    counter,
    everything,
    expire_lease,
    forget_slot,
    now,
    past,
    plant,
    seen,
    set_control,
    settled,
    sight,
)

from supervision.model import Observation
from supervision.store.observations import LOOKS_PER_SLICE, Look, Sight
from supervision.store.store import Store
from supervision.supervisor import Supervisor
from supervision.view import Claim

HOUR_MS = 3_600_000


def look(store: Store, supervisor: Supervisor | None = None, *, periodic: bool = False) -> Look:
    found = store.observations.look(supervisor or plant(), periodic=periodic)
    assert found is not None
    return found


def stored(store: Store, child: str = "lamp-0") -> Observation:
    found = store.ticks.load(plant(), Claim(1, now(store), 0)).children[child].observation
    assert found is not None
    return found


def errors(store: Store) -> dict[str, str]:
    found = ask(store).hgetall(store.keys.of("plant", "errors"))
    return {k.decode(): v.decode().partition(":")[2] for k, v in found.items()}


# Looking


def test_one_interval_is_looked_at_once(store: Store, connect: Callable[[], Store]) -> None:
    supervisor = plant(interval=86_400, stale_after=90_000)
    look(store, supervisor, periodic=True)
    assert connect().observations.look(supervisor, periodic=True) is None
    look(store, supervisor, periodic=False)


def test_sequences_grow_and_are_not_below_the_clock(store: Store) -> None:
    before = now(store)
    sequences = [look(store).sequence for _ in range(5)]
    assert sequences == sorted(set(sequences))
    assert sequences[0] >= before


def test_sequences_grow_when_the_clock_was_set_back(store: Store) -> None:
    ahead = now(store) + HOUR_MS
    set_control(store, look_sequence=ahead, look_slot=ahead // 1000)
    assert [look(store, periodic=True).sequence, look(store).sequence] == [ahead + 1, ahead + 2]


# Storing


def test_what_was_seen_is_stored_as_of_the_moment_the_look_began(store: Store) -> None:
    begun = look(store)
    seen(store, plant(), sight("lamp-0", heat=3), look=begun)
    found = stored(store)
    assert (found.document.heat, found.at, found.seq) == (3, begun.at, begun.sequence)


def test_the_same_again_moves_only_the_mark(store: Store) -> None:
    supervisor = plant()
    seen(store, supervisor, sight("lamp-0"))
    settled(store, supervisor, claimed(store, supervisor))
    before, again = everything(store), look(store)
    assert seen(store, supervisor, sight("lamp-0"), look=again) == ()
    after = everything(store)
    assert stored(store).seq == again.sequence
    own = {store.keys.of("plant", "seen"), store.keys.of("plant", "control")}
    assert {k for k in {*before, *after} if before.get(k) != after.get(k)} <= own
    assert control(store)[b"dirty"] == control(store)[b"clean"]


def test_an_older_look_never_overwrites_a_newer_one(store: Store) -> None:
    older, newer = look(store), look(store)
    seen(store, plant(), sight("lamp-0", heat=2), look=newer)
    before = everything(store)
    before.pop(store.keys.counters)
    for late in (sight("lamp-0", heat=1), Sight("lamp-0", error="late")):
        assert seen(store, plant(), late, look=older) == ()
    after = everything(store)
    after.pop(store.keys.counters)
    assert after == before
    assert counter(store, "supervisor_observations_refused_total") == 2


def test_an_older_good_look_does_not_hide_that_a_newer_one_failed(store: Store) -> None:
    older, newer = look(store), look(store)
    seen(store, plant(), Sight("lamp-0", error="dark"), look=newer)
    seen(store, plant(), sight("lamp-0"), look=older)
    assert errors(store) == {"lamp-0": "dark"}
    assert past(store, "observation") == [("plant/lamp-0", "", "failed")]


def test_a_refused_child_keeps_nobody_elses_sight_from_being_stored(store: Store) -> None:
    older, newer = look(store), look(store)
    seen(store, plant(), sight("lamp-0", heat=2), look=newer)
    seen(store, plant(), sight("lamp-0", heat=1), sight("lamp-1", heat=1), look=older)
    assert (stored(store, "lamp-0").document.heat, stored(store, "lamp-1").document.heat) == (2, 1)


def test_more_than_one_script_can_hold_is_stored_in_slices(store: Store) -> None:
    many = plant(2 * LOOKS_PER_SLICE + 1)
    wakes = seen(store, many, *(sight(name) for name in many.children))
    assert ask(store).hlen(store.keys.of("plant", "observed")) == len(many.children)
    assert len(wakes) == 1


# Failed looks


def test_failed_looks_are_recorded_once_whatever_their_reasons(store: Store) -> None:
    for why in ("dark", "dark", "fog", "fog", ""):
        seen(store, plant(), Sight("lamp-0", error=why) if why else sight("lamp-0"))
    records = [record for record in store.history.since() if record.kind == "observation"]
    assert [(record.after, record.reason) for record in records] == [
        ("failed", "dark"),
        ("good", "observed again"),
    ]
    assert errors(store) == {}


def test_a_reason_with_colons_is_recorded_once_too(store: Store) -> None:
    for _ in range(2):
        seen(store, plant(), Sight("lamp-0", error="OSError: 7: no: such: lamp"))
    assert len(past(store, "observation")) == 1
    assert errors(store) == {"lamp-0": "OSError: 7: no: such: lamp"}


def test_a_failed_look_keeps_what_was_seen_and_its_age(store: Store) -> None:
    seen(store, plant(), sight("lamp-0", heat=5))
    before = stored(store)
    seen(store, plant(), Sight("lamp-0", error="dark"))
    assert stored(store) == before


def test_a_failed_look_wakes_nobody(store: Store) -> None:
    assert seen(store, plant(), Sight("lamp-0", error="dark")) == ()
    assert b"dirty" not in control(store)


# Wake-ups


def test_changes_wake_one_tick_until_it_is_claimed(store: Store) -> None:
    supervisor = plant()
    wakes = [seen(store, supervisor, sight("lamp-0", heat=heat)) for heat in range(3)]
    assert [len(sent) for sent in wakes] == [1, 0, 0]
    claim = claimed(store, supervisor, "dirty")
    assert claim.dirty == 3
    settled(store, supervisor, claim)
    assert len(seen(store, supervisor, sight("lamp-0", heat=9))) == 1


def test_many_changes_of_one_look_are_one_wake(store: Store) -> None:
    assert len(seen(store, plant(9), *(sight(f"lamp-{i}") for i in range(9)))) == 1
    assert control(store)[b"dirty"] == b"1"


def test_a_change_during_a_tick_is_left_to_its_commit(store: Store) -> None:
    supervisor = plant()
    claim = claimed(store, supervisor)
    assert seen(store, supervisor, sight("lamp-0")) == ()
    assert [entry.kind for entry in settled(store, supervisor, claim).entries] == ["tick"]


def test_a_change_after_a_silent_tickers_lease_wakes_another(store: Store) -> None:
    supervisor = plant()
    claimed(store, supervisor)
    expire_lease(store)
    assert len(seen(store, supervisor, sight("lamp-0"))) == 1
    claimed(store, supervisor, "dirty")


def test_wakes_of_different_versions_are_different_messages(store: Store) -> None:
    supervisor, ids = plant(), []
    for heat in range(3):
        ids += [entry.id for entry in seen(store, supervisor, sight("lamp-0", heat=heat))]
        settled(store, supervisor, claimed(store, supervisor, "dirty"))
    assert len(set(ids)) == 3


# Slow looks


def test_a_child_that_is_being_looked_at_is_named_to_the_next_look(store: Store) -> None:
    supervisor = plant()
    first = look(store)
    seen(store, supervisor, sight("lamp-0"), look=first, under_way=("lamp-1",))
    assert look(store).not_now == {"lamp-1"}
    seen(store, supervisor, sight("lamp-1"), look=first)
    assert look(store).not_now == set()


def test_nothing_seen_yet_can_be_said_too(store: Store) -> None:
    seen(store, plant(), under_way=("lamp-0", "lamp-1"))
    assert look(store).not_now == {"lamp-0", "lamp-1"}


def test_a_look_whose_process_died_is_under_way_only_until_its_time_is_over(store: Store) -> None:
    seen(store, plant(), under_way=("lamp-0",))
    ask(store).hset(store.keys.of("plant", "slow"), "lamp-0", now(store) - 1)
    assert look(store).not_now == set()


def test_a_look_from_before_the_clock_was_set_back_is_not_under_way(store: Store) -> None:
    seen(store, plant(), under_way=("lamp-0",))
    ask(store).hset(store.keys.of("plant", "slow"), "lamp-0", now(store) + HOUR_MS)
    assert look(store).not_now == set()


def test_supervisors_do_not_see_each_other(store: Store) -> None:
    seen(store, plant(name="plant"), sight("lamp-0"))
    other = plant(name="plant/annex")
    assert store.ticks.claim(other, "dirty") == "duplicate"
    forget_slot(store, other)
    assert store.ticks.load(other, claimed(store, other)).children["lamp-0"].observation is None
