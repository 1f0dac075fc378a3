"""What a Celery app must have so that work on Redis is neither lost, doubled, late nor stuck: one table.

Rules:
- A row says how to read a value, when it is right, what to write instead, and why.
- ``error``: work can be lost, run twice or hang. ``warning``: work is late, or a limit is missing.
- Reading opens no connection and changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from celery import Celery

from supervision.engine import shutdown, steps, transport

PUBLISH_BOUND_S = 15
"""Seconds after which publishing must have failed when the broker is gone."""

STOCK_VISIBILITY_S = 3600
"""kombu's default visibility timeout."""

_BROKER = "broker_transport_options"
Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Requirement:
    """One row of the table."""

    name: str
    read: Callable[[Celery], object]
    holds: Callable[[Any], bool]
    advice: str
    why: str
    severity: Severity = "error"
    only_store: bool = True
    """Whether only apps with a Redis-like broker need it."""


def setting(name: str) -> Callable[[Celery], object]:
    """Reads ``app.conf.<name>``."""
    return lambda app: app.conf.get(name)


def option(name: str) -> Callable[[Celery], object]:
    """Reads one broker transport option."""
    return lambda app: (app.conf.broker_transport_options or {}).get(name)


def one_of(*accepted: object) -> Callable[[object], bool]:
    """Right when the value is one of ``accepted``; 1 and True differ."""
    return lambda value: any(value is each or (type(value) is type(each) and value == each) for each in accepted)


def at_most(limit: float) -> Callable[[object], bool]:
    """Right when it is a number from above zero to ``limit``."""
    return lambda value: isinstance(value, int | float) and 0 < value <= limit


def scheme(app: Celery) -> str:
    """The transport of the broker's address: ``redis`` for ``redis+socket://``, too."""
    urls = app.conf.broker_url or ""
    return urlsplit(urls if isinstance(urls, str) else next(iter(urls), "")).scheme.partition("+")[0]


def publish_seconds(app: Celery) -> float | None:
    """The longest a publish takes when the broker is silent; None when it is for ever."""
    timeout, policy = option("socket_timeout")(app), app.conf.task_publish_retry_policy or {}
    retries = policy.get("max_retries", 3) if app.conf.task_publish_retry else 0
    if not isinstance(timeout, int | float) or retries is None:
        return None
    return float((retries + 2) * timeout)


def sweep_seconds(app: Celery) -> float:
    """Seconds between two real sweeps for messages of dead workers (kombu: every interval, only each throttle-th)."""
    found = (option("unacked_restore_interval")(app), option("unacked_restore_throttle")(app))
    interval, throttle = (each if isinstance(each, int | float) else 10 for each in found)
    return float(interval * throttle)


def _setting(  # noqa: PLR0913 - a row of a table has that many columns
    name: str,
    holds: Callable[[Any], bool],
    advice: str,
    why: str,
    severity: Severity = "error",
    *,
    only_store: bool = True,
) -> Requirement:
    return Requirement(name, setting(name), holds, f"{name} = {advice}", why, severity, only_store)


def _option(name: str, holds: Callable[[Any], bool], advice: str, why: str, level: Severity = "error") -> Requirement:
    return Requirement(f"{_BROKER}[{name!r}]", option(name), holds, f"{_BROKER}[{name!r}] = {advice}", why, level)


