"""A broker connection for programs that have no Celery app: only to send what goes on with a wait.

Loaded when the first wait is released, so that whoever only reads pays for no Celery.
"""

from celery import Celery

from supervision import sentinels
from supervision.engine import transport
from supervision.engine.publish import CeleryPublisher
from supervision.engine.resuming import Resumer
from supervision.settings import for_celery

TIMEOUT_S = 4.0
"""Seconds for one answer of the broker; a message makes up to 3 attempts."""


def to(broker_url: str) -> tuple[Resumer, CeleryPublisher]:
    """What sends through the broker at ``broker_url``, with the limits of our own workers."""
    ours, address = broker_url.partition(":")[0] in transport.ALIASES, for_celery(broker_url)
    if ours:
        transport.install()
    bounds = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": 3, "socket_keepalive": True}
    app = Celery("supervision-client", broker=address, set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        broker_write_url=address,  # Celery prefers CELERY_BROKER_URL to what it is given, whoever has set that
        broker_connection_timeout=TIMEOUT_S,
        broker_transport_options={**bounds, **sentinels.transport_options(broker_url)} if ours else {},
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0.1, "interval_step": 0.2, "interval_max": 0.5},
    )
    return Resumer(app), CeleryPublisher(app)


def through(app: Celery) -> tuple[Resumer, CeleryPublisher]:
    """What sends through a Celery ``app``."""
    return Resumer(app), CeleryPublisher(app)
