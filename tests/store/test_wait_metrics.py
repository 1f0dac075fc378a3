"""Metrics of signals, waits and coordinators: what was counted by hand, through the text format and back."""

from collections.abc import Iterator, Mapping
from contextlib import closing

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from waiting import until

from supervision.continuing import NOWHERE
from supervision.coordinating import Coordination
from supervision.coordination.liveness import Patience
from supervision.coordination.waits import Node, Terms
from supervision.server import EmbeddedStore
from supervision.store.keys import Keys
from supervision.store.meters import Meters
from supervision.store.store import Store
from supervision.telemetry.metrics import StoreCollector

MAIL = '{"options":{}}'
HASTY = Patience(0.05, 0.1, 0.15, 0.2)


@pytest.fixture
def meters(server: EmbeddedStore, namespace: str) -> Iterator[Meters]:
    with closing(Meters(server.url, Keys(namespace), with_queues=False)) as found:
        yield found


def coordination(store: Store) -> Coordination:
    """Goes on with nothing and publishes nothing: what is counted is counted by the scripts."""
    return Coordination(store, NOWHERE, lambda _entries: None)


def scraped(meters: Meters) -> dict[str, float]:
    """Samples of the metrics without labels by name, of others by name and the label's value."""
    registry = CollectorRegistry()
    registry.register(StoreCollector(meters))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    samples = [sample for family in families for sample in family.samples]
    return {" ".join((sample.name, *sample.labels.values())): sample.value for sample in samples}


def those(found: Mapping[str, float], *names: str) -> tuple[float, ...]:
    return tuple(found[name] for name in names)


def begun(store: Store, wait_id: str, signal: str, **terms: float) -> None:
    assert store.waits.enter(wait_id, Terms(on=Node(signal=signal), **terms), mail=MAIL).state == "waiting"  # type: ignore[arg-type] # numbers


def test_all_of_it_is_there_before_anything_has_happened(meters: Meters) -> None:
    found = scraped(meters)
    gauges = ("blocking_coordinators_total", "supervision_waits_undelivered", "supervision_dead_letters")
    assert those(found, *gauges) == (0, 0, 0)
    assert found["supervision_waits_ended_total timed_out"] == 0
    assert found["supervision_coordinators_ended_total dead"] == 0
    assert found["supervision_dead_letters_total wait"] == 0
    assert those(found, "timeout_events_total", "heartbeat_failures_total", "supervision_signals_sent_total") == (
        0,
        0,
        0,
    )
    assert those(found, "blocking_duration_seconds_count", "blocking_duration_seconds_bucket +Inf") == (0, 0)
    assert found["supervision_coordinators healthy"] == 0
    assert "supervision_oldest_open_wait_timestamp_seconds" not in found


def test_waits_and_signals_are_counted(store: Store, meters: Meters) -> None:
    its = coordination(store)
    begun(store, "w-1", "built")
    begun(store, "w-2", "built")
    begun(store, "w-3", "never", timeout=0.001)
    found = scraped(meters)
    assert found["blocking_coordinators_total"] == 3
    now = found["supervision_store_time_seconds"]
    assert now - 60 < found["supervision_oldest_open_wait_timestamp_seconds"] <= now
    until(its.sweep_deadlines)
    its.end("w-2", how="cancelled", why="why", by="ann")
    its.send("built", 7, signal_id="1")
    its.send("built", 7, signal_id="1")
    store.waits.enter("w-1", None, resumed=True)
    found = scraped(meters)
    ended = [f"supervision_waits_ended_total {how}" for how in ("signalled", "timed_out", "cancelled", "released")]
    assert those(found, *ended) == (1, 1, 1, 0)
    assert those(found, "timeout_events_total", "supervision_signals_sent_total") == (1, 1)
    assert those(found, "blocking_coordinators_total", "supervision_waits_undelivered") == (0, 3)
    assert those(found, "blocking_duration_seconds_count", "signal_delivery_latency_seconds_count") == (3, 1)
    assert found["blocking_duration_seconds_bucket 60"] == 3
    assert found["blocking_duration_seconds_sum"] < 60


LONG_AGO = 20_000


