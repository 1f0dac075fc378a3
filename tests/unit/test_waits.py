"""What a wait, a signal and liveness must be: tables of what is refused, and the rule of joins."""

import math
from collections import OrderedDict
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervision.coordination.liveness import Patience, valid_presence
from supervision.coordination.signals import (
    Progress,
    Receipt,
    encoded_payload,
    valid_level,
    valid_signal,
)
from supervision.coordination.waits import (
    Node,
    Terms,
    brief,
    described,
    judged,
    node_of,
    terms,
    tree,
    valid_terms,
    valid_timeout,
)
from supervision.errors import InvalidDeclaration, InvalidDocument, InvalidWait


@pytest.mark.parametrize("name", ["a", "review/epic-1/round-3", "A_b.c:d@e", "x" * 200])
def test_names_that_are_fine(name: str) -> None:
    assert valid_signal(name) == name


@pytest.mark.parametrize("name", ["", "a*", "a?b", "[a]", "a b", "a\n", "\x00", "é", "x" * 201, None, 7, b"a", "a{b}"])
def test_names_that_are_refused(name: object) -> None:
    with pytest.raises(InvalidWait, match="a name has 1 to 200 letters"):
        valid_signal(name)


def test_a_name_that_is_too_long_is_told_how_long() -> None:
    with pytest.raises(InvalidWait, match="of 201 characters"):
        valid_signal("x" * 201)


def test_what_a_program_waits_on_is_a_name_or_a_signature() -> None:
    assert node_of("done", "bob") == Node(signal="done", expects="bob")
    assert node_of("done", None) == node_of("done", "") == Node(signal="done")
    both = {"task": "supervision.wait", "kwargs": {"on": {"k": 1, "of": [{"signal": "a"}, {"signal": "b"}]}}}
    assert node_of(both) == Node(k=1, of=(Node(signal="a"), Node(signal="b")))


@pytest.mark.parametrize("on", [None, 7, b"done", ["a", "b"], {"task": "sleep"}, {"kwargs": {}}])
def test_what_a_program_cannot_wait_on_is_refused(on: object) -> None:
    with pytest.raises(InvalidWait, match="needs a signal's name, or all_of"):
        node_of(on)


def test_whom_a_join_expects_is_said_of_its_parts() -> None:
    both = {"task": "supervision.wait", "kwargs": {"on": {"k": 1, "of": [{"signal": "a"}, {"signal": "b"}]}}}
    with pytest.raises(InvalidWait, match=r"expects='bob' beside a signature: give it to its signals"):
        node_of(both, "bob")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({"timeout": 0.2}, "timeout=0.2 with"),
        ({"on_timeout": {"value": "v"}, "timeout": 2}, r"timeout=2.0, on_timeout=\{'value': 'v'\} with"),
        ({"on": {"signal": "x", "expects": "bob"}, "on_death": "escalate"}, "on_death='escalate' with"),
        (
            {"on": {"signal": "x", "expects": "bob"}, "on_death": "replace", "replacement": {"task": "t"}},
            r"on_death='replace', replacement=\{'task': 't'\} with",
        ),
        ({"owner": "ann"}, "owner='ann' with"),
        ({"carry": True}, "carry=True with"),
    ],
)
def test_terms_of_a_signature_that_a_program_would_not_heed_are_refused(said: dict[str, Any], shown: str) -> None:
    with pytest.raises(InvalidWait, match=f"{shown} the signature of a wait for 'x'.* give timeout and on_death to"):
        node_of({"task": "supervision.wait", "kwargs": {"on": {"signal": "x"}, "home": "celery", **said}})


def test_whom_a_program_expects_beside_a_signature_is_refused_and_in_it_is_kept() -> None:
    on = {"signal": "x", "expects": "bob"}
    with pytest.raises(InvalidWait, match="expects='eve' beside a signature: give it to its signals"):
        node_of({"kwargs": {"on": on}}, "eve")
    assert node_of({"kwargs": {"on": on, "home": "celery"}}) == Node(signal="x", expects="bob")


@pytest.mark.parametrize(
    "payload",
    [
        *(None, 0, 1.5, 1.0, True, -0.0, 2**70, "text", "", [], {}, [1, {"a": None}], {"a": [True]}),
        *({"a": {"b": [[1.0, 1, True]]}}, Progress.RECEIVED, {Progress.RECEIVED: 1}, OrderedDict(a=1)),
        "x" * (256 * 1024 - 2),
    ],
)
def test_payloads_come_back_as_they_went(payload: Any) -> None:
    back = msgspec.json.decode(encoded_payload(payload, "s"))
    assert (back, kinds(back)) == (payload, kinds(payload))


