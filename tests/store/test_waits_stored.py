"""Waits, signals and coordinators on real servers: each wait ends once, whoever races; nothing is left behind."""

import threading
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lamps import ask, now
from waiting import until

from supervision.coordination.gathers import Gather
from supervision.coordination.liveness import Patience
from supervision.coordination.signals import Progress
from supervision.coordination.waits import How, Node, Terms, judged, tree
from supervision.errors import InvalidWait, NotFound, SignalAlreadySent, Superseded
from supervision.store.coordinators import Beat
from supervision.store.store import Store
from supervision.store.waits import Claimed

MAIL = '{"options":{}}'
HASTY = Patience(0.05, 0.06, 0.08, 0.16)


def enter(store: Store, wait_id: str, *names: str, k: int = 0, **options: Any) -> Claimed:
    leaves = tuple(Node(signal=name, expects=options.pop("expects", "")) for name in names)
    on = leaves[0] if len(leaves) == 1 else Node(k=k or len(leaves), of=leaves)
    mail = {} if "channel" in options else {"mail": MAIL}
    process = {name: options.pop(name) for name in ("channel", "incarnation") if name in options}
    return store.waits.enter(wait_id, Terms(on, **{"timeout": 60, **options}), **mail, **process)


def send(store: Store, name: str, payload: str = "1", **options: Any) -> Any:
    said = {"signal_id": uuid.uuid4().hex, "sender": "", "ttl_ms": 60_000, **options}
    return store.signals.send(name, payload=payload, **said)


def claimed(store: Store, wait_id: str) -> Claimed:
    return store.waits.enter(wait_id, None, resumed=True)


def over(store: Store, claim: Claimed, state: str = "processed") -> int:
    return store.waits.processed([(claim.id, claim.start, state)])


def test_a_signal_releases_who_waits_and_passes_who_comes_later(store: Store) -> None:
    assert enter(store, "w", "s").state == "waiting"
    (released,) = send(store, "s", '{"v":1}').released
    assert (released.id, released.state) == ("w", "ended")
    first, late = claimed(store, "w"), enter(store, "later", "s")
    for claim in (first, late):
        assert claim.outcome is not None
        assert (claim.outcome.how, claim.outcome.payloads) == (How.SIGNALLED, {"s": {"v": 1}})
        assert over(store, claim) == 1
    assert store.signals.receipt("s").waiters == {"w": Progress.PROCESSED, "later": Progress.PROCESSED}


def test_a_receipt_names_also_those_that_are_not_released_yet(store: Store) -> None:
    waits = {f"w-{i}#of#{i}" for i in range(120)}
    for wait_id in waits:
        enter(store, wait_id, "s")
    sent = send(store, "s")
    receipt = store.signals.receipt("s")
    assert (receipt.pending, len(receipt.waiters), len(receipt.pending_waiters)) == (sent.left, 120 - sent.left, 100)
    assert sent.left > 100
    assert set(receipt.missing()) == {*receipt.waiters, *receipt.pending_waiters} < waits
    assert [*receipt.missing().values()].count(Progress.PENDING) == 100
    while store.signals.release("s", claim=False)[0]:
        pass
    receipt = store.signals.receipt("s")
    assert (receipt.pending, receipt.pending_waiters, receipt.missing().keys()) == (0, (), waits)


def test_an_outcome_is_claimed_by_one_at_a_time_and_ended_by_whoever_claimed_it(store: Store) -> None:
    enter(store, "w", "s")
    send(store, "s")
    claim = claimed(store, "w")
    assert [claimed(store, "w").state, enter(store, "w", "s").state] == ["busy", "busy"]
    ask(store).hset(store.keys.wait("w"), "lease", 1)
    again = claimed(store, "w")
    assert (again.state, again.start) == ("received", 2)
    assert over(store, claim) == 0, "the first one's lease was over"
    assert over(store, again) == 1
    assert claimed(store, "w").state == "processed"


