"""Another team's app: a queue and tasks of its own, of us the client alone; run in an environment of its own.

``python other_app.py SIGNAL`` starts one canvas of each kind, and prints their kinds and the ids of their last tasks.
"""

import os
import sys
from pathlib import Path

from celery import Celery, chain

from supervision import all_of, gather, wait_for

app = Celery("other", broker=os.environ["OTHER_BROKER"], backend=os.environ["OTHER_BACKEND"])
app.conf.update(task_default_queue="other", worker_hijack_root_logger=False)
NOTES = Path(os.environ["OTHER_NOTES"])


@app.task(name="other.note")
def note(value, tag):
    with NOTES.open("a") as notes:
        notes.write(f"{tag}:{value}\n")
    return value


@app.task(name="other.failed")
def failed(_task_id):
    """As Celery calls errbacks that the worker of the failed task does not know."""
    with NOTES.open("a") as notes:
        notes.write("failed\n")


def canvases(signal):
    """What waits for the signal, and what waits in vain."""
    never = f"{signal}/never"
    return {
        "chain": chain(note.s(1, "before"), wait_for(signal, timeout=120), note.s("chain")),
        "join": chain(all_of(signal, wait_for(signal + "/2"), timeout=120), note.s("join")),
        "gather": gather([wait_for(signal, timeout=120), note.s(2, "part")], note.s("gather"), timeout=120),
        "value": chain(wait_for(never, timeout=0.5, on_timeout="late"), note.s("value")),
        "errback": chain(wait_for(never, timeout=0.5), note.s("never")).on_error(failed.s()),
    }


if __name__ == "__main__":
    assert not any(name.partition(".")[0] in {"tasks", "celeryconfig"} for name in sys.modules)
    for kind, canvas in canvases(sys.argv[1]).items():
        sys.stdout.write(f"{kind} {canvas.apply_async().id}\n")
    app.backend.result_consumer.subscribed_to.clear()
