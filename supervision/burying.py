"""What a worker does when one of its pool processes has ended: it declares the coordinators dead that ran there."""

from contextlib import closing
from typing import Any

from supervision import settings, telling
from supervision.reaching import Reaching
from supervision.store.outbox import KINDS, Entry
from supervision.store.store import Store


def bury(app: Any, process: str, why: str) -> None:
    """Declare the coordinators of a process dead; a sweep, sent for at once, tells those who expect them.

    For the main process of a worker, which keeps no connection that its pool would inherit.
    """
    configured = settings.read(app.conf)
    with closing(Store(configured.store_url, configured.namespace)) as store:
        store.heard.by = telling.heard
        if store.coordinators.bury(process, why):
            Reaching("", app).publish([Entry(f"mourn:{process}", KINDS.sweep, "liveness")])
