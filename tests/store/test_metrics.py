"""Metrics are what happened, exactly: counted by the scripts, held against the history, read by a real scrape."""

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from driven import NAME, STEPS, Driven, told
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lamps import ask, wish
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sources import ROOT, scripts
from waiting import until

import celeryconfig
from supervision.server import EmbeddedStore
from supervision.store.keys import Keys
from supervision.store.meters import QUEUES, Meters, count_per_child
from supervision.store.store import Store
from supervision.telemetry.families import BY_NAME, FAMILIES, WORKER_ID
from supervision.telemetry.metrics import StoreCollector

COUNTED_BY_HISTORY = (
    *("supervisor_transitions_total", "supervisor_infrastructure_check_failures_total"),
    *("supervisor_circuit_breaker_recoveries_total", "supervisor_escalations_total"),
    *("supervisor_actions_enqueued_total", "supervisor_actions_completed_total"),
    *("supervisor_action_duration_seconds", "supervisor_actions_during_circuit_total"),
    "supervisor_action_post_circuit_duration_seconds",
)

FIXED_BY_THE_PLANS = {
    "blocking_coordinators_total": ("gauge", ()),
    "blocking_duration_seconds": ("histogram", ("0.1", "1", "10", "60", "300", "1800", "3600", "86400")),
    "signal_delivery_latency_seconds": ("histogram", ("0.005", "0.01", "0.05", "0.1", "0.5", "1", "5", "60")),
    "heartbeat_failures_total": ("counter", ()),
    "timeout_events_total": ("counter", ()),
    "supervisor_circuit_breaker_open": ("gauge", ()),
    "supervisor_infrastructure_check_failures_total": ("counter", ()),
    "supervisor_circuit_breaker_recoveries_total": ("counter", ()),
    "supervisor_escalations_total": ("counter", ()),
    "supervisor_actions_enqueued_total": ("counter", ()),
    "supervisor_actions_completed_total": ("counter", ()),
    "supervisor_action_duration_seconds": ("histogram", ("0.1", "0.5", "1", "5", "10", "30", "60")),
    "supervisor_actions_during_circuit_total": ("counter", ()),
    "supervisor_action_post_circuit_duration_seconds": ("histogram", ("1", "5", "10", "30", "60")),
}

Scrape = Callable[..., dict[str, dict[tuple[str, ...], float]]]


def counted(store: Store) -> dict[str, int]:
    """The counts that the history tells, too."""
    found = {name.decode(): int(value) for name, value in ask(store).hgetall(store.keys.counters).items()}
    return {name: value for name, value in found.items() if name.split("|")[0] in COUNTED_BY_HISTORY}


def history(store: Store) -> dict[str, int]:
    return {name: value for name, value in told(store.history.since(most=100_000)).items() if value or "sum=" in name}


@pytest.fixture
def scrape(server: EmbeddedStore, namespace: str) -> Iterator[Scrape]:
    """Samples by name and label values (in alphabetical order of the labels), through the text format and back."""
    with closing(Meters(server.url, Keys(namespace), with_queues=True)) as meters:

        def scraped(*, per_child: bool = False) -> dict[str, dict[tuple[str, ...], float]]:
            return samples(StoreCollector(meters, per_child=per_child))

        yield scraped


def samples(collector: StoreCollector) -> dict[str, dict[tuple[str, ...], float]]:
    registry = CollectorRegistry()
    registry.register(collector)
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            values = tuple(value for _, value in sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[values] = sample.value
    return found


def escalated_and_healed(driven: Driven) -> None:
    """An action is under way while the circuit opens; two restarts do not help; then it heals by itself."""
    driven.runtime.declare()
    driven.look()
    driven.tick()  # born
    driven.tick()  # lit
    driven.go_dark()
    driven.look()
    driven.tick()  # lamp-1 is to be switched on
    driven.warm_up()
    driven.look()
    driven.tick()  # the circuit opens
    driven.act()  # overtaken by it
    for _ in range(20):
        driven.look()
        driven.tick()
        driven.act()
    driven.warm_up()
    for _ in range(5):
        driven.look()
        driven.tick()


def test_a_known_history_gives_the_numbers_one_can_count_by_hand(store: Store, scrape: Scrape) -> None:
    escalated_and_healed(Driven(store))
    found = scrape()
    assert found["supervisor_infrastructure_check_failures_total"] == {(NAME,): 3.0}, "opened, and again after each try"
    assert found["supervisor_escalations_total"] == {(NAME,): 1.0}
    assert found["supervisor_circuit_breaker_recoveries_total"] == {(NAME,): 1.0}
    assert found["supervisor_circuit_breaker_open"] == {(NAME,): 0.0}
    enqueued = {labels: n for labels, n in found["supervisor_actions_enqueued_total"].items() if n}
    assert enqueued == {("restart_child", NAME): 2.0, ("switch_on", NAME): 1.0}
    assert found["supervisor_actions_completed_total"]["restart_child", "succeeded", NAME] == 2.0
    assert found["supervisor_actions_during_circuit_total"]["switch_on", NAME] == 1.0
    assert found["supervisor_action_post_circuit_duration_seconds_count"] == {("switch_on", NAME): 1.0}
    assert found["supervisor_children"] == {
        ("running", NAME): 2.0,
        **{(phase, NAME): 0.0 for phase in ("stopped", "starting", "degraded", "stopping")},
    }
    assert counted(store) == history(store)
    assert {name.split("|")[0] for name in counted(store)} == set(COUNTED_BY_HISTORY)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(STEPS), min_size=10, max_size=80), number=st.uuids())
