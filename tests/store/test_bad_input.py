"""What is wrong with a signal, a wait or a coordinator is refused by name, value and remedy; nothing is half done."""

import math
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner
from lamps import everything

from supervision import all_of, any_of, gather, k_of, wait_for
from supervision.cli import cli
from supervision.client import Client
from supervision.coordination.waits import Node, Terms
from supervision.errors import InvalidDeclaration, InvalidDocument, InvalidWait, NotFound, SignalAlreadySent
from supervision.server import EmbeddedStore
from supervision.store.store import Store

TEN_YEARS = 10 * 365 * 86_400
NAMES = ["a*", "a?", "[a]", "", " a", "a b", "a\n", "\x00", "\x1b[31m", "é", "a{b}", "x" * 201, 7, b"a", None]
TIMES = [0, -1, "5", None, True, math.nan, math.inf, TEN_YEARS]
A_NAME = "a name has 1 to 200 letters, digits and _"
A_TIME = "needs seconds from 0.001 to 2592000 (30 days)"


class Case(NamedTuple):
    """What is asked of the client, and what the refusal says: the thing, the value, and what would be right."""

    ask: Callable[[Client], object]
    error: type[Exception]
    words: tuple[str, ...]


def shown(value: object) -> str:
    return repr(value)[:30]


def named(what: str, ask: Callable[[Client, Any], object], *, but: tuple[object, ...] = ()) -> list[Any]:
    """One case for each name that is none, but those that mean "not given" here."""
    return [
        pytest.param(
            Case(lambda c, n=name: ask(c, n), InvalidWait, (what, shown(name), A_NAME)), id=f"{what} {name!r:.20}"
        )
        for name in NAMES
        if name not in but
    ]


def timed(
    what: str, ask: Callable[[Client, Any], object], remedy: str = A_TIME, *, but: tuple[object, ...] = ()
) -> list[Any]:
    return [
        pytest.param(
            Case(lambda c, t=time: ask(c, t), InvalidWait, (f"{what}={shown(time)}", remedy)), id=f"{what} {time!r}"
        )
        for time in TIMES
        if time is True or time not in but
    ]


def one(name: str, ask: Callable[[Client], object], error: type[Exception], *words: str) -> Any:
    return pytest.param(Case(ask, error, words), id=name)


ANN = {"by": "ann", "reason": "why not"}
LARGE = "x" * (257 * 1024)

