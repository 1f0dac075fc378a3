"""A tree of supervisors over real processes: restarted in order, escalated from level to level, grown and shrunk."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from healing_system import ALL, BEAT, HealingSystem, overlapping_actions
from waiting import until

from supervision.client import ChildView, Client
from supervision.server import EmbeddedStore

pytestmark = [pytest.mark.timeout(180)]

LINE, HALL, PLANT = "plant/hall/line", "plant/hall", "plant"
RESTARTED = ["stop cutter", "stop belt", "start belt", "start cutter"]


class Tree(HealingSystem):
    """The growing plant, and what is known of it."""

    def __init__(self, folder: Path, server: EmbeddedStore) -> None:
        super().__init__(folder, server, {"worker": ALL, "beat": BEAT}, kills="child", plant="growing_plant")
        self.client = Client(server.url)

    def end(self) -> None:
        self.client.close()
        super().end()
        for process in self.machines():
            process.kill()

    def machines(self) -> list[psutil.Process]:
        file = str(self.folder / "machines")
        return [each for each in psutil.process_iter(["cmdline"]) if file in (each.info["cmdline"] or [])]

    def running(self) -> set[str]:
        """The names of the machines that the operating system knows."""
        return {each.info["cmdline"][-1] for each in self.machines()}

    def circuit(self, path: str) -> str:
        return self.client.get(path).circuit

    def state(self, path: str) -> str | None:
        try:
            found = self.client.get(path)
            return found.state if isinstance(found, ChildView) else found.health
        except LookupError:
            return "gone"

    def done(self, since: int) -> list[str]:
        return self.lines("machines")[since:]

    def wait(self, what: str, condition: object, timeout: float = 60) -> None:
        until(condition, timeout=timeout, what=lambda: f"{what}:\n{self.story()}")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    folder = tmp_path_factory.mktemp("tree")
    with EmbeddedStore(folder / "store") as server:
        system = Tree(folder, server)
        try:
            system.wait("all to run", lambda: system.running() == {"power", "belt", "cutter", "saw-0"})
            system.wait("it to be known", lambda: system.state("plant/hall") == "running")
            yield system
        finally:
            system.end()


def test_what_no_restart_heals_goes_up_to_the_top_and_calls_people_once(tree: Tree) -> None:
    since = len(tree.lines("machines"))
    (tree.folder / "blunt").touch()
    tree.wait("the plant to escalate", lambda: tree.circuit(PLANT) == "escalated")
    events = tree.history()
    calls = [event for event in events if event.kind == "escalation"]
    assert [call.subject for call in calls] == [PLANT], "only the highest calls people"
    probes = [event for event in events if event.kind == "circuit" and event.after == "verifying"]
    assert [event.subject for event in probes] == [LINE, LINE, HALL, LINE], tree.story()
    assert tree.done(since) == RESTARTED * 3, "two attempts of its own, and one ordered by the hall"
    assert tree.running() >= {"power", "saw-0"}, "what it does not affect goes on"
    assert tree.client.get(LINE).circuit == "escalated"
    assert overlapping_actions(events) == []

    (tree.folder / "blunt").unlink()
    tree.wait("the line to recover by itself", lambda: tree.circuit(LINE) == "closed")
    for path, above in ((LINE, HALL), (HALL, PLANT)):
        tree.client.reset(path, incident=tree.client.get(path).incident, by="ann", reason="sharpened")
        tree.wait(f"{above} to close", lambda above=above: tree.circuit(above) == "closed")
    tree.client.reset(PLANT, incident=tree.client.get(PLANT).incident, by="ann", reason="sharpened")
    tree.wait("all to be well", lambda: tree.state(HALL) == "running")


def test_a_killed_child_deep_in_the_tree_comes_back_and_nobody_above_moves(tree: Tree) -> None:
    (belt,) = [each for each in tree.machines() if each.info["cmdline"][-1] == "belt"]
    since = len(tree.history())
    belt.kill()
    tree.wait("another belt", lambda: any(each.info["cmdline"][-1] == "belt" for each in tree.machines()))
    tree.wait("it to be known", lambda: tree.state(f"{LINE}/belt") == "running")
    moved = {event.subject for event in tree.history()[since:] if event.kind == "circuit"}
    assert moved == set()


def test_members_come_and_go_with_the_document(tree: Tree) -> None:
    tree.client.set_desired(HALL, {"saws": 3}, by="ann", reason="more wood")
    tree.wait("three saws", lambda: {"saw-0", "saw-1", "saw-2"} <= tree.running())
    tree.client.set_desired(HALL, {"saws": None}, by="ann", reason="no opinion")
    tree.wait("the tick to hear it", lambda: tree.client.describe(HALL).desired == {"saws": None})
    tree.client.set_desired(HALL, {"saws": 1}, by="ann", reason="less wood")
    tree.wait("one saw", lambda: tree.running() & {"saw-0", "saw-1", "saw-2"} == {"saw-0"})
    tree.wait("the others to be forgotten", lambda: tree.state(f"{HALL}/saw-2") == "gone")
    members = [(e.subject, e.after) for e in tree.history() if e.kind == "member" and e.subject.endswith("saw-2")]
    assert [after for _, after in members] == ["joined", "leaving", "removed"]
    assert "stop saw-2" in tree.lines("machines"), "stopped gracefully, not killed"


def test_a_disabled_child_rests_and_can_be_resumed(tree: Tree) -> None:
    assert "spare" not in tree.running()
    tree.client.enable("plant/spare", by="ann", reason="the other one is worn")
    tree.wait("the spare", lambda: "spare" in tree.running())
    tree.client.disable("plant/power", by="ann", reason="maintenance")
    tree.wait("no power", lambda: "power" not in tree.running())
    tree.wait("it to rest", lambda: tree.state("plant/power") == "stopped")
    tree.client.enable("plant/power", by="ann", reason="done")
    tree.wait("power", lambda: "power" in tree.running())


def test_ticks_of_a_tree_survive_the_end_of_their_worker(tree: Tree) -> None:
    os.killpg(tree.kept["worker"].process.pid, signal.SIGKILL)
    (cutter,) = [each for each in tree.machines() if each.info["cmdline"][-1] == "cutter"]
    cutter.kill()
    tree.wait("another cutter", lambda: "cutter" in tree.running())
    tree.wait("the tree to be well", lambda: tree.state(HALL) == "running" and tree.circuit(PLANT) == "closed")
