"""Wake-ups: at once, then 50 ms apart, none lost; who died or was not heard is made up for; who comes back looks."""

import itertools
from collections.abc import Callable

import msgspec
import pytest
from lamps import (
    Post,
    ask,
    claimed,
    control,
    expire_lease,
    forget_slot,
    now,
    plant,
    seen,
    set_control,
    settled,
    sight,
    ticked,
    written,
)

from supervision.circuit import Circuit, State
from supervision.runtime import Runtime
from supervision.store.outbox import PATIENCE_MS, Entry
from supervision.store.store import Store
from supervision.store.ticks import HUNG_LEASE_MS, LEASE_MS
from supervision.view import Claim

APART_MS = 50
HOUR_MS = 3_600_000

heats = itertools.count(1)


def change(store: Store) -> tuple[Entry, ...]:
    """Something that matters."""
    return seen(store, plant(), sight("lamp-0", heat=next(heats)))


def mark(store: Store, name: str) -> int:
    return int(control(store).get(name.encode(), b"0"))


def moved(store: Store, milliseconds: int, *fields: str) -> None:
    """As if what is noted in ``fields`` (by default all that waits are measured from) had been so much earlier."""
    for field in fields or ("claimed", "woken", "lease_until"):
        if mark(store, field):
            set_control(store, **{field: mark(store, field) - milliseconds})


def at(store: Store, entry: Entry) -> int:
    """The moment for which a wake-up was sent."""
    return int(ask(store).zscore(store.keys.outbox, entry.id)) + entry.delay_ms


# Wake-ups are 50 ms apart


def test_the_first_change_wakes_at_once(store: Store) -> None:
    (first,) = change(store)
    assert (first.kind, first.subject, first.delay_ms) == ("tick", "plant", 0)
    assert mark(store, "woken") == at(store, first)


def test_a_change_soon_after_a_wake_is_told_what_is_left_of_fifty_milliseconds(store: Store) -> None:
    ticked(store, plant())
    woken = now(store)
    set_control(store, woken=woken)
    (late,) = change(store)
    assert at(store, late) >= woken + APART_MS
    assert 0 <= late.delay_ms <= APART_MS
    assert change(store) == (), "joins the one that is to come"
    assert mark(store, "woken") == at(store, late)


def test_a_wake_that_came_late_is_what_the_next_one_is_timed_by(store: Store) -> None:
    change(store)
    moved(store, HOUR_MS)
    claim = claimed(store, plant(), "dirty")
    settled(store, plant(), claim)
    (following,) = change(store)
    assert at(store, following) >= claim.now + APART_MS


def test_a_thousand_changes_as_fast_as_they_come_are_a_few_ticks_and_the_last_one_is_seen(store: Store) -> None:
    """A ticker with nothing but its messages, each taken when its time has come by the store's clock."""
    supervisor, waiting, ticks = plant(), list[tuple[int, Entry]](), list[int]()
    began = now(store)

    def take(*, whatever: bool = False) -> None:
        for due, entry in list(waiting):
            if due <= now(store) or whatever:
                waiting.remove((due, entry))
                claim = store.ticks.claim(supervisor, "dirty")
                if isinstance(claim, Claim):
                    ticks.append(claim.now)
                    settle(claim)

    def settle(claim: Claim) -> None:
        waiting.extend((at(store, entry), entry) for entry in settled(store, supervisor, claim).entries)

    for _ in range(1_000):
        waiting.extend((at(store, entry), entry) for entry in change(store))
        take()
    for _ in range(3):
        take(whatever=True)
    lasted = now(store) - began
    assert len(ticks) <= 2 + lasted / APART_MS + 1, f"{len(ticks)} ticks in {lasted} ms"
    assert waiting == []
    assert mark(store, "dirty") == mark(store, "clean")
    assert mark(store, "dirty") >= 1_000


