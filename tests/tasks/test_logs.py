"""Log lines: what a tick tells, as a table; that it tells what was committed; and how a real worker writes it."""

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from celery import Celery
from celery.utils.log import ColorFormatter
from waiting import until

from supervision import Backoff, Child, Phase, Run, Snapshot, Stay, Supervisor, action, aggregate, check, fail, state
from supervision.checks import Check, Seen, Verdict
from supervision.circuit import TRANSITIONS, Circuit, State
from supervision.decide import Plan, decide
from supervision.guarded import Guarded
from supervision.model import ChildRecord, Event, Move, Observation, Reservation, Update
from supervision.orders import Mode, Orders, Silence
from supervision.runtime import Runtime
from supervision.server import EmbeddedStore
from supervision.store.outbox import Entry
from supervision.store.store import Store
from supervision.telemetry import logs
from supervision.telemetry.lines import _MOVES, MOST_CHILD_LINES, Line, committed, lines, recovery_status
from supervision.view import ChildView, View
from tasks import speaking

NOW = 1_000_000_000_000
GROUND = {
    "supervisor": "plant",
    "error_scope": "infrastructure",
    "impact": "all_workers",
    "child_name": "flow",
    "incident": "plant@7",
    "check": "connected",
}


class Pipe(Child):
    """Whatever it is, it can be restarted."""

    def observe(self) -> dict[str, bool]:
        return {"there": True}

    @state(Phase.RUNNING, initial=True)
    def up(self, _seen: Snapshot) -> Move:
        return Stay("it is there")

    @state(Phase.DEGRADED)
    def weak(self, _seen: Snapshot) -> Move:
        return Stay("it leaks")

    @action(timeout=5)
    def restart(self, _run: Run) -> None: ...


@check("broker", "flow", restart="flow", trip_after=1)
def connected(_broker: Seen, _flow: Seen) -> Verdict:
    return fail("no connection")


def plant(*checks: Check, **limits: Any) -> Supervisor:
    return Supervisor("plant", [Pipe("broker"), Pipe("flow")], checks=checks or (connected,), **limits)


def view(circuit: Circuit, supervisor: Supervisor | None = None) -> View:
    declared = supervisor or plant()
    return View(declared, NOW, 7, circuit, {name: ChildView(child) for name, child in declared.children.items()})


def troubled(**changes: Any) -> Circuit:
    """A circuit whose incident began half a minute ago."""
    circuit = Circuit(State.OPEN, "plant@7", "connected", "flow", "no connection", opened_at=NOW - 30_000)
    return msgspec.structs.replace(circuit, **changes)


def moved(before: State, after: State, **changes: Any) -> list[Line]:
    """What a tick tells in which the circuit made this move."""
    circuit = troubled(state=after, **changes)
    event = Event("circuit", "plant", "why", before.value, after.value, circuit.attempt)
    return lines(view(troubled(state=before, **changes)), Plan(circuit, (), (event,)))


def of_child(record: ChildRecord, *events: Event) -> list[Line]:
    return lines(view(Circuit()), Plan(None, (Update("flow", record, events),)))


def record(name: str = "up", phase: Phase = Phase.RUNNING) -> ChildRecord:
    return ChildRecord(name, phase, "it is there", NOW)


@pytest.mark.parametrize(
    ("attempts", "most", "status"),
    [
        *((n, 5, "attempting_recovery") for n in (0, 1, 2)),
        *((n, 5, "persistent_failure") for n in (3, 4)),
        *((n, 5, "escalation_imminent") for n in (5, 6)),
        *((n, 10, "attempting_recovery") for n in (0, 5)),
        *((n, 10, "persistent_failure") for n in (6, 9)),
        (10, 10, "escalation_imminent"),
        *((1, 2, "attempting_recovery"), (2, 2, "escalation_imminent")),
        *((0, 1, "attempting_recovery"), (1, 1, "escalation_imminent")),
    ],
)
def test_the_recovery_status_scales_with_the_attempts_there_are(attempts: int, most: int, status: str) -> None:
    assert recovery_status(attempts, most) == status


