"""Every Celery setting that matters to this system, each with its reason.

Rules of this file:
- A Celery message is a hint, the store is the record: settings may cost latency, never truth.
- Addresses come from the environment, everything else stands here; your own app may take single lines over.
  ``supervision doctor`` compares an app with this file and says what to change and why.
- Names that begin with ``supervision_`` are ours and live in the same place as Celery's own: ``app.conf``.
"""

import os
from urllib.parse import urlsplit

from kombu import Exchange, Queue

from supervision import sentinels, settings
from supervision.errors import InvalidDeclaration

_STORE_SCHEMES = ("redis", "rediss", "unix", "sentinel", "redis+socket")


def _checked_store_url(url: str) -> str:
    if url.startswith(sentinels.SCHEME):
        sentinels.Sentinels.read(url)  # which says what is wrong with it
        return url
    try:
        usable = urlsplit(url).scheme in _STORE_SCHEMES and (urlsplit(url).port or True)
    except ValueError:  # its own message quotes what it could not read, which may be a part of the password
        raise InvalidDeclaration(
            "SUPERVISION_STORE_URL cannot be read as an address; in a password / # ? @ and % are written "
            "%2F %23 %3F %40 and %25"
        ) from None
    if not usable:
        raise InvalidDeclaration(
            # Without what stands before an @, which may be a password: this ends up in logs.
            f"SUPERVISION_STORE_URL is {url.rpartition('@')[2]!r}; "
            "it must be a Redis or Valkey address that begins with one of "
            + ", ".join(f"{scheme}://" for scheme in _STORE_SCHEMES)
        )
    return url


def _is_store_like(url: str) -> bool:
    return urlsplit(url).scheme in _STORE_SCHEMES


# --- ours
supervision_store_url = _checked_store_url(os.environ.get("SUPERVISION_STORE_URL", "redis://127.0.0.1:6379/0"))
supervision_namespace = "supervision"  # the first part of every key of ours; queues are named below, without it: two
# systems on one server need a namespace each and a broker database each
supervision_imports = ()  # modules that declare your supervisors, children, checks and actions
supervision_metrics_per_child = (
    False  # True adds the label worker_id, one series per child: fine for 100, not for 10,000
)
supervision_max_actions = 1000  # in flight in the namespace; at that many, ticks give no new ones and say "queue full"
supervision_shutdown_timeout = 5  # seconds for running work at SIGTERM; then it goes back, and another worker does it
supervision_heartbeat = 5  # seconds between heartbeats of a coordinator; liveness is judged as often
supervision_heartbeat_warning = 15  # seconds of silence until a warning ...
supervision_heartbeat_critical = 30  # ... until it is critical ...
supervision_heartbeat_dead = 60  # ... until it is dead, and those who wait for its signals are told
supervision_hooks = {}  # what to call by hook: {"escalated": "myapp.tasks.page"}, or a signature; see docs/hooks.md
supervision_log_format = "json"  # one object per line, which log stores search by field; "console" is for eyes

# --- where messages and results live
_broker = os.environ.get("SUPERVISION_BROKER_URL", supervision_store_url)
_results = os.environ.get("SUPERVISION_RESULT_URL", supervision_store_url)
broker_url = settings.for_celery(_broker)  # Redis, Sentinel, RabbitMQ
result_backend = settings.for_celery(_results)  # may be a second server

