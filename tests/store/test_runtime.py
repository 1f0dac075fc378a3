"""The use cases over a real store: from an observation to an action and back, and what user code cannot break."""

import threading
from collections.abc import Callable, Iterator

import pytest
from lamps import (
    Lamp,
    LampSeen,
    Post,
    ask,
    everything,
    forget_slot,
    now,
    past,
    record_of,
    reserved,
    started,
    wish,
)
from waiting import until

from supervision.actions import Run, action
from supervision.child import Child
from supervision.errors import NotFound, NotRetryable
from supervision.runtime import SWEEPS, Runtime
from supervision.store.actions import MOST_PASSED_ON, Record
from supervision.store.store import Store
from supervision.supervisor import Supervisor
from supervision.view import Claim


class Bulb(Lamp):
    """Burns once it was switched on; may be told to raise instead."""

    def __init__(self, name: str, error: BaseException | None = None) -> None:
        super().__init__(name)
        self.on, self.error, self.runs = False, error, list[Run]()

    def observe(self) -> LampSeen:
        return LampSeen(self.on)

    @action(timeout=5, retries=1)
    def switch_on(self, run: Run) -> None:
        self.runs.append(run)
        if self.error:
            raise self.error
        self.on = True


class Stuck(Lamp):
    """Its look hangs until the test ends."""

    def __init__(self, name: str, gate: threading.Event) -> None:
        super().__init__(name)
        self.gate = gate

    def observe(self) -> LampSeen:
        self.gate.wait(60)
        return LampSeen(on=True)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What a stuck child waits for."""
    event = threading.Event()
    yield event
    event.set()
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "supervision-look"])


def over(store: Store, post: Post, *children: Child, **limits: float) -> Runtime:
    return Runtime(store, post, {"plant": Supervisor("plant", children, **limits)})  # type: ignore[arg-type]  # durations only


def state(store: Store, runtime: Runtime, child: str = "lamp-0") -> str:
    found = store.ticks.load(runtime.supervisors["plant"], Claim(1, now(store), 0)).children[child].record
    return found.state if found else ""


def tick(runtime: Runtime) -> str:
    forget_slot(runtime.store, runtime.supervisors["plant"])
    return runtime.tick("plant")


def test_a_lamp_that_is_off_is_switched_on(store: Store, post: Post) -> None:
    bulb = Bulb("lamp-0")
    runtime = over(store, post, bulb)
    assert runtime.collect("plant") == 1
    assert (tick(runtime), tick(runtime)) == ("done", "done")
    act = next(entry for entry in post.taken if entry.kind == "act")
    assert runtime.run_action(act.subject) == "succeeded"
    (run,) = bulb.runs
    assert (run.id, run.attempt, run.snapshot.state, run.snapshot.observed) == (
        act.subject,
        1,
        "off",
        LampSeen(on=False),
    )
    seen = store.ticks.load(runtime.supervisors["plant"], Claim(1, now(store), 0)).children["lamp-0"].observation
    assert seen is not None, "the child is looked at when its action ended"
    assert seen.document == LampSeen(on=True)
    until(lambda: runtime.collect("plant"))
    tick(runtime)
    assert state(store, runtime) == "lit"
    assert ask(store).zcard(store.keys.outbox) == 0


def test_a_run_that_is_one_too_many_does_nothing(store: Store, post: Post) -> None:
    bulb = Bulb("lamp-0")
    runtime = over(store, post, bulb)
    reserved(store)
    assert [runtime.run_action("a") for _ in range(3)] == ["succeeded", "succeeded", "succeeded"]
    assert runtime.run_action("nobody") == "gone"
    assert len(bulb.runs) == 1


def test_whoever_asked_is_told_how_the_run_goes(store: Store, post: Post) -> None:
    runtime = over(store, post, Bulb("lamp-0", OSError("no fuse")))
    reserved(store, retries=1)
    told = list[tuple[str, str]]()

    def tell(state: str, record: Record) -> None:
        told.append((state, record.id))

    assert runtime.run_action("a", tell=tell) == "retrying"
    assert runtime.run_action("a", tell=tell) == "retrying", "not due yet, so nothing is run and nobody is told"
    assert told == [("running", "a"), ("retrying", "a")]


@pytest.mark.parametrize(
    ("error", "outcome", "why"),
    [
        (OSError("no fuse"), "retrying", "OSError: no fuse"),
        (OSError("no \udcff"), "retrying", "OSError: no \\udcff"),
        (NotRetryable("no lamp"), "failed", "NotRetryable: no lamp"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else value,
)
def test_what_an_action_raises_is_how_it_ends(
    store: Store, post: Post, error: Exception, outcome: str, why: str
) -> None:
    runtime = over(store, post, Bulb("lamp-0", error))
    reserved(store)
    assert runtime.run_action("a") == outcome
    assert record_of(store).error == why


def test_an_action_whose_code_is_gone_fails_for_good_and_frees_its_child(store: Store, post: Post) -> None:
    runtime = over(store, post, Bulb("lamp-0"))
    store.actions.reserve("plant", "ann", wish("lamp-9", "a"))
    store.actions.reserve("annex", "ann", wish("lamp-0", "b"))
    for name in ("a", "b"):
        ask(store).hset(store.keys.action(name), "handed", MOST_PASSED_ON)  # no other worker has known it either
    assert [runtime.run_action(name) for name in ("a", "b")] == ["failed", "failed"]
    assert record_of(store).error.startswith("plant/lamp-9 with action 'switch_on' is not in the code of this worker")
    assert ask(store).exists(store.keys.of("plant", "flight"), store.keys.of("annex", "flight")) == 0


def test_a_run_that_was_reaped_meanwhile_is_late(store: Store, post: Post) -> None:
    bulb = Bulb("lamp-0")
    runtime = over(store, post, bulb)
    reserved(store)
    run = started(store)
    ask(store).zadd(store.keys.due, {"a": 1})
    assert runtime.sweep_due() == 1
    assert store.actions.finish(run, outcome="succeeded").outcome == "late"
    assert record_of(store).state == "retrying"


def test_a_failing_action_is_never_a_hot_loop(store: Store, post: Post) -> None:
    bulb = Bulb("lamp-0", NotRetryable("no lamp"))
    runtime = over(store, post, bulb)
    for _ in range(20):
        runtime.collect("plant")
        tick(runtime)
        for entry in [entry for entry in post.taken if entry.kind == "act"]:
            runtime.run_action(entry.subject)
    assert 1 <= len(bulb.runs) <= 2, "the second try waits out its backoff"


def test_a_child_that_hangs_delays_neither_its_siblings_nor_the_next_look(
    store: Store, post: Post, gate: threading.Event, connect: Callable[[], Store]
) -> None:
    supervisor = Supervisor(
        "plant", [Stuck("hung", gate), Bulb("lamp-0")], interval=0.01, observe_timeout=20, stale_after=60
    )
    runtime = Runtime(store, post, {"plant": supervisor})
    looking = threading.Thread(target=runtime.collect, args=("plant",))
    looking.start()
    other = connect()
    until(lambda: ask(other).hexists(store.keys.of("plant", "slow"), "hung"))
    assert ask(other).hexists(store.keys.of("plant", "observed"), "lamp-0")
    second = Runtime(other, Post(), {"plant": supervisor})
    assert until(lambda: second.collect("plant")) == 1, "only the one that does not hang"
    gate.set()
    looking.join(30)
    assert ask(other).hgetall(store.keys.of("plant", "slow")) == {}
    assert ask(other).hexists(store.keys.of("plant", "observed"), "hung")


def test_a_child_that_hangs_alone_is_known_to_be_under_way(store: Store, post: Post, gate: threading.Event) -> None:
    runtime = over(store, post, Stuck("hung", gate), observe_timeout=20, stale_after=60)
    looking = threading.Thread(target=runtime.collect, args=("plant",))
    looking.start()
    until(lambda: ask(store).hexists(store.keys.of("plant", "slow"), "hung"))
    gate.set()
    looking.join(30)


def test_a_child_that_times_out_is_recorded_once(store: Store, post: Post, gate: threading.Event) -> None:
    runtime = over(store, post, Stuck("hung", gate), interval=0.01, observe_timeout=0.1, stale_after=60)
    for _ in range(3):
        until(lambda: runtime.collect("plant") is not None)
    assert past(store, "observation") == [("plant/hung", "", "failed")]


def test_one_interval_is_collected_once(store: Store, post: Post) -> None:
    runtime = over(store, post, Bulb("lamp-0"), interval=86_400, stale_after=90_000)
    assert [runtime.collect("plant"), runtime.collect("plant")] == [1, None]


def test_a_tick_that_may_not_be_writes_nothing(store: Store, post: Post) -> None:
    runtime = over(store, post, Bulb("lamp-0"), interval=86_400, stale_after=90_000)
    assert tick(runtime) == "done"
    before = {**everything(store), store.keys.counters: None}
    assert runtime.tick("plant") == "duplicate"
    assert runtime.tick("plant", "dirty") == "duplicate"
    assert {**everything(store), store.keys.counters: None} == before


def test_a_supervisor_that_is_not_declared_is_refused_with_those_that_are(runtime: Runtime) -> None:
    for use_case in (runtime.tick, runtime.collect):
        with pytest.raises(NotFound, match=r"'annex'.*declared are plant"):
            use_case("annex")


def test_every_sweep_has_a_name_and_finds_nothing_in_an_empty_store(runtime: Runtime) -> None:
    assert {name: sweep(runtime) for name, sweep in SWEEPS.items()} == dict.fromkeys(SWEEPS, 0)


def test_a_publisher_that_is_gone_loses_nothing(store: Store, post: Post) -> None:
    bulb = Bulb("lamp-0")
    runtime = over(store, post, bulb)
    post.broken = True
    runtime.collect("plant")
    tick(runtime)
    tick(runtime)
    assert post.taken == []
    found = ask(store).zrange(store.keys.outbox, 0, -1)
    ask(store).zadd(store.keys.outbox, dict.fromkeys(found, 1))
    post.broken = False
    runtime.sweep_outbox()
    act = next(entry for entry in post.taken if entry.kind == "act")
    assert runtime.run_action(act.subject) == "succeeded"
    assert bulb.on
