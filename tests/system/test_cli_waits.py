"""The command line for signals, waits and coordinators, as a shell sees it; the test plays the worker."""

import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from shells import SUPERVISION, Quick, Shell, rows

from supervision.client import Client
from supervision.coordination.waits import Node, Terms
from supervision.server import EmbeddedStore
from supervision.store.store import Store

MAIL = '{"options":{}}'
BOTH = Node(k=2, of=(Node(signal="tested", expects="tester"), Node(signal="reviewed")))


@pytest.fixture
def store(valkey_server: EmbeddedStore, namespace: str) -> Iterator[Store]:
    with closing(Store(valkey_server.url, namespace)) as found:
        yield found


@pytest.fixture
def shell(store: Store, valkey_server: EmbeddedStore, tmp_path: Path) -> Shell:
    """A shell whose broker is its own: what it sends reaches nobody, and a worker's part is played by the test."""
    return Quick(
        tmp_path,
        SUPERVISION_STORE_URL=valkey_server.url,
        SUPERVISION_NAMESPACE=store.keys.namespace,
        SUPERVISION_BROKER_URL="memory://",
    )


@pytest.fixture
def wait(store: Store) -> Callable[..., str]:
    """Begins a wait as a worker does; answers its id."""

    def begun(wait_id: str, on: str | Node = "built", **terms: object) -> str:
        node = on if isinstance(on, Node) else Node(signal=on)
        assert store.waits.enter(wait_id, Terms(on=node, **terms), mail=MAIL).state == "waiting"  # type: ignore[arg-type] # what a test says about it
        return wait_id

    return begun


@pytest.fixture
def tester(store: Store) -> str:
    store.coordinators.register("tester", kind="process", process="p1", host="here", doing="running the tests")
    return "tester"


def given_up(store: Store, wait_id: str) -> None:
    """A continuation that is started again and again, and never ends."""
    lease = f"{store.keys.wait(wait_id)}"
    for _ in range(6):
        store.waits.enter(wait_id, None, resumed=True)
        store.client.hset(lease, "lease", 0)
    assert store.open_waits.get(wait_id).state == "dead_letter"


@pytest.mark.usefixtures("tester")
def test_waits_are_listed_with_what_they_wait_for_and_whom_they_expect(shell: Shell, wait: Callable[..., str]) -> None:
    wait("w-1", "built", timeout=500)
    wait("w-2", BOTH, timeout=100, owner="boss")
    titles, second, first = rows(shell("waits"))
    assert titles == ["ID", "STATE", "ON", "OWNER", "KIND", "SINCE", "LEFT", "EXPECTS"]
    assert (second[0], second[1], second[2], second[3], second[4]) == (
        *("w-2", "waiting", "all_of_tested,_reviewed", "boss", "task"),
    )
    assert re.fullmatch(r"1m(3\d|40)s", second[6])
    assert re.fullmatch(r"tester \(registered, seen [\d.]+s ago\)", " ".join(second[7:]))
    assert first[0] == "w-1"
    assert first[-1] == "-"
    assert shell("waits", "-o", "name").split() == ["w-2", "w-1"]
    assert shell("waits", "--signal", "built", "-o", "name").split() == ["w-1"]
    assert shell("waits", "--owner", "boss", "-o", "name").split() == ["w-2"]
    assert "tested=open,reviewed=open" in shell("waits", "-o", "wide")
    done = shell.run(SUPERVISION, "waits", "--signal", "nothing")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "nobody waits\n")


@pytest.mark.usefixtures("tester")
def test_json_of_waits_coordinators_and_receipts_keeps_its_shape(shell: Shell, wait: Callable[..., str]) -> None:
    wait("w-1", BOTH, owner="boss")
    (seen,) = shell.json("waits")["waits"]  # type: ignore[misc] # JSON
    assert set(seen) == fields("wait")
    assert set(seen["parts"][0]) == fields("part")
    (coordinator,) = shell.json("coordinators")["coordinators"]  # type: ignore[misc] # JSON
    assert set(coordinator) == fields("coordinator")
    assert set(shell.json("signal", "tested", '{"ok": true}')["receipt"]) == fields("receipt")  # type: ignore[call-overload] # JSON
    assert set(shell.json("explain", "w-1")) == {"version", "at", "wait", "events"}


