"""The history: a record of every transition, kept for as long as its incident is open."""

import itertools

import pytest
from lamps import (
    ask,
    claimed,
    equally_warm,
    forget_slot,
    make_due,
    now,
    past,
    plant,
    record_of,
    reserved,
    seen,
    settled,
    sight,
    started,
    ticked,
)

from supervision.actions import TRANSITIONS as ACTION_MOVES
from supervision.circuit import TRANSITIONS as CIRCUIT_MOVES
from supervision.circuit import Circuit, State
from supervision.runtime import Runtime
from supervision.store.store import Store
from supervision.view import Claim


def age(store: Store, milliseconds: int, subject: str = "old") -> None:
    """Write one record that is that old; only possible where none is younger."""
    fields = {"at": now(store) - milliseconds, "epoch": 0, "kind": "state", "subject": subject, "reason": "r"}
    rest = {"before": "", "after": "", "attempt": 0, "actor": "tick"}
    ask(store).xadd(store.keys.events, {**fields, **rest}, id=f"{now(store) - milliseconds}-0")


def circuit_of(store: Store) -> Circuit:
    return store.ticks.load(plant(checks=[equally_warm]), Claim(1, now(store), 0)).circuit


def test_every_change_of_state_is_one_record_with_its_epoch(store: Store) -> None:
    supervisor, epochs = plant(1), []
    for on in (True, True, False, False):
        seen(store, supervisor, sight("lamp-0", on=on))
        forget_slot(store, supervisor)
        claim = claimed(store, supervisor)
        epochs.append(claim.epoch)
        settled(store, supervisor, claim)
    records = [record for record in store.history.since() if record.kind == "state"]
    assert [(record.before, record.after) for record in records] == [("", "off"), ("off", "lit"), ("lit", "off")]
    assert [record.epoch for record in records] == epochs[:3]
    assert {(record.subject, record.actor) for record in records} == {("plant/lamp-0", "tick")}
    assert all(record.reason for record in records)


def test_a_whole_incident_can_be_read_in_the_history(store: Store) -> None:
    """A contradiction, its probe, which fails for good, and the end of the contradiction."""
    supervisor = plant(checks=[equally_warm])
    runtime_probe(store, supervisor_heat=(1, 2))
    moves = [(State(before), State(after)) for _, before, after in past(store, "circuit")]
    assert moves[:2] == [(State.CLOSED, State.OPEN), (State.OPEN, State.VERIFYING)]
    assert all(after in CIRCUIT_MOVES[before] for before, after in moves)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(moves))
    probe = circuit_of(store).probe
    assert record_of(store, probe).retries == 0
    assert record_of(store, probe).incident == circuit_of(store).incident
    store.actions.finish(started(store, probe), outcome="failed", error="stuck")
    for _ in range(4):
        for name in supervisor.children:
            seen(store, supervisor, sight(name, heat=1))
        ticked(store, supervisor)
    moves = [(State(before), State(after)) for _, before, after in past(store, "circuit")]
    assert moves[2:] == [(State.VERIFYING, State.OPEN), (State.OPEN, State.CLOSED)]


def runtime_probe(store: Store, supervisor_heat: tuple[int, int]) -> None:
    supervisor = plant(checks=[equally_warm])
    for _ in range(4):
        looks = store.observations.look(supervisor, periodic=False)
        sights = [sight(f"lamp-{i}", heat=heat) for i, heat in enumerate(supervisor_heat)]
        seen(store, supervisor, *sights, look=looks)
        ticked(store, supervisor)


def test_an_actions_records_are_moves_that_are_declared(runtime: Runtime, store: Store) -> None:
    reserved(store, retries=1)
    while record_of(store).state != "failed":
        started(store)
        make_due(store)
        runtime.sweep_due()
        make_due(store)
        runtime.sweep_due()
    moves = [(before, after) for _, before, after in past(store, "action")]
    assert all(after in ACTION_MOVES[before] for before, after in moves)
    assert [a[1] for a in moves[:-1]] == [b[0] for b in moves[1:]]


def test_the_history_is_read_page_by_page(store: Store) -> None:
    for i in range(7):
        reserved(store, f"a{i}", f"lamp-{i}")
    pages, last = [], "-"
    while page := list(store.history.since(last, most=3)):
        pages.append([record.action for record in page])
        last = page[-1].id
    assert pages == [["a0", "a1", "a2"], ["a3", "a4", "a5"], ["a6"]]
    assert [record.action for record in store.history.latest(2)] == ["a5", "a6"]


def test_what_is_old_is_trimmed(store: Store) -> None:
    age(store, 60_000)
    reserved(store)
    assert store.history.trim(120_000) == 0
    assert store.history.trim(30_000) == 1
    assert [record.action for record in store.history.since()] == ["a"]


def test_records_since_an_open_incident_began_are_not_trimmed(store: Store) -> None:
    age(store, 60_000, "plant")
    age(store, 40_000, "plant")
    store.registry.declare(plant())
    ask(store).hset(store.keys.incidents, "plant", now(store) - 50_000)
    assert store.history.trim(30_000) == 1
    assert len(list(store.history.since())) == 1
    ask(store).hdel(store.keys.incidents, "plant")
    assert store.history.trim(30_000) == 1
    assert ask(store).exists(store.keys.trimmed) == 0


def test_an_open_incident_keeps_its_own_records_only(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """In slices, from where the last sweep came to, and from the start once other incidents are open."""
    monkeypatch.setattr("supervision.store.history.SLICE", 3)
    monkeypatch.setattr("supervision.store.history.MOST_SLICES", 2)
    for name in ("plant", "yard"):
        store.registry.declare(plant(name=name))
    about = ["plant", "plantation", "plant/lamp-0", "yard/lamp-0", "yard/lamp-1", "wait", "plant/line/pump", "yard"]
    for place, subject in enumerate(about):
        age(store, 50_000 - place, subject)
    ask(store).hset(store.keys.incidents, mapping={"plant": now(store) - 60_000, "yard/lamp-1": now(store) - 60_000})

    def left() -> list[str]:
        return [record.subject for record in store.history.since()]

    assert store.history.trim(30_000) == 3
    assert left() == ["plant", "plant/lamp-0", "yard/lamp-1", "plant/line/pump", "yard"], "six were looked through"
    assert store.history.trim(30_000) == 1
    assert left() == ["plant", "plant/lamp-0", "yard/lamp-1", "plant/line/pump"]
    assert store.history.trim(30_000) == 0
    ask(store).hdel(store.keys.incidents, "plant")
    assert store.history.trim(30_000) == 3
    assert left() == ["yard/lamp-1"]


def test_the_incident_of_a_supervisor_that_is_gone_keeps_nothing(store: Store) -> None:
    age(store, 60_000)
    ask(store).hset(store.keys.incidents, "gone", now(store) - 50_000_000)
    assert store.history.trim(30_000) == 1
    assert ask(store).hgetall(store.keys.incidents) == {}


def test_trimming_an_empty_history_is_nothing(runtime: Runtime) -> None:
    assert runtime.sweep_history() == 0
