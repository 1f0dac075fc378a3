"""A pool that says it is green, as gevent's and eventlet's do, without their patching of the whole process."""

from celery.concurrency.solo import TaskPool


class GreenPool(TaskPool):
    is_green = True