def test_a_continuation_that_never_ends_is_poison(store: Store) -> None:
    enter(store, "w", "s")
    send(store, "s")
    for _ in range(5):
        assert claimed(store, "w").state == "received"
        ask(store).hset(store.keys.wait("w"), "lease", 1)
    assert claimed(store, "w").state == "dead_letter"
    assert ask(store).zrange(store.keys.dead_letters, 0, -1) == [b"wait:w"]
    assert store.waits.redeliver(10) == []


def test_one_signal_of_a_name_and_clear_answers(store: Store) -> None:
    first = send(store, "s", signal_id="one", sender="ann")
    assert not first.repeated
    assert send(store, "s", '"other"', signal_id="one").repeated
    with pytest.raises(
        SignalAlreadySent, match=r"'s' was sent already, as 'one' by ann \(at 20\d\d-\d\d-\d\dT[\d:.]+Z\)"
    ):
        send(store, "s", signal_id="two")
    assert not send(store, "s", '"new"', signal_id="two", replace=True).repeated
    assert store.signals.payload("s") == "new"
    over(store, enter(store, "w", "s"))
    with pytest.raises(SignalAlreadySent, match="received already"):
        send(store, "s", signal_id="three", replace=True)


def test_a_signal_whose_time_is_over_lets_nobody_pass_and_can_be_sent_again(store: Store) -> None:
    send(store, "s", ttl_ms=1)

    def waits() -> bool:
        claim = enter(store, uuid.uuid4().hex, "s")
        return claim.state == "waiting" or not over(store, claim)

    until(waits, what="its time to be over")
    assert not send(store, "s", '"second"').repeated
    assert store.signals.payload("s") == "second"


DAY_MS = 24 * 3_600_000


@pytest.mark.parametrize("ago_ms", [0, 1, 10_000, DAY_MS - 60_000], ids=["0 s", "1 ms", "10 s", "just before its end"])
@pytest.mark.parametrize("of", [1, 3])
def test_a_wait_that_begins_so_long_after_its_signal_passes_at_once(of: int, ago_ms: int, store: Store) -> None:
    names = [f"s{i}" for i in range(of)]
    for name in names:
        send(store, name, '"first"', ttl_ms=DAY_MS)
        sent_ago(store, name, ago_ms)
    store.waits.clear(100, DAY_MS)
    claim = enter(store, "w", *names)
    assert claim.outcome is not None
    assert (claim.state, claim.outcome.how) == ("received", How.SIGNALLED)
    assert claim.outcome.payloads == dict.fromkeys(names, "first")
    assert over(store, claim) == 1
    assert store.open_waits.all() == []


def test_a_wait_that_begins_just_after_its_signals_end_waits_for_the_next_one(store: Store) -> None:
    send(store, "s", '"first"', ttl_ms=DAY_MS)
    sent_ago(store, "s", DAY_MS)
    assert enter(store, "w", "s").state == "waiting"
    assert [claim.id for claim in send(store, "s", '"second"').released] == ["w"]
    outcome = claimed(store, "w").outcome
    assert outcome is not None
    assert outcome.payloads == {"s": "second"}


def sent_ago(store: Store, name: str, ms: int) -> None:
    """As if so much time had gone by since the signal was sent."""
    for field in ("at", "until"):
        ask(store).hincrby(store.keys.signal(name), field, -ms)
    ask(store).zincrby(store.keys.signals, -ms, name)


