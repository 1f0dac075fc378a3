"""Another team's app: a queue and tasks of its own, of us the client alone; run in an environment of its own.

``python other_app.py SIGNAL...`` starts one chain per signal and prints the ids of their last tasks.
"""

import os
import sys
from pathlib import Path

from celery import Celery, chain

from supervision import wait_for

app = Celery("other", broker=os.environ["OTHER_BROKER"], backend=os.environ["OTHER_BACKEND"])
app.conf.update(task_default_queue="other", worker_hijack_root_logger=False)
NOTES = Path(os.environ["OTHER_NOTES"])


@app.task(name="other.note")
def note(value, tag):
    with NOTES.open("a") as notes:
        notes.write(f"{tag}:{value}\n")
    return value


if __name__ == "__main__":
    assert not any(name.partition(".")[0] in {"tasks", "celeryconfig"} for name in sys.modules)
    for name in sys.argv[1:]:
        result = chain(note.s(1, "before"), wait_for(name, timeout=120), note.s("after"))()
        sys.stdout.write(f"{result.id}\n")
    app.backend.result_consumer.subscribed_to.clear()
