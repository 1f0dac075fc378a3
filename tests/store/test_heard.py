"""What is told of signals, waits and coordinators: each transition once, by whoever made it true, as one line."""

import io
import logging
import subprocess
import sys

import pytest
from sources import ROOT
from waiting import until

from supervision import telling
from supervision.client import Client
from supervision.continuing import NOWHERE
from supervision.coordinating import Coordination
from supervision.coordination.liveness import Patience
from supervision.coordination.waits import Node, Terms
from supervision.ports import free_ports
from supervision.server import EmbeddedStore
from supervision.store.happened import Happened
from supervision.store.store import Store
from supervision.telemetry.coordination_lines import line
from supervision.telemetry.lines import Line

MAIL = '{"options":{}}'
HASTY = Patience(0.05, 0.1, 0.15, 0.2)


@pytest.fixture
def told(store: Store) -> list[tuple[str, ...]]:
    """Kind, subject, before, after and reason of what was told."""
    found: list[tuple[str, ...]] = []
    store.heard.by = lambda happened: found.extend(each[:5] for each in happened)
    return found


def waits(store: Store, wait_id: str, signal: str = "built", **terms: object) -> None:
    store.waits.enter(wait_id, Terms(on=Node(signal=signal), **terms), mail=MAIL)  # type: ignore[arg-type] # a test's


def received(store: Store, wait_id: str, state: str = "processed") -> None:
    claim = store.waits.enter(wait_id, None, resumed=True)
    store.waits.processed([(wait_id, claim.start, state)])


def test_a_wait_is_told_from_its_beginning_to_what_follows(store: Store, told: list[tuple[str, ...]]) -> None:
    waits(store, "w-1")
    waits(store, "w-1")  # its message came twice
    store.signals.send("built", signal_id="1", payload="7", sender="ann", ttl_ms=9_000)
    store.signals.send("built", signal_id="1", payload="7", sender="ann", ttl_ms=9_000)
    received(store, "w-1")
    received(store, "w-1")
    assert told == [
        ("wait", "w-1", "", "waiting", ""),
        ("signal", "built", "", "sent", "1"),
        ("wait", "w-1", "waiting", "signalled", "built"),
        ("wait", "w-1", "received", "processed", ""),
    ]


def test_what_a_person_does_with_dead_mail_is_told(store: Store, told: list[tuple[str, ...]]) -> None:
    for message_id in ("m-1", "m-2"):
        store.mailboxes.put("box", message_id, "1", "ann")
        for _ in range(5):  # as often as a message is tried
            batch = store.mailboxes.take("box", message_id, 1, 60_000)
            assert batch
            store.mailboxes.failed("box", batch.token, "why")
            store.client.zadd(store.keys.mail_due, {"box": 1})
            store.mailboxes.remind(1)
    store.mailboxes.retry("box", "m-1", why="again", by="bob")
    store.mailboxes.discard("box", "m-2", why="enough", by="bob")
    assert told == [
        *[("mailbox", "box", "handed", "dead_letter", "why")] * 2,
        ("mailbox", "box", "dead_letter", "put_again", "again"),
        ("mailbox", "box", "dead_letter", "discarded", "enough"),
    ]


@pytest.mark.parametrize("claims", [True, False])
def test_an_end_is_told_once_whoever_goes_on_with_it(
    store: Store, told: list[tuple[str, ...]], *, claims: bool
) -> None:
    waits(store, "w-1", timeout=0.001)
    until(lambda: store.waits.expire(claim=claims)[1])
    claim = store.waits.enter("w-1", None, resumed=True)
    assert claim.state == ("busy" if claims else "received")
    assert [each for each in told if each[3] == "timed_out"] == [
        ("wait", "w-1", "waiting", "timed_out", "no built before its deadline")
    ]


def test_one_that_passes_at_once_is_told_as_ended(store: Store, told: list[tuple[str, ...]]) -> None:
    store.signals.send("built", signal_id="1", payload="7", sender="", ttl_ms=9_000)
    waits(store, "w-1")
    assert told[1:] == [("wait", "w-1", "waiting", "signalled", "built")]


def test_what_is_sent_again_given_up_and_tried_again_is_told(store: Store, told: list[tuple[str, ...]]) -> None:
    waits(store, "w-1")
    store.signals.send("built", signal_id="1", payload="7", sender="", ttl_ms=9_000)
    store.client.zadd(store.keys.undelivered, {"w-1": 1})
    store.waits.redeliver(9)
    for _ in range(8):
        store.waits.enter("w-1", None, resumed=True)
        store.client.hset(store.keys.wait("w-1"), "lease", 0)
    store.waits.retry("w-1", why="there is room", by="ann")
    received(store, "w-1", "failed")
    assert [each[2:4] for each in told if each[0] != "signal"] == [
        ("", "waiting"),
        ("ended", "redelivered"),
        ("waiting", "signalled"),
        ("received", "dead_letter"),
        ("dead_letter", "retried"),
        ("received", "failed"),
    ]


