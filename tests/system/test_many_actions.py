"""150 children that each want one action, and few processes to run them: all run, once each, and never too many."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from celery_processes import HERE, CeleryProcess, ended
from waiting import until

from supervision.server import EmbeddedStore
from supervision.store.history import Past
from supervision.store.store import Store

CHILDREN = 150
SLOTS = 2


class Many:
    """The plant at work: what its runs have left behind, and its history."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder, self.store = folder, store

    def all_done(self) -> bool:
        return len(list((self.folder / "done").iterdir())) == CHILDREN and self.store.actions.in_flight() == 0

    def runs(self) -> list[tuple[str, str]]:
        """What began and ended, in the order of the machine's clock."""
        lines = sorted((self.folder / "runs").read_text().splitlines(), key=lambda line: int(line.split()[0]))
        return [(what, child) for _, what, child in (line.split() for line in lines)]

    def history(self) -> list[Past]:
        return [past for past in self.store.history.latest(10_000) if past.kind == "action"]

    def most_in_flight(self) -> int:
        """The most actions that were between their reservation and their end at one moment."""
        return highest({"": 1}.get(past.before, 0) - (past.after in {"succeeded", "failed"}) for past in self.history())


def highest(steps: Iterator[int]) -> int:
    count = top = 0
    for step in steps:
        count += step
        top = max(top, count)
    return top


@contextmanager
def many_actions(folder: Path, **settings: str) -> Iterator[Many]:
    (folder / "done").mkdir()
    with EmbeddedStore(folder / "store") as server:
        environment = {
            "SUPERVISION_STORE_URL": server.url,
            "SUPERVISION_IMPORTS": "many_plant",
            "PLANT_FOLDER": str(folder),
            "PYTHONPATH": str(HERE),
            "REMAP_SIGTERM": "SIGQUIT",
            **settings,
        }

        def celery(*arguments: str) -> CeleryProcess:
            return CeleryProcess(folder, "tasks", *arguments, **environment)

        rest = "supervision.ticks,supervision.sweeps,supervision.collectors"
        with ended(
            celery("worker", "-Q", rest, "-n", "rest@test", "-c", "2"),
            celery("worker", "-Q", "supervision.actions", "-n", "actor@test", "-c", str(SLOTS)),
            celery("beat", "-s", str(folder / "beat")),
        ):
            store = Store(server.url)
            yield Many(folder, store)
            store.close()


@pytest.mark.chaos
def test_many_actions_run_once_each_over_a_few_slots(tmp_path: Path) -> None:
    with many_actions(tmp_path) as many:
        until(many.all_done, timeout=100, what=lambda: f"all to be done; {many.store.actions.in_flight()} in flight")
        steps = {"begins": 1, "ends": -1}
        assert Counter(many.runs()) == {(what, f"child-{i}"): 1 for what in steps for i in range(CHILDREN)}
        assert highest(steps[what] for what, _ in many.runs()) <= SLOTS
        ends = [past for past in many.history() if past.after == "succeeded"]
        assert (len(ends), {past.attempt for past in ends}) == (CHILDREN, {1})
        assert many.most_in_flight() > SLOTS, "the others waited in the queue, not in the tick"


@pytest.mark.chaos
def test_a_full_queue_takes_no_more_and_all_come_to_their_turn(tmp_path: Path) -> None:
    with many_actions(tmp_path, SUPERVISION_MAX_ACTIONS="20") as many:
        until(many.all_done, timeout=100, what=lambda: f"all to be done; {many.store.actions.in_flight()} in flight")
        assert many.most_in_flight() <= 20
        assert Counter(child for what, child in many.runs() if what == "begins") == {
            f"child-{i}": 1 for i in range(CHILDREN)
        }
        told = [past for past in many.store.history.latest(10_000) if past.kind == "queue_full"]
        assert len({past.subject for past in told}) == len(told) > 0