def test_an_open_circuit_has_one_heartbeat_per_tick_though_nothing_moves() -> None:
    circuit = troubled(attempt=3, next_attempt_at=NOW + 4_000)
    assert lines(view(circuit), Plan(None, ())) == [
        Line(
            "warning",
            "circuit_open",
            {
                **GROUND,
                "circuit": "open",
                "reason": "no connection",
                "retry_attempt": 3,
                "max_attempts": 5,
                "elapsed_downtime": 30.0,
                "next_retry_in": 4.0,
                "recovery_status": "persistent_failure",
            },
        )
    ]


def test_a_closed_circuit_has_nothing_to_say() -> None:
    assert lines(view(Circuit()), Plan(None, ())) == []


def test_restarts_of_earlier_incidents_count_where_the_circuit_counts_them() -> None:
    circuit = troubled(attempt=1, restarts=(NOW - 400_000, *(NOW - n for n in range(5))))
    assert lines(view(circuit), Plan(None, ()))[0].fields["recovery_status"] == "escalation_imminent"


def test_a_clock_that_was_set_back_makes_no_duration_negative() -> None:
    (beat,) = lines(view(troubled(opened_at=NOW + 5_000, next_attempt_at=NOW - 5_000)), Plan(None, ()))
    assert (beat.fields["elapsed_downtime"], beat.fields["next_retry_in"]) == (0.0, 0.0)
    recovered = moved(State.VERIFYING, State.CLOSED, opened_at=NOW + 5_000)[0]
    assert recovered.fields["total_downtime"] == 0.0


WHERE = {"supervisor", "error_scope", "impact", "child_name", "incident", "check", "reason"}
TRIED = {"retry_attempt", "max_attempts"}
PROGRESS = {*TRIED, "circuit", "elapsed_downtime", "next_retry_in", "recovery_status"}
HELP = {"total_downtime", "runbook_url", "manual_steps"}
CHILD = {"supervisor", "error_scope", "impact", "worker_id", "reason"}

WRITTEN: dict[str, tuple[str, set[str]]] = {
    "circuit_open": ("warning", WHERE | PROGRESS),
    "circuit_opened": ("warning", WHERE),
    "recovery_attempt": ("info", WHERE | TRIED),
    "recovery_failed": ("warning", WHERE | TRIED),
    "escalation_near": ("warning", WHERE | PROGRESS | {"attempts_remaining"}),
    "escalated": ("warning", WHERE | HELP | {"escalated_to"}),
    "restarted_by_parent": ("warning", WHERE | {"total_downtime"}),
    "ESCALATION REQUIRED": ("error", WHERE | HELP | {"max_attempts"}),
    "recovered": ("info", WHERE | {"total_downtime"}),
    "incident_ended": ("info", WHERE | {"subject"}),
    "child_fault": ("warning", CHILD),
    "child_degraded": ("warning", CHILD | {"before", "after"}),
}
"""Level and fields of every line that somebody may route by; a field that goes away breaks an alert somewhere."""

MOVES = (
    (State.CLOSED, State.OPEN),
    (State.OPEN, State.VERIFYING),
    (State.VERIFYING, State.OPEN),
    (State.OPEN, State.ESCALATED),
    (State.ESCALATED, State.VERIFYING),
    (State.VERIFYING, State.CLOSED),
)


def test_every_line_has_the_level_and_the_fields_that_are_written_down() -> None:
    below, circuit = replaced(heard_above=True), troubled(state=State.VERIFYING, attempt=4)
    events = [Event("circuit", "plant", "why", before.value, after.value) for before, after in MOVES]
    events += [Event(kind, "plant", "why") for kind in ("escalation_near", "escalation", "incident_ended")]
    weak = Event("state", "plant/flow", "it leaks", "up", "weak")
    update = Update("flow", record("weak", Phase.DEGRADED), (Event("fault", "plant/flow", "x"), weak))
    told = lines(below, Plan(circuit, (update,), tuple(events)))
    assert {line.event: (line.level, set(line.fields)) for line in told} == WRITTEN


