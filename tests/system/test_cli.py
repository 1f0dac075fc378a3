"""The command line as a shell sees it: real processes on a real server, with states written by the real runtime."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import takewhile
from pathlib import Path

import pytest
from celery_processes import CeleryProcess, ended
from cli_plant import SECRET, Kept, Lamp, brought_up, plant
from shells import SUPERVISION, Shell, rows
from waiting import until

from supervision import Supervisor, healthy, monitor
from supervision.monitor import Health
from supervision.ports import free_ports
from supervision.runtime import Runtime
from supervision.server import EmbeddedStore
from supervision.store.store import Store

CELERY = Path(sys.executable).with_name("celery")
LINE, RED, GREEN, DEAD, MOON = ("plant/line-1" + rest for rest in ("", "/red", "/green", "/dead", "/moon"))
PASSWORD = "open-sesame-7"  # noqa: S105 # what must be printed nowhere
HERE = Path(__file__).parent


@pytest.fixture
def runtime(valkey_server: EmbeddedStore, namespace: str) -> Iterator[Runtime]:
    """A plant that is up, in the test's namespace."""
    line = plant()
    with closing(Store(valkey_server.url, namespace)) as store:
        found = Runtime(store, Kept(), {line.name: line})
        brought_up(found)
        yield found


@pytest.fixture
def shell(runtime: Runtime, valkey_server: EmbeddedStore, tmp_path: Path) -> Shell:
    """A shell that has the store in its environment."""
    namespace = runtime.store.keys.namespace
    return Shell(tmp_path, SUPERVISION_STORE_URL=valkey_server.url, SUPERVISION_NAMESPACE=namespace)


# --- output


def test_in_a_pipe_awk_can_cut_the_columns(shell: Shell) -> None:
    command = f"{SUPERVISION} tree | awk '$4 == \"running\" {{print $1}}'"
    assert shell.run("sh", "-c", command).stdout.split() == [LINE, RED, GREEN, MOON]
    text = shell("tree")
    assert "\x1b" not in text
    titles, *lines = text.splitlines()
    assert titles.split() == ["PATH", "KIND", "STATE", "PHASE", "SEEN", "ACTION", "REASON"]
    column = titles.index("REASON")
    assert {line[column - 2 : column] for line in lines} == {"  "}
    assert [line.split()[0] for line in lines] == [LINE, RED, GREEN, DEAD, MOON]
    assert rows(text)[1][1:4] == ["supervisor", "closed", "running"]


def test_in_a_pipe_nothing_is_truncated_and_nothing_controls_the_terminal(shell: Shell) -> None:
    Lamp.real["red"] = True
    shell.environment["COLUMNS"] = "20"
    dead = next(line for line in shell("tree").splitlines() if line.startswith(DEAD))
    assert dead.endswith("no dead in two lines")
    assert "\x1b" not in shell("events") + shell("describe", DEAD) + shell("tree", "-o", "wide")


def test_names_are_one_path_per_line(shell: Shell) -> None:
    assert shell("tree", "-o", "name").split() == [LINE, RED, GREEN, DEAD, MOON]
    assert shell("get", "-o", "name").split() == [RED, GREEN, DEAD, MOON]
    assert shell("get", MOON, LINE, "-o", "name").split() == [MOON, LINE]


def test_wide_has_more_columns_than_a_table(shell: Shell) -> None:
    assert {"SINCE", "INCIDENT"} <= set(rows(shell("get", RED, "-o", "wide"))[0])
    assert {len(line) >= 10 for line in rows(shell("get", "-o", "wide"))} == {True}


def test_json_keeps_its_shape(shell: Shell) -> None:
    (supervisor,) = shell.json("tree")["supervisors"]  # type: ignore[misc]  # JSON
    assert set(supervisor) == fields("supervisor")
    assert {frozenset(child) for child in supervisor["children"]} == {frozenset(fields("child"))}
    shell("restart", RED, "--yes")
    (item,) = shell.json("get", RED)["items"]  # type: ignore[misc]  # JSON
    assert set(item) == fields("child") | {"type"}
    assert set(item["action"]) == fields("action")
    described = shell.json("describe", RED)
    assert set(described) == {
        *("version", "child", "states", "actions", "desired", "desired_revision", "observed", "last_action", "events"),
        "desired_refused",
    }
    assert described["desired"] == {"brightness": 7}
    assert set(described["events"][-1]) == fields("event")  # type: ignore[index]  # JSON
    assert set(shell.json("describe", LINE)) == {
        *("version", "supervisor", "desired", "desired_revision", "desired_refused", "events")
    }
    assert len(shell.json("events", "--last", 2)["events"]) == 2  # type: ignore[arg-type]  # JSON


def fields(what: str) -> set[str]:
    """The fields of ``what`` that docs/cli.md lists."""
    text = (HERE.parents[1] / "docs" / "cli.md").read_text()
    paragraph = re.search(rf"^\*\*{what}\*\*: (.*?)\n\n", text, re.DOTALL | re.MULTILINE)
    assert paragraph
    return set(re.findall(r"`([a-z_]+)`", re.sub(r"\([^)]*\)", "", paragraph[1])))


def test_describe_shows_what_the_last_action_returned(shell: Shell, runtime: Runtime) -> None:
    assert "Result:" not in shell("describe", GREEN)
    asked = shell.json("restart", GREEN, "--yes")["action"]
    runtime.run_action(asked["id"])  # type: ignore[index]  # JSON
    assert re.search(r'^Result:\s+\{\n\s+"watts": 40\n\s+\}$', shell("describe", GREEN), re.MULTILINE)
    described = shell.json("describe", GREEN)
    assert described["last_action"]["result"] == {"watts": 40}  # type: ignore[index]  # JSON


def test_describe_has_the_documents_and_ends_with_the_events_of_its_subject(shell: Shell) -> None:
    text = shell("describe", RED)
    assert '"brightness": 7' in text
    assert '"on": true' in text
    *_, last = text.splitlines()
    assert last.split()[1:6] == ["state", RED, "off", "lit", "tick"]
    assert DEAD not in text
    of_supervisor = shell("describe", LINE)
    assert of_supervisor.index("Circuit:") < of_supervisor.index("Children:") < of_supervisor.index("Events:")
    assert DEAD in of_supervisor