def test_whatever_happens_the_counts_are_what_the_history_says(
    server: EmbeddedStore, namespace: str, steps: list[str], number: object
) -> None:
    with closing(Store(server.url, f"{namespace}-{number}")) as store:
        driven = Driven(store)
        driven.runtime.declare()
        for step in ("look", "tick", *steps):
            getattr(driven, step)()
        assert counted(store) == history(store)


def test_counts_of_several_processes_at_once_are_exact(server: EmbeddedStore, namespace: str, store: Store) -> None:
    program = Path(__file__).with_name("driven.py")
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PATH": ""}
    running = [
        subprocess.Popen(
            [sys.executable, program, server.url, namespace, str(seed), "500"],
            env={**environment, **session_mark()},
            stdout=subprocess.DEVNULL,
        )
        for seed in range(3)
    ]
    assert [process.wait(timeout=100) for process in running] == [0, 0, 0]
    found = counted(store)
    assert sum(n for name, n in found.items() if name.startswith("supervisor_actions_completed_total")) > 10
    assert found == history(store)


def session_mark() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name == "TEST_SESSION_OF_SUPERVISION"}


def test_what_was_refused_is_counted_too(store: Store, scrape: Scrape) -> None:
    driven = Driven(store)
    driven.runtime.declare()
    for step in ("look", "tick", "tick", "go_dark", "look", "tick", "die", "act", "sweep", "come_late", "be_overtaken"):
        getattr(driven, step)()
    found = scrape()
    assert found["supervisor_writes_refused_total"] == {("commit", NAME): 1.0}
    assert found["supervisor_actions_duplicate_total"] == {(NAME,): 1.0}
    assert found["supervisor_actions_late_total"] == {(NAME,): 1.0}
    assert found["supervisor_ticks_total"]["claimed", NAME] >= 4
    assert found["supervisor_actions_in_flight"] == {(NAME,): 1.0}


def test_a_sample_is_there_before_anything_has_happened(store: Store, scrape: Scrape) -> None:
    assert set(scrape()) >= {"supervision_up", "supervision_store_time_seconds", "supervision_queue_messages"}
    Driven(store).runtime.declare()
    found = scrape()
    assert found["supervisor_escalations_total"] == {(NAME,): 0.0}
    assert found["supervisor_actions_completed_total"]["switch_on", "failed", NAME] == 0.0
    assert found["supervisor_circuit_breaker_state"]["closed", NAME] == 1.0
    assert "supervisor_last_tick_timestamp_seconds" not in found
    assert "supervisor_incident_opened_timestamp_seconds" not in found


def test_moments_are_those_of_the_store(store: Store, scrape: Scrape) -> None:
    driven = Driven(store)
    driven.runtime.declare()
    for step in ("look", "tick", "tick", "warm_up", "look", "tick"):
        getattr(driven, step)()
    found = scrape()
    now = found["supervision_store_time_seconds"][()]
    opened = found["supervisor_incident_opened_timestamp_seconds"][NAME,]
    assert found["supervisor_circuit_breaker_open"] == {(NAME,): 1.0}
    assert now - 60 < opened <= found["supervisor_last_tick_timestamp_seconds"][NAME,] <= now
    assert 0 < found["supervision_store_round_trip_seconds"][()] < 10