def test_what_people_order_is_told_with_their_reason(store: Store, told: list[tuple[str, ...]]) -> None:
    waits(store, "w-1", timeout=60)
    store.waits.extend("w-1", 1000, why="slow today", by="ann")
    Coordination(store, NOWHERE, lambda _: None).end("w-1", how="cancelled", why="too slow", by="ann")
    store.heard.by = None
    assert told[1:] == [("order", "w-1", "waiting", "extended", "slow today")], "the rest goes to the lines"


def test_the_life_of_a_coordinator_is_told(store: Store, told: list[tuple[str, ...]]) -> None:
    def register() -> int:
        return store.coordinators.register("ann", kind="process", process="p", host="h").incarnation

    register()
    register()
    until(lambda: store.coordinators.judge(HASTY))
    second = register()
    store.coordinators.leave("ann", second, failed=True, why="no bricks")
    store.coordinators.leave("ann", second, failed=True, why="no bricks")
    third = register()
    store.coordinators.leave("ann", third)
    moves = [each[2:4] for each in told]
    assert moves[:2] == [("", "registered"), ("registered", "registered")]
    late = moves[2 : moves.index(("", "dead"))]
    assert set(late) <= {("healthy", "warning"), ("warning", "critical"), ("healthy", "critical")}
    assert late
    assert moves[moves.index(("", "dead")) :] == [
        *(("", "dead"), ("dead", "registered"), ("", "failed"), ("failed", "registered"), ("", "complete")),
    ]