def test_more_than_are_shown_are_said_to_be_there(shell: Shell, store: Store, wait: Callable[..., str]) -> None:
    for i in range(1001):
        store.coordinators.register(f"c-{i:04}", kind="process", process="p1", host="here")
        wait(f"w-{i:04}", timeout=600 + i)
    for command, last in (("waits", "w-0999"), ("coordinators", "c-0999")):
        done = shell.run(SUPERVISION, command, "-o", "name")
        assert (done.returncode, done.stdout.split()[-1]) == (0, last)
        assert done.stderr.startswith("and more: these are the 1,000 that ")
        answer = shell.json(command)
        assert (len(answer[command]), answer["more"]) == (1000, True)  # type: ignore[arg-type] # JSON
    store.coordinators.leave("c-0000", store.coordinators.get("c-0000").incarnation)
    store.waits.end("w-0000", how="cancelled", why="why", by="ann")
    assert shell.run(SUPERVISION, "waits", "-o", "name").stderr == ""
    assert shell.json("waits")["more"] is False
    assert "c-1000" in shell("coordinators", "-o", "name").split()


def fields(what: str) -> set[str]:
    """The fields of ``what`` that docs/cli.md lists."""
    text = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    paragraph = re.search(rf"^\*\*{what}\*\*: (.*?)\n\n", text, re.DOTALL | re.MULTILINE)
    assert paragraph
    return set(re.findall(r"`([a-z_]+)`", re.sub(r"\([^)]*\)", "", paragraph[1])))


def test_a_wait_whose_end_nobody_tells_is_overdue_and_doctor_says_why(
    shell: Shell, store: Store, wait: Callable[..., str]
) -> None:
    wait("w-1")
    store.client.zincrby(store.keys.deadlines, -10_000_000, "0#w-1")
    assert re.search(r"overdue_\dh", shell("waits"))
    assert re.search(r"Until: +\S+ \(overdue \dh", shell("explain", "w-1"))
    told = shell.run(SUPERVISION, "doctor").stdout
    assert re.search(r"failed +deadlines.of.waits +1.over.*start beat and a worker for supervision.sweeps", told), told


@pytest.mark.usefixtures("tester")
def test_a_wait_is_explained_with_its_parts_and_ends_with_its_events(shell: Shell, wait: Callable[..., str]) -> None:
    wait("w-1", BOTH, timeout=100)
    shell("signal", "reviewed")
    text = shell("explain", "w-1")
    assert re.search(r"^Part tested: +open; expects tester \(registered, seen [\d.]+s ago\)$", text, re.MULTILINE)
    assert re.search(r"^Part reviewed: +came; expects nobody$", text, re.MULTILINE)
    assert text.splitlines()[-1].split()[1:4] == ["wait", "w-1", "-"]
    shell("signal", "tested")
    text = shell("explain", "w-1")
    assert re.search(r"^Ended: +signalled at .*: tested$", text, re.MULTILINE)
    assert re.search(r"^Deliveries: +sent 1 times, started 0 times$", text, re.MULTILINE)
    assert "no wait 'w-2'" in shell("explain", "w-2", status=3)
    assert "Try: supervision waits" in shell("explain", "w-2", status=3)


def test_a_signal_is_sent_once_and_its_receipt_says_who_got_it(
    shell: Shell, store: Store, wait: Callable[..., str]
) -> None:
    wait("w-1")
    text = shell("signal", "built", '{"n": 7}', "--id", "first", "--sender", "ann")
    assert "built: sent as first by ann at " in text
    assert rows(text)[1:] == [["PROGRESS", "WAITER"], ["delivered", "w-1"]]
    assert "which it had been before" in shell("signal", "built", '{"n": 7}', "--id", "first")
    refusal = shell("signal", "built", "--id", "second", status=1)
    assert "a signal happens once" in refusal
    assert "Try: supervision receipts built" in refusal
    store.waits.enter("w-1", None, resumed=True)
    assert rows(shell("receipts", "built"))[2] == ["received", "w-1"]
    assert shell("receipts", "built", "-o", "name") == "w-1\n"
    assert "Try: supervision waits --signal other" in shell("receipts", "other", status=3)
    assert json.loads(shell("wait", "built")) == {"n": 7}


def test_acknowledgements_that_are_missing_are_4_and_named(shell: Shell, wait: Callable[..., str]) -> None:
    wait("w-1")
    refusal = shell("signal", "built", "--acks", 2, "--timeout", 0.2, status=4)
    assert "0 of 2 have received it within 0.2 s; missing: w-1 (delivered)" in refusal
    assert "Try: supervision receipts built" in refusal


