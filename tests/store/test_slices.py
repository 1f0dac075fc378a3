"""However much has piled up, a sweep holds the store up for one slice at a time, and gets through all of it."""

from collections.abc import Callable, Iterable

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


def test_more_deaths_than_one_run_tells_of_are_told_by_further_runs(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervision.coordinating.MOST_MOURNED", 3)
    for i in range(7):
        store.coordinators.register(f"c{i}", kind="process", process="here:1", host="here")
        store.waits.enter(f"w{i}", Terms(Node(signal="s", expects=f"c{i}"), timeout=60), mail='{"options":{}}')
    sent = list[Entry]()
    coordination = Coordination(store, Nowhere(), sent.extend)
    coordination.bury("here:1", "killed")
    runs = 1
    while sent:
        assert [(each.kind, each.subject) for each in sent] == [("sweep", "liveness")]
        sent.clear()
        coordination.sweep_liveness()
        runs += 1
    assert (runs, store.open_waits.all(), store.coordinators.mourning()) == (3, [], [])


def test_one_script_looks_at_some_of_the_late_ones_however_many_there_are(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervision.store.coordinators.MOST_JUDGED", 10)
    names = [f"c{i}" for i in range(600)]
    beats = [
        Beat(name, store.coordinators.register(name, kind="process", process="here:1", host="here").incarnation)
        for name in names
    ]
    ask(store).zadd(store.keys.beats, dict.fromkeys(names, now(store) - 20_000))
    fell_silent = _looked_at(store, lambda: store.coordinators.judge(LATE))
    are_silent = _looked_at(store, lambda: store.coordinators.judge(LATE))
    assert {each.health for each in store.coordinators.all()} == {"warning"}
    assert store.coordinators.beat(beats) == {}
    beat_again = _looked_at(store, lambda: store.coordinators.judge(LATE))
    assert {each.health for each in store.coordinators.all()} == {"healthy"}
    assert ask(store).scard(store.keys.late) == 0
    for looked_at in (fell_silent, are_silent, beat_again):
        assert max(looked_at) <= 60, "a slice of those who were late, and one of those who are"
        assert 20 <= len(looked_at) <= 130


def test_those_with_numbers_for_names_beat_again_in_slices_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis answers a set of 512 numbers whole, however few are asked for."""
    monkeypatch.setattr("supervision.store.coordinators.MOST_JUDGED", 10)
    names = [str(i) for i in range(300)]
    for name in names:
        store.coordinators.register(name, kind="process", process="here:1", host="here")
    ask(store).zadd(store.keys.beats, dict.fromkeys(names, now(store) - 20_000))
    store.coordinators.judge(LATE)
    ask(store).hset(store.keys.coordinator("7"), "health", "healthy")  # one that says so already is done with, too
    ask(store).zadd(store.keys.beats, dict.fromkeys(names, now(store)))
    assert len(_looked_at(store, lambda: store.coordinators.judge(LATE))) >= 30
    assert {each.health for each in store.coordinators.all()} == {"healthy"}
    assert ask(store).scard(store.keys.late) == 0


def _looked_at(store: Store, judge: Callable[[], object]) -> list[int]:
    """How many each script looked at that this ran: those whose heartbeat, or whose record, it asked for."""
    asked: list[int] = []
    with ask(store).monitor() as commands:
        judge()
        ask(store).echo(store.keys.late)
        for command in iter(lambda: commands.next_command()["command"], f"ECHO {store.keys.late}"):
            words = command.split()
            if words[0] == "EVALSHA":
                asked.append(0)
            elif words[0] in {"HGETALL", "ZMSCORE"}:
                asked[-1] += 1 if words[0] == "HGETALL" else len(words) - 2
    return asked


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