@pytest.mark.parametrize(
    ("ids", "answers"),
    [([f"id-{i}" for i in range(100)], {"sent": 1, "refused": 99}), (["id"] * 100, {"sent": 1, "same": 99})],
    ids=["a hundred ids", "one id"],
)
def test_a_hundred_send_one_signal_at_once(
    ids: list[str], answers: dict[str, int], connect: Callable[[], Store], store: Store
) -> None:
    enter(store, "w", "s")
    stores, barrier = [connect() for _ in ids], threading.Barrier(len(ids))
    for each in stores:
        each.client.ping()  # so that nobody has to connect first

    def sends(each: Store, signal_id: str) -> tuple[str, list[str]]:
        barrier.wait()
        try:
            sent = send(each, "s", signal_id=signal_id)
        except SignalAlreadySent:
            return "refused", []
        return "same" if sent.repeated else "sent", [claim.id for claim in sent.released]

    with ThreadPoolExecutor(len(ids)) as pool:
        found = list(pool.map(sends, stores, ids))
    assert Counter(answer for answer, _ in found) == answers
    assert [released for _, released in found if released] == [["w"]]
    assert [past.after for past in store.history.since() if past.kind == "signal"] == ["sent"]
    assert store.signals.receipt("s").id == ids[[answer for answer, _ in found].index("sent")]


def raced(connect: Callable[[], Store], number: int) -> Counter[str]:
    """So many waits of which each signal and each deadline come at the same moment; how they ended."""
    senders, sweeper, store = [connect(), connect()], connect(), connect()
    ends: Counter[str] = Counter()
    for i in range(number):
        enter(store, f"w{i}", f"s{i}", timeout=0.001)
        with ThreadPoolExecutor(3) as pool:
            ended = [
                *pool.map(lambda each, i=i: _sent(each, i), senders),
                pool.submit(lambda: sweeper.waits.expire(claim=False)[1]).result(),
            ]
        if not store.waits.ended([f"w{i}"]):
            until(lambda: ended.append(sweeper.waits.expire(claim=False)[1]) or store.waits.ended([f"w{i}"]))  # noqa: B023 # asked at once
        found = [claim.id for some in ended for claim in some]
        assert found == [f"w{i}"], "handed on once, by whoever ended it"
        claim = claimed(store, f"w{i}")
        assert claim.outcome is not None
        ends[claim.outcome.how] += over(store, claim)
    return ends


def _sent(store: Store, i: int) -> Sequence[Claimed]:
    released: Sequence[Claimed] = send(store, f"s{i}", signal_id="same").released
    return released


def test_signal_and_timeout_raced_end_each_wait_once(connect: Callable[[], Store]) -> None:
    assert sum(raced(connect, 150).values()) == 150


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_signal_and_timeout_raced_ten_thousand_times(connect: Callable[[], Store]) -> None:
    ends = raced(connect, 10_000)
    assert sum(ends.values()) == 10_000
    assert set(ends) == {How.SIGNALLED, How.TIMED_OUT}


def test_a_signal_after_the_deadline_loses_however_late_the_sweep_comes(store: Store) -> None:
    enter(store, "w", "s", timeout=0.001)
    until(lambda: ask(store).zcount(store.keys.deadlines, 0, store_now(store)) == 1, what="the deadline")
    send(store, "s")
    claim = claimed(store, "w")
    assert claim.outcome is not None
    assert claim.outcome.how is How.TIMED_OUT


