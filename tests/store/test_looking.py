"""Looking: every child within its own time, and none at another one's expense."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from lamps import Lamp, LampSeen
from waiting import until

from supervision.child import Child
from supervision.looking import MAX_THREADS, NOTE_S, Batch, Looker
from supervision.store.observations import Sight
from supervision.supervisor import Supervisor

WIDE_S = 30.0
"""For looks that must come back: far more than any of them needs."""

SHORT_S = 0.3
"""For looks that must be given up."""

THREAD = "supervision-look"


class Hanging(Lamp):
    """Does not come back before it is let go; counts how often it was asked."""

    def __init__(self, name: str, gate: threading.Event) -> None:
        super().__init__(name)
        self.gate, self.asked = gate, 0

    def observe(self) -> LampSeen:
        self.asked += 1
        self.gate.wait(60)
        return LampSeen(on=True)


class Raising(Lamp):
    def __init__(self, name: str, error: BaseException) -> None:
        super().__init__(name)
        self.error = error

    def observe(self) -> LampSeen:
        raise self.error


class AsyncRaising(Raising):
    async def observe(self) -> LampSeen:  # type: ignore[override]  # both kinds are allowed
        raise self.error


class Wrong(Lamp):
    def observe(self) -> Any:
        return {"on": True}


class Async(Lamp):
    async def observe(self) -> LampSeen:  # type: ignore[override]  # both kinds are allowed
        await asyncio.sleep(0)
        return LampSeen(on=True, heat=7)


class AsyncHanging(Lamp):
    async def observe(self) -> LampSeen:  # type: ignore[override]  # both kinds are allowed
        await asyncio.sleep(60)
        return LampSeen(on=True)


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even that")


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What hanging children wait for; opened at the end, so that no thread outlives its test."""
    event = threading.Event()
    yield event
    event.set()
    until(lambda: not threads())


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD]


def placed(*children: Child) -> Sequence[Child]:
    return list(Supervisor("plant", children).children.values())


def sights(batches: Iterator[Batch] | list[Batch]) -> dict[str, Sight]:
    found = [sight for batch in batches for sight in batch.sights]
    assert len({sight.child for sight in found}) == len(found), "one sight per child"
    return {sight.child: sight for sight in found}


def errors(batches: Iterator[Batch] | list[Batch]) -> dict[str, str]:
    return {name: sight.error for name, sight in sights(batches).items()}


@pytest.mark.usefixtures("gate")
def test_every_child_is_looked_at() -> None:
    children = placed(*(Lamp(f"lamp-{i}") for i in range(300)))
    found = sights(Looker().look(children, WIDE_S))
    assert len(found) == 300
    assert {(sight.document, sight.error) for sight in found.values()} == {('{"on":true,"heat":0}', "")}


def test_looking_at_nobody_is_no_batch() -> None:
    assert list(Looker().look([], WIDE_S)) == []


@pytest.mark.usefixtures("gate")
def test_asynchronous_children_are_looked_at_side_by_side() -> None:
    children = placed(*(Async(f"lamp-{i}") for i in range(100)))
    found = sights(Looker().look(children, WIDE_S))
    assert len(found) == 100
    assert {sight.document for sight in found.values()} == {'{"on":true,"heat":7}'}


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (Wrong, "InvalidDocument: plant/lamp: observed: "),
        (lambda name: Raising(name, OSError("no route")), "OSError: no route"),
        (lambda name: AsyncRaising(name, OSError("no route")), "OSError: no route"),
        (lambda name: AsyncRaising(name, TimeoutError("slow lamp")), "TimeoutError: slow lamp"),
        (lambda name: Raising(name, SystemExit(3)), "SystemExit: 3"),
        (lambda name: AsyncRaising(name, SystemExit(3)), "SystemExit: 3"),
        (lambda name: AsyncRaising(name, asyncio.CancelledError()), "CancelledError"),
        (lambda name: Raising(name, Silent()), "Silent: its message raised another exception"),
        (lambda name: Raising(name, OSError("no \udcff")), "OSError: no \\udcff"),
    ],
)
@pytest.mark.usefixtures("gate")
def test_a_look_that_goes_wrong_is_that_childs_alone(make: Callable[[str], Child], why: str) -> None:
    looker, others = Looker(), [*(Async(f"a-{i}") for i in range(40)), *(Lamp(f"b-{i}") for i in range(40))]
    children = placed(make("lamp"), *others)
    for _ in range(2):
        found = errors(looker.look(children, WIDE_S))
        assert found.pop("lamp").startswith(why)
        assert found == {other.name: "" for other in others}