def kinds(value: Any) -> Any:
    """Its types, as JSON tells them apart: 1, 1.0 and True are equal to Python."""
    if isinstance(value, list):
        return [kinds(each) for each in value]
    if isinstance(value, dict):
        return [kinds(each) for each in value.values()]
    return next(kind for kind in (type(None), bool, int, float, str) if isinstance(value, kind))


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (math.nan, "would be read back as None"),
        (math.inf, "would be read back as None"),
        ([1, {"a": math.nan}], r"would be read back as \[1, {'a': None}\]"),
        (b"abc", "would be read back as 'YWJj'"),
        ({1, 2}, r"would be read back as \[1, 2\]; send what JSON has: .*a set as a list"),
        (frozenset({1}), "would be read back as"),
        ((1, 2), r"would be read back as \[1, 2\]"),
        ({"a": [(1,)]}, "would be read back as"),
        ({1: 2}, "would be read back as {'1': 2}"),
        ({"a": {1.5: 2}}, "would be read back as"),
        (datetime(2026, 7, 1, tzinfo=UTC), "would be read back as '2026-07-01T00:00:00Z'"),
        ([date(2026, 7, 1)], "would be read back as"),
        (Decimal("1.50"), "would be read back as '1.50'"),
        (UUID(int=7), "would be read back as '00000000-"),
        (Node(signal="a"), "would be read back as {'signal': 'a'}"),
        (object(), "cannot be written as JSON"),
        ({1, 2}.__iter__(), "cannot be written as JSON"),
        ("x" * (256 * 1024), "262,146 bytes as JSON, at most 262,144 are allowed"),
    ],
)
def test_payloads_that_are_refused(payload: Any, why: str) -> None:
    with pytest.raises(InvalidDocument, match=why):
        encoded_payload(payload, "s")


@pytest.mark.parametrize("seconds", [0, -1, "5", None, True, math.nan, math.inf, 10 * 365 * 86_400, 0.0001])
def test_timeouts_that_are_refused(seconds: object) -> None:
    with pytest.raises(InvalidWait, match=r"needs seconds from 0.001 to 2592000 \(30 days\), for example 1800"):
        valid_timeout(seconds)


@pytest.mark.parametrize("seconds", [0.001, 1, 1800.0, 30 * 86_400])
def test_timeouts_that_are_fine(seconds: float) -> None:
    assert valid_timeout(seconds) == seconds


A, B, C = (Node(signal=name) for name in "abc")


@pytest.mark.parametrize(
    ("wait", "why"),
    [
        (Terms(Node(k=4, of=(A, B, C))), "4 of 3: needs a whole number from 1 to 3"),
        (Terms(Node(k=0, of=(A,))), "0 of 1: needs"),
        (Terms(Node(k=2, of=(A, A))), "names the signal 'a' twice"),
        (Terms(Node()), "signal '': a name has 1 to 200"),
        (Terms(Node(signal="a", k=1, of=(B,))), "needs one signal, or several parts"),
        (Terms(Node(signal="a", expects="me"), owner="me"), "me waits for itself to send 'a'"),
        (Terms(Node(k=1, of=(A, Node(signal="b", expects="me"))), owner="me"), "me waits for itself to send 'b'"),
        (Terms(A, on_death="explode"), "on_death='explode': needs one of fail, replace, escalate"),  # type: ignore[arg-type] # the point
        (Terms(A, on_death="replace"), "on_death='replace' and replacement=None: they go together"),
        (Terms(A, replacement={"task": "x"}), "they go together"),
        (
            Terms(A, on_death="replace", replacement={"task": "x"}),
            "on_death='replace' without expects=.*nobody whose death",
        ),
        (Terms(A, on_death="escalate"), "on_death='escalate' without expects=.*nobody whose death"),
        (Terms(Node(k=2, of=(A, B)), on_death="escalate"), "on_death='escalate' without expects="),
        (Terms(Node(signal="a", within=-1)), "needs seconds from"),
        (Terms(Node(signal="a", expects="*")), "expects: coordinator '\\*'"),
        (Terms(Node(k=1, of=tuple(Node(signal=f"s{i}") for i in range(101)))), "101 signals; at most 100"),
    ],
)
def test_waits_that_could_not_work(wait: Terms, why: str) -> None:
    with pytest.raises(InvalidWait, match=why):
        valid_terms(wait)