def replaced(circuit: Circuit | None = None, supervisor: Supervisor | None = None, **changes: Any) -> View:
    return msgspec.structs.replace(view(circuit or troubled(), supervisor), **changes)


def test_every_move_of_a_circuit_has_its_line() -> None:
    assert set(_MOVES) == {(before, after) for before, moves in TRANSITIONS.items() for after in moves}


@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize("after", State)
def test_a_move_that_nobody_foresaw_ends_no_tick(before: State, after: State) -> None:
    assert moved(before, after)[0].fields["reason"] == "why"


def test_a_supervisor_that_people_have_switched_off_has_no_heartbeat() -> None:
    off = msgspec.structs.replace(view(troubled()), orders=Orders(mode=Mode.OFF))
    assert lines(off, Plan(None, ())) == []


@pytest.mark.parametrize(
    ("before", "after", "level", "event", "more"),
    [
        (State.CLOSED, State.OPEN, "warning", "circuit_opened", {}),
        (State.OPEN, State.VERIFYING, "info", "recovery_attempt", {"retry_attempt": 2, "max_attempts": 5}),
        (State.VERIFYING, State.OPEN, "warning", "recovery_failed", {"retry_attempt": 2, "max_attempts": 5}),
        *(
            (before, State.CLOSED, "info", "recovered", {"total_downtime": 30.0})
            for before in State
            if before != "closed"
        ),
    ],
)
def test_a_move_of_the_circuit_is_told(
    before: State, after: State, level: str, event: str, more: dict[str, Any]
) -> None:
    first, *beats = moved(before, after, attempt=2)
    assert first == Line(level, event, {**GROUND, "reason": "why", **more})
    assert [beat.event for beat in beats] == ["circuit_open"] * (after is not State.CLOSED)


def test_an_escalation_calls_for_help() -> None:
    circuit = troubled(state=State.ESCALATED, attempt=5)
    call = Event("escalation", "plant", "why", after="plant@7", attempt=5)
    first, beat = lines(view(troubled(attempt=5)), Plan(circuit, (), (call,)))
    help_given = {"total_downtime": 30.0, "max_attempts": 5, "runbook_url": "", "manual_steps": []}
    assert first == Line("error", "ESCALATION REQUIRED", {**GROUND, "reason": "why", **help_given})
    assert beat.fields["recovery_status"] == "escalated"


def test_an_escalation_that_a_parent_answers_names_the_parent_and_calls_nobody() -> None:
    hall = Supervisor("hall", [plant()])
    escalated = troubled(state=State.ESCALATED)
    plan = Plan(escalated, (), (Event("circuit", "hall/plant", "why", "open", "escalated", 5),))
    answered = lines(replaced(troubled(), hall.below["plant"], heard_above=True), plan)
    assert [(line.level, line.event) for line in answered] == [("warning", "escalated"), ("warning", "circuit_open")]
    assert answered[0].fields["escalated_to"] == "hall"
    alone = lines(replaced(troubled(), hall.below["plant"], heard_above=False), plan)
    assert "escalated_to" not in alone[0].fields


def called(circuit: Circuit, supervisor: Supervisor) -> dict[str, Any]:
    """The call for help about ``circuit``."""
    event = Event("escalation", supervisor.path, "why", after=circuit.incident)
    (call,) = [line for line in lines(view(circuit, supervisor), Plan(circuit, (), (event,))) if line.level == "error"]
    return dict(call.fields)


def helpful(name: str, *steps: str, url: str = "") -> Check:
    return replace(connected, name=name, runbook_url=url, manual_steps=steps)


def handed_up(branch: str = "plant") -> Circuit:
    """The circuit of a supervisor that could not heal the one below it."""
    return troubled(state=State.ESCALATED, check=f"{branch}:escalated", child=branch)


def help_of(call: dict[str, Any]) -> tuple[str, list[str]]:
    return call["runbook_url"], call["manual_steps"]


def test_the_check_says_what_to_do_or_else_the_child_that_it_restarts() -> None:
    flow = Pipe("flow", runbook_url="child.md", manual_steps=("unplug it",))
    both = Supervisor("plant", [Pipe("broker"), flow], checks=[helpful("connected", url="check.md")])
    assert help_of(called(troubled(state=State.ESCALATED), both)) == ("check.md", ["unplug it"])