@pytest.mark.parametrize(
    ("sent_long_ago", "sent_now", "claimed_late"),
    [(["a"], "b", False), (["b"], "a", False), ([], "b", True), ([], "b", False)],
    ids=["all of a and then b", "all of b and then a", "any of, by b, claimed late", "any of, by b"],
)
def test_a_join_is_delivered_from_the_signal_that_released_it(
    store: Store, meters: Meters, sent_long_ago: list[str], sent_now: str, *, claimed_late: bool
) -> None:
    its = coordination(store)
    on = Node(k=len(sent_long_ago) + 1, of=(Node(signal="a"), Node(signal="b")))
    store.waits.enter("w", Terms(on, timeout=600), mail=MAIL)
    for name in (*sent_long_ago, sent_now):
        its.send(name, 1)
    for name in [*sent_long_ago, *([sent_now] if claimed_late else [])]:
        _earlier(store, store.keys.signal(name), "at")
    _earlier(store, store.keys.wait("w"), "since")
    if claimed_late:
        _earlier(store, store.keys.wait("w"), "ended")
    store.waits.enter("w", None, resumed=True)
    found = scraped(meters)
    assert found["signal_delivery_latency_seconds_count"] == 1
    assert (found["signal_delivery_latency_seconds_sum"] >= LONG_AGO / 1000) == claimed_late


def test_a_signal_that_came_again_since_is_not_the_one_that_released(store: Store, meters: Meters) -> None:
    begun(store, "w", "a")
    coordination(store).send("a", 1)
    _earlier(store, store.keys.wait("w"), "since", "ended")
    store.waits.enter("w", None, resumed=True)
    assert scraped(meters)["signal_delivery_latency_seconds_sum"] >= LONG_AGO / 1000


def _earlier(store: Store, key: str, *fields: str) -> None:
    for field in fields:
        store.client.hincrby(key, field, -LONG_AGO)


def test_what_is_sent_again_and_given_up_is_counted(store: Store, meters: Meters) -> None:
    begun(store, "w-1", "built")
    coordination(store).send("built")
    store.client.zadd(store.keys.undelivered, {"w-1": 1})
    assert len(store.waits.redeliver(10)) == 1
    for _ in range(6):
        store.waits.enter("w-1", None, resumed=True)
        store.client.hset(store.keys.wait("w-1"), "lease", 0)
    found = scraped(meters)
    names = ("supervision_redeliveries_total", "supervision_dead_letters", "supervision_dead_letters_total wait")
    assert those(found, *names) == (1, 1, 1)
    store.waits.retry("w-1", why="why", by="ann")
    found = scraped(meters)
    assert those(found, "supervision_dead_letters", "supervision_dead_letters_total wait") == (0, 1)


def test_coordinators_are_counted_by_what_they_are(store: Store, meters: Meters) -> None:
    silent = store.coordinators.register("silent", kind="process", process="p1", host="here").incarnation
    done = store.coordinators.register("done", kind="process", process="p2", host="here").incarnation
    lost = store.coordinators.register("lost", kind="process", process="p3", host="here").incarnation
    store.coordinators.leave("done", done)
    store.coordinators.leave("lost", lost, failed=True, why="no bricks")
    assert by_state(scraped(meters)) == {"healthy": 1, "complete": 1, "failed": 1}
    judged(store, Patience(0.001, 0.002, 60, 70), meters, "warning")
    judged(store, Patience(0.001, 0.002, 0.003, 70), meters, "critical")
    assert by_state(scraped(meters)) == {"critical": 1, "complete": 1, "failed": 1}
    judged(store, Patience(20, 60, 70, 90), meters, "healthy")
    assert scraped(meters)["heartbeat_failures_total"] == 1
    judged(store, HASTY, meters, "dead")
    found = scraped(meters)
    assert by_state(found) == {"complete": 1, "failed": 1, "dead": 1}
    ended = [f"supervision_coordinators_ended_total {how}" for how in ("complete", "failed", "dead")]
    assert those(found, *ended) == (1, 1, 1)
    assert not store.coordinators.leave("silent", silent)
    store.coordinators.register("silent", kind="process", process="p4", host="here")
    assert by_state(scraped(meters)) == {"healthy": 1, "complete": 1, "failed": 1}
    store.client.zadd(store.keys.coordinators, {"done": 1, "lost": 1})
    assert len(store.waits.clear(100, 1000)[2]) == 2
    assert by_state(scraped(meters)) == {"healthy": 1}


def judged(store: Store, patience: Patience, meters: Meters, state: str) -> None:
    """By monitors of that patience, until somebody is found to be ``state``."""
    until(lambda: store.coordinators.judge(patience) or by_state(scraped(meters)).get(state))


def by_state(found: Mapping[str, float]) -> dict[str, float]:
    """How many are what, of whatever there are any."""
    name = "supervision_coordinators "
    return {sample.removeprefix(name): n for sample, n in found.items() if sample.startswith(name) and n}