@pytest.mark.parametrize(
    "wait",
    [
        Terms(A, owner="me"),
        Terms(Node(signal="a", within=5, expects="you"), owner="me"),
        Terms(Node(k=1, of=(A, Node(signal="b", expects="you"))), owner="me"),
        Terms(Node(signal="a", expects="me"), owner="my"),
        Terms(Node(signal="a", expects="b"), on_death="replace", replacement={"task": "x"}),
        Terms(Node(k=2, of=(A, Node(signal="b", expects="you"))), on_death="escalate"),
        Terms(Node(k=100, of=tuple(Node(signal=f"s{i}") for i in range(100)))),
    ],
)
def test_waits_that_can_work_are_taken_as_they_are(wait: Terms) -> None:
    assert valid_terms(wait) is wait


def test_a_wait_that_expects_a_name_that_nobody_can_have_as_its_owner_is_refused() -> None:
    with pytest.raises(InvalidWait, match="coordinator 'm e'"):
        valid_terms(Terms(A, owner="m e"))


@pytest.mark.parametrize("progress", [0, 0.001, 60, 30 * 86_400])
def test_what_a_coordinator_can_say_of_itself(progress: float) -> None:
    valid_presence("x" * 200, "", progress)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ((7, "", 0), "kind=7: needs a text"),
        (("x" * 201, "", 0), "kind='x.* of 201 characters: needs 200 at most"),
        (("process", None, 0), "doing=None: needs a text"),
        *((("process", "", wrong), "needs seconds from 0.001 to 2592000") for wrong in (-1, "5", None, True, math.inf)),
        (("process", "", math.nan), "progress=nan: needs seconds"),
    ],
)
def test_what_no_coordinator_can_say_of_itself(said: tuple[Any, Any, Any], why: str) -> None:
    with pytest.raises(InvalidWait, match=why):
        valid_presence(*said)


def test_nesting_is_bounded() -> None:
    node = A
    for _ in range(10):
        node = Node(k=1, of=(node,))
    with pytest.raises(InvalidWait, match="nested 11 deep; at most 10"):
        valid_terms(Terms(node))


@pytest.mark.parametrize(
    "data", [{}, {"on": 7}, {"on": {"signal": 1}}, {"on": {"signal": "a"}, "timeout": "x"}, None, []]
)
def test_a_foreign_message_is_no_wait(data: object) -> None:
    with pytest.raises(InvalidWait):
        terms(data)


def test_terms_survive_the_way_through_a_message() -> None:
    wait = Terms(Node(k=1, of=(A, Node(k=2, of=(B, C)))), timeout=5, carry=True, on_timeout={"value": None}, home="q")
    assert terms(msgspec.json.decode(msgspec.json.encode(wait))) == wait


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (A, "a"),
        (Node(k=2, of=(A, B)), "all of a, b"),
        (Node(k=1, of=(A, B)), "any of a, b"),
        (Node(k=2, of=(A, B, C)), "2 of a, b, c"),
        (Node(k=1, of=(A,)), "all of a"),
        (Node(k=2, of=(A, Node(k=1, of=(B, C)))), "all of a, (any of b, c)"),
    ],
)
def test_how_people_read_it(node: Node, text: str) -> None:
    assert described(node) == text


def test_a_part_of_a_key_is_short_and_tells_two_apart() -> None:
    assert brief(Node(k=2, of=(A, B))) == "all of a, b"
    longer = [Node(k=2, of=(Node(signal="x" * 200), each)) for each in (A, B)]
    assert len({brief(node) for node in longer}) == 2
    assert {len(brief(node)) for node in longer} == {32}


NESTED = Node(k=2, of=(A, Node(k=1, of=(B, C)), Node(signal="d")))


def test_the_store_knows_the_signals_of_a_wait_by_their_places() -> None:
    assert tree(A) == 1
    assert tree(NESTED) == [2, 1, [1, 2, 3], 4]
    assert [leaf.signal for leaf in NESTED.leaves()] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("came", "verdict"),
    [
        ({}, None),
        ({1: True}, None),
        ({1: True, 4: True}, True),
        ({2: True, 3: True}, None),  # one part, however many of its own have come
        ({2: False, 3: True, 4: True}, True),
        ({1: False, 4: False}, False),
        ({2: False, 3: False}, None),
        ({2: False, 3: False, 1: False}, False),
    ],
)
def test_a_join_is_open_until_enough_have_come_or_too_many_are_lost(came: dict[int, bool], verdict: object) -> None:
    assert judged(tree(NESTED), came) is verdict


