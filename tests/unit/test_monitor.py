"""Monitors: one function is a child, and whatever is wrong about it is said where it is wrong."""

import asyncio
import functools
from typing import Any

import pytest
from simulated import Plant

from supervision import InvalidDeclaration, InvalidDocument, Phase, Run, Supervisor, degraded, healthy, monitor
from supervision.model import MAX_PATH_LENGTH
from supervision.monitor import Health


@monitor
def plain() -> Health:
    return healthy()


@monitor(interval=5)
def disk() -> Health:
    return degraded("91 % full")


@monitor(interval=60, name="queue.depth", enabled=False)
async def depth() -> Health:
    await asyncio.sleep(0)
    return healthy("3 messages")


def test_a_function_becomes_a_child() -> None:
    Supervisor("house", [plain, disk, depth])
    assert [(child.path, child.kind, child.interval_ms) for child in (plain, disk, depth)] == [
        ("house/plain", "monitor", 0),
        ("house/disk", "monitor", 5_000),
        ("house/queue.depth", "monitor", 60_000),
    ]
    assert [child.enabled for child in (plain, disk, depth)] == [True, True, False]
    assert set(disk.actions) == {"noop"} | {name for name in plain.actions if name == "reconfigure"}


def test_it_observes_what_its_function_returns() -> None:
    assert plain.observe() == Health(well=True, reason="healthy")
    assert disk.observe() == Health(well=False, reason="91 % full")
    assert asyncio.iscoroutinefunction(depth.observe)
    assert asyncio.run(depth.observe()) == Health(well=True, reason="3 messages")


def test_it_follows_what_is_seen() -> None:
    @monitor
    def door() -> Health:
        return healthy()

    plant = Plant(door)
    plant.truth["door"] = healthy("closed")
    plant.tick()
    assert (plant.records["door"].state, plant.records["door"].phase) == ("unknown", Phase.STARTING)
    told = []
    for seen in (healthy("closed"), degraded("open"), degraded("wide open"), healthy("closed")):
        plant.truth["door"] = seen
        plant.second()
        record = plant.records["door"]
        told.append((record.state, record.phase, record.reason))
    assert told == [
        ("healthy", Phase.RUNNING, "closed"),
        ("degraded", Phase.DEGRADED, "open"),
        ("degraded", Phase.DEGRADED, "wide open"),
        ("healthy", Phase.RUNNING, "closed"),
    ]
    assert plant.given == []


def test_a_first_look_may_lead_to_degraded() -> None:
    @monitor
    def door() -> Health:
        return healthy()

    plant = Plant(door)
    plant.truth["door"] = degraded("open")
    plant.tick()
    plant.second()
    assert plant.records["door"].state == "degraded"


def test_what_restarts_it_is_its_restart_action() -> None:
    runs: list[Run] = []

    @monitor(restart=runs.append)
    def door() -> Health:
        return healthy()

    assert door.kind == "monitor"
    assert {"restart", "restart_child"} <= set(door.actions)
    run: Any = object()
    door.actions["restart_child"].code(door, run)
    assert runs == [run]


@pytest.mark.parametrize("answer", [None, True, "fine", {"well": True}, healthy])
def test_another_answer_is_a_failed_look_that_says_what_would_be_right(answer: Any) -> None:
    @monitor
    def odd() -> Any:
        return answer

    @monitor
    async def awaited() -> Any:
        return answer

    with pytest.raises(
        InvalidDocument, match=r"Monitor\(odd\): returned .*; a monitor returns healthy\(\) or degraded"
    ):
        odd.observe()
    with pytest.raises(InvalidDocument, match=r"Monitor\(awaited\): returned "):
        asyncio.run(awaited.observe())


@pytest.mark.parametrize("reason", ["", None, 3])
def test_a_reason_is_a_text(reason: Any) -> None:
    with pytest.raises(InvalidDocument, match=r"degraded\(.*\): needs a reason, for example degraded\('the disk"):
        degraded(reason)
    with pytest.raises(InvalidDocument, match=r"healthy\(.*\): needs a reason"):
        healthy(reason)


def test_an_endless_reason_is_cut() -> None:
    assert len(degraded("x" * 100_000).reason) < 10_000


def needs_one(path: str) -> Health:
    return healthy(path)


@pytest.mark.parametrize(
    ("function", "options", "why"),
    [
        (needs_one, {}, "missing a required argument: 'path'; it is called as def f\\(\\)"),
        (3, {}, "monitor: 3: needs a function, for example def f\\(\\)"),
        (lambda: degraded("x"), {}, "named '<lambda>'"),
        (functools.partial(needs_one, "/"), {"name": "x" * (MAX_PATH_LENGTH + 1)}, "named"),
        (plain.observe, {"interval": 0}, "interval=0: needs a number of seconds"),
        (plain.observe, {"interval": 86_401}, "interval=86401: .*a day"),
        (plain.observe, {"restart": plain.observe}, "too many positional arguments; it is called as def f\\(run\\)"),
        (plain.observe, {"restart": 3}, "restart: 3: needs a function"),
    ],
)
def test_what_cannot_be_a_monitor_is_refused(function: Any, options: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidDeclaration, match=why):
        monitor(**options)(function)


def test_an_asynchronous_restart_is_refused() -> None:
    async def restart(run: Run) -> None: ...

    with pytest.raises(InvalidDeclaration, match="is async def; write def"):
        monitor(restart=restart)(plain.observe)


def test_a_function_without_a_name_needs_one() -> None:
    with pytest.raises(InvalidDeclaration, match="needs a name"):
        monitor(functools.partial(needs_one, "/"))
    assert monitor(name="root")(functools.partial(needs_one, "/")).name == "root"
