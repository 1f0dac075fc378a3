"""Every metric: name, type, labels, what it says, which script counts it. docs/metrics.md is made of this table.

Rules:
- A counter or histogram is a field of the hash `counters`, ``name|label=value|label=value``, written by the script that
  made the transition true. What is not in this table is not exported.
- Labels are small sets that somebody declared: never ids, hosts or texts. ``worker_id``, the child's path, is one only
  with ``supervision_metrics_per_child``.
- Moments are exported as timestamps of the store's clock, never as ages.
"""

from typing import Final

from supervision.telemetry.coordination_families import COORDINATION
from supervision.telemetry.family import WORKER_ID, Family

__all__ = ["BY_NAME", "FAMILIES", "WORKER_ID", "Family"]

_CHILD = ("supervisor", WORKER_ID)

FAMILIES: Final = (
    Family(
        "supervision_up",
        "gauge",
        (),
        "1 if the store answered this scrape; else it is 0 and stands alone",
        "the scrape",
    ),
    Family(
        "supervision_store_round_trip_seconds",
        "gauge",
        (),
        "how long the store took to say what time it is",
        "the scrape",
    ),
    Family(
        "supervision_store_time_seconds",
        "gauge",
        (),
        "the store's clock, which all timestamps here are of",
        "the scrape",
    ),
    Family("supervision_outbox_messages", "gauge", (), "messages decided on and not yet known to be sent", "outbox"),
    Family(
        "supervision_queue_messages",
        "gauge",
        ("queue",),
        "messages that wait in a queue of ours; only while the broker is the store",
        "the broker's lists",
    ),
    Family(
        "supervisor_circuit_breaker_open",
        "gauge",
        ("supervisor",),
        "1 while the circuit is open, verifying or escalated",
        "commit",
    ),
    Family(
        "supervisor_circuit_breaker_state",
        "gauge",
        ("supervisor", "state"),
        "1 for the state the circuit is in, 0 for the other three",
        "commit",
    ),
    Family(
        "supervisor_incident_opened_timestamp_seconds",
        "gauge",
        ("supervisor",),
        "when the present incident began; absent without one",
        "commit",
    ),
    Family(
        "supervisor_last_tick_timestamp_seconds",
        "gauge",
        ("supervisor",),
        "when the last tick was claimed; absent before the first",
        "claim",
    ),
    Family(
        "supervisor_children",
        "gauge",
        (*_CHILD, "phase"),
        "children by the phase of their state; those without a first tick count for none",
        "commit",
    ),
    Family(
        "supervisor_actions_in_flight",
        "gauge",
        ("supervisor",),
        "actions that are queued, running or waiting for their next run: the depth of the action queue",
        "commit, reserve, finish",
    ),
    Family(
        "supervisor_ticks_total",
        "counter",
        ("supervisor", "outcome"),
        "ticks by what their claim answered: claimed, busy (another one is at work) or duplicate",
        "claim",
    ),
    Family(
        "supervisor_transitions_total",
        "counter",
        (*_CHILD, "state"),
        "changes of children's states, by the state they came into; the first state counts",
        "commit",
    ),
    Family(
        "supervisor_infrastructure_check_failures_total",
        "counter",
        ("supervisor",),
        "times the circuit opened, or opened again because a restart failed or did not help",
        "commit",
    ),
    Family(
        "supervisor_circuit_breaker_recoveries_total",
        "counter",
        ("supervisor",),
        "times the circuit closed by a restart or by itself; a reset by a person is none",
        "commit",
    ),
    Family(
        "supervisor_escalations_total",
        "counter",
        ("supervisor",),
        "incidents that ran out of attempts, each counted once",
        "commit",
    ),
    Family(
        "supervisor_escalation_bound_seconds",
        "gauge",
        ("supervisor",),
        "how long trouble that stays takes until it escalates at most, computed from the declaration; 0 without checks",
        "declare",
    ),
    Family(
        "supervisor_silenced_until_timestamp_seconds",
        "gauge",
        ("supervisor",),
        "until when people want no call for help; absent without a silence",
        "order",
    ),
    Family(
        "supervisor_children_unobservable",
        "gauge",
        ("supervisor",),
        "children that nobody can see, not even in a process of their own",
        "commit",
    ),
    Family(
        "supervisor_actions_enqueued_total",
        "counter",
        (*_CHILD, "action_type"),
        "actions that got their child's slot, from ticks and from persons",
        "commit, reserve",
    ),
    Family(
        "supervisor_actions_refused_total",
        "counter",
        ("supervisor", "reason"),
        "wishes of ticks for an action that got none; queue_full: as many as allowed were in flight, once per tick",
        "commit",
    ),
    Family(
        "supervisor_actions_completed_total",
        "counter",
        (*_CHILD, "action_type", "status"),
        "actions that ended, by how: succeeded, or failed with no run left",
        "finish",
    ),
    Family(
        "supervisor_action_duration_seconds",
        "histogram",
        ("supervisor", "action_type"),
        "how long the last run of an action took that ended; one that never ran is not here",
        "finish",
        ("0.1", "0.5", "1", "5", "10", "30", "60"),
    ),
    Family(
        "supervisor_actions_during_circuit_total",
        "counter",
        ("supervisor", "action_type"),
        "actions that ended and had been in flight when their supervisor's circuit opened",
        "finish",
    ),
    Family(
        "supervisor_action_post_circuit_duration_seconds",
        "histogram",
        ("supervisor", "action_type"),
        "how long such an action went on after the circuit had opened",
        "finish",
        ("1", "5", "10", "30", "60"),
    ),
    Family(
        "supervisor_writes_refused_total",
        "counter",
        ("supervisor", "script"),
        "writes of a tick that was superseded by a later one, and changed nothing",
        "commit",
    ),
    Family(
        "supervisor_observations_refused_total",
        "counter",
        ("supervisor",),
        "observations that came after a newer one, and changed nothing",
        "observed",
    ),
    Family(
        "supervisor_actions_late_total",
        "counter",
        ("supervisor",),
        "ends of runs whose fence was no longer the action's; they changed nothing",
        "finish",
    ),
    Family(
        "supervisor_actions_duplicate_total",
        "counter",
        ("supervisor",),
        "messages for runs that were one too many, and ran nothing (supervisor is empty when the record is gone)",
        "start",
    ),
    *COORDINATION,
)

BY_NAME: Final = {family.name: family for family in FAMILIES}