@pytest.mark.usefixtures("gate")
def test_an_endless_message_is_cut() -> None:
    found = errors(Looker().look(placed(Raising("lamp", OSError("x" * 1_000_000))), WIDE_S))
    assert len(found["lamp"]) < 10_000


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_child_that_hangs_is_reported_and_delays_nobody(kind: str, gate: threading.Event) -> None:
    hanging = Hanging("hung", gate) if kind == "sync" else AsyncHanging("hung")
    looker, children = Looker(), placed(hanging, *(Lamp(f"lamp-{i}") for i in range(40)))
    batches, arrived = [], dict[str, float]()
    begun = time.monotonic()
    for batch in looker.look(children, 2.0):
        batches.append(batch)
        arrived |= {sight.child: time.monotonic() - begun for sight in batch.sights}
    assert errors(batches) == {"hung": "timed out after 2 s", **{f"lamp-{i}": "" for i in range(40)}}
    assert max(seconds for name, seconds in arrived.items() if name != "hung") < arrived["hung"]
    assert all("hung" in batch.under_way for batch in batches[:-1])
    assert batches[-1].under_way == ()


def test_a_child_that_hangs_is_not_looked_at_again_and_holds_one_thread(gate: threading.Event) -> None:
    hanging = Hanging("hung", gate)
    looker, children = Looker(), placed(hanging, Lamp("lamp"))
    assert errors(looker.look(children, SHORT_S))["hung"] == "timed out after 0.3 s"
    for _ in range(3):
        assert errors(looker.look(children, SHORT_S)) == {"lamp": ""}
    until(lambda: len(threads()) == 1)
    assert hanging.asked == 1
    gate.set()
    until(lambda: not threads())
    assert errors(looker.look(children, WIDE_S)) == {"hung": "", "lamp": ""}


def test_more_children_hang_than_there_are_threads_and_the_others_get_their_turn(gate: threading.Event) -> None:
    hanging = [Hanging(f"hung-{i}", gate) for i in range(MAX_THREADS + 8)]
    looker, children = Looker(), placed(*hanging, *(Lamp(f"lamp-{i}") for i in range(20)))
    first = errors(looker.look(children, SHORT_S))
    assert sorted(set(first.values())) == [
        "not begun within 0.3 s: too many others hang",
        "timed out after 0.3 s",
    ]
    assert sum(child.asked for child in hanging) == MAX_THREADS
    second = errors(looker.look(children, SHORT_S))
    assert {name: why for name, why in second.items() if name.startswith("lamp")} == {
        f"lamp-{i}": "" for i in range(20)
    }
    assert [child.asked for child in hanging] == [1] * len(hanging)
    assert len(second) == 20 + 8


def test_what_is_under_way_is_said_before_the_first_result(gate: threading.Event) -> None:
    looks = Looker().look(placed(Hanging("hung", gate)), NOTE_S + 10)
    assert next(looks) == Batch((), ("hung",))
    gate.set()
    assert errors(list(looks)) == {"hung": ""}


class SlowToReturn(Looker):
    """Takes its time to note that a look has come back."""

    def __init__(self, gate: threading.Event) -> None:
        super().__init__()
        self.gate = gate

    def _returned(self, child: Child) -> None:
        self.gate.wait(60)
        super()._returned(child)


@pytest.mark.parametrize("kind", [Lamp, Async])
def test_a_child_whose_result_was_handed_on_can_be_looked_at_again_at_once(
    kind: type[Lamp], gate: threading.Event
) -> None:
    looker, children = SlowToReturn(gate), placed(kind("lamp"))
    looks = looker.look(children, WIDE_S)
    assert next(looks) == Batch((), ("lamp",)), "no result is handed on before its child is free again"
    gate.set()
    assert errors(list(looks)) == errors(looker.look(children, WIDE_S)) == {"lamp": ""}


def test_a_look_that_is_given_up_by_its_caller_leaves_nobody_waiting(gate: threading.Event) -> None:
    hanging = [Hanging(f"hung-{i}", gate) for i in range(MAX_THREADS)]
    looker, children = Looker(), placed(*hanging, Lamp("lamp"))
    looks = looker.look(children, WIDE_S)
    next(looks)
    looks.close()  # type: ignore[attr-defined]  # a generator: what a `for` does when its body raises
    assert errors(looker.look(children, WIDE_S)) == {"lamp": ""}


def test_children_of_two_supervisors_may_have_one_name(gate: threading.Event) -> None:
    looker, hanging = Looker(), Hanging("lamp", gate)
    other = list(Supervisor("annex", [Lamp("lamp")]).children.values())
    list(looker.look(placed(hanging), SHORT_S))
    assert errors(looker.look(other, WIDE_S)) == {"lamp": ""}


class Slow(Lamp):
    def observe(self) -> LampSeen:
        time.sleep(SHORT_S / 2)  # what is slow here is the thing that is looked at
        return LampSeen(on=True)


@pytest.mark.usefixtures("gate")
def test_a_crowd_too_slow_for_one_look_is_seen_in_turn() -> None:
    crowd = placed(*(Slow(f"slow-{i}") for i in range(4 * MAX_THREADS)))
    looker, seen = Looker(), set[str]()
    for _ in range(6):
        for batch in looker.look(crowd, SHORT_S):
            seen |= {sight.child for sight in batch.sights if not sight.error}
        until(lambda: not threads())  # as before the next interval
    assert seen == {child.name for child in crowd}
