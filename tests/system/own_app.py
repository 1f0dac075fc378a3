"""A user's app of its own, whose worker knows none of our tasks, as ours knows none of its."""

import os
import time

from celery import Celery

from supervision import coordinator

app = Celery("own", set_as_current=False)
url = os.environ.get("SUPERVISION_STORE_URL", "redis://127.0.0.1:6379/1")
app.conf.update(broker_url=url, result_backend=url, task_default_queue="own", task_acks_late=True)


@app.task(name="own.double")
def double(value):
    return value * 2


@app.task(name="own.joined")
def joined(values):
    return ",".join(map(str, values))


@app.task(name="own.boom")
def boom(why):
    raise LookupError(why)


@app.task(name="own.build")
@coordinator(lambda name: name)
def build(name):
    return time.sleep(600) or name
