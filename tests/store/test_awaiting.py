"""Asynchronous looks that block their loop, and processes that hold too many looks that never come back."""

import asyncio
import queue
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from lamps import Lamp, LampSeen
from waiting import until

from supervision import awaiting, looking
from supervision.child import Child
from supervision.looking import Batch, Looker
from supervision.store.observations import Sight
from supervision.supervisor import Supervisor

TIMEOUT_S = 2.0
"""Far more than a loop may be silent, and less than the blockers here block."""

THREAD = "supervision-look"


class Awaited(Lamp):
    """Takes its time, as what is asked over a network does; counts how often it was asked."""

    asked = 0

    async def observe(self) -> LampSeen:  # type: ignore[override]  # both kinds are allowed
        self.asked += 1
        await asyncio.sleep(0.05)
        return LampSeen(on=True)


class Blocking(Lamp):
    """An asynchronous look that never awaits."""

    def __init__(self, name: str, gate: threading.Event) -> None:
        super().__init__(name)
        self.gate, self.asked = gate, 0

    async def observe(self) -> LampSeen:  # type: ignore[override]  # both kinds are allowed
        self.asked += 1
        self.gate.wait(60)
        return LampSeen(on=True)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What blockers wait for; opened at the end, so that no thread outlives its test."""
    event = threading.Event()
    yield event
    event.set()
    until(lambda: not threads())


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD]


def placed(*children: Child) -> list[Child]:
    return list(Supervisor("plant", children).children.values())


def errors(batches: Iterator[Batch]) -> dict[str, str]:
    found = [(sight.child, sight.error) for batch in batches for sight in batch.sights]
    assert len(dict(found)) == len(found), "one sight per child"
    return dict(found)


def test_a_look_that_blocks_its_loop_delays_no_other_beyond_its_time(gate: threading.Event) -> None:
    others = [Awaited(f"lamp-{i}") for i in range(6)]
    children = placed(*others[:3], Blocking("blocks", gate), *others[3:])
    looker = Looker()
    assert errors(looker.look(children, TIMEOUT_S)) == {
        "blocks": "timed out after 2 s",
        **{other.name: "" for other in others},
    }
    assert errors(looker.look(children, TIMEOUT_S)) == {other.name: "" for other in others}
    until(lambda: len(threads()) == 1)


def test_several_that_block_are_left_alone_one_after_the_other(gate: threading.Event) -> None:
    blocking = [Blocking(f"blocks-{i}", gate) for i in range(2)]
    found = errors(Looker().look(placed(*blocking, Awaited("lamp")), TIMEOUT_S))
    assert {name for name, why in found.items() if not why} == {"lamp"}
    assert [child.asked for child in blocking] == [1, 1]
    until(lambda: len(threads()) == 2)


def test_a_loop_that_answers_again_in_time_gives_a_result_once(gate: threading.Event) -> None:
    children = placed(Blocking("blocks", gate), Awaited("lamp"))
    looks = Looker().look(children, 60)
    found = [next(looks)]
    while not found[-1].sights:
        found.append(next(looks))
    gate.set()
    assert errors(iter([*found, *looks])) == {"blocks": "", "lamp": ""}


def test_what_began_anew_elsewhere_is_cancelled_where_it_began(gate: threading.Event) -> None:
    ended: list[str] = []

    class Noting(Awaited):
        async def observe(self) -> LampSeen:  # type: ignore[override]  # both kinds are allowed
            try:
                return await super().observe()
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

    noting = Noting("lamp")
    assert errors(Looker().look(placed(noting, Blocking("blocks", gate)), TIMEOUT_S))["lamp"] == ""
    assert noting.asked == 2
    gate.set()
    until(lambda: ended == ["cancelled"])


def test_a_look_that_is_cancelled_where_it_began_is_not_taken_for_one_that_failed(gate: threading.Event) -> None:
    may_end = threading.Event()

    class Patient(Awaited):
        async def observe(self) -> LampSeen:  # type: ignore[override]  # both kinds are allowed
            self.asked += 1
            while not may_end.is_set():  # noqa: ASYNC110 # set by another thread
                await asyncio.sleep(0.01)
            return LampSeen(on=True)

    patient = Patient("lamp")
    looks = Looker().look(placed(patient, Blocking("blocks", gate)), 60)
    threading.Thread(target=lambda: until(lambda: patient.asked == 2) and gate.set(), daemon=True).start()
    found = [next(looks)]
    while not found[-1].sights:
        found.append(next(looks))
    may_end.set()
    assert errors(iter([*found, *looks])) == {"blocks": "", "lamp": ""}


def test_a_result_that_comes_twice_counts_once() -> None:
    results: queue.SimpleQueue[Sight] = queue.SimpleQueue()
    for error in ("", "again"):
        results.put(Sight("lamp", error=error))
    results.put(Sight("other"))
    gathered = looking._gathered(results, {"lamp", "other"}, time.monotonic() + 30)
    assert gathered == (Sight("lamp"), Sight("other"))


async def stops() -> None:
    asyncio.get_running_loop().stop()
    await asyncio.sleep(60)


async def cancels_all() -> None:
    for task in asyncio.all_tasks():
        task.cancel()
    await asyncio.sleep(60)


async def exits_behind_its_back() -> None:
    async def exits() -> None:
        sys.exit(5)

    ended = asyncio.create_task(exits())
    ended.add_done_callback(lambda task: task.exception())  # or asyncio tells it when it is collected
    await asyncio.sleep(60)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("deed", [stops, cancels_all, exits_behind_its_back])
@pytest.mark.parametrize("place", [0, 3, 6])
def test_a_look_that_ends_the_loop_of_all_is_the_only_one_to_fail(
    deed: Callable[[], Awaitable[None]], place: int
) -> None:
    class Ending(Lamp):
        async def observe(self) -> LampSeen:  # type: ignore[override]  # both kinds are allowed
            await deed()
            return LampSeen(on=True)

    lamps = [Awaited(f"lamp-{i}") for i in range(6)]
    children = placed(*lamps[:place], Ending("ends"), *lamps[place:])
    looker = Looker()
    for _ in range(2):  # and none of them is taken to be under way still
        assert errors(looker.look(children, 30)) == {"ends": looking.LOST, **{lamp.name: "" for lamp in lamps}}
    until(lambda: not threads())


def test_a_look_that_cancels_a_task_of_its_own_fails_by_itself() -> None:
    class Cancelling(Lamp):
        async def observe(self) -> LampSeen:  # type: ignore[override]  # both kinds are allowed
            own = asyncio.create_task(asyncio.sleep(60))
            own.cancel()
            await own
            return LampSeen(on=True)

    assert errors(Looker().look(placed(Cancelling("own"), Awaited("lamp")), 30)) == {
        "own": "CancelledError",
        "lamp": "",
    }


def test_a_loop_that_is_only_busy_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awaiting, "STUCK_S", 30.0)
    lamps = [Awaited(f"lamp-{i}") for i in range(3)]

    class Busy(Lamp):
        async def observe(self) -> LampSeen:  # type: ignore[override]  # both kinds are allowed
            time.sleep(0.5)  # noqa: ASYNC251 # what is slow here is the thing that is looked at
            return LampSeen(on=True)

    assert set(errors(Looker().look(placed(Busy("busy"), *lamps), 60)).values()) == {""}
    assert [lamp.asked for lamp in lamps] == [1, 1, 1]
    until(lambda: not threads())


# --- processes that are worn


class Hanging(Lamp):
    def __init__(self, name: str, gate: threading.Event) -> None:
        super().__init__(name)
        self.gate = gate

    def observe(self) -> Any:
        self.gate.wait(60)
        return LampSeen(on=True)


def test_many_hanging_looks_wear_a_process_out(gate: threading.Event) -> None:
    looker = Looker()
    children = placed(*(Hanging(f"hangs-{i}", gate) for i in range(looking.MANY_HUNG + 1)))
    list(looker.look(children[:-1], 0.05))
    until(lambda: time.monotonic() - min(look.begun for look in looker._hanging.values()) > 0.6)
    assert looker.worn() == "", "as many as may be"
    list(looker.look(children[-1:], 0.05))
    assert looker.worn() == "", "one of them is only late yet"
    until(looker.worn)
    assert looker.worn().startswith("9 looks hang, one of them for ")
    gate.set()
    until(lambda: not looker.worn())


def test_one_look_that_hangs_for_long_wears_a_process_out(
    gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    looker = Looker()
    list(looker.look(placed(Hanging("hangs", gate)), 0.05))
    assert looker.worn() == ""
    monkeypatch.setattr(looking, "LONG_HUNG_S", 0.6)
    until(looker.worn)
    assert "1 looks hang" in looker.worn()
