"""A Prometheus collector over what the store has counted: read at scrape time, exact whoever has counted.

A scrape never raises: when the store does not answer, ``supervision_up 0`` is all there is. An error page would hide
the reason, and take the metrics of whoever shares the page down with it.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from supervision.circuit import Circuit, State
from supervision.model import Phase
from supervision.saying import log as _log
from supervision.store.meters import Measured, Meters, SupervisorMeters, WaitMeters
from supervision.telemetry.families import BY_NAME, FAMILIES, WORKER_ID, Family

OUTCOMES: Final = ("claimed", "busy", "duplicate")
STATUSES: Final = ("succeeded", "failed")


_Values = dict[tuple[str, ...], float]
"""One metric: label values, in the family's order, to value."""


class StoreCollector(Collector):
    """Yields every family of `families.FAMILIES`; ``per_child`` shows the label ``worker_id`` where there is one."""

    def __init__(self, meters: Meters, *, per_child: bool = False) -> None:
        self._meters = meters
        self._hidden = () if per_child else (WORKER_ID,)

    def describe(self) -> list[Metric]:
        """Nothing: registering must not need a store."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All of them, at one moment of the store."""
        try:
            asked = time.monotonic()
            self._meters.now()
            round_trip_s = time.monotonic() - asked
            families = list(self._families(self._meters.read(), round_trip_s))
        except Exception as error:  # noqa: BLE001 # whatever it is: see the rule above
            _log.warning("scrape_failed", error=f"{type(error).__name__}: {error}")
            families = [_gauge(BY_NAME["supervision_up"], (), {(): 0.0})]
        yield from families

    def _families(self, measured: Measured, round_trip_s: float) -> Iterator[Metric]:
        gauges, counts = _gauges(measured, round_trip_s), _counts(measured)
        for family in FAMILIES:
            shown = tuple(label for label in family.labels if label not in self._hidden)
            if family.kind == "gauge":
                found = [
                    (dict(zip(family.labels, values, strict=True)), n) for values, n in gauges[family.name].items()
                ]
                yield _gauge(family, shown, _summed(shown, found))
            elif family.kind == "counter":
                values = _summed(shown, [*_zeros(family, measured.supervisors), *counts[family.name]])
                yield _counter(family, shown, values)
            else:
                yield _histogram(family, shown, counts[family.name])


_Count = tuple[Mapping[str, str], float]
"""Labels and value, as a field of the counts has them."""


def _counts(measured: Measured) -> Mapping[str, list[_Count]]:
    found: dict[str, list[_Count]] = defaultdict(list)
    for field, value in measured.counts.items():
        name, *labels = field.split("|")
        found[name].append((dict(label.split("=", 1) for label in labels), value))
    return found


def _summed(shown: Sequence[str], counts: Iterable[_Count]) -> _Values:
    """Added up over the labels that are not shown."""
    values: _Values = defaultdict(float)
    for labels, value in counts:
        values[tuple(labels.get(label, "") for label in shown)] += value
    return values


def _zeros(family: Family, supervisors: Iterable[SupervisorMeters]) -> Iterator[_Count]:
    """A zero for whatever may still be counted: a rate can only see an increase of something that was there."""
    if family.values or not family.labels:
        yield from (({family.labels[0]: value}, 0.0) for value in family.values)
        if not family.labels:
            yield {}, 0.0
        return
    for each in supervisors:
        known = {
            "supervisor": [each.declared.name],
            "action_type": sorted({name for child in each.declared.children.values() for name in child.actions}),
            "outcome": OUTCOMES,
            "status": STATUSES,
            "reason": ("queue_full",),
        }
        labels = [label for label in family.labels if label != WORKER_ID]
        if set(labels) <= set(known):
            for values in product(*(known[label] for label in labels)):
                yield dict(zip(labels, values, strict=True)), 0.0


def _gauge(family: Family, shown: Sequence[str], values: _Values) -> Metric:
    metric = GaugeMetricFamily(family.name, family.meaning, labels=shown)
    for labels, value in sorted(values.items()):
        metric.add_metric(labels, value)
    return metric


def _counter(family: Family, shown: Sequence[str], values: _Values) -> Metric:
    metric = CounterMetricFamily(family.name, family.meaning, labels=shown)
    for labels, value in sorted(values.items()):
        metric.add_metric(labels, value)
    return metric


def _histogram(family: Family, shown: Sequence[str], counts: Iterable[_Count]) -> Metric:
    metric = HistogramMetricFamily(family.name, family.meaning, labels=shown)
    found = _summed((*shown, "le", "sum"), counts)
    # Without labels there is one, from the start: a rate can only see an increase of something that was there.
    for labels in sorted({key[:-2] for key in found} or ({()} if not shown else ())):
        total, buckets = 0.0, []
        for bound in (*family.buckets, "+Inf"):
            total += found.get((*labels, bound, ""), 0.0)
            buckets.append((bound, total))
        metric.add_metric(labels, buckets, found.get((*labels, "", "ms"), 0.0) / 1000)
    return metric


def _gauges(measured: Measured, round_trip_s: float) -> Mapping[str, _Values]:
    values: Mapping[str, _Values] = {family.name: {} for family in FAMILIES}
    values["supervision_up"][()] = 1.0
    values["supervision_store_round_trip_seconds"][()] = round_trip_s
    values["supervision_store_time_seconds"][()] = measured.at / 1000
    values["supervision_outbox_messages"][()] = measured.outbox
    for queue, depth in (measured.queues or {}).items():
        values["supervision_queue_messages"][(queue,)] = depth
    _of_waits(measured.waits, values)
    for each in measured.supervisors:
        _of_one(each, values)
    return values


def _of_waits(found: WaitMeters, values: Mapping[str, _Values]) -> None:
    values["blocking_coordinators_total"][()] = found.open
    values["supervision_waits_undelivered"][()] = found.undelivered
    values["supervision_dead_letters"][()] = found.dead_letters
    if found.oldest:
        values["supervision_oldest_open_wait_timestamp_seconds"][()] = found.oldest / 1000
    for state, number in found.coordinators.items():
        values["supervision_coordinators"][(state,)] = number


def _of_circuit(name: str, circuit: Circuit, values: Mapping[str, _Values]) -> None:
    values["supervisor_circuit_breaker_open"][(name,)] = circuit.state is not State.CLOSED
    for state in State:
        values["supervisor_circuit_breaker_state"][(name, state.value)] = circuit.state is state
    if circuit.incident:
        values["supervisor_incident_opened_timestamp_seconds"][(name,)] = circuit.opened_at / 1000


def _of_one(each: SupervisorMeters, values: Mapping[str, _Values]) -> None:
    name = each.declared.name
    if each.circuit:
        _of_circuit(name, each.circuit, values)
    if each.last_tick_at is not None:
        values["supervisor_last_tick_timestamp_seconds"][(name,)] = each.last_tick_at / 1000
    values["supervisor_actions_in_flight"][(name,)] = each.in_flight
    values["supervisor_escalation_bound_seconds"][(name,)] = each.declared.worst_case_ms / 1000
    values["supervisor_children_unobservable"][(name,)] = each.unobservable
    if each.silenced_until:
        values["supervisor_silenced_until_timestamp_seconds"][(name,)] = each.silenced_until / 1000
    children = values["supervisor_children"]
    for phase in Phase:
        children[(name, "", phase.value)] = 0.0
    for child, found in each.phases.items():
        children[(name, f"{name}/{child}", found)] = 1.0
