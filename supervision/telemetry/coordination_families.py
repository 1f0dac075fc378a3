"""The metrics of signals, waits and coordinators: a part of the table in `families`, whose rules hold here too."""

from typing import Final

from supervision.coordination.liveness import STATES
from supervision.coordination.waits import How
from supervision.telemetry.family import Family

COORDINATION: Final = (
    Family(
        "blocking_coordinators_total",
        "gauge",
        (),
        "waits that are open now, of tasks and of processes; a gauge, in spite of its name",
        "enter, and whatever ends a wait",
    ),
    Family(
        "supervision_oldest_open_wait_timestamp_seconds",
        "gauge",
        (),
        "since when the oldest open wait has waited; absent without one",
        "enter",
    ),
    Family(
        "supervision_waits_undelivered",
        "gauge",
        (),
        "waits that have ended and whose continuation is not known to be on its way yet",
        "whatever ends a wait, processed",
    ),
    Family(
        "blocking_duration_seconds",
        "histogram",
        (),
        "how long a wait lasted that has ended, however it ended",
        "whatever ends a wait",
        ("0.1", "1", "10", "60", "300", "1800", "3600", "86400"),
    ),
    Family(
        "supervision_waits_ended_total",
        "counter",
        ("how",),
        "waits that have ended, by how",
        "whatever ends a wait",
        values=tuple(how.value for how in How),
    ),
    Family(
        "timeout_events_total",
        "counter",
        (),
        "waits that ended because their time was over: those of `supervision_waits_ended_total` that timed out",
        "expire, enter, send, release",
    ),
    Family(
        "supervision_signals_sent_total", "counter", (), "signals sent, each once however often it was said", "send"
    ),
    Family(
        "signal_delivery_latency_seconds",
        "histogram",
        (),
        "from a signal, or the beginning of the wait if that came later, until its waiter has received it",
        "whatever lets somebody claim a wait",
        ("0.005", "0.01", "0.05", "0.1", "0.5", "1", "5", "60"),
    ),
    Family(
        "supervision_redeliveries_total",
        "counter",
        (),
        "messages that were sent again because nobody had gone on with an ended wait in time",
        "redeliver",
    ),
    Family(
        "supervision_dead_letters",
        "gauge",
        (),
        "what was tried too often and waits for a person, of all kinds",
        "whatever lets somebody claim a wait, retry, clear",
    ),
    Family(
        "supervision_dead_letters_total",
        "counter",
        ("of",),
        "what was given up, by what it is of",
        "whatever lets somebody claim a wait, unhandled, take, remind",
        values=("wait", "mail"),
    ),
    Family(
        "supervision_damaged_records_total",
        "counter",
        ("of",),
        "records that could not be read, or went wrong, and were set aside so that they stop no other one",
        "any script that goes through several",
        values=("wait", "signal", "coordinator"),
    ),
    Family(
        "supervision_tasks_submitted_total",
        "counter",
        (),
        "tasks that were submitted by key, each once however often it was asked for",
        "submit",
    ),
    Family(
        "supervision_parts_ended_total",
        "counter",
        ("how",),
        "parts of gathers that have ended, by how",
        "arrive",
        values=("gathered", "failed"),
    ),
    Family(
        "supervision_copies_total",
        "counter",
        ("met",),
        "runs of a task with `once` that were one too many, by what they met: a run at work, or its end",
        "run_once",
        values=("busy", "settled"),
    ),
    Family(
        "supervision_mailbox_messages_total",
        "counter",
        ("outcome",),
        "messages by what became of them: put, refused by a full mailbox, handed over again, handled, or given up",
        "post, take, handled, unhandled, remind",
        values=("put", "refused", "redelivered", "handled", "dead"),
    ),
    Family(
        "supervision_coordinators",
        "gauge",
        ("state",),
        "coordinators: healthy, warning or critical by their last heartbeat, or ended within the last day, by how",
        "register, judge, leave, bury",
        values=STATES,
    ),
    Family(
        "heartbeat_failures_total",
        "counter",
        (),
        "times a healthy coordinator was found without a heartbeat for the time of a warning",
        "judge",
    ),
    Family(
        "supervision_coordinators_ended_total",
        "counter",
        ("how",),
        "coordinators that have ended, by how: complete, failed or declared dead",
        "leave, judge, bury",
        values=("complete", "failed", "dead"),
    ),
)
