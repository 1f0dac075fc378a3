"""The app: Celery as configured in ``celeryconfig.py``, on a transport that survives the store, with our worker steps.

Beat's entries are made from the declared supervisors, so that nothing has to be scheduled by hand.
"""

import traceback
from typing import Any

from celery import Celery
from celery.signals import beat_init, celeryd_init

from supervision import settings
from supervision.burying import bury
from supervision.engine import deaths, mailing, publish, revoking, steps, transport
from tasks import speaking, wiring

transport.install()


class Handling(mailing.Handling):
    """The class of all tasks here: any of them may be the handler of a mailbox in the store of this process."""

    abstract = True
    mailing = staticmethod(wiring.mailing)


app: "Celery[Any]" = Celery("tasks", task_cls=Handling)
app.config_from_object("celeryconfig")
steps.install(app)
revoking.install(app, wiring.cancel_revoked, wiring.thrown_away)
deaths.install(app, bury)
mailing.install(wiring.mailing)
speaking.install(app)

EXPIRES_S = 900.0
"""Bounds what piles up while no worker is there. It compares two machines' clocks, and a worker throws away whatever a
beat sends whose clock is behind by more than this: long enough for clocks that nobody has set for years."""

DUE_EVERY_S = 1.0
OUTBOX_EVERY_S = 1.0
WAKES_EVERY_S = 1.0
HISTORY_EVERY_S = 300.0
FORGOTTEN_EVERY_S = 300.0
DEADLINES_EVERY_S = 0.5
"""Twice a second: the end of a wait is announced within a second of its deadline, and going on takes time, too."""
UNDELIVERED_EVERY_S = 5.0
MAIL_EVERY_S = 1.0
HOOKS_EVERY_S = 1.0
CLEARED_EVERY_S = 300.0
GATHERS_EVERY_S = 10.0
"""A worker that dies while it publishes parts is made up for this long after its lease; nothing due costs nothing."""


@celeryd_init.connect
@beat_init.connect
def refuse_to_start_without_declarations(**_signal: object) -> None:
    """End a worker or beat whose supervisors cannot be loaded: one that starts and does nothing looks healthy."""
    try:
        wiring.supervisors(app)
    except Exception as error:  # user modules: whatever it is, it is the reason
        traceback.print_exc()
        raise SystemExit(f"supervision_imports cannot be loaded: {type(error).__name__}: {error}") from error


@app.on_after_finalize.connect
def schedule(sender: Celery, **_signal: object) -> None:
    """Give beat one tick and one collection per supervisor and interval, and the sweeps."""
    for name, supervisor in wiring.supervisors(sender).items():
        seconds = supervisor.interval_ms / 1000
        _every(sender, seconds, publish.TICK, name)
        _every(sender, seconds, publish.COLLECT, name)
    _every(sender, DUE_EVERY_S, publish.SWEEP, "due")
    _every(sender, OUTBOX_EVERY_S, publish.SWEEP, "outbox")
    _every(sender, WAKES_EVERY_S, publish.SWEEP, "wakes")
    _every(sender, HISTORY_EVERY_S, publish.SWEEP, "history")
    _every(sender, FORGOTTEN_EVERY_S, publish.SWEEP, "forgotten")
    _every(sender, DEADLINES_EVERY_S, publish.SWEEP, "deadlines")
    _every(sender, UNDELIVERED_EVERY_S, publish.SWEEP, "undelivered")
    _every(sender, GATHERS_EVERY_S, publish.SWEEP, "gathers")
    _every(sender, settings.read(sender.conf).patience.heartbeat, publish.SWEEP, "liveness")
    _every(sender, MAIL_EVERY_S, publish.SWEEP, "mail")
    _every(sender, CLEARED_EVERY_S, publish.SWEEP, "cleared")
    if settings.read(sender.conf).hooks:
        _every(sender, HOOKS_EVERY_S, publish.SWEEP, "hooks")


def _every(sender: Celery, seconds: float, task: str, argument: str) -> None:
    signature = sender.signature(task, args=(argument,), immutable=True)
    sender.add_periodic_task(seconds, signature, name=f"{task} {argument}", expires=EXPIRES_S, ignore_result=True)