CASES = [
    *named("signal", lambda c, n: c.send(n, 1)),
    *named("signal", lambda c, n: c.receipt(n)),
    *named("signal", lambda c, n: c.payload(n)),
    *named("signal", lambda c, n: c.waits(signal=n), but=("", None)),
    *named("owner: coordinator", lambda c, n: c.waits(owner=n), but=("", None)),
    *named("signal", lambda _, n: wait_for(n)),
    *named("expects: coordinator", lambda _, n: wait_for("s", expects=n), but=("", 7, b"a", None)),
    *named("coordinator", lambda _, n: wait_for("s", owner=n), but=("", 7, b"a", None)),
    *named("coordinator", lambda c, n: c.coordinator(n)),
    *named("parent: coordinator", lambda c, n: c.coordinator("new", parent=n), but=("", None)),
    *named("id", lambda c, n: c.send("new", 1, id=n), but=("", None)),
    *named("sender", lambda c, n: c.send("new", 1, sender=n), but=("", None)),
    *timed("timeout", lambda _, t: wait_for("s", timeout=t)),
    *timed("timeout", lambda _, t: gather([wait_for("s")], timeout=t)),
    *timed("timeout", lambda c, t: c.send("new", 1, acks=1, timeout=t)),
    *timed("timeout", lambda c, t: c.send("new", 1, timeout=t)),
    *timed("timeout", lambda c, t: c.wait_for_acks("stands", 1, timeout=t)),
    *timed("seconds", lambda c, t: c.extend("bystander", t, **ANN)),
    *timed("ttl", lambda c, t: c.send("new", 1, ttl=t), "needs seconds above 0, 7776000 at most"),
    *timed("progress", lambda c, t: c.coordinator("new", progress=t), "or 0 for never", but=(0,)),
    one("257 KiB", lambda c: c.send("new", LARGE), InvalidDocument, "'new'", "263,170 bytes", "262,144 are allowed"),
    one(
        "no JSON", lambda c: c.send("new", object()), InvalidDocument, "'new'", "<object object", "needs what JSON has"
    ),
    one("NaN", lambda c: c.send("new", [math.nan]), InvalidDocument, "'new'", "[nan]", "send what JSON has"),
    one("released NaN", lambda c: c.release("bystander", math.nan, **ANN), InvalidDocument, "bystander", "nan", "JSON"),
    one("released 257 KiB", lambda c: c.release("bystander", LARGE, **ANN), InvalidDocument, "bystander", "263,170"),
    one("second signal", lambda c: c.send("stands", 2), SignalAlreadySent, "'stands'", "'first'", "put the round into"),
    one("acks", lambda c: c.send("new", 1, acks=-1), InvalidWait, "acks=-1", "whole number from 0 to 100000"),
    one("acks text", lambda c: c.wait_for_acks("stands", "3"), InvalidWait, "acks='3'", "whole number"),  # type: ignore[arg-type] # the point
    one(
        "level",
        lambda c: c.send("new", 1, acks=1, level="seen"),
        InvalidWait,
        "level='seen'",
        "'received' or 'processed'",
    ),
    one("4 of 3", lambda _: k_of(4, "a", "b", "c"), InvalidWait, "4 of 3", "from 1 to 3"),
    one("0 of 1", lambda _: k_of(0, "a"), InvalidWait, "0 of 1", "from 1 to 1"),
    one("text of 2", lambda _: k_of("2", "a", "b"), InvalidWait, "k='2'", "from 1 to 2"),  # type: ignore[arg-type] # the point
    one("nothing", lambda _: any_of(), InvalidWait, "wait for nothing", "at least one signal"),
    one("twice", lambda _: all_of("a", "b", "a"), InvalidWait, "'a' twice", "name it once"),
    one(
        "itself",
        lambda _: wait_for("s", owner="ann", expects="ann"),
        InvalidWait,
        "ann waits for itself",
        "'s'",
        "name who",
    ),
    one("on death", lambda _: wait_for("s", on_death="explode"), InvalidWait, "'explode'", "fail, replace, escalate"),
    one(
        "escalate", lambda _: wait_for("s", on_death="escalate"), InvalidWait, "'escalate' without expects", "name them"
    ),
    one("gather of nothing", lambda _: gather([]), InvalidWait, "a gather of 0 parts", "from 1 to 10000"),
    one("kind", lambda c: c.coordinator("new", kind=7), InvalidWait, "kind=7", "needs a text"),  # type: ignore[arg-type] # the point
    one("doing", lambda c: c.coordinator("new", doing=None), InvalidWait, "doing=None", "needs a text"),  # type: ignore[arg-type] # the point
    one(
        "kind of 1 MB",
        lambda c: c.coordinator("new", kind="x" * 10**6),
        InvalidWait,
        "kind='xxx",
        "1000000 characters",
        "200 at most",
    ),
    one(
        "own parent", lambda c: c.coordinator("new", parent="new"), InvalidWait, "parent='new'", "name another, or none"
    ),
    *(
        one(
            f"replace {said!r}", lambda c, r=said: c.send("stands", 2, replace=r), InvalidWait, f"={said!r}", "or False"
        )  # type: ignore[misc] # mypy: no type for a default
        for said in ("no", 1, None)
    ),
    one("by", lambda c: c.cancel("bystander", by="", reason="x"), InvalidDeclaration, "by=''", "one line of 1 to 1000"),
    one("by 7", lambda c: c.cancel("bystander", by=7, reason="x"), InvalidDeclaration, "by=7", "one line of"),  # type: ignore[arg-type] # the point
    one(
        "reason",
        lambda c: c.cancel("bystander", by="x", reason="a\nb"),
        InvalidDeclaration,
        "reason='a\\nb'",
        "one line",
    ),
    one("no receipt", lambda c: c.receipt("nobody/sent"), NotFound, "no signal 'nobody/sent' was sent"),
    one("no payload", lambda c: c.payload("nobody/sent"), NotFound, "no signal 'nobody/sent' stands"),
    one("acks of none", lambda c: c.wait_for_acks("nobody/sent", 1), NotFound, "no signal 'nobody/sent' was sent"),
    one("no wait", lambda c: c.explain("none"), NotFound, "no wait 'none'", "over for a day"),
    one("a wait of 1 MB", lambda c: c.explain("y" * 10**6), NotFound, "no wait 'yyy", "over for a day"),
    one("cancel none", lambda c: c.cancel("none", **ANN), NotFound, "no wait 'none'", "over for a day"),
    one("extend none", lambda c: c.extend("none", 60, **ANN), NotFound, "no wait 'none'", "over for a day"),
    one(
        "extend too long",
        lambda c: c.extend("bystander", 2_592_000, **ANN),
        InvalidWait,
        "bystander",
        "30 days from its",
    ),
    one("retry none", lambda c: c.retry("none", **ANN), NotFound, "no wait 'none'", "over for a day"),
    one("retry 7", lambda c: c.retry(7, **ANN), NotFound, "no wait '7'"),  # type: ignore[arg-type] # the point
    one("retry open", lambda c: c.retry("bystander", **ANN), NotFound, "'bystander' is no dead letter", "waiting"),
]