def store_now(store: Store) -> int:
    seconds, micros = ask(store).time()
    return int(seconds * 1000 + micros // 1000)


def test_more_waiters_than_one_script_releases(store: Store) -> None:
    for i in range(120):
        enter(store, f"w{i}", "s")
    sent = send(store, "s")
    assert (len(sent.released), sent.left) == (4, 116)
    assert store.signals.releasing(10) == ["s"]
    ids = [claim.id for claim in sent.released]
    left = sent.left
    while left:
        left, some = store.signals.release("s", claim=False)
        ids += [claim.id for claim in some]
    assert sorted(ids) == sorted(f"w{i}" for i in range(120))
    assert store.signals.releasing(10) == []


def test_the_id_of_a_wait_is_no_id_for_another_one(store: Store) -> None:
    """The same message is the same wait, whenever it comes, and other words for how long or what then do no harm."""
    first, other = Terms(Node(signal="a"), timeout=60), Terms(Node(signal="b"), timeout=60)
    again = Terms(Node(signal="a", expects="nobody"), timeout=5, on_timeout={"value": 1}, home="elsewhere")
    store.waits.enter("w", first, mail=MAIL)
    with pytest.raises(InvalidWait, match="task_id='w' is that of a wait for a, which is waiting"):
        store.waits.enter("w", other, mail=MAIL)
    assert store.waits.enter("w", again, mail=MAIL).state == "waiting"
    store.signals.send("a", signal_id="1", payload="1", sender="", ttl_ms=60_000)
    with pytest.raises(InvalidWait, match="which is ended"):
        store.waits.enter("w", other, mail=MAIL)
    claim = store.waits.enter("w", None, resumed=True)
    store.waits.processed([("w", claim.start, "processed")])
    with pytest.raises(InvalidWait, match="which is processed"):
        store.waits.enter("w", other, mail=MAIL)
    with pytest.raises(InvalidWait, match="wait for a"):
        store.gathers.begin("w", Gather(parts=(({"task": "t"},),)), ["[]"], mail=MAIL)
    assert store.waits.enter("w", first, mail=MAIL).state == "processed"
    assert store.waits.enter("w", None, resumed=True).state == "processed"


def test_the_id_of_a_gather_is_no_id_for_another_one(store: Store) -> None:
    gather = Gather(parts=(({"task": "t"},),))
    assert store.gathers.begin("g", gather, ["[1]"], mail=MAIL).state == "waiting"
    with pytest.raises(
        InvalidWait, match="task_id='g' is that of a wait for all 1 parts of another gather, which is w"
    ):
        store.gathers.begin("g", gather, ["[2]"], mail=MAIL)
    with pytest.raises(InvalidWait, match="all 1 parts of another gather, which is waiting"):
        store.gathers.begin("g", gather, ["[2]"], mail=MAIL, resumed=True)
    assert store.gathers.begin("another", gather, ["[1]"], mail=MAIL, resumed=True).state == "gone"
    assert store.gathers.begin("g", gather, ["[1]"], mail=MAIL).state == "waiting"


def test_what_nobody_goes_on_with_is_sent_again_ever_more_seldom(store: Store) -> None:
    enter(store, "w", "s")
    send(store, "s")
    assert store.waits.redeliver(10) == []
    pauses = []
    for _ in range(9):
        ask(store).zadd(store.keys.undelivered, {"w": 1})
        assert [claim.id for claim in store.waits.redeliver(10)] == ["w"]
        pauses.append(round((ask(store).zscore(store.keys.undelivered, "w") - store_now(store)) / 1000))
    assert pauses == [10, 20, 40, 80, 160, 300, 300, 300, 300]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 3), max_size=6), st.integers(1, 3), st.integers(1, 2))
def test_a_join_ends_by_the_rule_of_the_core(store: Store, order: list[int], k: int, inner: int) -> None:
    tag = uuid.uuid4().hex
    names = [f"{tag}/{i}" for i in range(4)]
    leaves = [Node(signal=name) for name in names]
    on = Node(k=k, of=(leaves[0], leaves[1], Node(k=inner, of=(leaves[2], leaves[3]))))
    store.waits.enter(tag, Terms(on, timeout=60), mail=MAIL)
    came: dict[int, bool] = {}
    for i in order:
        if i + 1 not in came:
            send(store, names[i], f'"{i}"')
            came[i + 1] = True
        expected = judged(tree(on), came)
        assert (store.waits.ended([tag]) == [tag]) is (expected is True)
        if expected:
            claim = claimed(store, tag)
            assert claim.outcome is not None
            assert claim.outcome.payloads == {names[j - 1]: str(j - 1) for j in came}
            assert over(store, claim) == 1
            return