def test_whoever_is_superseded_tells_it(server: EmbeddedStore, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERVISION_HEARTBEAT", "0.05")
    found: list[Happened] = []
    with Client(server.url, namespace=namespace) as old, Client(server.url, namespace=namespace) as new:
        old._store.heard.by = found.extend
        old.coordinator("ann")
        new.coordinator("ann")
        until(lambda: [each.reason for each in found if each.after == "superseded"])
    assert [each.after for each in found] == ["registered", "superseded"]


@pytest.mark.parametrize("ends", ["bury", "leave", "judge"])
def test_it_is_told_whether_somebody_waits_for_one_that_is_no_more(store: Store, ends: str) -> None:
    found: list[Happened] = []
    incarnation = store.coordinators.register("ann", kind="process", process="p", host="h").incarnation
    other = store.coordinators.register("bob", kind="process", process="p", host="h").incarnation
    store.waits.enter("w-1", Terms(on=Node(signal="built", expects="ann")), mail=MAIL)
    store.heard.by = found.extend
    if ends == "bury":
        assert sorted(store.coordinators.bury("p", "killed")) == ["ann", "bob"]
    elif ends == "leave":
        store.coordinators.leave("ann", incarnation, failed=True)
        store.coordinators.leave("bob", other, failed=True)
    else:
        until(lambda: store.coordinators.judge(HASTY) and len([each for each in found if each.after == "dead"]) == 2)
    ended = {each.subject: each.expected for each in found if each.after in {"dead", "failed"}}
    assert ended == {"ann": True, "bob": False}
    assert {line(each).level for each in found if each.expected} == {"error"}


LINES = [
    (
        Happened("wait", "w", "", "waiting", on="a", actor="o"),
        Line("info", "wait_begun", {"wait": "w", "on": "a", "owner": "o"}),
    ),
    (
        Happened("wait", "w", "waiting", "signalled", "a", on="a"),
        Line("info", "wait_ended", {"wait": "w", "on": "a", "reason": "a", "how": "signalled"}),
    ),
    (
        Happened("wait", "w", "waiting", "timed_out", "late", on="a"),
        Line("warning", "wait_ended", {"wait": "w", "on": "a", "reason": "late", "how": "timed_out"}),
    ),
    (Happened("wait", "w", "received", "processed"), Line("info", "wait_processed", {"wait": "w"})),
    (Happened("wait", "w", "received", "failed"), Line("warning", "wait_failed", {"wait": "w"})),
    (Happened("wait", "w", "ended", "redelivered"), Line("warning", "wait_redelivered", {"wait": "w"})),
    (
        Happened("wait", "w", "received", "dead_letter", "why"),
        Line("warning", "wait_dead_letter", {"wait": "w", "reason": "why"}),
    ),
    (
        Happened("order", "w", "waiting", "cancelled", "why", "ann"),
        Line("info", "wait_order", {"wait": "w", "order": "cancelled", "reason": "why", "by": "ann"}),
    ),
    (
        Happened("mailbox", "box", "handed", "dead_letter", "why", on="m-1"),
        Line("warning", "mail_dead_letter", {"mailbox": "box", "id": "m-1", "reason": "why"}),
    ),
    (
        Happened("mailbox", "box", "dead_letter", "discarded", "why", "ann", on="m-1"),
        Line("info", "mail_discarded", {"mailbox": "box", "id": "m-1", "reason": "why", "by": "ann"}),
    ),
    (
        Happened("mailbox", "box", "", "handler", "app.take, 2 at once"),
        Line("info", "mail_handler_set", {"mailbox": "box", "reason": "app.take, 2 at once"}),
    ),
    (
        Happened("mailbox", "box", "handler", "no handler", "it is over"),
        Line("info", "mail_handler_removed", {"mailbox": "box", "reason": "it is over"}),
    ),
    (
        Happened("signal", "s", "", "sent", "1", "ann"),
        Line("info", "signal_sent", {"signal": "s", "id": "1", "sender": "ann"}),
    ),
    (
        Happened("signal", "s", "", "replaced", "2"),
        Line("info", "signal_replaced", {"signal": "s", "id": "2", "sender": ""}),
    ),
    (Happened("coordinator", "c", "", "registered"), Line("info", "coordinator_registered", {"coordinator": "c"})),
    (
        Happened("coordinator", "c", "dead", "registered"),
        Line("info", "coordinator_returned", {"coordinator": "c", "before": "dead"}),
    ),
    (
        Happened("coordinator", "c", "healthy", "warning"),
        Line("warning", "coordinator_late", {"coordinator": "c", "before": "healthy", "health": "warning"}),
    ),
    (
        Happened("coordinator", "c", "", "dead", "why"),
        Line("warning", "coordinator_died", {"coordinator": "c", "reason": "why", "expected": False}),
    ),
    (
        Happened("coordinator", "c", "", "dead", "why", expected=True),
        Line("error", "coordinator_died", {"coordinator": "c", "reason": "why", "expected": True}),
    ),
    (
        Happened("coordinator", "c", "", "superseded", "why"),
        Line("warning", "coordinator_superseded", {"coordinator": "c", "reason": "why"}),
    ),
]


@pytest.mark.parametrize(("happened", "expected"), LINES, ids=lambda each: getattr(each, "after", ""))
def test_each_has_its_line(happened: Happened, expected: Line) -> None:
    assert line(happened) == expected


QUIET = """
import sys
from supervision.client import Client
with Client(sys.argv[1], namespace=sys.argv[2], broker="memory://") as client, client.coordinator("ann") as ann:
    client.send("built", 7)
    assert ann.wait("built") == 7
"""


def test_a_program_that_uses_the_client_prints_nothing(server: EmbeddedStore, namespace: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", QUIET, server.url, namespace],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )
    assert (done.stdout, done.stderr) == ("", "")


NO_BROKER = """
import sys
from supervision.client import Client
port = sys.argv[3]
with Client(sys.argv[1], namespace=sys.argv[2], broker=f"redis://:a-secret@127.0.0.1:{port}/0") as client:
    client.mailbox("box").handle({"task": "user.take", "args": [], "kwargs": {}, "options": {}, "immutable": False})
    client.mailbox("box").put(7)
    client.submit("user.pay", [17], key="order/17", queue="shop")
with Client(sys.argv[1], namespace=sys.argv[2], broker="no-such-thing://:a-secret@here") as client:
    client.submit("user.pay", [17], key="order/18", queue="shop")
"""


@pytest.mark.parametrize("listens", [False, True])
def test_nor_does_one_whose_broker_is_away_or_none(server: EmbeddedStore, namespace: str, listens: bool) -> None:  # noqa: FBT001 # a table
    """Or what it prints would be mixed with that; and a listener is told, without what was in any variable."""
    heard = "import logging; logging.basicConfig(); " if listens else ""
    done = subprocess.run(
        [sys.executable, "-c", heard + NO_BROKER, server.url, namespace, str(next(free_ports()))],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        timeout=120,
    )
    assert done.stdout == ""
    lines = ("WARNING:supervision:publish_failed entry=", "ERROR:supervision:entry_refused entry=", "Traceback")
    assert [text in done.stderr for text in lines] == [listens] * len(lines), done.stderr
    assert listens or not done.stderr
    assert "a-secret" not in done.stderr


@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
def test_such_a_program_may_listen_to_the_logger(monkeypatch: pytest.MonkeyPatch, level: int) -> None:
    monkeypatch.setattr("structlog.is_configured", lambda: False)
    stream = io.StringIO()
    logger, handler = logging.getLogger("supervision"), logging.StreamHandler(stream)
    monkeypatch.setattr(logger, "level", level)
    logger.manager._clear_cache()  # type: ignore[attr-defined] # what setLevel does
    logger.addHandler(handler)
    try:
        telling.heard([Happened("wait", "w", "received", "processed"), Happened("wait", "w", "received", "failed")])
    finally:
        logger.removeHandler(handler)
    lines = ["wait_processed wait='w'", "wait_failed wait='w'"]
    assert stream.getvalue().splitlines() == (lines if level == logging.INFO else lines[1:])
