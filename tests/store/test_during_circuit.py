"""An open circuit and the actions in flight: they go on, their ends are counted, and new ones wait for their turn."""

import msgspec
import pytest
from lamps import (
    Lamp,
    LampSeen,
    Post,
    counter,
    equally_warm,
    expire_lease,
    forget_slot,
    past,
    record_of,
    reserved,
    started,
)

from supervision.circuit import Circuit, State
from supervision.runtime import Runtime
from supervision.store.store import Store
from supervision.supervisor import Supervisor

TARGET, SIBLING = "lamp-0", "lamp-1"
"""The check over both restarts the first one."""


class Real(Lamp):
    """A lamp whose reality is in the hands of the test."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.real = LampSeen(on=True)

    def observe(self) -> LampSeen:
        return self.real


class Broken:
    """Two lamps, an action in flight on one of them, and then a circuit that opens."""

    def __init__(self, store: Store, busy: str) -> None:
        self.store = store
        self.lamps = [Real(TARGET), Real(SIBLING)]
        supervisor = Supervisor("plant", self.lamps, checks=[equally_warm], interval=0.001, observe_timeout=0.5)
        self.runtime = Runtime(store, Post(), {"plant": supervisor})
        self.seconds(3)
        reserved(store, "a", busy)
        self.run = started(store)
        self.lamps[1].real = LampSeen(on=True, heat=1)
        self.seconds(3)

    def seconds(self, count: int) -> None:
        for _ in range(count):
            while self.runtime.collect("plant") is None:
                pass  # the slot of the last look lasts a millisecond
            forget_slot(self.store, self.runtime.supervisors["plant"])
            expire_lease(self.store)
            self.runtime.tick("plant")

    def circuit(self) -> State:
        stored = self.store.client.hget(self.store.keys.of("plant", "control"), "circuit")
        return msgspec.json.decode(stored, type=Circuit).state  # type: ignore[arg-type] # the sync client answers the value

    def in_flight(self, child: str) -> str:
        found = self.store.client.hget(self.store.keys.of("plant", "flight"), child)
        return found.decode() if isinstance(found, bytes) else ""


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_an_action_on_the_child_to_restart_goes_on_and_the_probe_waits_for_its_slot(store: Store, outcome: str) -> None:
    broken = Broken(store, TARGET)
    assert broken.circuit() is State.OPEN
    assert broken.in_flight(TARGET) == "a"
    assert store.actions.finish(broken.run, outcome=outcome, retry=False).outcome == outcome
    broken.seconds(2)
    assert broken.circuit() is State.VERIFYING
    assert record_of(store, broken.in_flight(TARGET)).name == "restart_child"


def test_an_action_on_a_sibling_goes_on_beside_the_probe(store: Store) -> None:
    broken = Broken(store, SIBLING)
    assert broken.circuit() is State.VERIFYING
    assert broken.in_flight(SIBLING) == "a"
    assert record_of(store, broken.in_flight(TARGET)).name == "restart_child"
    assert store.actions.finish(broken.run, outcome="succeeded").outcome == "succeeded"


def test_a_retry_of_an_action_in_flight_needs_no_closed_circuit(store: Store) -> None:
    broken = Broken(store, SIBLING)
    store.actions.finish(broken.run, outcome="failed")
    store.client.zadd(store.keys.due, {"a": 1})
    broken.runtime.sweep_due()
    assert broken.runtime.run_action("a") == "succeeded"


def test_its_end_is_counted_and_one_that_began_after_the_opening_is_not(store: Store) -> None:
    broken = Broken(store, SIBLING)
    store.actions.finish(broken.run, outcome="succeeded")
    reserved(store, "b", SIBLING)
    store.actions.finish(started(store, "b"), outcome="succeeded")
    assert counter(store, "supervisor_actions_during_circuit_total|supervisor=plant|action_type=switch_on") == 1
    opened, ended = (
        next(each.at for each in store.history.latest(100) if (each.kind, each.after) == what)
        for what in (("circuit", "open"), ("action", "succeeded"))
    )
    assert counter(
        store, "supervisor_action_post_circuit_duration_seconds|supervisor=plant|action_type=switch_on|sum"
    ) == (ended - opened)


def test_nothing_new_is_given_while_it_is_open(store: Store) -> None:
    broken = Broken(store, TARGET)
    broken.lamps[1].real = LampSeen(on=False, heat=1)
    broken.seconds(3)
    assert broken.circuit() is State.OPEN
    assert broken.in_flight(SIBLING) == ""
    assert [subject for subject, before, _ in past(store, "action") if before == ""] == ["plant/lamp-0"]