def reporting(above: Supervisor, branch: str, below: View, circuit: Circuit) -> View:
    """``above`` with what ``below`` has told it about its ``circuit``."""
    told = aggregate.after(below, Plan(circuit, ()))
    seen = ChildView(above.children[branch], observation=Observation(told, NOW, 1))
    return View(above, NOW, 1, handed_up(branch), {branch: seen})


def call_of(seen: View) -> dict[str, Any]:
    event = Event("escalation", seen.supervisor.path, "why", after=seen.circuit.incident)
    (call,) = [line for line in lines(seen, Plan(None, (), (event,))) if line.level == "error"]
    return dict(call.fields)


def test_a_parent_calls_with_what_the_one_below_it_has_told_however_deep() -> None:
    hall = Supervisor("hall", [plant(helpful("one", "wait"), helpful("connected", "look", "act", url="below.md"))])
    town = Supervisor("town", [hall])
    escalated = troubled(state=State.ESCALATED, opened_at=NOW - 90_000)
    in_hall = reporting(hall, "plant", view(escalated, hall.below["plant"]), escalated)
    assert help_of(call_of(in_hall)) == ("below.md", ["look", "act"]), "those of the check that failed"
    in_town = reporting(town, "hall", in_hall, in_hall.circuit)
    assert help_of(call_of(in_town)) == ("below.md", ["look", "act"])
    assert call_of(in_town)["total_downtime"] == 90.0, "since it began, far below"
    assert help_of(called(handed_up(), Supervisor("hall", [plant()]))) == ("", [])


def test_a_check_with_attempts_of_its_own_is_told_with_those() -> None:
    hall = Supervisor("hall", [plant()], on_escalation="escalate")
    (beat,) = lines(view(msgspec.structs.replace(handed_up(), state=State.OPEN), hall), Plan(None, ()))
    assert (beat.fields["retry_attempt"], beat.fields["max_attempts"]) == (0, 0)
    assert beat.fields["recovery_status"] == "escalation_imminent"
    assert called(handed_up(), hall)["max_attempts"] == 0


def test_a_circuit_that_was_forced_open_tells_no_next_try() -> None:
    forced = troubled(check="", child="", forced="ann", reason="forced open by ann: paint is wet")
    (beat,) = lines(view(forced), Plan(None, ()))
    assert beat.fields["recovery_status"] == "forced_open"
    assert beat.fields["next_retry_in"] is None
    assert beat.fields["elapsed_downtime"] == 30.0


def test_in_a_silence_nobody_is_called_and_after_it_once() -> None:
    orders = Orders(silence=Silence(until=NOW + 1, by="ann", reason="we know"))
    circuit, calls = troubled(state=State.ESCALATED, attempt=5, next_attempt_at=NOW + 60_000), []
    for now in (NOW, NOW + 1, NOW + 1_000):
        seen = msgspec.structs.replace(view(circuit), now=now, orders=orders)
        plan = decide(seen, now)
        calls.append([line.fields["total_downtime"] for line in lines(seen, plan) if line.level == "error"])
        circuit = plan.circuit or circuit
    assert calls == [[], [30.001], []]


def test_one_attempt_before_the_end_people_are_warned() -> None:
    circuit = troubled(state=State.VERIFYING, attempt=4)
    plan = Plan(circuit, (), (Event("escalation_near", "plant", "attempts_remaining: 1", attempt=4),))
    warning = lines(view(troubled(attempt=3)), plan)[0]
    assert (warning.level, warning.event) == ("warning", "escalation_near")
    assert warning.fields["attempts_remaining"] == 1
    assert warning.fields["recovery_status"] == "persistent_failure"


def test_the_end_of_an_incident_still_names_it() -> None:
    event = Event("incident_ended", "plant", "plant@7 stable for 60 s")
    assert lines(view(troubled(state=State.CLOSED)), Plan(Circuit(), (), (event,))) == [
        Line("info", "incident_ended", {**GROUND, "reason": "plant@7 stable for 60 s", "subject": "plant"})
    ]