def test_who_is_expected_must_be_known_and_no_circle_may_close(store: Store) -> None:
    with pytest.raises(NotFound, match="expects='nobody'"):
        enter(store, "w", "s", expects="nobody")
    for name in "abc":
        store.coordinators.register(name, kind="process", process=f"here:{name}", host="here")
    enter(store, "1", "from-b", owner="a", expects="b")
    enter(store, "2", "from-c", owner="b", expects="c")
    with pytest.raises(
        InvalidWait, match="c waits for a waits for b waits for c; none of them would ever send 'from-a'"
    ):
        enter(store, "3", "from-a", owner="c", expects="a")
    assert [view.id for view in store.open_waits.all()] == ["1", "2"]


def test_a_dead_coordinator_ends_the_waits_that_expect_it_and_keeps_its_own(store: Store) -> None:
    incarnation = store.coordinators.register("a", kind="process", process="here:1", host="here").incarnation
    enter(store, "for-a", "s", expects="a")
    enter(store, "of-a", "t", owner="a", channel="c", incarnation=incarnation)
    assert store.coordinators.bury("here:1", "killed") == ["a"]
    assert store.coordinators.bury("here:1", "killed") == []
    assert store.coordinators.mourning() == ["a"]
    left, ended = store.coordinators.mourn("a", claim=False)
    assert (left, [claim.id for claim in ended], store.coordinators.mourning()) == (0, ["for-a"], [])
    assert [view.id for view in store.open_waits.all()] == ["of-a"]
    late = enter(store, "late", "s", expects="a")
    assert late.outcome is not None
    assert late.outcome.how is How.DIED
    assert store.coordinators.beat([Beat("a", incarnation)]) == {"a": "was declared dead"}
    again = store.coordinators.register("a", kind="process", process="here:2", host="here").incarnation
    assert enter(store, "of-a", "t", owner="a", channel="d", incarnation=again).state == "waiting"
    with pytest.raises(Superseded):
        enter(store, "of-a", "t", owner="a", channel="c", incarnation=incarnation)


def test_fifty_who_fall_silent_at_once_are_each_declared_once_by_two_monitors(
    connect: Callable[[], Store], store: Store
) -> None:
    names = [f"c{i}" for i in range(50)]
    for name in names:
        store.coordinators.register(name, kind="process", process=f"here:{name}", host="here")
        enter(store, f"for-{name}", f"{name}/done", expects=name)
    monitors, died = [connect(), connect()], Counter[str]()

    def judged_by_both() -> bool:
        with ThreadPoolExecutor(2) as pool:
            for some in pool.map(lambda each: each.coordinators.judge(HASTY), monitors):
                died.update(some)
        return len(died) == len(names)

    until(judged_by_both, what=lambda: f"all to die, not only {len(died)}")
    assert set(died.values()) == {1}
    deaths = [
        past.subject for past in store.history.since(most=2000) if past.kind == "coordinator" and past.after == "dead"
    ]
    assert sorted(deaths) == sorted(names)


def test_who_beats_lives_and_one_jump_of_the_clock_kills_nobody(store: Store) -> None:
    incarnation = store.coordinators.register("a", kind="process", process="here:1", host="here").incarnation
    ask(store).zadd(store.keys.beats, {"a": store_now(store) - 3_600_000})
    assert store.coordinators.judge(HASTY) == []
    assert store.coordinators.get("a").health == "critical"
    assert store.coordinators.beat([Beat("a", incarnation, "working")]) == {}
    assert store.coordinators.judge(HASTY) == []
    assert (store.coordinators.get("a").health, store.coordinators.get("a").doing) == ("healthy", "working")


def test_one_that_beats_and_makes_no_progress_is_dead(store: Store) -> None:
    incarnation = store.coordinators.register(
        "a", kind="task", process="here:1", host="here", progress_s=0.05
    ).incarnation
    until(
        lambda: (
            store.coordinators.beat([Beat("a", incarnation)]) == {} and store.coordinators.judge(Patience()) == ["a"]
        )
    )
    assert store.coordinators.get("a").why == "it lives and made no progress in its time"