@pytest.fixture
def store(valkey_server: EmbeddedStore, namespace: str) -> Iterator[Store]:
    """On one server: what is refused never comes so far that they could differ."""
    with closing(Store(valkey_server.url, namespace)) as found:
        yield found


@pytest.fixture
def client(valkey_server: EmbeddedStore, namespace: str) -> Iterator[Client]:
    with Client(valkey_server.url, namespace=namespace, broker="memory://") as found:
        yield found


@pytest.fixture
def world(store: Store) -> Store:
    """Somebody who waits, a signal that stands, and a coordinator that lives."""
    store.waits.enter("bystander", Terms(Node(signal="fine")), mail='{"options":{}}')
    store.signals.send("stands", signal_id="first", payload="1", sender="ann", ttl_ms=60_000)
    store.coordinators.register("ann", kind="process", process="p", host="h")
    return store


def unharmed(store: Store) -> None:
    """Whoever waited goes on when the signal comes."""
    store.signals.send("fine", signal_id="1", payload="7", sender="", ttl_ms=60_000)
    claim = store.waits.enter("bystander", None, resumed=True)
    assert claim.outcome is not None
    assert claim.outcome.payloads == {"fine": 7}


@pytest.mark.parametrize("case", CASES)
def test_what_is_refused_says_why_and_changes_nothing(case: Case, client: Client, world: Store) -> None:
    before = everything(world)
    with pytest.raises(case.error) as refused:
        case.ask(client)
    missing = [word for word in case.words if word not in str(refused.value)]
    assert missing == [], str(refused.value)
    assert len(str(refused.value)) < 500
    assert everything(world) == before
    unharmed(world)


BLOCKING: list[tuple[dict[str, Any], type[Exception], tuple[str, ...]]] = [
    *[({"on": name}, InvalidWait, ("signal", shown(name), A_NAME)) for name in ("a*", "x" * 201, "\x00", "")],
    ({"on": 7}, InvalidWait, ("on=7", "needs a signal's name")),
    *[({"on": "s", "timeout": time}, InvalidWait, (f"timeout={shown(time)}", A_TIME)) for time in TIMES],
    ({"on": "s", "expects": "carl"}, NotFound, ("expects='carl'", "no coordinator", "as it registers")),
    ({"on": "s", "expects": "bob"}, InvalidWait, ("bob waits for itself", "'s'", "name who")),
    ({"on": "s", "expects": "a*"}, InvalidWait, ("expects: coordinator 'a*'", A_NAME)),
    ({"on": "s", "on_death": "explode"}, InvalidWait, ("on_death='explode'", "fail, replace, escalate")),
    ({"on": "s", "on_death": "replace"}, InvalidWait, ("on_death='replace'", "they go together")),
    ({"on": "s", "on_death": "escalate"}, InvalidWait, ("on_death='escalate' without expects", "name them")),
    (
        {"on": wait_for("s", timeout=1), "timeout": 2},
        InvalidWait,
        ("timeout=1.0 with the signature", "'s'", "to the call"),
    ),
]


def test_a_program_that_asks_for_what_cannot_be_blocks_nowhere(client: Client, world: Store) -> None:
    bob = client.coordinator("bob")
    client._heart.end("bob", bob._presence.beat)  # its heartbeats would be changes of their own
    before = everything(world)
    for asked, error, words in BLOCKING:
        with pytest.raises(error) as refused:
            bob.wait(**asked)
        assert [word for word in words if word not in str(refused.value)] == [], str(refused.value)
    with pytest.raises(InvalidWait, match="doing=7: needs a text"):
        bob.doing(7)  # type: ignore[arg-type] # the point
    assert everything(world) == before
    unharmed(world)