def test_children_have_series_of_their_own_only_on_demand(store: Store, scrape: Scrape) -> None:
    driven = Driven(store)
    driven.runtime.declare()
    path = f"{NAME}/lamp-1"
    for step in ("look", "tick", "tick", "go_dark", "look", "tick", "act"):
        getattr(driven, step)()
    assert not any(path in labels for labelled in scrape().values() for labels in labelled)
    count_per_child(store.scripts, store.keys, wanted=True)
    until(lambda: running(driven, scrape, path))
    driven.go_dark()
    until(lambda: not running(driven, scrape, path))
    driven.act()
    until(lambda: running(driven, scrape, path))
    enqueued = scrape(per_child=True)["supervisor_actions_enqueued_total"]
    assert enqueued["switch_on", NAME, ""] == 1.0, "counted before"
    assert enqueued["switch_on", NAME, path] == 1.0
    assert scrape()["supervisor_actions_enqueued_total"]["switch_on", NAME] == 2.0, "and the sum is right"
    count_per_child(store.scripts, store.keys, wanted=False)
    driven.runtime.store.actions.reserve(NAME, "ann", wish("lamp-1", "asked"))
    assert scrape(per_child=True)["supervisor_actions_enqueued_total"]["switch_on", NAME, path] == 1.0


def running(driven: Driven, scrape: Scrape, path: str) -> bool:
    """Whether the child is, after one more look: one of the very millisecond of an action's end does not count."""
    driven.look()
    driven.tick()
    return ("running", NAME, path) in scrape(per_child=True)["supervisor_children"]


def test_messages_are_counted_with_every_priority(store: Store, scrape: Scrape) -> None:
    before = scrape()["supervision_queue_messages"]["supervision.sweeps",]
    own = "supervision.sweeps"
    ask(store).rpush(own, "one", "two")
    ask(store).rpush(f"{own}\x06\x169", "three")
    try:
        assert scrape()["supervision_queue_messages"][own,] == before + 3
    finally:
        ask(store).ltrim(own, 0, -3)
        ask(store).delete(f"{own}\x06\x169")


def test_a_broker_elsewhere_has_no_queues_here(server: EmbeddedStore, namespace: str) -> None:
    with closing(Meters(server.url, Keys(namespace), with_queues=False)) as meters:
        assert "supervision_queue_messages" not in samples(StoreCollector(meters))


def test_a_store_that_is_away_is_one_sample(make_store: Callable[..., EmbeddedStore], namespace: str) -> None:
    server = make_store()
    with closing(Meters(server.url, Keys(namespace), with_queues=True)) as meters:
        collector = StoreCollector(meters)
        assert samples(collector)["supervision_up"] == {(): 1.0}
        server.stop()
        assert samples(collector) == {"supervision_up": {(): 0.0}}
        server.start()
        assert samples(collector)["supervision_up"] == {(): 1.0}


def test_a_store_that_somebody_else_wrote_into_is_one_sample(store: Store, scrape: Scrape) -> None:
    ask(store).hset(store.keys.counters, "supervisor_escalations_total|supervisor=plant", "many")
    assert scrape() == {"supervision_up": {(): 0.0}}


def test_a_count_that_nobody_knows_is_not_exported(store: Store, scrape: Scrape) -> None:
    ask(store).hset(store.keys.counters, "of_another_version_total|supervisor=plant", "7")
    assert "of_another_version_total" not in scrape()


def test_the_names_that_the_plans_fixed_are_kept() -> None:
    assert {name: (BY_NAME[name].kind, BY_NAME[name].buckets) for name in FIXED_BY_THE_PLANS} == FIXED_BY_THE_PLANS


def test_everything_that_is_counted_is_exported_with_the_buckets_of_its_script() -> None:
    text = "".join(script.read_text() for script in scripts())
    text += (ROOT / "supervision" / "store" / "ticks.py").read_text()
    names = set(re.findall(r"""['"](supervisor_\w+)|(?:count|measure)\(counters, '(\w+)""", text))
    names = {one or other for one, other in names}
    gauges = {family.name for family in FAMILIES if family.kind == "gauge"}
    assert names == {family.name for family in FAMILIES} - gauges
    measured = re.findall(r"measure\(counters, '(\w+)'(?: \.\. \w+)?, \{([^}]*)\}", text)
    histograms = {family.name: family.buckets for family in FAMILIES if family.kind == "histogram"}
    assert {name: tuple(re.findall(r"'([\d.]+)'", bounds)) for name, bounds in measured} == histograms


def test_no_label_is_an_id_a_host_or_a_text() -> None:
    labels = {label for family in FAMILIES for label in family.labels}
    assert labels == {
        "supervisor",
        "action_type",
        "status",
        "outcome",
        "state",
        "phase",
        "script",
        "queue",
        "reason",
        "how",
        "of",
        "met",
        WORKER_ID,
    }


def test_our_queues_are_those_of_the_configuration() -> None:
    assert {queue.name for queue in celeryconfig.task_queues} == set(QUEUES)


def test_the_page_is_what_the_table_says() -> None:
    generated = runpy.run_path(str(ROOT / "docs" / "metrics.py"))["page"]()
    assert (ROOT / "docs" / "metrics.md").read_text() == generated, "run: python docs/metrics.py"
