"""Mail: messages per second through a mailbox, in a process and with a handler.

In a process: put one, take it, say that it is done, one after the other over one connection, so three round trips; the
baseline is a raw `LPUSH` and `BRPOP` for each. *Put, then taken ten at a time* is a sender that runs ahead. With a
handler: so many messages are put in, and a task that does nothing gets them, one at a time and a hundred at a time, in
order, on a worker with two slots; from the first put until the last is handled. Its baseline is as many empty Celery
tasks on the same worker, which keep no order.
"""

from collections.abc import Callable, Iterator
from functools import partial

from celery import Celery

from benchmarks import goals
from benchmarks.figures import Figure, Goal, expect, per_second
from benchmarks.plants.bare import empty
from benchmarks.stage import Stage, until
from supervision.client import Client
from supervision.mail_client import Mailbox

MESSAGES, QUICK = 1_000, 50
ROUNDS, QUICK_ROUNDS = 3, 1
TOGETHER = 10
AT_ONCE = 100
QUEUE = "supervision.waits"
GOAL = Goal("median", 500, at_least=True, of=goals.MAILBOX)


def measure(*, quick: bool) -> Iterator[Figure]:
    """The figures of this benchmark."""
    messages, rounds = (QUICK, QUICK_ROUNDS) if quick else (MESSAGES, ROUNDS)
    with Stage("benchmarks.plants.bare") as stage:
        stage.worker("waits", "sweeps", slots=2).ready()
        app = stage.app()
        with Client.from_app(app) as client:
            yield from _taken(stage, client, messages, rounds)
            yield from _handled(stage, client, app, messages // 2, rounds)  # which takes longer


def _taken(stage: Stage, client: Client, messages: int, rounds: int) -> Iterator[Figure]:
    box = client.mailbox("taken")
    ways: tuple[Callable[[], object], ...] = (
        partial(_raw, stage, messages),
        partial(_one_by_one, box, messages),
        partial(_together, box, messages),
    )
    raw, single, several = zip(*([per_second(messages, way) for way in ways] for _ in range(rounds)), strict=True)
    bare = Figure("mail, raw LPUSH and BRPOP", "1/s", raw)
    yield bare
    yield Figure("mail, put, taken and done", "1/s", single, bare, GOAL)
    yield Figure(f"mail, put, then taken {TOGETHER} at a time and done", "1/s", several, bare, GOAL)


def _raw(stage: Stage, messages: int) -> None:
    ask = stage.ask()
    for i in range(messages):
        ask.lpush("raw", f'{{"number":{i}}}')
        ask.brpop(["raw"], timeout=1)


def _one_by_one(box: Mailbox, messages: int) -> None:
    for i in range(messages):
        box.put({"number": i})
        box.done(*box.take())
    expect(box.depth(), 0, "messages that are left")


def _together(box: Mailbox, messages: int) -> None:
    for i in range(messages):
        box.put({"number": i})
    while taken := box.take(TOGETHER):
        box.done(*taken)
    expect(box.depth(), 0, "messages that are left")


def _handled(stage: Stage, client: Client, app: Celery, messages: int, rounds: int) -> Iterator[Figure]:
    raw, single, several = [], [], []
    for _ in range(rounds):
        raw.append(per_second(messages, partial(_empty_tasks, stage, app, messages)))
        single.append(per_second(messages, partial(_through, client, app, messages, 1)))
        several.append(per_second(messages, partial(_through, client, app, messages, AT_ONCE)))
    bare = Figure("mail, empty Celery tasks", "1/s", raw)
    yield bare
    yield Figure("mail, put and handled by a task one at a time", "1/s", single, bare)
    yield Figure(f"mail, put and handled by a task {AT_ONCE} at a time", "1/s", several, bare, GOAL)


def _empty_tasks(stage: Stage, app: Celery, messages: int) -> None:
    """Sent and done at the same time, as the messages are."""
    ask = stage.ask()
    for i in range(messages):
        app.send_task(empty.name, (i,), queue=QUEUE, ignore_result=True)
    until(lambda: not ask.llen(QUEUE) and not ask.hlen("supervision.unacked"), "the end of all tasks", every=0.002)


def _through(client: Client, app: Celery, messages: int, at_once: int) -> None:
    box = client.mailbox(f"handled-{at_once}")
    before = box.view().handled
    box.handle(app.signature(empty.name, queue=QUEUE), at_once=at_once)
    for i in range(messages):
        box.put({"number": i})  # never full: a round is as many as a mailbox holds
    until(lambda: box.view().handled == before + messages, "all to be handled", within=120, every=0.005)