def test_events_are_those_of_the_subject_since_a_moment(shell: Shell) -> None:
    assert [line[2] for line in rows(shell("events", RED))[1:]] == [RED, RED]
    assert len(rows(shell("events", "--since", "1h"))) > 5
    ids = shell("events", "-o", "name").split()
    assert shell("events", "-o", "name", "--since", ids[-3]).split() == ids[-2:]
    assert shell("events", "-o", "name", "--since", "0s").split() == []
    refusal = shell("events", "--since", "noon", status=2)
    assert "--since noon: needs an event's id, or how long ago: 30s, 10m" in refusal
    assert "Try: supervision events --since 10m" in refusal


def opened(runtime: Runtime) -> None:
    """A circuit that is open because green is off and red is not."""
    Lamp.real["green"] = False
    while runtime.collect(LINE) is None:
        pass
    until(lambda: runtime.tick(LINE) in {"done", "again"})


def test_a_child_that_an_open_circuit_holds_is_shown_as_that_and_as_it_is_now(shell: Shell, runtime: Runtime) -> None:
    assert "held" not in shell("tree")
    opened(runtime)
    held = "held by the circuit (open); it is off"
    for command in (("tree",), ("get", GREEN), ("get", GREEN, "-o", "wide"), ("describe", GREEN)):
        assert held in shell(*command)
    assert shell.json("get", GREEN)["items"][0]["circuit"] == "open"  # type: ignore[index]  # JSON
    assert states(shell, 1)[f"circuit of {LINE}"] == "warning"


def test_what_was_seen_too_long_ago_is_marked_and_so_is_a_supervisor_without_ticks(
    shell: Shell, runtime: Runtime
) -> None:
    now = runtime.store.client.time()[0] * 1000  # type: ignore[index]  # sync client
    runtime.store.client.hset(runtime.store.keys.of(LINE, "seen"), "red", f"1:{now - 900_000}")
    runtime.store.client.hset(runtime.store.keys.of(LINE, "control"), "epoch", now - 50_000)
    supervisor, red, green = shell("tree").splitlines()[1:4]
    assert re.search(
        r" 5\ds! .*no tick for 5\ds: are beat and a worker of supervision.ticks alive\?; checks: lamps_agree",
        supervisor,
    )
    assert re.search(r" 15m0\ds! ", red)
    assert "!" not in green


def changed(runtime: Runtime, child: str, what: str, **fields: object) -> None:
    """Write ``fields`` into what the store keeps about one child."""
    key = runtime.store.keys.of(LINE, what)
    stored = json.loads(runtime.store.client.hget(key, child) or "{}")  # type: ignore[arg-type]  # sync client
    runtime.store.client.hset(key, child, json.dumps({**stored, **fields}))


def test_a_child_that_waits_says_for_what_and_why(shell: Shell, runtime: Runtime) -> None:
    now = runtime.store.client.time()[0] * 1000  # type: ignore[index]  # sync client
    trace = (
        'Traceback (most recent call last):\n  File "lamp.py", line 1, in x\n    1/0\n    ~^~\nOSError: no current\n'
    )
    changed(runtime, "red", "last", id="a", name="switch_on", outcome="failed", ended=now, error=trace)
    assert "failed" not in shell("get", RED)  # it is healthy: how it got there is history
    changed(runtime, "red", "records", state="off", phase="stopped", reason="it is off", not_before=now + 59_000)
    reason = shell("get", RED).splitlines()[1]
    assert re.search(r"it is off; next try in 5\ds; switch_on failed: OSError: no current$", reason)
    assert "(most recent call last)" in shell("describe", RED)


def test_events_show_the_end_of_a_traceback_and_all_of_it_when_asked(shell: Shell, runtime: Runtime) -> None:
    trace = (
        'Traceback (most recent call last):\n  File "lamp.py", line 1, in x\n    1/0\n    ~^~\nOSError: no current\n'
    )
    fields = {"at": 1, "kind": "fault", "subject": RED, "before": "", "after": "", "reason": trace, "attempt": 0}
    runtime.store.client.xadd(runtime.store.keys.events, {**fields, "actor": "tick", "epoch": 1})
    assert shell("events", RED).splitlines()[-1].endswith("OSError: no current")
    assert "^" not in shell("events", RED) + shell("describe", RED)
    assert "1/0 ~^~ OSError" in shell("events", RED, "-o", "wide")
    assert shell.json("events", RED)["events"][-1]["reason"] == trace  # type: ignore[index]  # JSON


