"""A pool that says it is green, as gevent's and eventlet's do, without their patching of the whole process."""

import threading
from collections.abc import Callable

from celery.concurrency.solo import TaskPool


class GreenPool(TaskPool):
    is_green = True

    def spawn_n(self, work: Callable[..., object], *arguments: object) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()
