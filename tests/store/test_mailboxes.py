"""Mailboxes as stored, through the use cases: order, one batch at a time, what comes again, and what never does."""

import asyncio
import threading
from typing import Any

import pytest
from celery import signature
from lamps import Post, ask, counter, now, past

from supervision import aio
from supervision.coordination.mailboxes import MOST_ATTEMPTS, Message
from supervision.errors import Conflict, InvalidDocument, InvalidWait, MailboxFull, NotFound, Superseded
from supervision.mail_client import Mailbox
from supervision.runtime import SWEEPS, Runtime
from supervision.server import EmbeddedStore
from supervision.store.happened import Happened
from supervision.store.mailboxes import DAY_MS, KEEP_DEAD_MS, KEEP_HANDLER_MS
from supervision.store.store import Store
from supervision.store.sweeps import Sweeps

HANDLER = signature("app.retry")
COUNTED = "supervision_mailbox_messages_total|outcome="


@pytest.fixture
def box(runtime: Runtime) -> Mailbox:
    return Mailbox("coordinator-a", runtime.mail)


def filled(box: Mailbox, messages: int, *, start: int = 0) -> list[str]:
    return [box.put(i, id=f"m-{i}") for i in range(start, start + messages)]


def payloads(messages: list[Message]) -> list[Any]:
    return [message.payload for message in messages]


def let_time_pass(store: Store, box: Mailbox) -> None:
    """As if the lease of the batch, or the pause, were over."""
    ask(store).zadd(store.keys.mail_due, {box.name: 1}, xx=True)


def poisoned(store: Store, box: Mailbox, reason: str = "it is broken") -> None:
    """Have the first message fail as often as one may."""
    for _ in range(MOST_ATTEMPTS):
        let_time_pass(store, box)
        box.failed(*box.take(), reason=reason)
    let_time_pass(store, box)


def hear(store: Store) -> list[Happened]:
    """What the scripts of ``store`` make true from now on, as it is told."""
    found: list[Happened] = []
    store.heard.by = found.extend
    return found


def given_up(box: Mailbox, name: str, why: str) -> Happened:
    return Happened("mailbox", box.name, "handed", "dead_letter", why, on=name)


def of_kind(runtime: Runtime, kind: str) -> list[str]:
    return [entry.subject for entry in published(runtime) if entry.kind == kind]


def published(runtime: Runtime) -> list[Any]:
    taken: list[Any] = runtime._publisher.taken  # type: ignore[attr-defined] # the fixture's
    return taken


def everything_of(store: Store, box: Mailbox) -> dict[str, int]:
    """How much of a mailbox is left, key by key."""
    client, keys = ask(store), store.keys
    prefix = keys.mail("")[: -len("mail:")]
    there = {what: client.exists(f"{prefix}{what}:{box.name}") for what in ("mail", "mailbox", "letters", "tries")}
    there |= {what: client.exists(f"{prefix}{what}:{box.name}") for what in ("handled", "dead")}
    return {what: number for what, number in there.items() if number}


def test_messages_come_out_as_they_went_in(box: Mailbox) -> None:
    before = now_of(box)
    filled(box, 30)
    taken = []
    while messages := box.take(7):
        taken += messages
        box.done(*messages)
    assert payloads(taken) == list(range(30))
    assert {message.attempt for message in taken} == {1}
    assert all(before <= message.at <= now_of(box) for message in taken)
    assert box.view().handled == 30
    assert box.depth() == 0


