"""The two examples of docs/circuit-open.md on real workers, ten times as fast: a circuit and the actions that run."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery_processes import HERE, CeleryProcess, ended
from waiting import until

from supervision.actions import HARD_LIMIT_EXTRA_S
from supervision.server import EmbeddedStore
from supervision.store.actions import GRACE_MS
from supervision.store.history import Past
from supervision.store.store import Store

pytestmark = pytest.mark.chaos


class Plants:
    """The two plants at work: their history, their counts, and the looks at their children."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder, self.store = folder, store

    def history(self, supervisor: str) -> list[Past]:
        latest = self.store.history.latest(10_000)
        return [past for past in latest if past.subject.split("/")[0] == supervisor]

    def told(self, supervisor: str) -> list[str]:
        """What happened to the circuit and to actions, in order, as a reader of the page would tell it."""
        return [
            f"circuit {past.after}" if past.kind == "circuit" else f"{past.reason.split(':')[0]} {past.after}"
            for past in self.history(supervisor)
            if past.kind in {"circuit", "action"}
        ]

    def at(self, supervisor: str, what: str) -> int:
        """When ``what`` was told, in milliseconds of the store's clock."""
        story = [past for past in self.history(supervisor) if past.kind in {"circuit", "action"}]
        return story[self.told(supervisor).index(what)].at

    def looks(self, supervisor: str, begin: int, end: int) -> int:
        """How often the broker was looked at between two moments; store and test have one clock."""
        lines = (self.folder / f"{supervisor}~broker.looks").read_text().split()
        return sum(begin < int(line) < end for line in lines)

    def counts(self, supervisor: str, name: str) -> dict[str, int]:
        """The counts of one metric by what their labels say beside the supervisor and the action ``load``."""
        found: dict[bytes, bytes] = self.store.client.hgetall(self.store.keys.counters)  # type: ignore[assignment] # the sync client answers the value itself
        begin = f"{name}|supervisor={supervisor}|action_type=load"
        return {key.decode().removeprefix(begin): int(n) for key, n in found.items() if key.decode().startswith(begin)}

    def closed(self, supervisor: str) -> None:
        until(lambda: "circuit closed" in self.told(supervisor), what=lambda: f"closed: {self.told(supervisor)}")


@pytest.fixture(scope="module")
def plants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plants]:
    folder = tmp_path_factory.mktemp("circuit")
    with EmbeddedStore(folder / "store") as server:
        environment = {
            "SUPERVISION_STORE_URL": server.url,
            "SUPERVISION_IMPORTS": "circuit_plant",
            "PLANT_FOLDER": str(folder),
            "PYTHONPATH": str(HERE),
            "REMAP_SIGTERM": "SIGQUIT",
        }

        def celery(*arguments: str) -> CeleryProcess:
            return CeleryProcess(folder, "tasks", *arguments, **environment)

        rest = "supervision.ticks,supervision.sweeps,supervision.collectors"
        with ended(
            celery("worker", "-Q", rest, "-n", "rest@test", "-c", "2"),
            celery("worker", "-Q", "supervision.actions", "-n", "actor@test", "-c", "3"),
            celery("beat", "-s", str(folder / "beat")),
        ):
            store = Store(server.url)
            yield Plants(folder, store)
            store.close()


RESTARTED = ["restart_child queued", "restart_child running", "restart_child succeeded", "circuit closed"]


def test_an_action_that_the_circuit_overtakes_goes_on_to_its_end(plants: Plants) -> None:
    plants.closed("overtaken")
    told = plants.told("overtaken")
    assert told[: told.index("circuit closed") + 1] == [
        *("load queued", "load running", "circuit open", "load succeeded", "circuit verifying"),
        *RESTARTED,
    ]


def test_an_action_that_never_ends_holds_back_the_probe_until_its_deadline(plants: Plants) -> None:
    plants.closed("endless")
    told = plants.told("endless")
    assert told[: told.index("circuit closed") + 1] == [
        *("load queued", "load running", "circuit open", "load failed", "circuit verifying"),
        *RESTARTED,
    ]
    failed = next(past for past in plants.history("endless") if past.after == "failed")
    assert "no end within 2 s" in failed.reason
    lasted = plants.at("endless", "load failed") - plants.at("endless", "load running")
    assert lasted >= 2_000 + GRACE_MS > 1000 * HARD_LIMIT_EXTRA_S


@pytest.mark.parametrize(("supervisor", "end"), [("overtaken", "succeeded"), ("endless", "failed")])
def test_its_end_is_counted_with_the_time_that_it_went_on_after_the_opening(
    plants: Plants, supervisor: str, end: str
) -> None:
    plants.closed(supervisor)
    beyond = plants.at(supervisor, f"load {end}") - plants.at(supervisor, "circuit open")
    assert plants.counts(supervisor, "supervisor_actions_during_circuit_total") == {"": 1}
    counted = plants.counts(supervisor, "supervisor_action_post_circuit_duration_seconds")
    assert counted.pop("|sum=ms") == beyond
    assert list(counted.values()) == [1]
    assert beyond > 1_000


@pytest.mark.parametrize("supervisor", ["overtaken", "endless"])
def test_meanwhile_collectors_look_and_nothing_new_begins(plants: Plants, supervisor: str) -> None:
    plants.closed(supervisor)
    opened, closed = plants.at(supervisor, "circuit open"), plants.at(supervisor, "circuit closed")
    assert plants.looks(supervisor, opened, closed) > 3
    begun = [past for past in plants.history(supervisor) if opened < past.at < closed and past.after == "queued"]
    assert [past.reason.split(":")[0] for past in begun] == ["restart_child"], "the broker's tend waits"