def test_those_that_are_not_released_yet_are_named_too(shell: Shell, store: Store, wait: Callable[..., str]) -> None:
    waits = {wait(f"w-{number:03}") for number in range(120)}
    store.signals.send("built", signal_id="1", payload="1", sender="ann", ttl_ms=60_000)
    assert "4 were reached, 116 still wait" in shell("receipts", "built")
    assert set(shell("receipts", "built", "-o", "name").split()) < waits
    refusal = shell("signal", "built", "1", "--id", "1", "--acks", 120, "--timeout", 0.1, status=4)
    assert refusal.count(" (pending)") == 10
    assert " and 110 more, 116 not released yet" in refusal


def test_waiting_ends_with_the_signal_or_with_its_time(shell: Shell, store: Store) -> None:
    assert "built did not come within 1 s" in shell("wait", "built", "--timeout", "1s", status=4)
    refusal = shell("wait", "built", "--timeout", 0.3, status=4)
    assert "built did not come within 0.3 s" in refusal
    assert "Try: supervision waits --signal built" in refusal
    blocked = shell.start("wait", "built")
    store.signals.send("built", signal_id="1", payload='{"n": 7}', sender="ann", ttl_ms=60_000)
    output, _ = blocked.communicate(timeout=60)
    assert (blocked.returncode, json.loads(output)) == (0, {"n": 7})
    found = shell.json("wait", "built")
    assert (found["id"], found["sender"], found["payload"]) == ("1", "ann", {"n": 7})


@pytest.mark.parametrize("seconds", ["nan", "inf", "0", "-3", "315360000"])
def test_a_time_that_nobody_can_wait_is_2_and_nothing_is_sent(shell: Shell, seconds: str) -> None:
    for command in (("wait", "built"), ("signal", "built"), ("signal", "built", "--acks", 1)):
        refusal = shell(*command, "--timeout", seconds, status=2)
        assert f"timeout={float(seconds)}: needs seconds from 0.001 to 2592000 (30 days)" in refusal
    shell("receipts", "built", status=3)


def test_a_signal_whose_time_is_over_lets_nobody_pass(shell: Shell, store: Store) -> None:
    store.signals.send("built", signal_id="1", payload="1", sender="", ttl_ms=1)
    assert "did not come" in shell("wait", "built", "--timeout", 0.1, status=4)


def test_what_is_no_json_and_no_name_is_2(shell: Shell) -> None:
    assert "'{n' is not JSON" in shell("signal", "built", "{n", status=2)
    assert "Try: supervision signal built '{\"ok\": true}'" in shell("signal", "built", "{n", status=2)
    assert "a name has 1 to 200" in shell("signal", "no blanks", status=2)
    assert "ttl=-1" in shell("signal", "built", "--ttl", "-1", status=2)
    assert "needs a number and one of s, m, h, d" in shell("extend", "w-1", "long", status=2)


def test_a_person_ends_a_wait_and_says_why(shell: Shell, store: Store, wait: Callable[..., str]) -> None:
    wait("w-1")
    assert "Nobody can be asked here" in shell("cancel", "w-1", status=2)
    shell("cancel", "w-1", "--yes", "--by", "ann", "--reason", "nobody builds any more")
    seen = store.open_waits.get("w-1")
    assert (seen.how, seen.why) == ("cancelled", "nobody builds any more")
    assert store.history.latest(1)[0].actor == "ann"
    refusal = shell("cancel", "w-1", "--yes", status=1)
    assert "has ended already: cancelled" in refusal
    assert "Try: supervision explain 'w-1'" in refusal
    assert "Try: supervision waits" in shell("cancel", "w-9", "--yes", status=3)


def test_a_person_lets_a_wait_go_on_or_gives_it_time(shell: Shell, store: Store, wait: Callable[..., str]) -> None:
    wait("w-1", timeout=10)
    before = store.open_waits.get("w-1").deadline
    assert shell.json("extend", "w-1", "2h")["deadline"] == before + 7_200_000
    shell("release", "w-1", '{"by hand": true}', "--yes")
    claim = store.waits.enter("w-1", None, resumed=True)
    assert claim.outcome
    assert (claim.outcome.how, claim.outcome.value) == ("released", {"by hand": True})
    assert "has ended already: released" in shell("extend", "w-1", "2h", status=1)
    assert "has ended already" in shell("release", "w-1", "--yes", status=1)