def test_a_periodic_tick_leaves_a_wake_that_is_still_to_come_on_its_way(store: Store) -> None:
    ticked(store, plant())
    set_control(store, woken=now(store), waking=0)
    assert len(change(store)) == 1
    set_control(store, woken=now(store) + APART_MS - 1)
    ticked(store, plant())
    assert change(store) == (), "it comes later than this, and sees it"
    assert isinstance(store.ticks.claim(plant(), "dirty"), Claim)


@pytest.mark.parametrize("found", ["busy", "duplicate"])
def test_a_wake_that_found_nothing_to_do_is_heard_all_the_same(store: Store, found: str) -> None:
    change(store)
    tick = claimed(store, plant())
    set_control(store, waking=1)
    if found == "duplicate":
        settled(store, plant(), tick)
        set_control(store, waking=1)
    assert store.ticks.claim(plant(), "dirty") == found
    if found == "busy":
        settled(store, plant(), tick)
    assert len(change(store)) == 1


def test_a_last_wake_in_the_future_was_long_ago(store: Store) -> None:
    ticked(store, plant())
    set_control(store, woken=now(store) + HOUR_MS, waking=0)
    (entry,) = change(store)
    assert entry.delay_ms == 0
    assert mark(store, "woken") <= now(store)


# Somebody is missing


def rewoken(store: Store, *names: str) -> list[str]:
    return [entry.subject for entry in store.outbox.rewake(names or ("plant",), LEASE_MS)]


def test_a_periodic_tick_that_died_is_missed_when_its_lease_is_over(store: Store) -> None:
    supervisor = plant(interval=60, stale_after=90)
    claimed(store, supervisor)
    assert rewoken(store) == []
    moved(store, LEASE_MS)
    assert rewoken(store) == ["plant"]
    assert isinstance(store.ticks.claim(supervisor, "dirty"), Claim)