def test_a_check_that_affects_some_says_whom() -> None:
    limited = replace(connected, affects=frozenset({"flow"}))
    (beat,) = lines(view(troubled(), plant(limited)), Plan(None, ()))
    assert beat.fields["affects"] == ["flow"]


@pytest.mark.parametrize("kind", ["fault", "quarantined"])
def test_what_is_wrong_with_one_child_is_told_of_that_child(kind: str) -> None:
    assert of_child(record(), Event(kind, "plant/flow", "ValueError: x")) == [
        Line(
            "warning",
            f"child_{kind}",
            {
                "supervisor": "plant",
                "error_scope": "worker",
                "impact": "single_worker",
                "worker_id": "plant/flow",
                "reason": "ValueError: x",
            },
        )
    ]


def test_a_child_that_becomes_degraded_is_told_and_one_that_runs_is_not() -> None:
    assert of_child(record(), Event("state", "plant/flow", "well", "weak", "up")) == []
    weak = of_child(record("weak", Phase.DEGRADED), Event("state", "plant/flow", "it leaks", "up", "weak"))
    assert [(line.event, line.fields["before"], line.fields["after"]) for line in weak] == [
        ("child_degraded", "up", "weak")
    ]


def test_a_thousand_faults_are_not_a_thousand_lines() -> None:
    updates = tuple(Update(f"c{n}", record(), (Event("fault", f"plant/c{n}", "x"),)) for n in range(1000))
    told = lines(view(Circuit()), Plan(None, updates))
    assert len(told) == MOST_CHILD_LINES + 1
    assert (told[-1].event, told[-1].fields["left_out"]) == ("child_lines_left_out", 1000 - MOST_CHILD_LINES)


def wished(child: str, *, incident: str = "") -> Update:
    wish = Reservation(f"{child}-1", child, "restart", "x", {}, 5_000, 0, incident)
    return Update(child, record(), (Event("fault", f"plant/{child}", "x"),), wish)


def test_what_was_superseded_is_not_told() -> None:
    plan = Plan(troubled(), (wished("flow"),))
    assert committed(plan, "superseded", ["flow-1"]) is None
    assert lines(view(troubled()), None) == []


def test_a_child_whose_slot_was_taken_meanwhile_is_not_told() -> None:
    plan = Plan(troubled(), (wished("flow"), wished("broker")))
    assert committed(plan, "again", ["flow-1"]) == Plan(troubled(), (wished("flow"),))


def test_without_its_probe_nothing_was_written_and_nothing_is_told() -> None:
    plan = Plan(troubled(), (wished("flow", incident="plant@7"), wished("broker")))
    assert committed(plan, "again", []) is None
    assert committed(plan, "done", ["flow-1", "broker-1"]) == plan


class Silent:
    """A broker that takes everything."""

    def __init__(self) -> None:
        self.sent: list[Entry] = []

    def publish(self, entries: Any) -> list[Entry]:
        some = list(entries)
        self.sent += some
        return some


@pytest.fixture
def spoken() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as captured:
        yield captured


def played(runtime: Runtime, spoken: list[Any], enough: Callable[[list[Any]], bool]) -> list[Any]:
    """What is told while everything runs, until that is ``enough``."""

    def done() -> bool:
        for path in runtime.supervisors:
            runtime.collect(path)
            runtime.tick(path)
        for entry in runtime._publisher.sent:  # type: ignore[attr-defined] # ours, above
            if entry.kind == "act":
                runtime.run_action(entry.subject)
        runtime._publisher.sent.clear()  # type: ignore[attr-defined] # as above
        return enough(spoken)

    until(done, timeout=30, what=lambda: f"enough in {[line['event'] for line in spoken]}")
    return spoken


def three_beats_escalated(path: str) -> Callable[[list[Any]], bool]:
    """Whether the supervisor has had three heartbeats since it escalated for good."""

    def enough(spoken: list[Any]) -> bool:
        beats = [line for line in spoken if line["event"] == "circuit_open" and line["supervisor"] == path]
        return len(beats) > 3 and all(beat["recovery_status"] == "escalated" for beat in beats[-3:])

    return enough


