"""The Celery application: ``celery -A tasks worker``. Task bodies only; what they do is in `supervision.runtime`."""

from tasks.celery import app

__all__ = ["app"]