def test_whoever_is_likely_to_be_missing_is_made_up_for_the_moment_the_lease_ends(store: Store) -> None:
    """A sweep a second, a lease of 1.5 s: waiting for the next sweep would take longer than the promised 2 s."""
    claimed(store, plant())
    moved(store, PATIENCE_MS // 2)
    ends = mark(store, "lease_until")
    (entry,) = store.outbox.rewake(["plant"], LEASE_MS)
    assert at(store, entry) == ends
    assert LEASE_MS - PATIENCE_MS // 2 >= 1_000, "one of the sweeps, a second apart, comes in between"
    assert rewoken(store) == [], "it is on its way"


def test_a_tick_that_was_only_slow_is_not_repeated(store: Store) -> None:
    slow = claimed(store, plant())
    moved(store, PATIENCE_MS // 2)
    assert rewoken(store) == ["plant"]
    assert settled(store, plant(), slow).outcome == "done"
    assert store.ticks.claim(plant(), "dirty") == "duplicate"


def test_a_wake_that_got_lost_is_sent_again(store: Store) -> None:
    change(store)
    assert rewoken(store) == []
    moved(store, PATIENCE_MS)
    assert rewoken(store) == ["plant"]
    claimed(store, plant(), "dirty")


def test_a_change_after_a_lost_wake_that_had_become_superfluous_waits_for_one_sweep(store: Store) -> None:
    """A tick has settled, in those 50 ms, what it was for; only the mark that it is on its way is left of it."""
    supervisor = plant(interval=60, stale_after=90)
    ticked(store, supervisor)
    set_control(store, woken=now(store), waking=0)
    assert len(change(store)) == 1
    assert ticked(store, supervisor).outcome == "done"
    set_control(store, waking=1)  # as that tick leaves it within those 50 ms
    assert rewoken(store) == []
    moved(store, PATIENCE_MS)
    assert rewoken(store) == [], "nothing is to be settled"
    assert change(store) == (), "taken for the reason of the one that was lost"
    assert rewoken(store) == ["plant"]
    settled(store, supervisor, claimed(store, supervisor, "dirty"))
    set_control(store, woken=now(store) - APART_MS)
    assert [each.delay_ms for each in change(store)] == [0], "and the mark is gone"


def test_a_change_that_came_while_a_tick_died_is_not_lost(store: Store) -> None:
    claimed(store, plant())
    assert change(store) == ()
    moved(store, LEASE_MS)
    assert rewoken(store) == ["plant"]
    assert claimed(store, plant(), "dirty").dirty == 2


def test_whoever_has_settled_everything_is_left_alone(store: Store) -> None:
    ticked(store, plant())
    change(store)
    ticked(store, plant(), "dirty")
    moved(store, HOUR_MS)
    assert rewoken(store) == []


def test_while_nobody_ticks_one_entry_waits_and_more_messages_come_less_and_less_often(store: Store) -> None:
    """Ten minutes of sweeps once a second over one change, whose message, and those after it, nobody takes."""
    change(store)
    sent = list[int]()
    for second in range(600):
        moved(store, 1_000)
        if rewoken(store):
            sent.append(second)
        assert ask(store).zcard(store.keys.outbox) == ask(store).hlen(store.keys.entries) == 1
    assert 8 <= len(sent) <= 17, "after 1, 2, 4 … 64 s, then every 64 s"
    gaps = [after - before for before, after in itertools.pairwise(sent)]
    waits = [min(2**n, 64) for n in range(1, len(gaps) + 1)]
    # Each as long as it should be, but for the one sweep that real milliseconds between two of them may shift it by.
    assert all(abs(gap - wait) <= 1 for gap, wait in zip(gaps, waits, strict=True)), (gaps, sent)
    assert 63 <= max(gaps) <= 66


def test_whoever_was_settled_since_is_missed_at_once_again(store: Store) -> None:
    for _ in range(2):
        change(store)
        for _ in range(40):
            moved(store, 1_000)
            rewoken(store)
        ticked(store, plant(), "dirty")
    moved(store, APART_MS)
    change(store)
    moved(store, PATIENCE_MS)
    assert rewoken(store) == ["plant"]


def test_a_tick_that_dies_again_and_again_is_tried_less_and_less_often(store: Store) -> None:
    tries = 0
    claimed(store, plant())
    for _ in range(120):
        moved(store, 1_000)
        if rewoken(store):
            expire_lease(store)
            claimed(store, plant(), "dirty")
            tries += 1
    assert 4 <= tries <= 8


def test_marks_of_a_clock_that_was_set_back_make_nobody_wait(store: Store) -> None:
    claimed(store, plant())
    moved(store, -HOUR_MS)
    assert rewoken(store) == ["plant"]


def test_every_supervisor_is_looked_after_whatever_their_number(store: Store, post: Post) -> None:
    names = [f"plant-{i}" for i in range(1_200)]
    for name in names[::400]:
        ask(store).hset(store.keys.of(name, "control"), mapping={"dirty": 3, "clean": 2, "claimed": 1})
    runtime = Runtime(store, post, {name: plant(name=name) for name in names})
    assert runtime.sweep_wakes() == 3
    assert [entry.subject for entry in post.taken] == names[::400]
    assert runtime.sweep_wakes() == 0
    assert ask(store).zcard(store.keys.outbox) == 0


# Who comes back


def test_a_very_first_claim_was_interrupted_by_nothing(store: Store) -> None:
    assert claimed(store, plant()).resumed == 0
    expire_lease(store)
    forget_slot(store, plant())
    assert claimed(store, plant()).resumed == 0


@pytest.mark.parametrize(("interval", "away"), [(1.0, 5_001), (60.0, 180_001)])
def test_a_supervisor_that_nobody_ticked_for_long_resumes(store: Store, interval: float, away: int) -> None:
    supervisor = plant(interval=interval, stale_after=120)
    ticked(store, supervisor)
    moved(store, away - 1_000, "claimed")
    assert claimed_anew(store).resumed == 0
    moved(store, away, "claimed")
    claim = claimed_anew(store, interval)
    assert claim.resumed == claim.now
    assert claimed_anew(store, interval).resumed == claim.resumed, "the ticks after it know as well"


def test_late_ticks_go_on_with_what_looks_saw_meanwhile(store: Store) -> None:
    """A ticker that is overloaded comes late each time; taken for a pause each time, nothing would ever be healed."""
    supervisor = plant()
    ticked(store, supervisor)
    for _ in range(3):
        seen(store, supervisor, sight("lamp-0"))
        moved(store, HOUR_MS, "claimed")
        moved(store, 4_000, "looked")
        assert claimed_anew(store, 1.0).resumed == 0


def test_a_pause_is_over_when_the_first_look_comes(store: Store) -> None:
    supervisor = plant()
    ticked(store, supervisor)
    seen(store, supervisor, sight("lamp-0"))
    moved(store, 5_001, "claimed", "looked")
    look = store.observations.look(supervisor, periodic=False)
    assert look is not None
    claim = claimed_anew(store, 1.0)
    assert claim.resumed == look.at, "what this look sees counts, what was seen before it does not"
    moved(store, HOUR_MS, "claimed", "looked")
    anew = claimed_anew(store, 1.0)
    assert anew.resumed == anew.now


def claimed_anew(store: Store, interval: float = 60.0) -> Claim:
    expire_lease(store)
    forget_slot(store, plant())
    return claimed(store, plant(interval=interval, stale_after=120))


def test_a_supervisor_whose_server_is_another_one_resumes_once(store: Store, claim_at: Callable[[str], Claim]) -> None:
    assert claim_at("one").resumed == 0
    assert claim_at("one").resumed == 0
    moved = claim_at("two")
    assert moved.resumed == moved.now
    assert claim_at("two").resumed == moved.resumed
    assert claim_at("").resumed == moved.resumed, "whoever does not know its server changes nothing"
    assert control(store)[b"server"] == b"two"


@pytest.fixture
def claim_at(store: Store) -> Callable[[str], Claim]:
    """Claims as the script is called by a process that is connected to a server of that name."""

    def claim(server: str) -> Claim:
        expire_lease(store)
        forget_slot(store, plant())
        keys = [store.keys.of("plant", "control"), store.keys.counters]
        outcome, *numbers = store.scripts.run("claim", keys, ["plant", "slot", 1_000, LEASE_MS, server, HUNG_LEASE_MS])
        assert outcome == b"claimed"
        return Claim(*map(int, numbers))

    return claim


def test_a_resumption_in_the_future_is_none(store: Store) -> None:
    ticked(store, plant())
    set_control(store, resumed=now(store) + HOUR_MS)
    assert claimed_anew(store).resumed == 0


def test_a_clock_that_was_set_back_is_an_interruption(store: Store) -> None:
    ticked(store, plant())
    set_control(store, resumed=now(store) + HOUR_MS, claimed=now(store) + HOUR_MS)
    claim = claimed_anew(store)
    assert claim.resumed == claim.now
    assert claimed_anew(store).resumed == claim.resumed


@pytest.mark.parametrize("away", [HOUR_MS, -HOUR_MS], ids=["ahead", "back"])
def test_what_a_circuit_waits_for_moves_with_the_clock_once(store: Store, away: int) -> None:
    """As the clock that jumped would see it: every moment that was noted lies so far back, or ahead."""
    supervisor, reason = plant(), 'fails: "next_attempt_at":5'
    waits = Circuit(
        State.OPEN, "i", reason=reason, opened_at=5, closed_at=HOUR_MS * 8, next_attempt_at=HOUR_MS * 9, sent_at=11
    )
    written(store, supervisor, claimed(store, supervisor), circuit=waits)
    moved(store, away, "claimed")
    for _ in range(2):
        claim = claimed_anew(store, 1.0)
        circuit = store.ticks.load(supervisor, claim).circuit
        gap = circuit.next_attempt_at - waits.next_attempt_at
        assert abs(gap - away) < 10_000
        assert circuit.closed_at == waits.closed_at + gap
        expected = msgspec.structs.replace(waits, next_attempt_at=circuit.next_attempt_at, closed_at=circuit.closed_at)
        assert circuit == expected