def now_of(box: Mailbox) -> int:
    seconds, micros = box._store._scripts.client.time()  # type: ignore[misc] # the sync client
    return int(seconds * 1000 + micros // 1000)


def test_a_payload_is_read_back_as_it_was(box: Mailbox) -> None:
    for payload in (None, [], {}, {"a": [1.5, 'ä\u0000\n"/', None]}, "x" * 100_000, 0, False, 10**17, {"empty": {}}):
        box.put(payload, sender="ann")
        (message,) = box.take()
        assert message.payload == payload
        assert message.sender == "ann"
        box.done(message)


def test_two_puts_with_one_id_are_one_message(box: Mailbox, store: Store) -> None:
    assert [box.put("first", id="m"), box.put("second", id="m")] == ["m", "m"]
    assert box.depth() == 1
    (message,) = box.take()
    box.put("third", id="m")  # while it is being handled
    box.done(message)
    box.put("fourth", id="m")  # and after that
    assert message.payload == "first"
    assert box.take() == []
    assert counter(store, COUNTED + "put") == 1


def test_many_who_put_at_once_lose_nothing_and_double_nothing(box: Mailbox) -> None:
    def put(names: range) -> None:
        for i in names:
            box.put(i, id=f"m-{i}")

    threads = [threading.Thread(target=put, args=(range(100),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(payloads(box.take(200))) == list(range(100))


def test_the_1001st_message_is_refused_and_nothing_is_lost(box: Mailbox, store: Store) -> None:
    filled(box, 1000)
    with pytest.raises(MailboxFull, match=r"'coordinator-a' holds 1,000 messages") as refused:
        box.put("one too many")
    assert refused.value.retry_after == 1.0
    box.put(0, id="m-0")  # is in there, so it needs no room
    assert box.depth() == 1000
    assert counter(store, COUNTED + "refused") == 1

    box.done(*box.take(2))
    filled(box, 2, start=1000)
    with pytest.raises(MailboxFull) as refused:
        box.put("one too many")
    assert 0.1 <= refused.value.retry_after <= 60
    taken = []
    while messages := box.take(200):
        taken += payloads(messages)
        box.done(*messages)
    assert taken == list(range(2, 1002))


def test_a_batch_is_a_megabyte_at_most(box: Mailbox) -> None:
    for _ in range(9):
        box.put("x" * 250_000)
    sizes = []
    while messages := box.take(9):
        sizes.append(len(messages))
        box.done(*messages)
    assert sizes == [4, 4, 1]


def test_a_bound_of_its_own(box: Mailbox) -> None:
    box.bound(3)
    filled(box, 3)
    with pytest.raises(MailboxFull, match="holds 3 messages"):
        filled(box, 1, start=3)
    box.bound(1)
    assert box.depth() == 3
    assert box.view().bound == 1


def test_while_a_batch_is_handled_nobody_gets_another_one(box: Mailbox) -> None:
    filled(box, 4)
    first = box.take(2)
    assert box.view().in_flight == ("m-0", "m-1")
    assert box.take(2) == []
    box.done(first[0])
    assert box.take(2) == []
    box.done(first[1])
    assert payloads(box.take(2)) == [2, 3]


def test_a_lease_that_is_over_hands_the_same_over_again_in_order(box: Mailbox, store: Store) -> None:
    filled(box, 4)
    late = box.take(3)
    let_time_pass(store, box)
    again = []
    while messages := box.take(3):
        again += messages
        box.done(*messages)
    assert payloads(again) == [0, 1, 2, 3]
    assert [message.attempt for message in again] == [2, 2, 2, 1]
    box.done(*late)  # they have been handled by now, if not by this one


def test_whoever_is_too_late_is_told(box: Mailbox, store: Store) -> None:
    filled(box, 1)
    late = box.take()
    let_time_pass(store, box)
    again = box.take()
    with pytest.raises(Superseded, match=r"m-0 of mailbox 'coordinator-a': the lease was over"):
        box.done(*late)
    box.failed(*late)
    assert box.view().in_flight == ("m-0",)
    box.done(*again)
    box.done(*again)


def test_what_comes_again_comes_alone_so_that_poison_takes_no_other_one_with_it(box: Mailbox, store: Store) -> None:
    filled(box, 5)
    handled = []
    while box.depth():
        let_time_pass(store, box)
        messages = box.take(3)
        if 1 in payloads(messages):
            box.failed(*messages, reason="1 is poison")
        else:
            handled += payloads(messages)
            box.done(*messages)
    assert handled == [0, 2, 3, 4]
    assert [(dead.payload, dead.attempts, dead.why) for dead in box.dead_letters()] == [
        (1, MOST_ATTEMPTS, "1 is poison")
    ]


def test_what_came_later_is_not_handed_over_with_what_comes_again(box: Mailbox, store: Store) -> None:
    filled(box, 1)
    box.failed(*box.take(3))
    filled(box, 2, start=1)
    let_time_pass(store, box)
    taken = []
    while messages := box.take(3):
        taken.append(payloads(messages))
        box.done(*messages)
    assert taken == [[0], [1, 2]]


@pytest.mark.parametrize("who", ["the sweep", "whoever takes next"])
def test_a_message_whose_takers_all_die_is_told_when_it_is_given_up(
    box: Mailbox, store: Store, runtime: Runtime, who: str
) -> None:
    filled(box, 1)
    told = hear(store)
    for _ in range(MOST_ATTEMPTS):
        assert payloads(box.take(lease=7)) == [0]
        let_time_pass(store, box)
        if who == "the sweep":
            SWEEPS["mail"](runtime)
    assert box.take() == []
    assert told == [given_up(box, "m-0", "no end within 7000 ms; its process died or it takes longer")]


def test_a_failure_pauses_longer_each_time(box: Mailbox, store: Store) -> None:
    filled(box, 2)
    pauses = []
    for _ in range(MOST_ATTEMPTS - 1):
        let_time_pass(store, box)
        box.failed(*box.take())
        assert box.view().state == "paused"
        assert box.take() == []
        pauses.append(round((ask(store).zscore(store.keys.mail_due, box.name) - now(store)) / 1000))
    assert pauses == [1, 2, 4, 8]


def test_poison_is_a_dead_letter_after_five_attempts_and_the_next_ones_go_on(box: Mailbox, store: Store) -> None:
    filled(box, 3)
    told = hear(store)
    poisoned(store, box)
    (dead,) = box.dead_letters()
    assert told == [given_up(box, "m-0", "it is broken")]
    assert (dead.id, dead.payload, dead.attempts, dead.why) == ("m-0", 0, 5, "it is broken")
    assert dead.at <= dead.since <= now(store)
    assert ask(store).zrange(store.keys.dead_letters, 0, -1) == [b"mail:coordinator-a#m-0"]
    assert counter(store, "supervision_dead_letters_total|of=mail") == 1
    assert past(store, "mailbox") == [("coordinator-a", "handed", "dead_letter")]
    assert payloads(box.take(3)) == [1, 2]
    box.put("again", id="m-0")  # it is known, and dead
    assert box.depth() == 2


def test_a_dead_letter_that_is_retried_has_all_its_attempts_again(box: Mailbox, store: Store) -> None:
    filled(box, 2)
    poisoned(store, box)
    box.retry("m-0", by="ann", reason="the code is repaired")
    assert box.dead_letters() == []
    assert ask(store).zcard(store.keys.dead_letters) == 0
    messages = box.take(2)
    assert [(message.payload, message.attempt) for message in messages] == [(1, 1), (0, 1)]
    box.done(*messages)
    with pytest.raises(NotFound, match="no dead letter 'm-0'"):
        box.retry("m-0", by="ann", reason="once more")


def test_a_retry_fits_into_a_full_mailbox(box: Mailbox, store: Store) -> None:
    box.bound(1)
    filled(box, 1)
    poisoned(store, box)
    filled(box, 1, start=1)
    box.retry("m-0", by="ann", reason="repaired")
    assert payloads(box.take(2)) == [1, 0]


def test_a_dead_letter_that_is_discarded_is_gone(box: Mailbox, store: Store) -> None:
    filled(box, 1)
    poisoned(store, box)
    box.discard("m-0", by="ann", reason="of no use")
    assert box.dead_letters() == []
    assert past(store, "mailbox")[-1] == ("coordinator-a", "dead_letter", "discarded")
    with pytest.raises(NotFound):
        box.discard("m-0", by="ann", reason="of no use")
    assert box.put("anew", id="m-0") == "m-0"
    assert box.depth() == 1


def test_taking_is_done_when_its_block_ends_well_and_failed_when_it_raises(box: Mailbox, store: Store) -> None:
    filled(box, 2)
    with box.taking() as messages:
        assert payloads(messages) == [0]
    broken = box.taking()
    assert payloads(broken.__enter__()) == [1]
    assert not broken.__exit__(ZeroDivisionError, ZeroDivisionError("it is broken"), None)
    let_time_pass(store, box)
    with box.taking(2) as messages:
        assert [(message.payload, message.attempt) for message in messages] == [(1, 2)]
        box.done(*messages)  # also by hand
    assert box.depth() == 0
    with box.taking() as nothing:
        assert nothing == []


def test_whoever_waits_for_a_message_gets_it_when_it_comes(box: Mailbox, connect: Any) -> None:
    other = Mailbox(box.name, Runtime(connect(), Post(), {}).mail)
    putting = threading.Timer(0.2, lambda: other.put("came"))
    putting.start()
    assert payloads(box.take(wait=60)) == ["came"]
    putting.join()


def test_the_death_of_its_owner_leaves_the_mail(box: Mailbox, store: Store, runtime: Runtime) -> None:
    store.coordinators.register(box.name, kind="process", process="p-1", host="here")
    filled(box, 3)
    assert runtime.coordination.bury("p-1", "killed") == [box.name]
    assert box.depth() == 3
    store.coordinators.register(box.name, kind="process", process="p-2", host="here")
    assert payloads(box.take(3)) == [0, 1, 2]


@pytest.mark.parametrize("name", ["", "a b", "a*", "ä", "x" * 201, None, 3])
def test_a_name_that_is_none_is_refused(name: Any, box: Mailbox, runtime: Runtime) -> None:
    with pytest.raises(InvalidWait, match="mailbox"):
        Mailbox(name, runtime.mail)
    if name:
        with pytest.raises(InvalidWait, match="id"):
            box.put(1, id=name)
    assert box.depth() == 0


@pytest.mark.parametrize(
    "payload", [float("nan"), "x" * (257 * 1024), object(), "\ud800"], ids=["nan", "257 KiB", "object", "surrogate"]
)
def test_a_message_that_json_cannot_hold_is_refused(payload: Any, box: Mailbox) -> None:
    with pytest.raises(InvalidDocument, match="mailbox 'coordinator-a': "):
        box.put(payload)
    assert box.depth() == 0


@pytest.mark.parametrize(
    "wrong",
    [{"n": 0}, {"n": 201}, {"lease": 0}, {"lease": float("nan")}, {"wait": -1}, {"wait": float("inf")}],
    ids=str,
)
def test_a_take_that_could_not_work_is_refused(wrong: dict[str, Any], box: Mailbox) -> None:
    with pytest.raises(InvalidWait, match=f"{next(iter(wrong))}="):
        box.take(**wrong)


def test_a_handler_is_sent_for_once_and_gets_one_batch_at_a_time(box: Mailbox, runtime: Runtime, store: Store) -> None:
    box.handle(HANDLER, at_once=2, timeout=9)
    assert of_kind(runtime, "mail") == []
    filled(box, 5)
    assert of_kind(runtime, "mail") == [box.name]
    mailboxes, taken = store.mailboxes, []
    batch = mailboxes.hand_over(box.name, "task-1")
    assert mailboxes.hand_over(box.name, "task-2") is None
    while batch:
        assert batch.handler is not None
        assert batch.handler["signature"]["task"] == "app.retry"
        taken.append([message.payload for message in batch.messages])
        handled, batch = mailboxes.handled(box.name, batch.token, f"after-{batch.token}")
        assert handled == len(taken[-1])
    assert taken == [[0, 1], [2, 3], [4]]
    assert box.view().state == "resting"
    filled(box, 1, start=5)
    assert of_kind(runtime, "mail") == [box.name] * 2
    assert counter(store, COUNTED + "handled") == 5


def test_a_handler_that_comes_later_is_sent_for_what_is_there(box: Mailbox, runtime: Runtime) -> None:
    filled(box, 2)
    box.handle(HANDLER)
    assert of_kind(runtime, "mail") == [box.name]
    assert box.view().handler == "app.retry"


def test_whoever_was_killed_with_a_batch_in_hand_gets_it_again(box: Mailbox, store: Store) -> None:
    box.handle(HANDLER)
    filled(box, 3)
    batch = store.mailboxes.hand_over(box.name, "task-1")
    assert batch is not None
    assert store.mailboxes.hand_over(box.name, "task-1") == batch
    _, following = store.mailboxes.handled(box.name, batch.token, "link-1")
    assert following is not None
    assert store.mailboxes.handled(box.name, batch.token, "link-1") == (0, following)
    assert store.mailboxes.handled(box.name, batch.token, "link-2") == (0, None)
    assert [message.attempt for message in following.messages] == [1]


def test_a_handler_gets_what_others_may_not_take(box: Mailbox, store: Store, runtime: Runtime) -> None:
    box.handle(HANDLER)
    filled(box, 1)
    with pytest.raises(Conflict, match="has a handler"):
        box.take()
    box.handle(None)
    assert SWEEPS["mail"](runtime) == 0
    let_time_pass(store, box)
    assert SWEEPS["mail"](runtime) == 0  # nobody is sent for any more
    assert payloads(box.take()) == [0]


def test_without_a_handler_its_call_finds_nothing_to_do(box: Mailbox, store: Store) -> None:
    filled(box, 1)
    assert store.mailboxes.hand_over(box.name, "task-1") is None


def test_the_sweep_calls_the_handler_again_whose_time_is_over(box: Mailbox, store: Store, runtime: Runtime) -> None:
    box.handle(HANDLER)
    filled(box, 2)
    first = store.mailboxes.hand_over(box.name, "task-1")
    assert SWEEPS["mail"](runtime) == 0
    let_time_pass(store, box)
    assert [each.id for each in Sweeps(store.scripts, store.keys, store.actions).look("mail").items] == [box.name]
    assert SWEEPS["mail"](runtime) == 1
    assert of_kind(runtime, "mail") == [box.name] * 2
    again = store.mailboxes.hand_over(box.name, "task-2")
    assert first is not None
    assert again is not None
    assert [(message.payload, message.attempt) for message in again.messages] == [(0, 2)]
    assert store.mailboxes.handled(box.name, first.token, "late") == (0, None)
    assert counter(store, COUNTED + "redelivered") == 1


def test_a_call_that_nobody_hears_is_sent_again_and_counts_no_attempt(
    box: Mailbox, store: Store, runtime: Runtime
) -> None:
    box.handle(HANDLER)
    filled(box, 1)
    pauses = []
    for _ in range(8):
        let_time_pass(store, box)
        assert SWEEPS["mail"](runtime) == 1
        pauses.append(round((ask(store).zscore(store.keys.mail_due, box.name) - now(store)) / 1000))
    assert pauses == [10, 20, 40, 80, 160, 300, 300, 300]
    batch = store.mailboxes.hand_over(box.name, "task-1")
    assert batch is not None
    assert batch.messages[0].attempt == 1


def test_a_handler_that_fails_pauses_and_goes_on(box: Mailbox, store: Store, runtime: Runtime) -> None:
    box.handle(HANDLER)
    filled(box, 2)
    for _ in range(MOST_ATTEMPTS):
        batch = store.mailboxes.hand_over(box.name, "task")
        assert batch is not None
        assert runtime.mail.failed(box.name, batch.token, "boom")
        assert not runtime.mail.failed(box.name, batch.token, "boom")  # said twice
        let_time_pass(store, box)
        SWEEPS["mail"](runtime)
    assert [dead.why for dead in box.dead_letters()] == ["boom"]
    batch = store.mailboxes.hand_over(box.name, "task")
    assert batch is not None
    assert [message.payload for message in batch.messages] == [1]


def test_a_handler_that_could_not_be_called_costs_no_attempt(box: Mailbox, store: Store, runtime: Runtime) -> None:
    box.handle(HANDLER, at_once=2)
    filled(box, 2)
    for _ in range(2 * MOST_ATTEMPTS):
        token, messages = handed_over(store, box)
        assert messages == [(0, 1), (1, 1)]
        runtime.mail.failed(box.name, token, "no broker", counted=False)
        assert store.mailboxes.hand_over(box.name, "task") is None
        let_time_pass(store, box)
        SWEEPS["mail"](runtime)


def handed_over(store: Store, box: Mailbox) -> tuple[str, list[tuple[Any, int]]]:
    """The token of a call of the handler, and payloads and attempts in it."""
    batch = store.mailboxes.hand_over(box.name, "task")
    assert batch is not None
    return batch.token, [(message.payload, message.attempt) for message in batch.messages]


def test_a_call_that_is_brought_again_after_its_process_was_killed_counts_as_a_failure(
    box: Mailbox, store: Store, runtime: Runtime
) -> None:
    box.handle(HANDLER)
    filled(box, 2)
    told = hear(store)
    for attempt in range(1, MOST_ATTEMPTS + 1):
        token, messages = handed_over(store, box)
        assert messages == [(0, attempt)]
        said = [runtime.mail.begun(box.name, token, 0) for _ in range(3)]
        assert said == ["ours", "again", "stale"]
        let_time_pass(store, box)
        SWEEPS["mail"](runtime)
    assert [dead.why for dead in box.dead_letters()] == ["the process that handled it was killed"]
    assert told == [given_up(box, "m-0", "the process that handled it was killed")]
    assert handed_over(store, box)[1] == [(1, 1)]


def test_a_retry_of_celerys_own_is_the_same_call(box: Mailbox, store: Store, runtime: Runtime) -> None:
    box.handle(HANDLER)
    filled(box, 1)
    token, _ = handed_over(store, box)
    assert [runtime.mail.begun(box.name, token, retries) for retries in (0, 1, 2)] == ["ours"] * 3


def test_a_queue_without_workers_costs_no_attempt_where_workers_say_when_they_begin(
    box: Mailbox, store: Store, runtime: Runtime
) -> None:
    box.handle(HANDLER, at_once=2)
    filled(box, 3)
    token, _ = handed_over(store, box)
    assert runtime.mail.begun(box.name, token, 0) == "ours"
    let_time_pass(store, box)
    SWEEPS["mail"](runtime)
    assert runtime.mail.begun(box.name, handed_over(store, box)[0], 0) == "ours"
    assert runtime.mail.begun(box.name, token, 0) == "stale"  # the copy that was handed over first
    let_time_pass(store, box)
    SWEEPS["mail"](runtime)
    for _ in range(2 * MOST_ATTEMPTS):  # in which nobody comes
        assert handed_over(store, box)[1] == [(0, 3)]
        let_time_pass(store, box)
        SWEEPS["mail"](runtime)
    assert box.dead_letters() == []


def test_the_time_of_a_call_begins_with_it(box: Mailbox, store: Store, runtime: Runtime) -> None:
    box.handle(HANDLER, timeout=100)
    filled(box, 1)
    token, _ = handed_over(store, box)
    ask(store).zadd(store.keys.mail_due, {box.name: now(store) + 5_000})
    runtime.mail.begun(box.name, token, 0)
    assert ask(store).zscore(store.keys.mail_due, box.name) > now(store) + 90_000


def test_a_handler_is_news_once(box: Mailbox, store: Store) -> None:
    heard: list[Happened] = []
    store.heard.by = heard.extend
    for _ in range(3):
        box.handle(HANDLER, at_once=2)
    for _ in range(3):
        box.handle(None)
    assert past(store, "mailbox") == [
        (box.name, "", "handler"),
        (box.name, "handler", "no handler"),
    ]
    assert [(each.subject, each.before, each.after) for each in heard] == past(store, "mailbox")
    assert heard[0].reason.endswith(", 2 at once")


def test_ids_are_remembered_for_a_day_and_an_empty_mailbox_as_long(
    box: Mailbox, store: Store, runtime: Runtime
) -> None:
    filled(box, 3)
    box.done(*box.take(3))
    look_at(store, box)
    assert SWEEPS["cleared"](runtime) == 0
    assert SWEEPS["cleared"](runtime) == 0

    handled_key = store.keys.mail(box.name).replace("mail:", "handled:")
    ask(store).zadd(handled_key, dict.fromkeys(("m-0", "m-1", "m-2"), now(store) - DAY_MS - 1))
    look_at(store, box)
    assert SWEEPS["cleared"](runtime) == 3
    assert everything_of(store, box) == {"mailbox": 1}
    box.put("anew", id="m-0")
    box.done(*box.take())

    ask(store).delete(handled_key)
    idle_since(store, box, DAY_MS)
    assert SWEEPS["cleared"](runtime) == 1
    assert everything_of(store, box) == {}
    assert ask(store).zcard(store.keys.mailboxes) == 0


def look_at(store: Store, box: Mailbox) -> None:
    ask(store).zadd(store.keys.mailboxes, {box.name: 1}, xx=True)


def idle_since(store: Store, box: Mailbox, ms: int) -> None:
    ask(store).hset(store.keys.mailbox(box.name), "touched", str(now(store) - ms))
    look_at(store, box)


def test_a_mailbox_with_mail_or_a_handler_is_kept(box: Mailbox, store: Store, runtime: Runtime) -> None:
    filled(box, 1)
    idle_since(store, box, 10 * KEEP_HANDLER_MS)
    assert SWEEPS["cleared"](runtime) == 0
    box.done(*box.take())
    box.handle(HANDLER)
    ask(store).delete(store.keys.mail(box.name).replace("mail:", "handled:"))
    idle_since(store, box, DAY_MS)
    assert SWEEPS["cleared"](runtime) == 0
    assert box.view().handler == "app.retry"
    idle_since(store, box, KEEP_HANDLER_MS)
    assert SWEEPS["cleared"](runtime) == 1
    assert everything_of(store, box) == {}


def test_a_dead_letter_is_kept_for_a_week(box: Mailbox, store: Store, runtime: Runtime) -> None:
    filled(box, 1)
    poisoned(store, box)
    SWEEPS["cleared"](runtime)
    assert len(box.dead_letters()) == 1
    ask(store).zadd(store.keys.dead_letters, {f"mail:{box.name}#m-0": now(store) - KEEP_DEAD_MS})
    SWEEPS["cleared"](runtime)
    assert box.dead_letters() == []
    assert past(store, "mailbox")[-1] == (box.name, "dead_letter", "discarded")


def test_an_asyncio_program_has_the_same(server: EmbeddedStore, namespace: str) -> None:
    async def program() -> list[Any]:
        async with aio.Client(server.url, namespace=namespace) as client:
            box, seen = client.mailbox("review"), []
            waiting = asyncio.create_task(box.take(wait=60))
            await asyncio.sleep(0)  # it looks first, and finds nothing
            await box.put(1, id="m-1")
            (message,) = await waiting
            await box.failed(message, reason="not now")
            async with box.taking(wait=60) as messages:
                seen += payloads(messages)
            return [*seen, await box.depth()]

    assert asyncio.run(program()) == [1, 0]