def test_one_that_was_not_heard_since_its_time_was_over_may_have_moved(store: Store) -> None:
    """The store was away, and whoever judges is back before it."""
    incarnation = store.coordinators.register(
        "a", kind="task", process="here:1", host="here", progress_s=0.05
    ).incarnation
    until(lambda: ask(store).zscore(store.keys.moving, "a") < now(store))
    assert store.coordinators.judge(Patience()) == []
    assert store.coordinators.beat([Beat("a", incarnation, moved=True)]) == {}
    until(lambda: ask(store).zscore(store.keys.moving, "a") < now(store))
    assert store.coordinators.judge(Patience()) == []
    assert store.coordinators.beat([Beat("a", incarnation)]) == {}
    assert store.coordinators.judge(Patience()) == ["a"]


def test_a_replacement_is_decided_once_per_death(store: Store) -> None:
    store.coordinators.register("a", kind="process", process="here:1", host="here")
    signature = {"task": "user.again", "args": [], "kwargs": {}}
    for i in range(3):
        enter(store, f"w{i}", "s", expects="a", on_death="replace", replacement=signature)
    store.coordinators.bury("here:1", "killed")
    store.coordinators.mourn("a", claim=False)
    entries = [entry.id for entry in store.outbox.unpublished(0) if entry.kind == "replace"]
    assert len(entries) == 1
    assert store.coordinators.replacement("a")[2] == entries[0].replace("replace:", "replacement-").replace(":", "-")
    assert len(store.open_waits.all()) == 3
    send(store, "s")
    assert store.open_waits.all() == []


def test_nothing_is_left_a_day_after_everything_has_ended(store: Store) -> None:
    incarnation = store.coordinators.register("a", kind="process", process="here:1", host="here").incarnation
    for i in range(5):
        enter(store, f"w{i}", "s", expects="a")
    enter(store, "late", "never", timeout=0.001)
    enter(store, "of-a", "s", "t", owner="a", channel="c", incarnation=incarnation)
    for name in ("s", "t"):
        sent = send(store, name, ttl_ms=1)
        _, more = store.signals.release(name, claim=False)
        for claim in [*sent.released, *more]:
            over(store, claimed(store, claim.id))
    until(lambda: over(store, claimed(store, "late")) or store.waits.expire(claim=False)[1] is None)
    over(store, enter(store, "of-a", "s", "t", owner="a", channel="c", incarnation=incarnation))
    store.coordinators.leave("a", incarnation)
    for registry in (store.keys.signals, store.keys.coordinators):
        for member in ask(store).zrange(registry, 0, -1):
            ask(store).zadd(registry, {member: 1})
    until(lambda: not any(store.waits.clear(100, 1)), what="all to be forgotten")
    kept = {store.keys.events, store.keys.counters}
    left = {key.decode() for key in ask(store).keys(f"{store.keys.events.removesuffix('events')}*")}
    assert left <= kept


def test_what_nobody_went_on_with_for_a_day_is_still_gone_on_with(store: Store) -> None:
    enter(store, "w", "s")
    send(store, "s", "7")
    for _ in range(3):
        for registry in (store.keys.ended, store.keys.signals):
            ask(store).zadd(registry, dict.fromkeys(ask(store).zrange(registry, 0, -1), 1))
        ask(store).hset(store.keys.signal("s"), "until", 1)
        store.waits.clear(100, 1000)
        claim = claimed(store, "w")
        assert claim.outcome is not None
        assert claim.outcome.payloads == {"s": 7}, "also for whoever comes after one that died"
        ask(store).hset(store.keys.wait("w"), "lease", 1)
    assert over(store, claim) == 1


