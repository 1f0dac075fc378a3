"""What the command line says about a circuit in one sentence."""

from typing import Any

import pytest

from supervision.cli.rows import circuit_sentence, supervisor_row
from supervision.store.views import SupervisorView


def seen(circuit: str, **changes: Any) -> SupervisorView:
    """A supervisor whose circuit is ``circuit``; it ticked just now."""
    known: dict[str, Any] = {
        "path": "plant",
        "parent": "",
        "at": 100_000,
        "health": "degraded",
        "circuit": circuit,
        "reason": "they differ",
        "check": "agree",
        "child": "red",
        "attempts": 1,
        "max_attempts": 5,
        "next_attempt_at": 0,
        "incident": "plant@1",
        "opened_at": 1,
        "forced_by": "",
        "interval_ms": 1000,
        "epoch": 1,
        "last_tick_at": 100_000,
        "last_tick_age_ms": 0,
        "mode": "act",
        "enabled": True,
        "paused_until": 0,
        "silenced_until": 0,
        "suspected_since": 0,
        "worst_case_ms": 0,
        "checks": ("agree",),
        "children": (),
    }
    return SupervisorView(**{**known, **changes})


FORCED = {"forced_by": "root", "check": "", "reason": "forced open by root: r", "attempts": 0}


@pytest.mark.parametrize(
    ("view", "sentence"),
    [
        (seen("open", next_attempt_at=104_000), "agree: they differ; 1 of 5 attempts used, next in 4.0s"),
        (seen("verifying"), "agree: they differ; 1 of 5 attempts used"),
        (seen("escalated", attempts=5), "agree: they differ; 5 of 5 attempts used"),
        # Restarts of earlier incidents within the window count, too, and are not in this number.
        (seen("escalated", attempts=0), "agree: they differ"),
        (seen("escalated", attempts=0, next_attempt_at=104_000), "agree: they differ; next in 4.0s"),
        (seen("open", **FORCED), "forced open by root: r"),
        (seen("open", forced_by="root"), "agree: they differ"),
        (seen("closed"), "checks: agree"),
    ],
)
def test_a_sentence_says_what_is_known_and_nothing_empty(view: SupervisorView, sentence: str) -> None:
    assert circuit_sentence(view) == sentence


def test_who_forced_it_open_is_said_once_before_and_after_the_order_is_heard() -> None:
    assert supervisor_row(seen("open", **FORCED)).reason == "forced open by root: r"
    assert supervisor_row(seen("closed", forced_by="root")).reason == "forced open by root; checks: agree"
    assert supervisor_row(seen("open", forced_by="root")).reason == "forced open by root; agree: they differ"