@pytest.mark.parametrize(("came", "verdict"), [({}, None), ({1: True}, True), ({1: False}, False)])
def test_a_wait_for_one_signal_is_as_that_signal(came: dict[int, bool], verdict: object) -> None:
    assert judged(tree(A), came) is verdict


def nodes() -> st.SearchStrategy[Node]:
    """Trees whose leaves are numbered apart afterwards: names are unique in a wait."""
    leaf = st.just(Node(signal="x"))

    def join(children: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        parts = st.lists(children, min_size=1, max_size=4)
        return parts.flatmap(lambda of: st.integers(1, len(of)).map(lambda k: Node(k=k, of=tuple(of))))

    return st.recursive(leaf, join, max_leaves=8)


def brute(node: Node, numbers: Any, came: dict[int, bool]) -> tuple[bool, bool]:
    """Whether ``node`` is true now, and whether it could still be if all that is open came: from the definition."""
    if not node.of:
        verdict = came.get(next(numbers))
        return verdict is True, verdict is not False
    found = [brute(part, numbers, came) for part in node.of]
    return sum(now for now, _ in found) >= node.k, sum(could for _, could in found) >= node.k


@given(nodes(), st.dictionaries(st.integers(1, 8), st.booleans()))
def test_a_join_is_decided_as_soon_as_it_can_be_and_no_sooner(node: Node, came: dict[int, bool]) -> None:
    now, could = brute(node, iter(range(1, 100)), came)
    assert judged(tree(node), came) is (True if now else None if could else False)


def test_a_receipt_knows_who_is_missing() -> None:
    receipt = Receipt("s", "1", "", 0, 0, 1, {"a": Progress.PROCESSED, "b": Progress.RECEIVED, "c": Progress.DELIVERED})
    assert (receipt.acknowledged(), receipt.acknowledged(Progress.PROCESSED)) == (2, 1)
    assert receipt.missing() == {"c": Progress.DELIVERED}
    assert set(receipt.missing(Progress.PROCESSED)) == {"b", "c"}
    waited = msgspec.structs.replace(
        receipt, pending_waiters=("a", "d")
    )  # a waits again, for the next one of that name
    assert waited.acknowledged() == 2
    assert waited.missing() == {"c": Progress.DELIVERED, "d": Progress.PENDING}


@pytest.mark.parametrize("level", [Progress.RECEIVED, "received", Progress.PROCESSED, "processed"])
def test_levels_at_which_acknowledgements_are_counted(level: Any) -> None:
    receipt = Receipt("s", "1", "", 0, 0, 0, {"a": Progress.PROCESSED, "b": Progress.RECEIVED})
    found = valid_level(level)
    assert isinstance(found, Progress)
    assert receipt.acknowledged(found) == {"received": 2, "processed": 1}[level]


@pytest.mark.parametrize("level", ["done", Progress.DELIVERED, "timed_out", "", None, 7, ["received"]])
def test_other_levels_are_refused(level: object) -> None:
    with pytest.raises(InvalidWait, match="needs 'received' or 'processed'"):
        valid_level(level)


@pytest.mark.parametrize(
    "times", [(5, 5, 30, 60), (0, 15, 30, 60), (5, 15, 14, 60), (5, 15, 30, 30), (5, 15, 30, 111), (2, 3, 4, 5)]
)
def test_liveness_that_contradicts_itself(times: tuple[float, ...]) -> None:
    with pytest.raises(InvalidDeclaration, match="for example"):
        Patience(*times)


@pytest.mark.parametrize(
    ("times", "told"),
    [
        ((36, 109, 109.5, 110), "217"),
        ((10, 91, 95, 100), "121"),
        ((30, 31, 32, 90.5), "121"),
        ((10.5, 20, 30, 110), "120.5"),
        ((33, 34, 35, 99), "133"),
    ],
)
def test_liveness_that_would_tell_a_death_after_two_minutes(times: tuple[float, ...], told: str) -> None:
    with pytest.raises(InvalidDeclaration, match=f"dead {told} s after its last beat .* 120 s at most; for example"):
        Patience(*times)


@pytest.mark.parametrize(
    "times", [(), (5, 15, 30, 60), (10, 90, 95, 100), (10, 20, 30, 110), (28, 36, 40, 92), (0.001, 0.002, 100, 110)]
)
def test_liveness_that_tells_every_death_within_two_minutes(times: tuple[float, ...]) -> None:
    assert Patience(*times).dead <= 110