def test_only_a_wait_that_cannot_do_without_it_closes_a_circle(store: Store) -> None:
    for name in "abc":
        store.coordinators.register(name, kind="process", process=f"here:{name}", host="here")
    choice = Node(k=1, of=(Node(signal="x", expects="b"), Node(signal="y", expects="c")))
    store.waits.enter("1", Terms(choice, owner="a"), mail=MAIL)
    assert enter(store, "2", "from-a", owner="b", expects="a").state == "waiting", "c can still send y"
    send(store, "stands")
    assert enter(store, "3", "stands", owner="a", expects="b").state == "received"
    assert enter(store, "4", "stands", owner="a", expects="nobody").state == "received"


def test_a_thousand_ways_that_are_no_circle_are_looked_at_once_each(store: Store) -> None:
    layers = [[f"{layer}/{side}" for side in "ab"] for layer in range(40)]
    for name in (name for layer in layers for name in layer):
        store.coordinators.register(name, kind="process", process=f"here:{name}", host="here")
    for above, below in zip(layers[-2::-1], layers[:0:-1], strict=True):
        for owner in above:
            on = Node(k=2, of=tuple(Node(signal=f"{owner}>{name}", expects=name) for name in below))
            assert store.waits.enter(owner, Terms(on, owner=owner), mail=MAIL).state == "waiting"
    last, first = layers[-1][0], layers[0][0]
    with pytest.raises(InvalidWait, match=f"{last} waits for {first} waits for .* waits for {last}"):
        enter(store, "closing", "round", owner=last, expects=first)


@pytest.mark.parametrize(("number", "found"), [(400, True), (600, False)])
def test_a_circle_is_looked_for_over_so_many_waits_and_a_longer_one_has_its_timeouts(
    store: Store, number: int, *, found: bool
) -> None:
    for i in range(number):
        store.coordinators.register(f"c{i}", kind="process", process=f"here:{i}", host="here")
    for i in range(1, number):
        enter(store, f"w{i}", f"s{i - 1}", owner=f"c{i}", expects=f"c{i - 1}")
    with pytest.raises(InvalidWait, match="a circle of waits") if found else nullcontext():
        enter(store, "closing", "last", owner="c0", expects=f"c{number - 1}")


def test_a_death_that_is_told_late_replaces_nobody_who_has_come_back(store: Store) -> None:
    signature = {"task": "user.again", "args": [], "kwargs": {}}
    first = store.coordinators.register("a", kind="process", process="here:1", host="here").incarnation
    enter(store, "replaces", "s", expects="a", on_death="replace", replacement=signature)
    enter(store, "fails", "s", expects="a")
    store.coordinators.leave("a", first, failed=True, why="broken")
    store.coordinators.register("a", kind="process", process="here:2", host="here")
    _, ended = store.coordinators.mourn("a", claim=False)
    assert [claim.id for claim in ended] == ["fails"]
    assert "is failed: broken" in str(claimed(store, "fails").outcome)
    assert not [entry for entry in store.outbox.unpublished(0) if entry.kind == "replace"]
    store.coordinators.bury("here:2", "killed")
    store.coordinators.mourn("a", claim=False)
    assert [entry.kind for entry in store.outbox.unpublished(0)] == ["replace"]


def test_a_newer_instance_goes_on_at_once_with_what_an_older_one_had_claimed(store: Store) -> None:
    def come(process: str) -> int:
        return store.coordinators.register("a", kind="process", process=process, host="here").incarnation

    def waits(incarnation: int) -> Claimed:
        return enter(store, "of-a", "s", owner="a", channel="c", incarnation=incarnation)

    first = come("here:1")
    assert waits(first).state == "waiting"
    send(store, "s")
    claim, not_heard = waits(first), waits(first)
    assert [(each.state, each.start) for each in (claim, not_heard)] == [("received", 1)] * 2
    second = come("here:2")
    again = waits(second)
    assert [(each.state, each.start) for each in (again, waits(second))] == [("received", 2)] * 2
    assert (over(store, claim), over(store, again)) == (0, 1)
