"""Stale objects for the sweeps, written by the same code as in production; only their age is made.

A sweep forgets what ended a day ago. So the due times in the registries are set to the beginning of all time, by one
command of the server each; nothing else is changed.
"""

from collections.abc import Callable, Mapping
from functools import partial

from benchmarks.figures import expect
from benchmarks.stage import Stage
from supervision.coordination.waits import Node, Terms
from supervision.mailing import Mailing
from supervision.store.coordinators import Beat
from supervision.store.store import Store

PER_MAILBOX = 1_000
MAIL = '{"options":{}}'
SLICE = 100


def _terms(signal: str, timeout: float = 3600) -> Terms:
    return Terms(Node(signal=signal), timeout=timeout, home="celery")


def signalled(store: Store, number: int) -> None:
    """Waits that were released by a signal each and gone on with, and those signals."""
    ended: list[tuple[str, int, str]] = []
    for i in range(number):
        store.waits.enter(f"w-{i:032}", _terms(f"s/{i}"), mail=MAIL)
        sent = store.signals.send(f"s/{i}", signal_id="one", payload="1", sender="", ttl_ms=1, claim=True)
        ended += [(claim.id, claim.start, "processed") for claim in sent.released]
        if len(ended) >= SLICE or i == number - 1:
            store.waits.processed(ended)
            ended = []


def left(store: Store, number: int) -> None:
    """Coordinators that are complete."""
    for i in range(number):
        registered = store.coordinators.register(f"c/{i}", kind="process", process="here:1", host="here")
        store.coordinators.leave(f"c/{i}", registered.incarnation)


def handled(store: Store, number: int) -> None:
    """Messages that were handled, `PER_MAILBOX` in each mailbox, whose ids are remembered."""
    mailing = Mailing(store.mailboxes, list)
    for i in range(number):
        mailbox = f"box/{i // PER_MAILBOX}"
        mailing.put(mailbox, i, message_id=f"m-{i}")
        if (i + 1) % SLICE == 0 or i == number - 1:
            batch = store.mailboxes.take(mailbox, "benchmark", SLICE, 60_000)
            if batch is None:
                raise RuntimeError(f"{mailbox}: nothing to take")
            store.mailboxes.done(mailbox, batch.token, [message.id for message in batch.messages])


def late(store: Store, number: int) -> None:
    """Waits whose deadline has passed."""
    for i in range(number):
        store.waits.enter(f"late-{i:032}", _terms(f"never/{i}", 0.001), mail=MAIL)


def silent(store: Store, number: int) -> Mapping[str, int]:
    """Coordinators that registered and never beat; answers their incarnations."""
    names = [f"silent/{i}" for i in range(number)]
    register = partial(store.coordinators.register, kind="process", process="there:1", host="there")
    return {name: register(name).incarnation for name in names}


def beaten(store: Store, incarnations: Mapping[str, int]) -> None:
    """All of these beat."""
    refused = store.coordinators.beat([Beat(*each) for each in incarnations.items()])
    expect(len(refused), 0, "heartbeats that were refused")


def age(stage: Stage, registries: Mapping[str, int]) -> None:
    """Make all that is in these (key -> how many there are to be) due."""
    for key, number in registries.items():
        expect(stage.ask().zcard(key), number, f"objects in {key}")
        stage.ask().zunionstore(key, {key: 0})


def raw(stage: Stage, number: int) -> None:
    """As many hashes, and a sorted set of them."""
    write_slices(
        stage, number, lambda pipeline, name: (pipeline.hset(name, "state", "over"), pipeline.zadd("raw", {name: 0}))
    )


def write_slices(stage: Stage, number: int, write: Callable[..., object]) -> None:
    """``write(pipeline, name)`` for so many names, `SLICE` in a pipeline."""
    for begin in range(0, number, SLICE):
        pipeline = stage.ask().pipeline(transaction=False)
        for i in range(begin, min(begin + SLICE, number)):
            write(pipeline, f"raw:{i:032}")
        pipeline.execute()
