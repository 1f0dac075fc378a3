"""What a declaration says about its own mode, its calm and its slow probe."""

import pytest
from simulated import Part, connected, running

from supervision.backoff import Backoff
from supervision.circuit import State
from supervision.errors import InvalidDeclaration
from supervision.orders import Mode
from supervision.supervisor import Supervisor

STEADY = Backoff(base=1, cap=1, jitter=0)


def test_without_a_slow_probe_an_escalated_circuit_restarts_nothing_and_still_recovers() -> None:
    plant = running(restart=STEADY, max_attempts=1, slow_probe=0)
    plant.disconnect()
    plant.seconds(3)
    plant.end("flow")
    plant.seconds(3)
    assert plant.circuit.state is State.ESCALATED
    plant.seconds(700)
    assert len(plant.probes()) == 1
    plant.heal()
    plant.seconds(3)
    assert plant.circuit.state is State.CLOSED


@pytest.mark.parametrize("slow", [30, 90])
def test_a_slow_probe_comes_as_often_as_declared(slow: int) -> None:
    plant = running(restart=STEADY, max_attempts=1, slow_probe=slow)
    plant.disconnect()
    plant.seconds(3)
    plant.end("flow")
    plant.seconds(3)
    escalated = plant.now
    plant.seconds(slow)
    assert [given.at - escalated <= slow * 1000 for given in plant.probes()[1:]] == [True]


@pytest.mark.parametrize("calm", [5, 100])
def test_an_incident_is_over_after_as_much_calm_as_declared(calm: int) -> None:
    plant = running(restart=STEADY, stable_after=calm)
    plant.disconnect()
    plant.seconds(3)
    plant.heal()
    plant.end("flow")
    plant.seconds(3)
    assert (plant.circuit.state, bool(plant.circuit.incident)) == (State.CLOSED, True)
    plant.seconds(calm)
    assert plant.circuit.incident == ""


def test_a_declared_mode_is_kept() -> None:
    assert Supervisor("plant", [Part("broker"), Part("flow")], checks=[connected], mode="observe").mode is Mode.OBSERVE


@pytest.mark.parametrize(
    "wrong", [{"mode": "on"}, {"mode": None}, {"slow_probe": -1}, {"slow_probe": None}, {"stable_after": 0}]
)
def test_what_is_none_of_it_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidDeclaration, match=rf"{next(iter(wrong))}=.*for example"):
        Supervisor("plant", **wrong)  # type: ignore[arg-type] # that is the point