def test_a_whole_incident_reads_as_it_was(store_url: str, namespace: str, spoken: list[Any]) -> None:
    supervisor = plant(interval=0.01, max_attempts=2, restart=Backoff(base=0.001, cap=0.001))
    with closing(Store(store_url, namespace)) as store:
        runtime = Runtime(store, Silent(), {"plant": supervisor})
        played(runtime, spoken, three_beats_escalated("plant"))
    told = [line["event"] for line in spoken if line["event"] not in {"circuit_open", "escalation_near"}]
    tried = ["recovery_attempt", "action_started", "action_succeeded", "recovery_failed"]
    assert told == ["circuit_opened", *tried, *tried, "escalated", "ESCALATION REQUIRED"]
    assert [line["attempts_remaining"] for line in spoken if line["event"] == "escalation_near"] == [1]
    status = list(dict.fromkeys(line["recovery_status"] for line in spoken if line["event"] == "circuit_open"))
    assert status == ["attempting_recovery", "escalation_imminent", "escalated"]


@pytest.mark.parametrize(
    ("response", "wanted"), [("restart", ("hall", 1)), ("escalate", ("hall", 0)), ("degrade", ("hall/plant", 1))]
)
def test_of_two_that_escalate_only_the_highest_that_answers_calls_once_with_the_runbook_from_below(
    store_url: str, namespace: str, spoken: list[Any], response: str, wanted: tuple[str, int]
) -> None:
    caller, attempts = wanted
    quick: dict[str, Any] = {"interval": 0.01, "max_attempts": 1, "restart": Backoff(base=0.001, cap=0.001)}
    below = plant(helpful("connected", "look", "act", url="below.md"), **quick)
    hall = Supervisor("hall", [below], on_escalation=response, **quick)
    with closing(Store(store_url, namespace)) as store:
        runtime = Runtime(store, Silent(), {each.path: each for each in hall.tree()})
        played(runtime, spoken, three_beats_escalated(caller))
    (call,) = [line for line in spoken if line["log_level"] == "error"]
    assert (call["event"], call["supervisor"]) == ("ESCALATION REQUIRED", caller)
    assert (*help_of(call), call["max_attempts"]) == ("below.md", ["look", "act"], attempts)
    escalated = [line for line in spoken if line["event"] == "escalated"]
    to = {line["supervisor"]: line.get("escalated_to") for line in escalated}
    assert to == ({"hall/plant": None} if response == "degrade" else {"hall/plant": "hall", "hall": None})
    restarts = [line for line in spoken if line["event"] == "restarted_by_parent"]
    assert len(restarts) == (response == "restart")


def test_a_tick_that_was_overtaken_tells_nothing(store_url: str, namespace: str, spoken: list[Any]) -> None:
    with closing(Store(store_url, namespace)) as store:

        @check("broker", restart="broker", trip_after=1)
        def overtaken(_broker: Seen) -> Verdict:
            control = store.keys.of("plant", "control")
            store.client.hincrby(control, "epoch", 1)  # what a later claim does
            return fail("it would open the circuit")

        runtime = Runtime(store, Silent(), {"plant": plant(overtaken, interval=0.01)})
        until(lambda: runtime.tick("plant") == "done")  # born
        until(lambda: runtime.collect("plant"))
        assert until(lambda: runtime.tick("plant").replace("duplicate", "")) == "superseded"
    assert spoken == []


def formatted(log_format: str, message: object, *, own: logging.Formatter | None = None) -> str:
    """What a handler that has Celery's format, or one of its ``own``, writes once it was dressed."""
    written = io.StringIO()
    handler, logger = logging.StreamHandler(written), logging.getLogger("somebody")
    handler.setFormatter(own or ColorFormatter("%(message)s", use_color=False))
    logger.addHandler(handler)
    logs.dress(logger, log_format, only=ColorFormatter)
    try:
        Path("/dev/null/nothing").read_text()
    except OSError:
        logger.warning("%s and more", message, exc_info=True)
    finally:
        logger.removeHandler(handler)
    return written.getvalue()