@pytest.mark.parametrize("columns", [80, 100])
def test_on_a_narrow_terminal_only_the_last_column_is_wrapped(shell: Shell, columns: int) -> None:
    shell.environment |= {"TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "24"}
    for command in ("tree", "events", f"describe {RED}", f"describe {LINE}"):
        text = shell.run("script", "-qec", f"{SUPERVISION} {command}", "/dev/null", stdin="").stdout
        lines = re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()
        title = next(line for line in lines if "REASON" in line)
        table = list(takewhile(lambda line: not line.startswith("Events"), lines[lines.index(title) + 1 :]))
        assert max(map(len, lines)) <= columns
        assert command != "events" or ("KIND" in title) == (columns == 100)
        whole = r"\d\d:\d\d:\d\d\.\d{3} " if title.startswith("TIME") else rf"{LINE}(/\w+)? "
        assert table
        assert all(re.match(whole, line) or not line[: title.index("REASON")].strip() for line in table), table


def test_describe_on_a_terminal_keeps_its_facts_in_sight(shell: Shell, runtime: Runtime) -> None:
    for number in range(30):
        fields = {"at": 1, "kind": "action", "subject": MOON, "before": "", "after": str(number), "reason": "r"}
        runtime.store.client.xadd(runtime.store.keys.events, {**fields, "attempt": 0, "actor": "tick", "epoch": 1})
    shell.environment |= {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "24"}
    command = f"{SUPERVISION} describe {MOON}"
    lines = shell.run("script", "-qec", command, "/dev/null", stdin="").stdout.splitlines()
    assert len(lines) < 24
    assert lines[0].startswith("Path:")
    assert any(f"more: supervision events {MOON}" in line for line in lines)
    assert len(shell.run("script", "-qec", f"{command} --events 30", "/dev/null", stdin="").stdout.splitlines()) > 30
    assert len(shell("describe", MOON).splitlines()) > 24


# --- following


def test_events_follow_what_happens(shell: Shell, runtime: Runtime) -> None:
    with shell.start("events", RED, "-w", "-o", "json") as following:
        assert following.stdout
        for _ in range(2):
            following.stdout.readline()
        action = shell("restart", GREEN, "--yes", "-o", "name").strip()
        action = shell("restart", RED, "--yes", "-o", "name").strip()
        event = json.loads(following.stdout.readline())["event"]
        assert (event["action"], event["after"]) == (action, "queued")
        following.send_signal(signal.SIGINT)
        assert following.wait(30) == 0
    assert runtime.store.actions.get(action) is not None


def test_a_followed_table_prints_a_row_again_when_it_has_changed(shell: Shell) -> None:
    with shell.start("get", RED, GREEN, "-w") as following:
        assert following.stdout
        first = [following.stdout.readline().split()[0] for _ in range(3)]
        assert first == ["PATH", RED, GREEN]
        shell("restart", GREEN, "--yes")
        changed = following.stdout.readline().split()
        assert (changed[0], changed[5]) == (GREEN, "restart_child:queued")
        following.send_signal(signal.SIGINT)
        assert following.wait(30) == 0


def test_a_tree_that_was_followed_on_a_terminal_stands_there_once(shell: Shell) -> None:
    shell.environment |= {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "24"}
    done = shell.run("script", "-qec", f"timeout -s INT 4 {SUPERVISION} tree -w", "/dev/null", stdin="")
    followed, _, left = done.stdout.rpartition("\x1b[?1049l")
    assert "PATH" in followed, done
    assert left.count("PATH") == left.count(RED) == 1


def test_a_followed_tree_as_json_is_one_object_per_line(shell: Shell) -> None:
    with shell.start("tree", "-w", "-o", "json") as following:
        assert following.stdout
        assert json.loads(following.stdout.readline())["version"] == 1
        shell("restart", RED, "--yes")
        assert json.loads(following.stdout.readline())["supervisors"][0]["children"][0]["action"]["state"] == "queued"
        following.terminate()
        following.wait(30)


# --- asking for a restart


def test_a_restart_asks_where_somebody_can_answer_and_needs_yes_elsewhere(shell: Shell, runtime: Runtime) -> None:
    refusal = shell("restart", RED, status=2)
    assert f"Try: supervision restart {RED} --yes" in refusal
    # `script` gives it a terminal; what is typed there answers the question
    typed = shell.run("script", "-qec", f"{SUPERVISION} restart {RED}", "/dev/null", stdin="n\n")
    assert "Restart plant/line-1/red?" in typed.stdout
    assert typed.returncode == 1
    assert runtime.store.client.hgetall(runtime.store.keys.of(LINE, "flight")) == {}
    typed = shell.run("script", "-qec", f"{SUPERVISION} restart {RED}", "/dev/null", stdin="y\n")
    assert typed.returncode == 0, typed
    assert runtime.store.client.hgetall(runtime.store.keys.of(LINE, "flight")) != {}


def test_a_restart_records_who_and_why(shell: Shell) -> None:
    (action,) = [shell.json("restart", RED, "--yes", "--by", "ann", "--reason", "it flickers")["action"]]
    assert (action["actor"], action["reason"], action["state"]) == ("ann", "it flickers", "queued")  # type: ignore[index]  # JSON
    assert action["params"] == {}  # type: ignore[index]  # JSON
    assert rows(shell("events", RED))[-1][5:] == ["ann", "restart_child:", "it", "flickers"]
    assert shell.json("restart", GREEN, "--yes")["action"]["actor"] != ""  # type: ignore[index]  # JSON


def test_waiting_tells_how_a_restart_ended(shell: Shell, runtime: Runtime) -> None:
    def waited(path: str, status: int) -> str:
        request = f"request-{path.rpartition('/')[2]}"
        action = f"{path.replace('/', '~')}~ask-{request}"
        command = [SUPERVISION, "restart", path, "--yes", "--wait", "--request-id", request]
        process = subprocess.Popen(
            [str(part) for part in command],
            env=shell.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with process:
            until(lambda: runtime.store.actions.get(action), what="the reservation")
            runtime.run_action(action)
            text, _ = process.communicate(timeout=60)
        assert process.returncode == status, text
        return text

    assert "restart_child succeeded after" in waited(GREEN, 0)
    failed = waited(RED, 1)
    assert "the restart failed: RuntimeError: it stays dark" in failed
    assert f"Try: supervision describe {RED}" in failed


def test_nobody_to_run_a_restart_is_a_timeout_with_the_next_command(shell: Shell) -> None:
    assert "Try: supervision doctor" in shell("restart", RED, "--yes", "--wait", "--timeout", 0.2, status=4)


def test_a_second_restart_is_refused_until_the_first_has_ended(shell: Shell) -> None:
    first = shell("restart", RED, "--yes", "-o", "name", "--request-id", "r1").strip()
    refusal = shell("restart", RED, "--yes", status=1)
    assert first in refusal
    assert f"Try: supervision describe {RED}" in refusal
    assert shell("restart", RED, "--yes", "-o", "name", "--request-id", "r1").strip() == first


# --- ordering


def test_a_document_is_set_from_an_argument_or_the_standard_input_once_per_revision(shell: Shell) -> None:
    assert shell.json("set", RED, '{"brightness": 3}', "--revision", 0) == {"version": 1, "path": RED, "revision": 1}
    refusal = shell("set", RED, '{"brightness": 4}', "--revision", 0, status=1)
    assert "is at revision 1, not 0" in refusal
    assert f"Try: supervision describe {RED}" in refusal
    done = shell.run(SUPERVISION, "set", RED, "-", "--revision", 1, stdin='{"brightness": 5}')
    assert done.stdout == f"{RED}: desired document set, revision 2\n", done
    assert shell.json("describe", RED)["desired"] == {"brightness": 5}
    assert "is not JSON" in shell("set", RED, "{", status=2)
    assert "needs a mapping" in shell("set", RED, "[]", status=2)
    refusal = shell("set", "plant/line-1/moon", '{"shpae": "half"}', status=2)
    assert "has no field 'shpae'; it has shape" in refusal
    shell("set", LINE, "{}", status=3)


def test_a_mode_is_shown_wherever_the_supervisor_is(shell: Shell) -> None:
    assert "mode" not in shell("get", LINE)
    assert shell("mode", LINE, "observe", "--by", "ann", "--reason", "first week") == f"{LINE}: mode observe\n"
    assert "mode observe; checks: lamps_agree" in shell("tree")
    assert re.search(r"^Mode: +observe$", shell("describe", LINE), re.MULTILINE)
    assert rows(shell("events", LINE))[-1][1:] == ["order", LINE, "act", "observe", "ann", "first", "week"]
    assert shell.json("get", LINE)["items"][0]["mode"] == "observe"  # type: ignore[index]  # JSON
    shell("mode", LINE, "asleep", status=2)
    assert "is a child" in shell("mode", RED, "off", status=3)


def test_a_pause_needs_an_end_and_is_shown_until_it_is_over(shell: Shell) -> None:
    assert f"Try: supervision pause {RED} --for 10m" in shell("pause", RED, status=2)
    shell("pause", RED, "--for", "10m", "--until", "2026-05-01", status=2)
    shell("pause", RED, "--for", "ten", status=2)
    shell("pause", RED, "--until", "noon", status=2)
    assert "2001-01-01T00:00:00Z: it is past; the store's clock says 2" in shell(
        "pause", RED, "--until", "2001-01-01T00:00:00Z", status=2
    )
    assert "at most 30d ahead" in shell("pause", RED, "--until", "2999-01-01", status=2)
    again = f"Try: supervision pause {RED} --for 10m"
    assert shell("pause", RED, "--for", "40d", status=2) == f"Error: --for 40d: at most 30d\n{again}\n"
    assert shell("pause", RED, "--for", "0s", status=2) == f"Error: --for 0s: at least 1s\n{again}\n"
    until = shell.json("pause", RED, "--for", "10m", "--request-id", "r")["paused_until"]
    assert shell.json("pause", RED, "--for", "10m", "--request-id", "r")["paused_until"] == until
    assert shell.json("get", RED)["items"][0]["paused_until"] == until  # type: ignore[index]  # JSON
    row = next(line for line in shell("tree").splitlines() if line.startswith(RED))
    assert re.search(r"paused until \S+; before the pause: it is on$", row)
    text = shell("describe", RED)
    assert re.search(r"^Paused: +until 2", text, re.MULTILINE)
    assert re.search(r"^Reason: +before the pause: it is on$", text, re.MULTILINE)
    assert re.search(
        r"^State: +lit \(phase running\) since \S+; the last one known, as it is paused$", text, re.MULTILINE
    )
    assert shell("resume", RED) == f"{RED}: resumed\n"
    assert shell("resume", RED) == f"{RED}: was not paused\n"
    shell("pause", LINE, "--for", "10m")
    shell("pause", RED, "--for", "5m")
    assert shell("resume", RED) == f"{RED}: resumed, but stays paused while {LINE} is\n"
    assert shell("resume", RED) == f"{RED}: was not paused, but stays paused while {LINE} is\n"
    assert shell("resume", LINE) == f"{LINE}: resumed\n"
    assert "paused" not in shell("tree")


def test_what_is_disabled_says_so_until_it_is_enabled_with_all_that_is_above_it(shell: Shell) -> None:
    assert f"Try: supervision disable {RED} --yes" in shell("disable", RED, status=2)
    assert shell("disable", RED, "--yes", "--by", "ann", "--reason", "spare part") == f"{RED}: disabled\n"
    disabled = [line.split()[0] for line in shell("tree").splitlines() if "disabled" in line]
    assert disabled == [RED]
    assert re.search(r"^Enabled: +no", shell("describe", RED), re.MULTILINE)
    assert rows(shell("events", RED))[-1][1:] == ["order", RED, "enabled", "disabled", "ann", "spare", "part"]
    assert shell.json("disable", LINE, "--yes") == {"version": 1, "path": LINE, "enabled": False}
    assert shell("enable", RED) == f"{RED}: enabled, but stays off while {LINE} is\n"
    assert shell("enable", LINE) == f"{LINE}: enabled\n"
    assert shell.json("enable", RED) == {"version": 1, "path": RED, "enabled": True}


@pytest.fixture
def yard(valkey_server: EmbeddedStore, namespace: str, tmp_path: Path) -> Iterator[Shell]:
    """A shell over a supervisor two levels below another one, which nobody ticks."""

    @monitor
    def well() -> Health:
        return healthy()

    town = Supervisor("town", [Supervisor("yard", [Supervisor("shed", [well])])])
    with closing(Store(valkey_server.url, namespace)) as store:
        Runtime(store, Kept(), {found.path: found for found in town.tree()}).declare()
        yield Shell(tmp_path, SUPERVISION_STORE_URL=valkey_server.url, SUPERVISION_NAMESPACE=namespace)


def test_whoever_is_enabled_below_one_that_is_not_hears_which_one_that_is(yard: Shell) -> None:
    well = "town/yard/shed/well"
    for path in ("town", "town/yard", well):
        yard("disable", path, "--yes")
    assert yard("enable", well) == f"{well}: enabled, but stays off while town is\n"
    assert yard("enable", "town") == "town: enabled\n"
    assert yard("enable", well) == f"{well}: was not disabled, but stays off while town/yard is\n"
    assert yard("enable", "town/yard") == "town/yard: enabled\n"
    assert yard("enable", well) == f"{well}: was not disabled\n"


def test_a_monitor_has_no_document_to_set(yard: Shell) -> None:
    refusal = yard("set", "town/yard/shed/well", '{"limit": 3}', status=2)
    assert "has no field 'limit'; it has none" in refusal


def test_describe_and_events_call_the_number_of_events_alike(shell: Shell) -> None:
    for option in ("--last", "--events"):
        assert len(shell.json("describe", RED, option, 1)["events"]) == 1  # type: ignore[arg-type]  # JSON
        assert len(shell.json("events", RED, option, 1)["events"]) == 1  # type: ignore[arg-type]  # JSON


def test_a_silence_needs_an_end_and_is_shown_until_it_is_over(shell: Shell) -> None:
    assert f"Try: supervision silence {LINE} --for 10m" in shell("silence", LINE, status=2)
    shell("silence", LINE, "--end", "--for", "10m", status=2)
    until = shell.json("silence", LINE, "--for", "10m", "--request-id", "r")["silenced_until"]
    assert shell.json("get", LINE)["items"][0]["silenced_until"] == until  # type: ignore[index]  # JSON
    assert "silenced until 2" in shell("tree")
    assert re.search(r"^Silenced: +until 2", shell("describe", LINE), re.MULTILINE)
    assert shell("silence", LINE, "--end") == f"{LINE}: no longer silenced\n"
    assert "silenced" not in shell("tree")


def test_a_circuit_is_forced_open_by_somebody_who_means_it(shell: Shell, runtime: Runtime) -> None:
    before = stored(runtime)
    assert f"Try: supervision force-open {LINE} --yes" in shell("force-open", LINE, status=2)
    typed = shell.run("script", "-qec", f"{SUPERVISION} force-open {LINE}", "/dev/null", stdin="n\n")
    assert (typed.returncode, stored(runtime) == before) == (1, True), typed
    assert "is a child" in shell("force-open", RED, "--yes", status=3)
    assert "next tick" in shell("force-open", LINE, "--yes", "--by", "ann", "--reason", "works at the line")
    assert "forced open by ann" in shell("tree")
    assert rows(shell("events", LINE))[-1][1:6] == ["order", LINE, "closed", "force-open", "ann"]
    told = "forced open by ann: works at the line"
    runtime.tick(LINE)  # the order is heard
    row = shell("get", LINE).splitlines()[-1]
    assert (row.endswith(f" {told}"), row.count("forced open")) == (True, 1)
    text = shell("describe", LINE)
    assert re.search(rf"^Reason: +{told}$", text, re.MULTILINE)
    assert re.search(r"^Next attempt: +none due$", text, re.MULTILINE)


def stored(runtime: Runtime) -> dict[bytes, bytes]:
    """Everything in the test's namespace, byte by byte."""
    client, namespace = runtime.store.client, runtime.store.keys.namespace
    keys = client.scan_iter(match=f"{{{namespace}}}:*", count=10_000)
    return {key: client.dump(key) for key in keys}  # type: ignore[misc]  # sync client


def test_a_sweep_asks_before_it_removes_and_a_dry_run_changes_nothing(shell: Shell, runtime: Runtime) -> None:
    fields = {"kind": "state", "subject": RED, "before": "", "after": "lit", "reason": "r", "attempt": 0, "epoch": 1}
    store = runtime.store
    store.client.xtrim(store.keys.events, maxlen=0)
    store.client.delete(store.keys.events)  # or the stream would refuse ids from before its last one
    store.client.xadd(store.keys.events, {"at": 7, "actor": "tick", **fields}, id="7-0")
    before = stored(runtime)
    assert rows(shell("sweep", "history", "--dry-run"))[1] == ["7-0", "1970-01-01T00:00:00.007Z", "state", RED]
    assert [item["id"] for item in shell.json("sweep", "history", "--dry-run")["items"]] == ["7-0"]  # type: ignore[attr-defined]  # JSON
    assert "It removes 1; --dry-run lists them" in shell("sweep", "history", status=2)
    assert stored(runtime) == before
    shell("sweep", "history", "--yes", "--by", "ann")
    assert [(entry.kind, entry.subject) for entry in store.outbox.unpublished(-60_000)] == [("sweep", "history")]
    assert shell.json("sweep", "due") == {"version": 1, "sweep": "due", "ordered": True}
    assert "Try: supervision sweep due --dry-run" in shell("sweep", "floor", status=3)


def test_a_supervisor_below_another_one_stands_in_its_place_and_once(shell: Shell, runtime: Runtime) -> None:
    for each in Supervisor("site", [Supervisor("hall", [Lamp("a")]), Lamp("gate")]).tree():
        runtime.store.registry.declare(each)
    nested = ["site", "site/hall", "site/hall/a", "site/gate"]
    assert shell("tree", "-o", "name").split() == [LINE, RED, GREEN, DEAD, MOON, *nested]


def test_a_reset_names_its_incident_and_ends_no_other_one(shell: Shell, runtime: Runtime) -> None:
    assert f"{LINE}: nothing to reset" in shell("reset", LINE, status=1)
    assert f"{RED} is a child" in shell("reset", RED, "--incident", "i@1", status=3)
    runtime.store.client.hset(
        runtime.store.keys.of(LINE, "control"),
        "circuit",
        '{"state":"escalated","incident":"i@1","check":"lamps_agree"}',
    )
    assert f"Try: supervision reset {LINE} --incident i@1" in shell("reset", LINE, status=2)
    assert "i@0 is over; now it is i@1" in shell("reset", LINE, "--incident", "i@0", status=1)
    assert "i@1 will be reset" in shell("reset", LINE, "--incident", "i@1")
    while runtime.tick(LINE) not in {"done", "again"}:
        pass
    assert shell.json("get", LINE)["items"][0]["circuit"] == "closed"  # type: ignore[index]  # JSON
    assert "the circuit is closed" in shell("reset", LINE, "--incident", "i@1", status=1)


def test_orders_that_nobody_hears_in_the_mode_off_say_so(shell: Shell, runtime: Runtime) -> None:
    control = runtime.store.keys.of(LINE, "control")
    runtime.store.client.hset(control, "circuit", '{"state":"escalated","incident":"i@1","check":"lamps_agree"}')
    shell("mode", LINE, "off")
    late = f"by the first tick once {LINE} is in the mode act again; it is off"
    assert late in shell("force-open", LINE, "--yes")
    assert late in shell("reset", LINE, "--incident", "i@1")
    shell("mode", LINE, "observe")
    assert "by the next tick" in shell("force-open", LINE, "--yes")


def test_one_supervisor_that_cannot_be_read_is_shown_as_that_beside_the_others(shell: Shell, runtime: Runtime) -> None:
    runtime.store.client.hset(runtime.store.keys.of(LINE, "control"), "circuit", '{"state":"melted"}')
    assert rows(shell("tree"))[1][2:4] == ["unreadable", "degraded"]
    assert "its circuit was written by another version of the code" in shell("get", LINE)
    assert f"what-is-stored-about-{LINE}" in shell("doctor", status=1)


# --- what is not there


@pytest.mark.parametrize("command", [["get"], ["describe"], ["restart", "--yes"], ["events"]])
def test_a_path_that_is_not_there_is_3_and_says_what_is(shell: Shell, command: list[str]) -> None:
    refusal = shell(command[0], "plant/line-1/rde", *command[1:], status=3)
    assert "did you mean plant/line-1/red" in refusal
    assert "Try: supervision tree" in refusal


def test_what_cannot_be_restarted_is_3(shell: Shell) -> None:
    refusal = shell("restart", MOON, "--yes", status=3)
    assert "it has noop; declare one: @action on a method named 'restart'" in refusal
    refusal = shell("restart", LINE, "--yes", status=3)
    assert f"{LINE} is a supervisor; restart a child of it: {RED}, {GREEN}" in refusal


def test_wrong_usage_is_2(shell: Shell) -> None:
    for arguments in (["nothing"], ["get", "-o", "yaml"], ["describe"], ["tree", "--namespace", "a/b"]):
        shell(*arguments, status=2)
    assert "No such command 'dead-leters'. Did you mean 'dead-letters'?" in shell("dead-leters", status=2)


@pytest.mark.parametrize(
    "command",
    [["tree"], ["get", RED], ["events", "-w"], ["restart", RED, "--yes"], ["pause", RED, "--for", "9s"], ["doctor"]],
)
def test_a_store_that_is_not_there_is_69_and_quickly(tmp_path: Path, command: list[str]) -> None:
    port = next(iter(free_ports()))
    shell = Shell(tmp_path, SUPERVISION_STORE_URL=f"redis://:{PASSWORD}@127.0.0.1:{port}/0")
    began = time.monotonic()
    text = shell(*command, status=69)
    assert time.monotonic() - began < 30
    assert "did not answer" in text
    assert f"redis://:***@127.0.0.1:{port}/0 (environment SUPERVISION_STORE_URL)" in text
    assert PASSWORD not in text


def test_an_address_that_nobody_gave_is_said_to_be_the_default(tmp_path: Path) -> None:
    (tmp_path / "celeryconfig.py").write_text("")
    text = Shell(tmp_path)("tree", "--store", "redis://127.0.0.1:1/0", status=69)
    assert "it was looked for at redis://127.0.0.1:1/0 (--store)" in text
    program = (
        "from supervision import settings; from supervision.cli.address import Address; "
        "print(Address('redis://127.0.0.1:6379/0', 'n', 'default', '', settings.read({})))"
    )
    said = Shell(tmp_path).run(sys.executable, "-c", program).stdout
    assert "(the default, as nothing names one: set SUPERVISION_STORE_URL)" in said


@pytest.mark.chaos
def test_a_store_that_says_nothing_is_69_after_its_timeout(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        shell = Shell(tmp_path, SUPERVISION_STORE_URL=f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        began = time.monotonic()
        assert "Try: supervision doctor" in shell("tree", status=69)
        assert time.monotonic() - began < 30


def test_nothing_declared_says_what_to_do(shell: Shell) -> None:
    done = shell.run(SUPERVISION, "tree", "--namespace", "nobody-writes-here")
    assert (done.returncode, done.stdout) == (0, "")
    assert "Try: supervision doctor" in done.stderr


# --- where the store is


def test_in_the_folder_of_a_demo_and_below_it_no_settings_are_needed(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    shell = Shell(below)
    with EmbeddedStore(tmp_path / ".supervision" / "store") as store:
        line = plant()
        with closing(Store(store.url)) as its:
            brought_up(Runtime(its, Kept(), {line.name: line}))
        assert RED in shell("tree", "-o", "name").split()
        origin = {setting["name"]: setting["origin"] for setting in shell.json("config")["settings"]}  # type: ignore[attr-defined]  # JSON
        assert origin["supervision_store_url"] == "demo running here"
        # a demo that others could have put there is not believed
        store.folder.chmod(0o755)
        assert "demo" not in shell("config")
        store.folder.chmod(0o700)
    assert "demo" not in shell("config")


def test_the_address_comes_from_the_option_the_environment_the_demo_and_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "celeryconfig.py").write_text(
        'supervision_store_url = "redis://from-file/0"\nsupervision_namespace = "n"\n'
    )
    shell = Shell(tmp_path)

    def found(*options: str) -> tuple[str, str]:
        settings = {s["name"]: s for s in shell.json(*options, "config")["settings"]}  # type: ignore[attr-defined]  # JSON
        assert settings["supervision_namespace"]["value"] == namespace
        return settings["supervision_store_url"]["value"], settings["supervision_store_url"]["origin"]

    namespace = "n"
    assert found() == ("redis://from-file/0", "celeryconfig supervision_store_url")
    with EmbeddedStore(tmp_path / ".supervision" / "store"):
        namespace = "supervision"  # a demo ignores the configuration around it
        assert found()[1] == "demo running here"
        namespace = "n"
        shell.environment["SUPERVISION_STORE_URL"] = "redis://from-environment/0"
        assert found() == ("redis://from-environment/0", "environment SUPERVISION_STORE_URL")
        assert found("--store", "redis://from-option/0") == ("redis://from-option/0", "--store")


def test_a_configuration_that_cannot_be_loaded_is_said_without_its_secrets(tmp_path: Path) -> None:
    (tmp_path / "celeryconfig.py").write_text(f'raise RuntimeError("redis://:{PASSWORD}@h/0 is no good")\n')
    refusal = Shell(tmp_path)("tree", status=2)
    assert "celeryconfig cannot be loaded: RuntimeError: redis://:***@h/0 is no good" in refusal
    assert "Try: python -c 'import celeryconfig'" in refusal


def test_a_setting_that_is_wrong_is_not_to_be_looked_up_by_what_needs_it(tmp_path: Path) -> None:
    refusal = Shell(tmp_path, SUPERVISION_MAX_ACTIONS="many")("config", status=2)
    assert "SUPERVISION_MAX_ACTIONS='many'" in refusal
    assert refusal.endswith("Try: env | grep SUPERVISION_\n")


def test_a_wrong_address_is_looked_for_where_it_was_said(tmp_path: Path) -> None:
    assert "Error: --store is 'foo://x'" in Shell(tmp_path)("--store", "foo://x", "waits", status=2)
    refusal = Shell(tmp_path, SUPERVISION_STORE_URL="foo://x")("waits", status=2)
    assert "Error: SUPERVISION_STORE_URL is 'foo://x'" in refusal


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{PASSWORD}@127.0.0.1:1/0",
        f"redis://user:{PASSWORD}@127.0.0.1:1/0",
        f"redis://:a/{PASSWORD}@127.0.0.1:1/0",
        f"redis://:{PASSWORD}#x@127.0.0.1:1/0",
        f"redis://127.0.0.1:1/0?password={PASSWORD}",
        f":{PASSWORD}@127.0.0.1:1",
        f"http://u:{PASSWORD}@127.0.0.1:1",
    ],
)
def test_the_password_of_an_address_is_printed_nowhere(tmp_path: Path, url: str) -> None:
    given = Shell(tmp_path, SUPERVISION_STORE_URL=url)
    printed = [given.run(SUPERVISION, *command) for command in (["tree"], ["config"], ["config", "-o", "json"])]
    printed += [given.run(SUPERVISION, "doctor"), Shell(tmp_path).run(SUPERVISION, "tree", "--store", url)]
    for done in printed:
        assert PASSWORD not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.chaos
def test_secrets_in_what_children_say_are_masked_in_every_output(shell: Shell) -> None:
    commands = [("tree",), ("get", DEAD), ("describe", RED), ("describe", LINE), ("events",)]
    for command in commands:
        for output in ("table", "wide", "json"):
            text = shell(*command, "-o", output)
            assert SECRET not in text
    assert "redis://:***@lamps:6379/0" in shell("describe", RED)


# --- as a plugin of Celery


def test_celery_has_the_same_commands(shell: Shell) -> None:
    done = shell.run(CELERY, "-A", "tasks", "supervision", "tree", "-o", "name")
    assert done.stdout.split() == [LINE, RED, GREEN, DEAD, MOON], done
    assert shell.run(CELERY, "-A", "tasks", "supervision", "get", "nothing").returncode == 3
    shell.environment["SUPERVISION_STORE_URL"] = f"redis://:{PASSWORD}@127.0.0.1:{next(iter(free_ports()))}/0"
    away = shell.run(CELERY, "-A", "tasks", "supervision", "tree")
    assert away.returncode == 69, away
    assert PASSWORD not in away.stdout + away.stderr


def test_celery_hands_in_options_that_an_app_gives_to_all_commands(shell: Shell) -> None:
    (shell.folder / "own_app.py").write_text(
        "import click\nfrom celery import Celery\napp = Celery('own')\n"
        "app.conf.supervision_namespace = 'set-in-the-app'\n"
        "app.user_options['preload'].add(click.Option(['--plant'], default='p'))\n"
    )
    done = shell.run(CELERY, "-A", "own_app", "supervision", "--plant", "x", "config", "-o", "json")
    assert done.returncode == 0, done
    del shell.environment["SUPERVISION_NAMESPACE"]
    done = shell.run(CELERY, "-A", "own_app", "supervision", "config")
    assert "app own supervision_namespace" in done.stdout
    assert "celeryconfig" not in done.stdout
    assert "set-in-the-app" in done.stdout


# --- doctor, version, start


def states(shell: Shell, status: int, *options: str) -> dict[str, str]:
    facts = shell.json("doctor", *options, status=status)["facts"]
    assert all(fact["cure"] or fact["state"] == "ok" for fact in facts)  # type: ignore[attr-defined]  # JSON
    return {fact["name"]: fact["state"] for fact in facts}  # type: ignore[attr-defined]  # JSON


@pytest.mark.chaos
def test_doctor_says_what_does_not_run_and_what_to_do(shell: Shell, runtime: Runtime) -> None:
    until(lambda: runtime.store.client.time()[0] * 1000 > last_epoch(runtime) + 2_000)  # type: ignore[index]  # sync client
    found = states(shell, 1)
    healthy = {"store", "server version", "persistence", "maxmemory-policy", "clock skew", "scripts", "Celery settings"}
    assert {found[name] for name in healthy} == {"ok"}
    assert found[f"last tick of {LINE}"] == "failed"
    assert found["queue supervision.ticks"] == "failed"
    text = shell.run(SUPERVISION, "doctor").stdout
    assert "cure: start beat" in text
    assert {line.split()[0] for line in text.splitlines()} == {"STATE", "ok", "failed"}


def last_epoch(runtime: Runtime) -> int:
    return int(runtime.store.client.hget(runtime.store.keys.of(LINE, "control"), "epoch") or 0)  # type: ignore[arg-type]  # sync client


def test_doctor_finds_a_store_that_forgets_or_evicts(make_store: Callable[..., EmbeddedStore], tmp_path: Path) -> None:
    server = make_store()
    with closing(Store(server.url)) as store:
        store.client.config_set("appendonly", "no")
        store.client.config_set("maxmemory-policy", "allkeys-lru")
    found = states(Shell(tmp_path, SUPERVISION_STORE_URL=server.url), 1)
    assert (found["persistence"], found["maxmemory-policy"], found["supervisors"]) == ("failed", "failed", "warning")


def test_doctor_is_content_with_a_system_that_runs(make_store: Callable[..., EmbeddedStore], tmp_path: Path) -> None:
    url = make_store().url
    (tmp_path / "declared.py").write_text(
        "from supervision import Supervisor\nfrom cli_plant import Moon\nnight = Supervisor('night', [Moon('moon')])\n"
    )
    path = os.pathsep.join((str(tmp_path), str(HERE)))
    environment = {"SUPERVISION_STORE_URL": url, "SUPERVISION_IMPORTS": "declared", "PYTHONPATH": path}
    queues = ",".join(f"supervision.{name}" for name in ("ticks", "sweeps", "collectors", "actions", "waits"))
    worker = CeleryProcess(
        tmp_path, "tasks", "worker", "-Q", queues, "-c", "2", "-n", "all@test", "-l", "INFO", **environment
    )
    beat = CeleryProcess(tmp_path, "tasks", "beat", "-s", str(tmp_path / "beat"), **environment)
    shell = Shell(tmp_path, **environment)
    with ended(worker, beat):
        worker.await_log(r" ready\.")
        until(lambda: shell.run(SUPERVISION, "get", "night/moon").returncode == 0, what=lambda: worker.log)
        until(
            lambda: shell.run(SUPERVISION, "doctor").returncode == 0,
            what=lambda: shell.run(SUPERVISION, "doctor").stdout,
        )
        done = shell.run(CELERY, "-A", "tasks", "supervision", "doctor")
        assert done.returncode == 0, done
        shell.environment["SUPERVISION_HOOKS"] = (
            '{"escalated": {"task": "page", "options": {"queue": "nobody"}}, "coordinator_died": "supervision.sweep"}'
        )
        found = states(shell, 1)
        assert (found["hook escalated"], found["hook coordinator_died"]) == ("failed", "ok")


def test_doctor_finds_another_package_of_the_same_name(shell: Shell) -> None:
    other = shell.folder / "supervision_vision-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: vision\nVersion: 1.0\n")
    (other / "top_level.txt").write_text("supervision\n")
    shell.search_own_folder_first()
    found = shell.json("doctor", status=1)["facts"]
    (clash,) = [fact for fact in found if fact["name"] == "import name supervision"]  # type: ignore[attr-defined]  # JSON
    assert (clash["state"], clash["value"]) == ("failed", "also provided by vision")
    assert clash["cure"].startswith("pip uninstall vision")


def test_doctor_finds_a_module_tasks_that_stands_before_ours(shell: Shell) -> None:
    (shell.folder / "tasks.py").write_text(
        "from celery import Celery\napp = Celery('mine', broker='redis://127.0.0.1:1')\n"
    )
    found = states(shell, 1)
    assert found["module tasks"] == "failed"
    assert found["setting steps.install(app)"] == "failed"


def test_doctor_finds_a_variable_with_a_slip(shell: Shell) -> None:
    shell.environment["SUPERVISION_STORE_URI"] = "redis://elsewhere"
    (fact,) = [f for f in shell.json("doctor", status=1)["facts"] if f["name"].startswith("variable ")]  # type: ignore[attr-defined]  # JSON
    assert (fact["state"], fact["cure"]) == ("warning", "SUPERVISION_STORE_URL is one")
    assert "elsewhere" not in str(fact)


@pytest.mark.chaos
def test_doctor_names_children_that_are_not_looked_after(shell: Shell, runtime: Runtime) -> None:
    found = states(shell, 1)
    assert found[f"look at {DEAD}"] == "failed"
    assert not {f"child {RED}", f"look at {RED}", f"circuit of {LINE}"} & set(found)
    now = runtime.store.client.time()[0] * 1000  # type: ignore[index]  # sync client
    changed(runtime, "red", "records", quarantined_until=now + 200_000, reason="KeyError: 'on'")
    runtime.store.client.hset(runtime.store.keys.of(LINE, "errors"), "green", "9:OSError: dark")
    found = states(shell, 1)
    assert (found[f"child {RED}"], found[f"look at {GREEN}"]) == ("failed", "warning")


def test_doctor_loads_the_modules_that_declare(shell: Shell) -> None:
    (shell.folder / "good.py").write_text("from supervision import Supervisor\none = Supervisor('one', [])\n")
    (shell.folder / "empty.py").write_text("")
    (shell.folder / "broken.py").write_text("import something_that_is_not_there\n")
    shell.environment["SUPERVISION_IMPORTS"] = "good,empty,broken,absent"
    facts = {fact["name"]: fact for fact in shell.json("doctor", status=1)["facts"]}  # type: ignore[attr-defined]  # JSON
    named = [facts[f"import {name}"] for name in ("good", "empty", "broken", "absent")]
    assert [fact["state"] for fact in named] == ["ok", "warning", "failed", "failed"]
    assert named[0]["value"] == "declares one"
    assert named[2]["value"] == "ModuleNotFoundError: No module named 'something_that_is_not_there'"


def test_doctor_finds_declarations_with_which_no_worker_starts(shell: Shell) -> None:
    lamp = "from cli_plant import Lamp\nfrom supervision import Supervisor\n"
    shell.environment["PYTHONPATH"] = str(HERE)
    (shell.folder / "hall.py").write_text(f"{lamp}hall = Supervisor('hall', [Lamp('top')])\n")
    (shell.folder / "again.py").write_text(f"{lamp}hall = Supervisor('hall', [Lamp('low')])\n")
    (shell.folder / "clash.py").write_text(f"{lamp}top = Supervisor('hall/top', [Lamp('low')])\n")
    (shell.folder / "below.py").write_text(
        f"{lamp}low = Supervisor('low', [Lamp('x')])\n"
        "def above():\n    return Supervisor('above', [low])\nkept = [above()]\n"
    )

    def declarations(imports: str) -> tuple[str, str]:
        shell.environment["SUPERVISION_IMPORTS"] = imports
        (found,) = [fact for fact in shell.json("doctor", status=1)["facts"] if fact["name"] == "declarations"]  # type: ignore[attr-defined]  # JSON
        return found["state"], found["value"]

    assert declarations("hall") == ("ok", "fit together; supervisors: 1")
    for other, why in (
        ("again", "again: a second supervisor is at 'hall'; paths are unique"),
        ("clash", "hall/top is both a child of hall and a supervisor; rename one of them"),
    ):
        assert declarations(f"hall,{other}") == ("failed", why)
    state, why = declarations("below")
    assert (state, "which is no global of a module" in why) == ("failed", True)


@pytest.mark.chaos
def test_doctor_finds_a_celeryconfig_that_stands_before_ours(shell: Shell) -> None:
    own = shell.folder / "celeryconfig.py"
    own.write_text("")
    (shell.folder / "yours.py").write_text("from celery import Celery\napp = Celery('yours')\n")
    (fact,) = [f for f in shell.json("doctor", status=1)["facts"] if f["name"] == "module celeryconfig"]  # type: ignore[attr-defined]  # JSON
    assert (fact["state"], fact["value"]) == ("failed", f"{own} stands before ours")
    assert states(shell, 1, "--app", "yours")["module celeryconfig"] == "warning"


def test_doctor_of_an_app_lists_its_settings_also_without_a_store(shell: Shell) -> None:
    (shell.folder / "yours.py").write_text(
        "from celery import Celery\napp = Celery('yours', broker='redis://127.0.0.1:1')\n"
    )
    shell.environment["SUPERVISION_STORE_URL"] = "redis://127.0.0.1:1/0"
    done = shell.run(CELERY, "-A", "yours", "supervision", "doctor")
    assert done.returncode == 1
    assert "setting-" in done.stdout
    assert shell.run(SUPERVISION, "doctor", "--app", "yours").returncode == 69


def test_version_names_what_matters(shell: Shell) -> None:
    assert re.fullmatch(r"celery-supervision, version \S+\n", shell("--version"))
    packages = shell.json("version")["packages"]
    assert {"celery-supervision", "celery", "redis", "python"} <= set(packages)  # type: ignore[arg-type]  # JSON


def test_help_loads_neither_redis_nor_celery(tmp_path: Path) -> None:
    program = """
import sys
from supervision.cli import cli
cli(["--help"], standalone_mode=False)
assert not {"redis", "celery", "kombu", "rich"} & set(sys.modules), sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)


def test_without_rich_a_terminal_gets_plain_columns(shell: Shell) -> None:
    (shell.folder / "rich.py").write_text("raise ModuleNotFoundError('rich')\n")
    shell.search_own_folder_first()
    plain = shell.run("script", "-qec", f"{SUPERVISION} tree", "/dev/null", stdin="")
    assert "PATH                KIND" in plain.stdout
    assert "\x1b" not in plain.stdout, "what a child says controls the terminal"
    (shell.folder / "rich.py").unlink()
    shell.environment |= {"TERM": "xterm-256color", "COLUMNS": "200"}
    rich = shell.run("script", "-qec", f"{SUPERVISION} tree", "/dev/null", stdin="")
    assert "\x1b[" in rich.stdout
    assert SECRET not in rich.stdout


def test_a_reader_that_leaves_ends_the_writer_at_its_next_line(shell: Shell) -> None:
    pipe = f"{SUPERVISION} events -w | head -1"
    with subprocess.Popen(
        ["sh", "-c", pipe], env=shell.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as both:
        assert both.stdout
        assert both.stdout.readline().startswith("TIME")
        shell("restart", RED, "--yes")
        _, errors = both.communicate(timeout=60)
    assert "Traceback" not in errors