# --- the broker may go away at any moment
broker_connection_retry = True  # a lost connection is an event, not an end
broker_connection_retry_on_startup = True  # workers may start before the store does
broker_connection_max_retries = None  # the default of 100 gives up for ever after about 45 minutes
broker_channel_error_retry = True  # by default an OOM or READONLY answer of the store ends the worker
broker_connection_timeout = 4  # seconds; a host that does not answer is not waited for
broker_pool_limit = 20  # connections for publishing per process; 10 starve a process with many threads
broker_pool_acquire_timeout = 5  # seconds; by default a process whose connections are all taken waits for ever
_STORE_TRANSPORT = {
    "socket_timeout": 4,  # seconds; default None hangs for ever. A publish makes up to 3 attempts: 12 s < 15 s
    "socket_connect_timeout": 3,  # seconds; default None waits for the kernel, about two minutes
    "socket_keepalive": True,  # finds a peer that vanished without a word
    "health_check_interval": 5,  # seconds; a half-open blocking read is found in 11 s instead of 51 s
    "visibility_timeout": 60,  # seconds; so short only because `engine.steps` renews it for whatever is still held
    "unacked_restore_interval": 5,  # seconds between sweeps for messages whose worker died ...
    "unacked_restore_throttle": 1,  # ... each of them real; by default nine of ten do nothing, which makes 100 s
    "unacked_restore_limit": 1000,  # messages per sweep: bounds the work done on a worker's main loop
    "unacked_mutex_expire": 30,  # seconds; by default a worker killed while sweeping stops all sweeps for 5 minutes
    # A journal of our own: the shortest visibility timeout on a database wins, and ours would run a neighbouring
    # app's long tasks twice if both wrote into the default one.
    "unacked_key": "supervision.unacked",
    "unacked_index_key": "supervision.unacked_index",
    "unacked_mutex_key": "supervision.unacked_mutex",
    "client_name": "supervision",  # says in CLIENT LIST who holds a connection
    # No global_keyprefix: other apps could no longer send to our queues. Default priority_steps: likewise.
}
broker_transport_options = (
    {**_STORE_TRANSPORT, **sentinels.transport_options(_broker)}  # which name the master, behind sentinels
    if _is_store_like(broker_url)
    else {}
)

# --- publishing: fails within (max_retries + 2) * socket_timeout = 12 s plus a pause, never hangs
task_publish_retry = True  # one quick second attempt hides a reconnect; more would only delay the caller
task_publish_retry_policy = {"max_retries": 1, "interval_start": 0.1, "interval_step": 0.2, "interval_max": 0.5}

# --- queues: direct ones only (their messages survive a lost binding table), one per kind of work
task_queues = tuple(
    Queue(name, Exchange(name, type="direct"), routing_key=name)
    for name in (
        "supervision.ticks",
        "supervision.sweeps",
        "supervision.collectors",
        "supervision.actions",
        "supervision.waits",
    )
)
_OURS = {
    "supervision.tick": {"queue": "supervision.ticks"},  # short and frequent: never behind anything long
    "supervision.sweep": {"queue": "supervision.sweeps"},
    "supervision.collect": {"queue": "supervision.collectors"},  # waits for the outside world
    "supervision.look_alone": {"queue": "supervision.collectors"},  # starts a process and does not wait for it
    "supervision.act": {"queue": "supervision.actions"},  # minutes long
    "supervision.wait": {"queue": "supervision.waits"},  # milliseconds each, and many at once when a signal comes
    "supervision.release": {"queue": "supervision.waits"},
    "supervision.replace": {"queue": "supervision.waits"},
    "supervision.mail": {"queue": "supervision.waits"},
    "supervision.mail_handled": {"queue": "supervision.waits"},
    "supervision.mail_failed": {"queue": "supervision.waits"},
    "supervision.gather": {"queue": "supervision.waits"},
    "supervision.parts": {"queue": "supervision.waits"},  # half a second at most, then it sends for the next
    "supervision.part": {"queue": "supervision.waits"},
    "supervision.part_failed": {"queue": "supervision.waits"},
}
task_routes = (
    "supervision.engine.homing.route",  # what follows a wait goes on in the app that made it
    _OURS,
)
task_default_queue = "supervision.actions"  # what users add is long-running more often than not
task_create_missing_queues = True  # a chain may go on in another app's queue, whose name we cannot know

