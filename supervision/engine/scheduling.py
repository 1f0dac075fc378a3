"""Beat's scheduler: Celery's own, which also goes on when the clock of its machine is set back.

Celery waits until the clock has come again to where an entry ran last: five minutes back were five minutes without a
tick and without a sweep, also for a beat that is started again meanwhile, which reads that moment from its file.
"""

from typing import Any

from celery.beat import PersistentScheduler
from celery.utils.time import maybe_make_aware


class Scheduler(PersistentScheduler):
    """Set as ``beat_scheduler``. An entry that ran in what is the future now runs one interval from now."""

    def tick(self, *arguments: Any, **named: Any) -> float:
        """One turn of beat: sends what is due; answers the seconds until the next."""
        if self._set_back():
            self._heap = None  # Celery's order of what comes next, by moments of the other time; it makes a new one
        interval: float = super().tick(*arguments, **named)
        return interval

    def _set_back(self) -> bool:
        ahead = [entry for entry in self.schedule.values() if _runs_in_future(entry)]
        for entry in ahead:
            entry.last_run_at = entry.default_now()
        return bool(ahead)


def _runs_in_future(entry: Any) -> bool:
    return bool(maybe_make_aware(entry.last_run_at) > maybe_make_aware(entry.default_now()))
