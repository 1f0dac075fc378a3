"""Write docs/metrics.md from the table in the code: ``python docs/metrics.py``. A test fails when the page is stale."""

from collections.abc import Iterator
from pathlib import Path

from supervision.telemetry.families import FAMILIES, WORKER_ID, Family

PAGE = Path(__file__).with_name("metrics.md")

INTRODUCTION = """\
# Metrics

Generated from the table in `supervision/telemetry/families.py` by `python docs/metrics.py`; do not edit.

    supervision exporter                   # http://127.0.0.1:9478/metrics, /healthz, /readyz
    supervision exporter --address 0.0.0.0 --port 9478

- Counts are written by the script that makes the transition, into the store: they are exact across processes, restarts
  and prefork children, and any number of exporters show the same. The last column names the script.
- `/healthz` says that the exporter works, `/readyz` (200 or 503) that the store answers it. While the store is away a
  scrape answers 200 with `supervision_up 0` and nothing else.
- Labels are small sets. `worker_id`, the path of the child, is there only with `supervision_metrics_per_child = True`,
  for the workers and for the exporter; what was counted before that has it empty. Sums over it are right at any time.
- Moments are timestamps of the store's clock: an age is `supervision_store_time_seconds - ...`, whatever the clock of
  the machine that scrapes says.
- Counters that can be known beforehand are there from the start with 0, so that `rate()` sees the first increase.
- Live consumers of a queue are not here: Celery's Redis transport keeps no list of them. `supervision doctor` asks.
"""


def page() -> str:
    """The whole page."""
    return "\n".join(
        [INTRODUCTION, "| metric | type | labels | meaning | from |", "| --- | --- | --- | --- | --- |", *_rows(), ""]
    )


def _rows() -> Iterator[str]:
    for family in FAMILIES:
        labels = ", ".join(f"`{name}`" + (" (optional)" if name == WORKER_ID else "") for name in family.labels)
        yield f"| `{family.name}` | {family.kind}{_bounds(family)} | {labels} | {family.meaning} | {family.source} |"


def _bounds(family: Family) -> str:
    return f" ({' '.join(family.buckets)} s)" if family.buckets else ""


if __name__ == "__main__":
    PAGE.write_text(page())