COMMANDS: list[tuple[tuple[str, ...], int, tuple[str, ...]]] = [
    (("signal", "a*", "1"), 2, ("'a*'", A_NAME, "Try: supervision signal --help")),
    (("signal", "x" * 201, "1"), 2, ("of 201 characters", A_NAME)),
    (("signal", "a\x1b[31m", "1"), 2, ("'a\\x1b[31m'", A_NAME)),
    (("signal", "new", "{broken"), 2, ("'{broken' is not JSON", "Try: supervision signal new")),
    (("signal", "new", "ready"), 2, ("'ready' is not JSON", "Try: supervision signal new '\"ready\"'")),
    (("signal", "new", "NaN"), 2, ("'NaN' is not JSON",)),
    (
        ("signal", "new", f'"{"x" * 100_000}' + "x" * 163_000 + '"'),
        2,
        ("263,002 bytes", "262,144 are allowed", "Try: supervision signal --help"),
    ),
    (("signal", "new", "1", "--ttl", "0"), 2, ("ttl=0", "needs seconds above 0")),
    (
        ("signal", "new", "1", "--ttl", "soon"),
        2,
        ("'soon' is no duration: needs seconds, or a number and one of s, m, h, d",),
    ),
    (("signal", "new", "1", "--acks", "1", "--timeout", "-1"), 2, ("timeout=-1", A_TIME)),
    (("signal", "new", "1", "--acks", "100001"), 2, ("acks=100001", "from 0 to 100000")),
    (("signal", "new", "1", "--level", "seen"), 2, ("'seen' is not one of",)),
    (
        ("signal", "stands", "2"),
        1,
        ("'stands' was sent already, as 'first' by ann", "Try: supervision receipts stands"),
    ),
    (
        ("receipts", "nobody/sent"),
        3,
        ("no signal 'nobody/sent' was sent", "Try: supervision waits --signal nobody/sent"),
    ),
    (("receipts", "a*"), 2, ("'a*'", A_NAME)),
    (("wait", "a*"), 2, ("'a*'", A_NAME)),
    (("wait", "never", "--timeout", "-1"), 2, ("-1", "Try: supervision wait --help")),
    (("waits", "--signal", "a*"), 2, ("'a*'", A_NAME)),
    (("waits", "--owner", "a*"), 2, ("'a*'", A_NAME)),
    (("explain", "none"), 3, ("no wait 'none'", "Try: supervision waits")),
    (("cancel", "none", "--yes"), 3, ("no wait 'none'", "Try: supervision waits")),
    (("cancel", "bystander", "--yes", "--reason", ""), 2, ("reason=''", "one line of 1 to 1000")),
    (("release", "none", "--yes"), 3, ("no wait 'none'", "Try: supervision waits")),
    (("release", "bystander", "{broken", "--yes"), 2, ("'{broken' is not JSON", "Try: supervision release")),
    (("extend", "none", "10m"), 3, ("no wait 'none'", "Try: supervision waits")),
    (("extend", "bystander", "0s"), 2, ("0s", "needs a number")),
    (("extend", "bystander", "-5m"), 2, ("No such option",)),
    (("extend", "bystander", "3650d"), 2, ("seconds=315360000", A_TIME, "Try: ")),
    (("extend", "bystander", "30d"), 2, ("'bystander' cannot be extended", "30 days from its beginning", "Try: ")),
    (("retry", "wait:none"), 3, ("no wait 'none'", "Try: supervision waits")),
]


@pytest.mark.parametrize("asked", COMMANDS, ids=lambda asked: " ".join(asked[0])[:40])
def test_the_command_line_refuses_the_same(
    asked: tuple[tuple[str, ...], int, tuple[str, ...]], world: Store, valkey_server: EmbeddedStore
) -> None:
    command, status, words = asked
    environment = {
        "SUPERVISION_STORE_URL": valkey_server.url,
        "SUPERVISION_NAMESPACE": world.keys.namespace,
        "SUPERVISION_BROKER_URL": "memory://",
    }
    before = everything(world)
    done = CliRunner(env=environment).invoke(cli, command, prog_name="supervision")
    assert [word for word in words if word not in done.output] == [], done.output
    assert done.exit_code == status, done.output
    assert "Traceback" not in done.output
    assert everything(world) == before
    unharmed(world)