def test_a_line_of_somebody_else_is_an_object_with_its_traceback() -> None:
    text = formatted("json", "this\nand that")
    assert text.count("\n") == 1, "one line"
    line = json.loads(text)
    assert (line["event"], line["level"], line["logger"]) == ("this\nand that and more", "warning", "somebody")
    assert line["timestamp"].endswith("Z")
    assert line["exception"].endswith("'/dev/null/nothing'")


def test_on_a_console_it_is_text() -> None:
    text = formatted("console", "this")
    assert "this and more" in text
    assert "'/dev/null/nothing'" in text
    assert not text.startswith("{")


def test_a_handler_that_somebody_else_installed_keeps_its_format() -> None:
    assert formatted("json", "this", own=logging.Formatter("mine: %(message)s")).startswith("mine: this and more")


def test_a_variable_of_a_traceback_is_not_told() -> None:
    assert "written" not in formatted("json", "this") + formatted("console", "this")


@pytest.mark.parametrize(
    ("task", "args", "supervisor"),
    [
        ("supervision.tick", ["town/garden", "dirty"], "town/garden"),
        ("supervision.collect", ("town/garden",), "town/garden"),
        ("supervision.look_alone", ("town/garden/lamp",), "town/garden"),
        ("supervision.act", ["town~garden~stone~1700000000000"], "town/garden"),
        ("supervision.act", ["garden~stone~ask-7f-a"], "garden"),
        ("supervision.sweep", ["due"], ""),
        ("of.a.user", ["x"], ""),
        ("supervision.tick", [], ""),
        ("supervision.tick", [7], ""),
    ],
)
def test_a_task_is_known_by_its_supervisor(task: str, args: Any, supervisor: str) -> None:
    assert speaking._supervisor(task, args) == supervisor


def test_a_real_worker_writes_objects_only(make_store: Callable[..., EmbeddedStore], tmp_path: Path) -> None:
    url, log = make_store().url, tmp_path / "log"
    queues = ("supervision.collectors", "supervision.ticks")
    settings = {"SUPERVISION_STORE_URL": url, "SUPERVISION_IMPORTS": "spoken_plant", "REMAP_SIGTERM": "SIGQUIT"}
    settings["SUPERVISION_METRICS_PER_CHILD"] = "1"
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-Q", ",".join(queues), "-c", "1"]
    environment = {**os.environ, **settings, "PYTHONPATH": str(Path(__file__).parent)}
    command += ["-l", "INFO", "-f", str(log)]
    with Guarded(command, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL, tree=True):
        with closing(Celery("sender", broker=url, set_as_current=False)) as sender:
            sent = sender.send_task("supervision.collect", ["town/garden"], queue=queues[0]).id
            until(lambda: log.exists() and "succeeded in" in log.read_text(), what="the task's end in the log")
            for _ in range(5):  # of which some may be of one slot
                sender.send_task("supervision.tick", ["town/garden"], queue=queues[1])
        until(lambda: "child_fault" in log.read_text(), what="a line of ours in the log")
        with closing(Store(url)) as store:
            counts: Any = store.client.hgetall(store.keys.counters)
    written = [json.loads(line) for line in log.read_text().splitlines()]
    assert all({"event", "level", "logger", "timestamp"} <= set(line) for line in written)
    done = next(line for line in written if "succeeded in" in line["event"])
    fault = next(line for line in written if line["event"] == "child_fault")
    assert (done["task_id"], done["root_id"], done["supervisor"]) == (sent, sent, "town/garden")
    assert done["logger"] == "celery.app.trace"
    assert (fault["logger"], fault["worker_id"]) == ("supervision", "town/garden/rotten")
    assert fault["task_id"], "ours know their task, too"
    assert any(line["event"] == "said by a child" for line in written), "what user code prints"
    assert not any("supervisor" in line for line in written if "ready" in line["event"])
    own = b"supervisor_transitions_total|supervisor=town/garden|worker_id=town/garden/stone|state=lying"
    assert own in counts, "the worker has read the setting for its counts, too"
