"""An app set up exactly as ours, with test tasks instead of ours and a visibility timeout that a test can wait for."""

import os

from celery import Celery

from supervision.engine import steps, transport


def hardened(url: str | None = None, visibility_s: float | None = None) -> Celery:
    app = Celery("hardened", set_as_current=False)
    transport.install()
    app.config_from_object("celeryconfig")
    steps.install(app)
    app.conf.imports = ("probe_tasks",)
    if url is not None:
        app.conf.broker_url = app.conf.result_backend = url
        if url.startswith("sentinel"):
            app.conf.broker_transport_options = {**app.conf.broker_transport_options, "master_name": "mymaster"}
    if visibility_s is not None:
        quick = {"visibility_timeout": visibility_s, "unacked_restore_interval": 1}
        app.conf.broker_transport_options = {**app.conf.broker_transport_options, **quick}
    return app


def changed_by_environment(app: Celery) -> Celery:
    """What single tests change, each by one variable: the app of a worker can be reached in no other way."""
    if "PROBE_SOFT_S" in os.environ:
        app.conf.worker_soft_shutdown_timeout = float(os.environ["PROBE_SOFT_S"])
    if "PROBE_POOL" in os.environ:
        app.conf.worker_pool = os.environ["PROBE_POOL"]
    if "PROBE_WITHOUT_RENEWAL" in os.environ:
        app.steps["consumer"].discard(steps.VisibilityRenewal)
    return app


_visibility = os.environ.get("PROBE_VISIBILITY_S")
app = changed_by_environment(hardened(visibility_s=float(_visibility) if _visibility else None))
app.conf.beat_schedule = {
    "probe": {"task": "probe.mark", "schedule": 1.0, "args": ("/nowhere", "beat"), "options": {"queue": "probe.beat"}}
}
