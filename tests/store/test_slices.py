"""However much has piled up, a sweep holds the store up for one slice at a time, and gets through all of it."""

from collections.abc import Iterable

import pytest
from lamps import ask, now

from supervision.continuing import Nowhere
from supervision.coordinating import REDELIVERED_PER_SLICE, Coordination
from supervision.coordination.liveness import Patience
from supervision.coordination.waits import Node, Terms
from supervision.mail_client import Mailbox
from supervision.runtime import SWEEPS, Runtime
from supervision.store.coordinators import Beat
from supervision.store.mailboxes import DAY_MS
from supervision.store.outbox import Entry
from supervision.store.store import Store
from supervision.store.waits import Claimed

LATE = Patience(heartbeat=1, warning=5, critical=100, dead=110)


class Told(Nowhere):
    """Notes how many it was given to send at once."""

    def __init__(self) -> None:
        self.slices: list[int] = []

    def send(self, claims: Iterable[Claimed]) -> None:
        self.slices.append(len(list(claims)))


def test_old_records_go_in_slices_to_the_last_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervision.store.history.AT_ONCE", 100)
    trimmed: list[int] = []
    run = store.scripts.run
    monkeypatch.setattr(store.scripts, "run", lambda *given: _noted(trimmed, run(*given)))
    begin = now(store) - 60_000
    for i in range(250):
        ask(store).xadd(store.keys.events, {"at": begin}, id=f"{begin}-{i}")
    ask(store).xadd(store.keys.events, {"at": now(store)})
    assert store.history.trim(30_000) == 250
    assert ask(store).xlen(store.keys.events) == 1
    assert len(trimmed) > 2
    assert max(trimmed) == 100


def _noted(trimmed: list[int], answer: list[int]) -> list[int]:
    trimmed.append(answer[0])
    return answer


def test_ids_of_handled_messages_go_in_slices_over_all_mailboxes(
    store: Store, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervision.store.mailboxes.MOST_IDS", 5)
    for name in ("a", "b", "c", "d"):
        box = Mailbox(name, runtime.mail)
        for i in range(4):
            box.put(i, id=f"m-{i}")
        box.done(*box.take(4))
        remembered = store.keys.mail(name).replace("mail:", "handled:")
        ask(store).zadd(remembered, {f"m-{i}": now(store) - DAY_MS - 1 for i in range(4)})
        ask(store).zadd(store.keys.mailboxes, {name: 1})
    assert store.mailboxes.clear(50)[1] == 5
    assert SWEEPS["cleared"](runtime) == 11
    assert ask(store).exists(*(store.keys.mail(name).replace("mail:", "handled:") for name in "abcd")) == 0


def test_what_nobody_has_gone_on_with_is_sent_again_in_slices(store: Store) -> None:
    number = REDELIVERED_PER_SLICE + 20
    for i in range(number):
        store.waits.enter(f"w{i}", Terms(Node(signal="s"), timeout=60), mail='{"options":{}}')
        store.waits.end(f"w{i}", how="cancelled", why="enough", by="ann")
    ask(store).zadd(store.keys.undelivered, {f"w{i}": 1 for i in range(number)})
    told = Told()
    assert Coordination(store, told, list).sweep_undelivered() == number
    assert told.slices == [REDELIVERED_PER_SLICE, 20]


def test_a_death_that_many_mourn_sends_for_the_next_run_until_all_are_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervision.coordinating.MOST_PER_RUN", 30)
    store.coordinators.register("ann", kind="process", process="here:1", host="here")
    for i in range(60):
        store.waits.enter(f"w{i}", Terms(Node(signal=f"s{i}", expects="ann"), timeout=60), mail='{"options":{}}')
    sent = list[Entry]()
    coordination = Coordination(store, Nowhere(), sent.extend)
    coordination.bury("here:1", "killed")
    assert [(each.kind, each.subject) for each in sent] == [("sweep", "liveness")]
    assert 0 < len(store.open_waits.all()) < 60
    coordination.sweep_liveness()
    assert len(sent) == 1
    assert store.open_waits.all() == []


def test_all_who_beat_again_are_healthy_though_they_are_more_than_a_slice(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervision.store.coordinators.MOST_JUDGED", 2)
    names = [f"c{i}" for i in range(7)]
    incarnations = {
        name: store.coordinators.register(name, kind="process", process="here:1", host="here").incarnation
        for name in names
    }
    ask(store).zadd(store.keys.beats, dict.fromkeys(names, now(store) - 20_000))
    assert store.coordinators.judge(LATE) == []
    assert {each.health for each in store.coordinators.all()} == {"warning"}
    back = ["c1", "c3", "c4", "c5", "c6"]
    store.coordinators.beat([Beat(name, incarnations[name]) for name in back])
    assert store.coordinators.judge(LATE) == []
    assert sorted(each.id for each in store.coordinators.all() if each.health == "healthy") == back
