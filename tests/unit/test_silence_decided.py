"""What decisions make of silence: nothing is done about a child that is not seen, and others go on."""

from simulated import Part, Plant, Seen, running

DEAD = Seen(alive=False)


def without(plant: Plant, *silent: str, seconds: int) -> list[str]:
    """Seconds of everyday life in which those are not seen; the children that were given an action."""
    given = len(plant.given)
    for _ in range(seconds):
        plant.pass_time()
        plant.look(*(name for name in plant.truth if name not in silent))
        plant.tick()
    return [each.wish.child for each in plant.given[given:]]


def trio() -> Plant:
    return running(Part("one"), Part("two"), Part("three"), checks=())


def test_a_stale_child_is_given_nothing_and_its_siblings_are() -> None:
    plant = trio()
    plant.truth = {"one": DEAD, "two": DEAD, "three": Seen()}
    plant.pass_time(9)
    plant.look("two", "three")
    assert without(plant, "one", seconds=2) == ["two"]


def test_while_the_store_is_suspected_nothing_is_started_and_in_the_end_the_others_go_on() -> None:
    plant = trio()
    without(plant, "one", "two", seconds=11)
    assert plant.circuit.suspected
    plant.truth["three"] = DEAD
    assert without(plant, "one", "two", seconds=15) == []
    assert plant.records["three"].state == "running", "not even derived"
    assert without(plant, "one", "two", seconds=20) == ["three"]
    assert plant.circuit.suspected == 0
    assert [kind for kind in plant.kinds() if kind.startswith("store_")] == ["store_suspected", "store_trusted"]
    assert plant.kinds().count("unobservable") == 2


def test_whoever_is_seen_again_ends_the_suspicion_at_once() -> None:
    plant = trio()
    without(plant, "one", "two", seconds=11)
    plant.truth["three"] = DEAD
    assert without(plant, "one", seconds=1) == ["three"]
    assert plant.circuit.suspected == 0


def test_under_suspicion_no_circuit_restarts_anything() -> None:
    plant = running(Part("broker"), Part("flow"), *(Part(f"part-{i}") for i in range(4)))
    parts = [f"part-{i}" for i in range(4)]
    without(plant, *parts, seconds=10)
    assert plant.circuit.suspected
    plant.disconnect()
    assert without(plant, *parts, seconds=10) == []
    plant.seconds(3)
    assert [each.wish.action for each in plant.probes()] == ["restart_child"]