# --- tasks
imports = (
    "tasks.ticks",
    "tasks.collectors",
    "tasks.actions",
    "tasks.sweeps",
    "tasks.coordination",
    "tasks.gathering",
)  # yours: supervision_imports
task_acks_late = True  # an action whose worker dies comes back; ticks, sweeps and collectors turn it off for themselves
task_reject_on_worker_lost = True  # also when only the pool process died; the store counts attempts, so it ends
task_retry_on_worker_lost = False  # Celery's own retry waits in an ETA message; ours waits in the store
task_acks_on_failure = True  # a failure is recorded in the store; redelivering it would loop
task_acks_on_timeout = True  # likewise: False runs a task that is too slow again and again
task_time_limit = 900  # seconds, hard, a last resort: every action has its own, shorter one
task_soft_time_limit = 840  # seconds; a minute to clean up before the hard one
task_ignore_result = True  # outcomes are in the store; chord headers and `gather` ask for results themselves
task_store_errors_even_if_ignored = True  # a failure of our own machinery stays visible in Flower and to callers
task_track_started = False  # one write less per task; the store knows what runs
task_send_sent_event = False  # whoever wants events switches them on
task_always_eager = False  # eager mode has no broker, no acknowledgement, no limits: it tests nothing of this
task_serializer = "json"  # readable with any tool
result_serializer = "json"  # likewise
accept_content = ["json"]  # pickle would let anybody who can write to the store run code
result_accept_content = ["json"]  # likewise

# --- workers
worker_prefetch_multiplier = 1  # never hold what another worker could do
worker_cancel_long_running_tasks_on_connection_loss = False  # True acknowledges the cancelled task: it is lost
worker_deduplicate_successful_tasks = False  # True loses a chord whose worker dies before its body is sent
worker_soft_shutdown_timeout = settings.value("shutdown_timeout", globals())  # the same; Celery uses it up if work runs
worker_enable_soft_shutdown_on_idle = False  # nothing of ours waits in ETA messages: an idle worker ends at once
worker_max_tasks_per_child = 2000  # bounds leaks in user code
worker_max_memory_per_child = 400_000  # kB, far above a fresh process: at the parent's size each one dies after a task
worker_proc_alive_timeout = 30  # seconds; 4 by default, which a loaded machine misses
worker_send_task_events = False  # Flower gets the states we send ourselves; `-E` adds the rest for those who want it
worker_hijack_root_logger = False  # handlers that your application installed stay
worker_enable_remote_control = True  # `celery inspect` and our live-consumer check use it

# --- results
result_backend_always_retry = True  # else a success becomes a failure when the store is away at its end
result_backend_max_retries = 60  # about 5 minutes, then the failure is real
result_backend_base_sleep_between_retries_ms = 100  # first pause; it grows ...
result_backend_max_sleep_between_retries_ms = 5000  # ... up to this one
result_expires = 6 * 3600  # seconds; results are for callers who wait, not an archive
result_failure_expires = 7 * 86400  # seconds; a failure is read on Monday
result_chord_expires = 30 * 86400  # seconds; a chord whose headers wait longer never runs its body, without a word
result_chord_join_timeout = 10.0  # seconds; 3 by default, which a paused server exceeds
redis_socket_timeout = 4.0  # seconds; 120 by default, which blocks a caller as long
redis_socket_connect_timeout = 3.0  # seconds; None by default: about two minutes
redis_socket_keepalive = True  # finds a peer that vanished without a word
redis_retry_on_timeout = False  # repeating is decided above, where it is known whether that is safe
redis_backend_health_check_interval = 15  # seconds; an idle connection is asked before it is used again
result_backend_transport_options = {
    # One quick second attempt. By default a caller that wants a result waits 20 s for a port that is closed and 100 s
    # for a server that is silent, before anything is published. Workers' writes have `always_retry` around this.
    "retry_policy": {"max_retries": 1, "interval_start": 0.1, "interval_step": 0.2, "interval_max": 0.5},
    **sentinels.transport_options(_results),
}

# --- beat
enable_utc = True  # slots are computed from the store's time, in UTC
timezone = "UTC"  # likewise
beat_scheduler = "supervision.engine.scheduling:Scheduler"  # the default stands still while the clock is set back
beat_max_loop_interval = 1  # seconds; the shortest interval of ours
beat_sync_every = 1  # entries; written at once, so that a restarted beat does not fire everything again