REQUIREMENTS = (
    Requirement(
        "transport.install()",
        lambda app: transport.installed(scheme(app)),
        one_of(True),
        "call supervision.engine.transport.install() where the app is made",
        "a worker with one unacknowledged message dies when its Redis restarts",
    ),
    Requirement(
        "steps.install(app)",
        steps.installed,
        one_of(True),
        "call supervision.engine.steps.install(app) where the app is made",
        "a task longer than the visibility timeout is delivered again while it runs, and SIGTERM waits for it for ever",
    ),
    Requirement(
        shutdown.VARIABLE,
        lambda app: "left to steps.install" if steps.installed(app) else shutdown.advice(),
        one_of(None, "left to steps.install"),
        f"{shutdown.VARIABLE}={shutdown.WANTED} in the environment of workers",
        "at SIGTERM a worker waits for its longest task, is killed for it, and its messages come back late",
        "warning",
        only_store=False,
    ),
    _option("global_keyprefix", one_of(None, ""), "''", "other apps send to queues of other names, which nobody reads"),
    _option("socket_timeout", at_most(5), "4", "publishing and beat hang for ever on a server that is silent"),
    _option("socket_connect_timeout", at_most(10), "3", "connecting to a host that is gone takes minutes"),
    _option("socket_keepalive", one_of(True), "True", "a peer that vanished is not noticed", "warning"),
    _option("health_check_interval", at_most(10), "5", "a half-open connection is noticed after 51 s", "warning"),
    _option(
        "visibility_timeout",
        at_most(STOCK_VISIBILITY_S - 1),
        "60",
        "a killed worker's messages come back only after an hour (with steps.install, a minute is safe)",
        "warning",
    ),
    _option("unacked_mutex_expire", at_most(60), "30", "a worker killed while sweeping stops all sweeps for 5 minutes"),
    Requirement(
        f"{_BROKER}: unacked_restore_interval * unacked_restore_throttle",
        sweep_seconds,
        at_most(30),
        "unacked_restore_interval = 5, unacked_restore_throttle = 1",
        "messages of dead workers are looked for only every 100 s",
        "warning",
    ),
    Requirement(
        "task_publish_retry_policy['max_retries']",
        publish_seconds,
        at_most(PUBLISH_BOUND_S),
        "task_publish_retry_policy = {'max_retries': 1, ...} with socket_timeout = 4",
        f"a caller waits (max_retries + 2) * socket_timeout for a broker that is gone; {PUBLISH_BOUND_S} s are enough",
        "warning",
    ),
    _setting("broker_connection_max_retries", one_of(None), "None", "workers give up reconnecting after 45 minutes"),
    _setting("broker_connection_retry", one_of(True), "True", "workers end at the first lost connection"),
    _setting("broker_channel_error_retry", one_of(True), "True", "an OOM or READONLY answer of Redis ends the worker"),
    _setting("broker_pool_acquire_timeout", at_most(30), "5", "a caller waits for ever when all connections are taken"),
    _setting(
        "task_acks_late",
        one_of(True),
        "True (and False for tasks that come again by themselves)",
        "work of a killed worker is gone",
        "warning",
        only_store=False,
    ),
    _setting(
        "task_reject_on_worker_lost",
        one_of(True),
        "True, with an attempt limit of your own",
        "work of a killed pool process is acknowledged although it did not finish",
        "warning",
        only_store=False,
    ),
    _setting(
        "task_acks_on_timeout",
        one_of(True, None),
        "True",
        "False runs a task that is too slow again and again",
        only_store=False,
    ),
    _setting(
        "task_always_eager",
        one_of(False),
        "False",
        "tasks run in their caller: no broker, no limits, no redelivery",
        only_store=False,
    ),
    _setting(
        "worker_prefetch_multiplier",
        one_of(1),
        "1",
        "a worker holds messages that another one could do",
        "warning",
        only_store=False,
    ),
    _setting(
        "worker_cancel_long_running_tasks_on_connection_loss",
        one_of(False),
        "False",
        "with broker and results on one Redis the cancelled task is acknowledged: it is lost",
    ),
    _setting(
        "worker_deduplicate_successful_tasks",
        one_of(False),
        "False",
        "a chord whose worker dies before its body is sent is lost for ever",
        only_store=False,
    ),
    Requirement(
        "worker_soft_shutdown_timeout, supervision_shutdown_timeout",
        shutdown.seconds,
        lambda both: both[0] == both[1],
        "worker_soft_shutdown_timeout = supervision_shutdown_timeout, 5 by default",
        "at SIGTERM running work gets another time to finish than this system says, or none",
        "warning",
        only_store=False,
    ),
    _setting(
        "worker_pool",
        lambda pool: not any(green in str(pool) for green in ("gevent", "eventlet")),
        "'prefork' for workers of our queues",
        "green pools never return the messages of a dead worker; they are refused for our queues",
        only_store=False,
    ),
    _setting(
        "result_backend_always_retry",
        one_of(True),
        "True",
        "a task that succeeds while Redis is away is recorded as failed",
        only_store=False,
    ),
    _setting("redis_socket_timeout", at_most(10), "4.0", "waiting for results blocks up to 120 s", "warning"),
    _setting("redis_socket_connect_timeout", at_most(10), "3.0", "connecting for results takes minutes", "warning"),
    _setting(
        "result_chord_expires",
        at_most(float("inf")),
        "longer than any chord waits",
        "a chord whose headers take longer than result_expires never runs its body, and nothing is logged",
        "warning",
        only_store=False,
    ),
    _setting(
        "accept_content",
        lambda kinds: not {"pickle", "application/x-python-serialize"} & set(kinds or ()),
        "['json']",
        "pickle lets whoever can write to the broker run code in your workers",
        only_store=False,
    ),
)
"""Every row; the reasons were measured on Celery 5.7.0 with kombu 5.7.0."""
