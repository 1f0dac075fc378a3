"""Code that is to decide and hangs instead: it ends, it alone is to blame, and its siblings go on."""

import signal
import threading
import time
from contextlib import suppress
from typing import Any

import pytest
from lamps import Lamp, Post, ask, forget_slot, past

from supervision import limiting
from supervision.checks import Seen, Verdict, check
from supervision.child import Child, state
from supervision.contained import TookTooLong, asked
from supervision.limiting import bounded
from supervision.model import Move, Phase, Snapshot
from supervision.runtime import Runtime
from supervision.store.store import Store
from supervision.supervisor import Supervisor

SHORT_S = 0.1


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiting, "LIMIT_S", SHORT_S)


def hang(*_arguments: object) -> Any:
    """As a loop without end does, which also tries whatever it can to go on."""
    while True:
        with suppress(Exception):
            time.sleep(60)


class Hanging(Lamp):
    @state(Phase.STOPPED, initial=True)
    def off(self, _seen: Snapshot) -> Move:
        return hang()


class Restless(Lamp):
    def rest(self, _desired: Any) -> Any:
        return hang()


@check("lamp", restart="lamp", name="endless")
def endless(_lamp: Seen) -> Verdict:
    return hang()


def lived(store: Store, supervisor: Supervisor, ticks: int = 5) -> list[str]:
    """What so many ticks, each in its lease, say about themselves."""
    runtime = Runtime(store, Post(), {"plant": supervisor})
    outcomes = []
    for _ in range(ticks):
        ask(store).hdel(store.keys.of("plant", "control"), "look_slot")
        runtime.collect("plant")
        forget_slot(store, supervisor)
        outcomes.append(runtime.tick("plant"))
    return outcomes


def lamp_is_lit(store: Store) -> bool:
    return b'"state":"lit"' in ask(store).hget(store.keys.of("plant", "records"), "lamp")


@pytest.mark.parametrize(("kind", "enabled"), [(Hanging, True), (Restless, False)])
def test_a_child_whose_code_hangs_is_quarantined_alone(store: Store, kind: type[Child], *, enabled: bool) -> None:
    outcomes = lived(store, Supervisor("plant", [kind("hung", enabled=enabled), Lamp("lamp")]))
    assert set(outcomes) <= {"done", "again"}
    assert [subject for subject, _, _ in past(store, "quarantined")] == ["plant/hung"]
    assert len(past(store, "fault")) == 3
    assert "TookTooLong: no answer within 0.1 s" in told(store, "quarantined")
    assert lamp_is_lit(store)


def test_a_check_that_hangs_knows_nothing(store: Store) -> None:
    lived(store, Supervisor("plant", [Lamp("lamp")], checks=[endless]))
    assert "endless raised TookTooLong" in told(store, "check_broken")
    assert lamp_is_lit(store)


def test_a_function_of_dynamic_children_that_hangs_has_no_opinion(store: Store) -> None:
    lived(store, Supervisor("plant", [Lamp("lamp")], dynamic=hang, Desired=dict, desired={}))
    assert "TookTooLong" in told(store, "check_broken")
    assert lamp_is_lit(store)


def told(store: Store, kind: str) -> str:
    return "\n".join(each.reason for each in store.history.latest(100) if each.kind == kind)


def test_many_that_hang_are_ended_sooner_and_sooner() -> None:
    """Each with half the time of the one before it, so that their tick ends in its time, and all are known after it."""
    begun, ended = time.monotonic(), 0
    with bounded():
        for _ in range(20):
            with pytest.raises(TookTooLong):
                asked(hang)
            ended += 1
    assert ended == 20
    assert time.monotonic() - begun < 20 * SHORT_S


def test_what_takes_long_all_together_is_nobodys_fault() -> None:
    with bounded():
        for _ in range(20):
            asked(time.sleep, SHORT_S / 4)
        time.sleep(2 * SHORT_S)  # our own work, between two calls


def test_an_alarm_of_somebody_else_comes_all_the_same() -> None:
    rang = threading.Event()
    handler = signal.signal(signal.SIGALRM, lambda *_: rang.set())
    left, every = signal.setitimer(signal.ITIMER_REAL, SHORT_S)
    try:
        with bounded():
            time.sleep(2 * SHORT_S)
            assert not rang.is_set()
        assert rang.wait(30)
    finally:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, left, every)


def test_a_thread_that_hears_no_alarm_works_without() -> None:
    worked = threading.Event()

    def work() -> None:
        with bounded():
            worked.set()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert worked.is_set()
