"""What an action may declare, and what it may return."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from supervision.actions import (
    DEFAULT_TIMEOUT_S,
    HARD_LIMIT_EXTRA_S,
    MAX_RESULT_BYTES,
    RECONFIGURE,
    Run,
    action,
    encoded_result,
)
from supervision.child import RESTART_CHILD, Child, state
from supervision.errors import InvalidDeclaration, NotRetryable
from supervision.kinds.celery_queue import CeleryQueue
from supervision.kinds.process import Process
from supervision.model import Do, Phase, Snapshot, Stay
from supervision.settings import DEFAULT_MAX_ACTIONS, DEFAULT_SHUTDOWN_S
from supervision.store.actions import GRACE_MS, MOST_HAND_BACKS

WHAT = "plant/pump: start"


@dataclass(frozen=True)
class Filled:
    litres: float


class Bare(Child):
    @state(Phase.STOPPED, initial=True)
    def off(self, _seen: Snapshot) -> Stay:
        return Stay("off")


class Restarted(Bare):
    @action(timeout=7, retries=1)
    def restart(self, run: Run) -> None: ...


class Configured(Restarted):
    @action(timeout=3)
    def reconfigure(self, run: Run) -> None: ...


# Results


@pytest.mark.parametrize(
    ("returned", "kept"),
    [
        (0, "0"),
        ("", '""'),
        (False, "false"),
        ([], "[]"),
        ({}, "{}"),
        ((1, ("two", None)), '[1,["two",null]]'),
        ({"litres": 2**70}, '{"litres":1180591620717411303424}'),
        (Filled(1.5), '{"litres":1.5}'),
        ([Filled(1.5)], '[{"litres":1.5}]'),
        ("ü\u2028", '"ü\u2028"'),
    ],
    ids=str,
)
def test_what_an_action_returns_is_kept_as_json(returned: object, kept: str) -> None:
    assert encoded_result(returned, WHAT) == kept


def test_nothing_returned_is_nothing_kept() -> None:
    assert encoded_result(None, WHAT) == ""


class Stubborn(msgspec.Struct):
    @property
    def litres(self) -> int:
        return 1


class Lying(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        raise RuntimeError("not today")

    def __iter__(self) -> Any:
        raise RuntimeError("not today")

    def __len__(self) -> int:
        return 1


RING: list[Any] = []
RING.append(RING)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (object(), r"<object object at .*>, which JSON cannot hold \(TypeError: .*object"),
        ((number for number in range(3)), "<generator object .*>, which JSON cannot hold"),
        (float("nan"), "nan, which would be read back as another value"),
        ([{"litres": float("inf")}], "inf.*, which would be read back as another value"),
        ({1: "one"}, r"\{1: 'one'\}, which would be read back as another value"),
        ("\udcff", "which JSON cannot hold"),
        (RING, "which JSON cannot hold"),
        (Lying(), "which JSON cannot hold"),
        ("x" * MAX_RESULT_BYTES, "16,386 bytes as JSON, at most 16,384 are kept"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else None,
)
def test_what_cannot_be_kept_is_refused_with_what_it_was_and_what_would_be_right(returned: object, said: str) -> None:
    with pytest.raises(
        NotRetryable, match=f"^{WHAT} returned .*{said}.*; it ran, and is not run again; return None, text"
    ):
        encoded_result(returned, WHAT)


def test_the_largest_result_is_kept() -> None:
    assert len(encoded_result("x" * (MAX_RESULT_BYTES - 2), WHAT)) == MAX_RESULT_BYTES


# What is not retried


def test_an_action_names_the_classes_that_are_not_retried() -> None:
    class Reader(Bare):
        @action(not_retryable=(ValueError, LookupError))
        def read(self, run: Run) -> None: ...

        @action
        def write(self, run: Run) -> None: ...

    assert Reader.actions["read"].not_retryable == (ValueError, LookupError)
    assert Reader.actions["write"].not_retryable == ()


@pytest.mark.parametrize(
    "wrong", [ValueError, [ValueError], ("ValueError",), (int,), (SystemExit,), (ValueError(),), None]
)
def test_what_is_no_exception_class_is_refused_when_it_is_declared(wrong: Any) -> None:
    with pytest.raises(InvalidDeclaration, match=r"action read: not_retryable=.*example not_retryable=\(ValueError,\)"):
        action("read", not_retryable=wrong)


# Reconfigure


def test_who_can_be_restarted_is_reconfigured_by_a_restart() -> None:
    spec = Restarted("pump").spec(RECONFIGURE)
    assert spec is not None
    assert (spec.name, spec.timeout, spec.retries) == (RECONFIGURE, 7, 1)
    assert spec.code is Restarted.actions["restart"].code


def test_who_says_how_it_is_reconfigured_is_reconfigured_like_that() -> None:
    spec = Configured("pump").spec(RECONFIGURE)
    assert spec is not None
    assert (spec.timeout, spec.code) == (3, Configured.__dict__["reconfigure"])
    assert Configured.actions[RESTART_CHILD].code is Restarted.actions["restart"].code


def test_who_can_do_neither_does_not_offer_it() -> None:
    assert Bare("pump").spec(RECONFIGURE) is None


@pytest.mark.parametrize(
    "child", [Process("pump", ["pump"], start_timeout=100), CeleryQueue("mail", "redis://127.0.0.1", heal_timeout=100)]
)
def test_a_restart_has_the_same_limits_under_each_of_its_names(child: Child) -> None:
    limits = {spec.timeout for name in ("restart", RESTART_CHILD, RECONFIGURE) if (spec := child.spec(name))}
    assert len(limits) == 1
    assert limits.pop() > max(100, DEFAULT_TIMEOUT_S)


def test_a_process_that_says_how_it_is_reconfigured_has_the_limits_that_it_says() -> None:
    class Reloaded(Process):
        @action(timeout=3)
        def reconfigure(self, run: Run) -> None: ...

    spec = Reloaded("pump", ["pump"]).spec(RECONFIGURE)
    assert spec is not None
    assert spec.timeout == 3


def test_a_state_may_ask_for_it() -> None:
    assert Do(RECONFIGURE, "another recipe is wanted", {"recipe": "b"}).action in Restarted.actions


# The page


def test_the_sample_of_the_page_declares_what_it_says() -> None:
    page = Path(__file__).parents[2] / "docs" / "actions.md"
    (sample,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    scope: dict[str, Any] = {"__name__": "sample"}
    exec(compile(sample, str(page), "exec"), scope)  # noqa: S102 - the page's own code
    oven = scope["Oven"]("oven")
    seen = Snapshot(oven.identity, {"recipe": "b"}, oven.observe(), "baking", 0, 0)
    asked = oven.baking(seen)
    assert asked == Do("reconfigure", "another recipe is wanted", {"recipe": "b"})
    run = Run("a", 1, 1, seen, asked.params, structlog.get_logger())
    assert encoded_result(oven.spec(asked.action).code(oven, run), WHAT) == '{"recipe":"b"}'


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "actions.md").read_text()
    for said in (
        f"{MAX_RESULT_BYTES // 1024} KiB at most",
        f"`supervision_shutdown_timeout` ({DEFAULT_SHUTDOWN_S:g} s)",
        f"`supervision_max_actions` ({DEFAULT_MAX_ACTIONS})",
        f"is the soft limit; {HARD_LIMIT_EXTRA_S:g} s later its process is killed",
        f"{GRACE_MS / 1000 - HARD_LIMIT_EXTRA_S:g} s later a run without an end is given up",
        {3: "three\n  times per action"}[MOST_HAND_BACKS],
    ):
        assert said in page
