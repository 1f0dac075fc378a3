"""What a careful user writes without us: late acknowledgement, one message per slot, everything else as delivered."""

import os

from celery import Celery


def stock(url: str) -> Celery:
    app = Celery("stock", broker=url, set_as_current=False)
    app.conf.update(task_acks_late=True, worker_prefetch_multiplier=1, imports=("probe_tasks",))
    return app


app = stock(os.environ.get("SUPERVISION_STORE_URL", "redis://127.0.0.1:6379/1"))