def test_coordinators_are_listed_with_their_health(shell: Shell, store: Store, tester: str) -> None:
    titles, row = rows(shell("coordinators"))
    assert titles == ["ID", "KIND", "STATE", "HEALTH", "BEAT", "HOST", "WAITS", "DOING"]
    assert row[:4] == [tester, "process", "registered", "healthy"]
    assert row[-3:] == ["running", "the", "tests"]
    store.coordinators.bury("p1", "it was killed")
    row = rows(shell("coordinators"))[1]
    assert row[:5] == [tester, "process", "dead", "-", "-"]
    assert " ".join(row).endswith(": it was killed")


def test_a_dead_letter_is_listed_and_tried_again(shell: Shell, store: Store, wait: Callable[..., str]) -> None:
    wait("w-1")
    shell("signal", "built", "7")
    assert shell.run(SUPERVISION, "dead-letters").stderr == "there are none\n"
    assert "is no dead letter: it is ended" in shell("retry", "wait:w-1", status=1)
    given_up(store, "w-1")
    titles, row = rows(shell("dead-letters"))
    assert titles == ["ID", "OF", "AT", "ABOUT", "WHY"]
    assert (row[0], row[1], row[3]) == ("wait:w-1", "wait", "built")
    (letter,) = shell.json("dead-letters")["dead_letters"]  # type: ignore[misc] # JSON
    assert set(letter) == fields("dead_letter")
    shell("retry", "wait:w-1", "--by", "ann", "--reason", "the disk has room again")
    assert shell("dead-letters", "-o", "name") == ""
    claim = store.waits.enter("w-1", None, resumed=True)
    assert claim.state == "received"
    assert claim.outcome
    assert claim.outcome.payloads == {"built": 7}
    assert store.waits.processed([("w-1", claim.start, "processed")]) == 1
    told = store.history.latest(2)
    assert (told[0].before, told[0].after, told[0].actor, told[0].reason) == (
        *("dead_letter", "received", "ann", "the disk has room again"),
    )
    assert "Try: supervision dead-letters" in shell("retry", "mail:inbox#1", status=3)


def test_mail_that_was_given_up_is_a_dead_letter_too(shell: Shell, store: Store) -> None:
    with Client(shell.environment["SUPERVISION_STORE_URL"], namespace=store.keys.namespace) as client:
        box = client.mailbox("inbox")
        box.put({"n": 7}, id="m-1", sender="ann")
        for _ in range(5):
            box.failed(*box.take(), reason="no room")
            store.client.zadd(store.keys.mail_due, {"inbox": 0})  # the pause after it is over
            store.mailboxes.remind(9)
        row = rows(shell("dead-letters"))[1]
        assert (row[0], row[1], " ".join(row[3:])) == (
            *("mail:inbox#m-1", "mail", "m-1_from_ann failed 5 times, at last: no room"),
        )
        shell("retry", "mail:inbox#m-1")
        assert shell("dead-letters", "-o", "name") == ""
        assert [message.payload for message in box.take()] == [{"n": 7}]


def test_followed_waits_say_how_they_ended(shell: Shell, wait: Callable[..., str]) -> None:
    wait("w-1")
    followed = shell.start("waits", "-w")
    assert followed.stdout
    lines = iter(followed.stdout.readline, "")
    assert next(lines).split()[0] == "ID"
    assert next(lines).split()[:2] == ["w-1", "waiting"]
    shell("signal", "built")
    assert next(lines).split()[:2] == ["w-1", "ended"]
    followed.send_signal(signal.SIGINT)
    followed.communicate(timeout=60)
    assert followed.returncode == 0


def test_a_store_that_is_not_there_is_69(tmp_path: Path) -> None:
    shell = Quick(tmp_path, SUPERVISION_STORE_URL="redis://127.0.0.1:1/0")
    for command in (["waits"], ["wait", "built"], ["signal", "built"], ["extend", "w-1", "10m"]):
        assert "127.0.0.1:1" in shell(*command, status=69)
    assert "may have been sent or not" in shell("signal", "built", status=69)


def test_every_command_of_the_page_is_there(shell: Shell) -> None:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    told = {
        name for cell in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE) for name in re.findall(r"`([a-z-]+)", cell)
    }
    listed = subprocess.run([SUPERVISION, "--help"], capture_output=True, text=True, check=True, env=shell.environment)
    commands = set(re.findall(r"^  ([a-z-]+) ", listed.stdout.split("Commands:")[1], re.MULTILINE))
    assert commands <= told
